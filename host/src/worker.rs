//! Threads that do the work: graders, the publisher, the reconciler. Scorers run here and never on the HTTP runtime.
//!
//! A loop takes no input: it is woken by a signal or by a timer, and looks for itself what there is to do.

use crate::live::Hub;
use gradus_core::app::work::Worked;
use gradus_core::app::{App, Refusal, chain};
use gradus_core::domain::job::State;
use gradus_core::domain::operation::{Operation, OperationState};
use gradus_core::ports::store::StoreError;
use std::collections::VecDeque;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// Claims are renewed this often: three times within a lease.
const RENEWAL: Duration = Duration::from_secs(10);
/// The timer that backs the signals up.
const LOOK: Duration = Duration::from_secs(5);
/// Idempotency keys are swept this often.
const TIDY: Duration = Duration::from_secs(3600);

/// The threads, and what they share.
pub struct Workers {
    app: Arc<App>,
    hub: Arc<Hub>,
    stopping: Arc<AtomicBool>,
    publications: Arc<Mutex<VecDeque<Operation>>>,
    /// Set when the store takes no more changes: the host has to end.
    broken: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Workers {
    /// Recovers what an earlier host left and starts `graders` threads for submissions, one for publications and one that
    /// reconciles.
    ///
    /// # Errors
    /// The store's; or threads could not be started.
    pub fn start(app: Arc<App>, hub: Arc<Hub>, graders: usize) -> Result<Arc<Self>, Box<dyn Error + Send + Sync>> {
        let operations = app.recover()?;
        let workers = Arc::new(Self {
            app,
            hub,
            stopping: Arc::default(),
            publications: Arc::new(Mutex::new(operations.into())),
            broken: Arc::default(),
            threads: Mutex::default(),
        });
        for number in 0..graders {
            workers.spawn(format!("grader-{number}"), Self::grade)?;
        }
        workers.spawn("publisher".to_owned(), |workers, _| workers.publish())?;
        workers.spawn("reconciler".to_owned(), |workers, _| workers.reconcile())?;
        Ok(workers)
    }

    fn spawn(self: &Arc<Self>, name: String, run: fn(&Self, &str)) -> std::io::Result<()> {
        let workers = Arc::clone(self);
        let handle = thread::Builder::new().name(name.clone()).spawn(move || run(&workers, &name))?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        Ok(())
    }

    /// Takes a publication on.
    pub fn enqueue(&self, operation: Operation) {
        self.publications.lock().unwrap_or_else(PoisonError::into_inner).push_back(operation);
        gradus_core::ports::signals::Signals::queued(&*self.hub);
    }

    /// Whether the store takes no more changes.
    pub fn broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Stops claiming, has runs end or go back into the queue, and waits for the threads.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.app.stop();
        self.hub.stop();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                error!("a worker thread had panicked");
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Notes a failure of ours; a store that is closed ends the host.
    fn trouble(&self, what: &str, refusal: &Refusal) {
        error!(error = %chain(refusal), "{what}");
        if matches!(refusal, Refusal::Store(StoreError::Closed | StoreError::Write(_))) {
            self.broken.store(true, Ordering::Relaxed);
        }
    }

    fn grade(&self, name: &str) {
        while !self.stopped() {
            let seen = self.hub.rung();
            let began = Instant::now();
            // A panic is a bug of ours. Its job is taken back when its claim runs out; the others go on.
            let turn = catch_unwind(AssertUnwindSafe(|| self.app.work(name)));
            let Ok(turn) = turn else {
                error!(worker = name, "a worker's turn panicked");
                continue;
            };
            match turn {
                Ok(Worked::Idle) => self.hub.wait(seen, self.pause()),
                Ok(Worked::Did { id, job, trouble }) => {
                    if let Some(trouble) = trouble {
                        warn!(submission = %id, trouble, "an attempt failed on our side");
                    }
                    if let Some(job) = job {
                        let outcome = job.outcome.as_ref().map_or("requeued", |outcome| outcome.word());
                        let elapsed = began.elapsed();
                        metrics::counter!("gradus_submissions_total", "outcome" => outcome).increment(1);
                        metrics::histogram!("gradus_job_seconds", "phase" => "score", "outcome" => outcome)
                            .record(elapsed.as_secs_f64());
                        let state = job.state.word();
                        info!(submission = %id, state, outcome, elapsed_ms = elapsed.as_millis(), "graded");
                        if job.state == State::Failed
                            && job.fault != Some(gradus_core::domain::report::Fault::Participant)
                        {
                            warn!(submission = %id, fault = ?job.fault, "a submission failed, not by its participant's doing");
                        }
                    }
                }
                Err(refusal) => {
                    self.trouble("a worker's turn failed", &refusal);
                    thread::sleep(Duration::from_secs(1));
                }
            }
        }
    }

    /// Until the next delayed job, and not for ever.
    fn pause(&self) -> Duration {
        let now = self.app.clock.now();
        let due = self.app.due().and_then(|due| Duration::try_from(due.duration_since(now)).ok());
        // A job that is due already was just not to be had: its entrant runs as many as allowed.
        due.map_or(LOOK, |due| due.clamp(Duration::from_millis(20), LOOK))
    }

    fn publish(&self) {
        while !self.stopped() {
            let seen = self.hub.rung();
            let next = self.publications.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(operation) = next else {
                self.hub.wait(seen, LOOK);
                continue;
            };
            let (challenge, version) = (operation.challenge.as_str(), operation.version);
            match self.app.run_operation(&operation) {
                Ok(OperationState::Done) => info!(challenge, version, "a version is live"),
                Ok(OperationState::Failed { problems }) => {
                    info!(challenge, version, ?problems, "a version was refused")
                }
                Ok(OperationState::Running | OperationState::Live) => {}
                Err(refusal) => {
                    self.trouble("a publication could not be finished; it is tried again", &refusal);
                    self.hub.wait(self.hub.rung(), LOOK);
                    self.publications.lock().unwrap_or_else(PoisonError::into_inner).push_back(operation);
                }
            }
        }
    }

    fn reconcile(&self) {
        let mut tidied = Instant::now();
        while !self.stopped() {
            let woken = Instant::now();
            while !self.stopped() && woken.elapsed() < RENEWAL {
                thread::sleep(Duration::from_millis(100));
            }
            if let Err(refusal) = self.app.renew() {
                self.trouble("claims could not be renewed", &refusal);
            }
            match self.app.reap() {
                Ok(0) => {}
                Ok(count) => warn!(count, "claims had run out and were taken back"),
                Err(refusal) => self.trouble("claims could not be taken back", &refusal),
            }
            if tidied.elapsed() >= TIDY {
                tidied = Instant::now();
                if let Err(refusal) = self.app.tidy() {
                    self.trouble("idempotency keys could not be swept", &refusal);
                }
            }
            let (waiting, running) = self.app.load();
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and a queue is short beside 2^53")]
            {
                metrics::gauge!("gradus_queue_depth").set(waiting as f64);
                metrics::gauge!("gradus_jobs_running").set(running as f64);
            }
        }
    }
}
