//! Threads that do the work: graders, runners, the publisher, the reconciler. Scorers run here and never on the HTTP
//! runtime.
//!
//! A loop takes no input: it is woken by a signal or by a timer, and looks for itself what there is to do.

pub mod graphs;

use crate::live::Hub;
use gradus_core::app::answers::Answered;
use gradus_core::app::garbage::Garbage;
use gradus_core::app::hooks::Carried;
use gradus_core::app::launch::Containers;
use gradus_core::app::pushes::FetchTurn;
use gradus_core::app::reconcile::Recovered;
use gradus_core::app::work::Worked;
use gradus_core::app::{App, Refusal, chain};
use gradus_core::domain::job::{MAX_ATTEMPTS, Stage, State};
use gradus_core::domain::operation::{Operation, OperationState};
use gradus_core::ports::runner::Swept;
use jiff::Timestamp;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// Claims are renewed this often: three times within a lease.
const RENEWAL: Duration = Duration::from_secs(10);
/// The timer that backs the signals up.
const LOOK: Duration = Duration::from_secs(5);
/// What runs of dead hosts left is looked for this often.
const SWEEP: Duration = Duration::from_secs(60);
/// Idempotency keys are swept this often.
const TIDY: Duration = Duration::from_secs(3600);
/// Letters that are on their way at once.
const COURIERS: usize = 4;
/// Answers to forges that are on their way at once.
const ANSWERERS: usize = 3;
/// Tags that are fetched at once.
const FETCHERS: usize = 6;
/// A courier with nothing to do looks again after so long, at the soonest.
const ASIDE: Duration = Duration::from_millis(500);
/// Blobs that nothing refers to are looked for this often, and removed so long after they were found: longer than anybody
/// needs from a blob to the row that refers to it.
const COLLECT: Duration = Duration::from_secs(22 * 3600);
const COLLECTED: Duration = Duration::from_secs(2 * 3600);

/// A publication that waits, and how often it failed on our side.
struct Publication {
    operation: Operation,
    attempts: u32,
    /// Not before then.
    due: Instant,
}

impl Publication {
    fn new(operation: Operation) -> Self {
        Self { operation, attempts: 0, due: Instant::now() }
    }
}

/// Whether there is enough of the disk left to begin a program.
pub type Space = Box<dyn Fn() -> bool + Send + Sync>;

/// Opens the container engine, or says why it cannot be used. Blocks.
pub type Opener = Box<dyn Fn() -> Result<Containers, String> + Send + Sync>;

/// The threads, and what they share.
pub struct Workers {
    app: Arc<App>,
    hub: Arc<Hub>,
    stopping: Arc<AtomicBool>,
    space: Space,
    publications: Mutex<Vec<Publication>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Workers {
    /// Recovers what an earlier host left and starts `graders` threads for scorers, `runners` for programs, one for
    /// publications and one that reconciles.
    ///
    /// # Errors
    /// The store's; or threads could not be started.
    pub fn start(
        app: Arc<App>,
        hub: Arc<Hub>,
        graders: usize,
        runners: usize,
        space: Space,
        opener: Option<Opener>,
    ) -> Result<Arc<Self>, Box<dyn Error + Send + Sync>> {
        // Before the first request, so that a server with an engine takes programs at once.
        let later = opener.filter(|opener| !open(&app, opener));
        let Recovered { operations, cut_off } = app.recover()?;
        for (id, job) in cut_off {
            let reason = job.reason.unwrap_or_default();
            if job.state == State::Failed {
                warn!(submission = %id, reason, "a submission was given up: servers ended while they were at it");
            } else {
                info!(submission = %id, attempt = job.attempts, "the last server ended while it was at a submission: it waits again");
            }
        }
        let workers = Arc::new(Self {
            app,
            hub,
            stopping: Arc::default(),
            space,
            publications: Mutex::new(operations.into_iter().map(Publication::new).collect()),
            threads: Mutex::default(),
        });
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        workers.app.set_workers(count(runners), count(graders));
        for number in 0..graders {
            workers.spawn(format!("grader-{number}"), |workers, name| workers.work(name, Stage::Score))?;
        }
        for number in 0..runners {
            workers.spawn(format!("runner-{number}"), |workers, name| workers.work(name, Stage::Run))?;
        }
        if let Some(opener) = later {
            workers.spawn("opener".to_owned(), move |workers, _| workers.open_later(&opener))?;
        }
        for number in 0..COURIERS {
            // Nobody waits for them at the end: another server may take its time, and a letter that was on its way is sent
            // again.
            let workers = Arc::clone(&workers);
            thread::Builder::new().name(format!("courier-{number}")).spawn(move || workers.carry())?;
        }
        for number in 0..ANSWERERS {
            // As little.
            let workers = Arc::clone(&workers);
            thread::Builder::new().name(format!("answerer-{number}")).spawn(move || workers.answer())?;
        }
        for number in 0..FETCHERS {
            workers.spawn(format!("fetcher-{number}"), |workers, _| workers.fetch())?;
        }
        workers.spawn("publisher".to_owned(), |workers, _| workers.publish())?;
        workers.spawn("reconciler".to_owned(), |workers, _| workers.reconcile())?;
        workers.spawn("collector".to_owned(), |workers, _| workers.collect())?;
        Ok(workers)
    }

    fn publications(&self) -> MutexGuard<'_, Vec<Publication>> {
        self.publications.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(self: &Arc<Self>, name: String, run: impl FnOnce(&Self, &str) + Send + 'static) -> std::io::Result<()> {
        let workers = Arc::clone(self);
        let handle = thread::Builder::new().name(name.clone()).spawn(move || run(&workers, &name))?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        Ok(())
    }

    /// Takes a publication on.
    pub fn enqueue(&self, operation: Operation) {
        self.publications().push(Publication::new(operation));
        self.hub.publications.ring();
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

    /// Runs a step of a loop. A failure of ours is noted, and a panic, which is a bug of ours, does not end the loop.
    fn step<T>(what: &str, step: impl FnOnce() -> Result<T, Refusal>) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(step)) {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(refusal)) => error!(error = %chain(&refusal), "{what}"),
            Err(_) => error!("{what}: it panicked"),
        }
        None
    }

    /// Until there is an engine.
    fn open_later(&self, opener: &Opener) {
        let mut looked = Instant::now();
        while !self.stopped() {
            thread::sleep(Duration::from_millis(100));
            if looked.elapsed() >= LOOK {
                if open(&self.app, opener) {
                    return;
                }
                looked = Instant::now();
            }
        }
    }

    /// Takes what waits for `stage`.
    fn work(&self, name: &str, stage: Stage) {
        let phase = match stage {
            Stage::Run => "run",
            Stage::Score => "score",
        };
        loop {
            // Before it is seen whether all stops: that rings, too.
            let seen = self.hub.queue.rung();
            if self.stopped() {
                return;
            }
            if stage == Stage::Run {
                let full = !(self.space)();
                if self.app.set_full(full) && full {
                    warn!("the disk is nearly full: no program is begun until there is room");
                }
                if full {
                    self.hub.queue.wait(seen, LOOK);
                    continue;
                }
            }
            let began = Instant::now();
            // The job of a turn that panicked is taken back when its claim runs out; the others go on.
            match Self::step("a worker's turn failed", || self.app.work(name, stage)) {
                Some(Worked::Idle) => self.hub.queue.wait(seen, self.pause()),
                Some(Worked::Did { id, challenge, job, cost, trouble }) => {
                    if let (Some(challenge), Some(cost)) = (&challenge, &cost) {
                        graphs::scored(challenge, cost);
                    }
                    if job.is_none() {
                        metrics::counter!("gradus_stale_results_total").increment(1);
                    }
                    let kills = job.as_ref().and_then(|job| job.run.as_ref()).map_or(0, |run| run.oom_kills);
                    if stage == Stage::Run {
                        metrics::counter!("gradus_container_oom_total").increment(kills);
                    }
                    if let Some(trouble) = trouble {
                        metrics::counter!("gradus_platform_faults_total", "phase" => phase).increment(1);
                        warn!(submission = %id, trouble, "an attempt failed on our side");
                    }
                    if let Some(job) = job {
                        let outcome = job.outcome.as_ref().map_or("requeued", |outcome| outcome.word());
                        let elapsed = began.elapsed();
                        if let Some(challenge) = challenge.as_ref().filter(|_| job.state.is_terminal()) {
                            graphs::ended(challenge, outcome);
                        }
                        metrics::histogram!("gradus_job_seconds", "phase" => phase, "outcome" => outcome)
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
                None => self.rest(),
            }
        }
    }

    /// A second, unless all stops.
    fn rest(&self) {
        for _ in 0..10 {
            if self.stopped() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Until the next delayed job, and not for ever.
    fn pause(&self) -> Duration {
        self.until(self.app.due())
    }

    fn until(&self, due: Option<Timestamp>) -> Duration {
        let now = self.app.clock.now();
        let due = due.and_then(|due| Duration::try_from(due.duration_since(now)).ok());
        // What is due already was just not to be had: a job's entrant runs as many as allowed, a hook has another letter.
        due.map_or(LOOK, |due| due.clamp(Duration::from_millis(20), LOOK))
    }

    fn publish(&self) {
        loop {
            // Before it is seen whether all stops: that rings, too.
            let seen = self.hub.publications.rung();
            if self.stopped() {
                return;
            }
            let now = Instant::now();
            let next = {
                let mut waiting = self.publications();
                let due = waiting.iter().position(|publication| publication.due <= now);
                due.map(|at| waiting.remove(at))
            };
            let Some(Publication { operation, attempts, .. }) = next else {
                let due = self.publications().iter().map(|publication| publication.due).min();
                self.hub.publications.wait(seen, due.map_or(LOOK, |due| due.saturating_duration_since(now).min(LOOK)));
                continue;
            };
            let (challenge, version) = (operation.challenge.as_str(), operation.version);
            let what = format!("publication of `{challenge}`, version {version}: it is tried again");
            match Self::step(&what, || self.app.run_operation(&operation)) {
                Some(OperationState::Done) => info!(challenge, version, "a version is live"),
                Some(OperationState::Failed { problems }) => {
                    info!(challenge, version, ?problems, "a version was refused")
                }
                // It cannot be tried now: the host stops, or there is no container engine.
                Some(OperationState::Running | OperationState::Live) => {
                    self.publications().push(Publication { operation, attempts, due: Instant::now() + LOOK });
                }
                None if attempts + 1 < MAX_ATTEMPTS || !self.app.can_run() || !self.give_up(&operation) => {
                    let attempts = attempts + 1;
                    let pause = Duration::from_secs(1 << attempts.min(6));
                    self.publications().push(Publication { operation, attempts, due: Instant::now() + pause });
                }
                None => {}
            }
        }
    }

    /// After the last attempt. `false`: it is live already, and its boards are filled one day.
    fn give_up(&self, operation: &Operation) -> bool {
        let given_up = Self::step("a publication could not be given up", || self.app.give_up(operation));
        given_up.is_some_and(|state| state.is_over())
    }

    /// Takes letters to web hooks.
    fn carry(&self) {
        loop {
            // Before it is seen whether all stops: that rings, too.
            let seen = self.hub.letters.rung();
            if self.stopped() {
                return;
            }
            match Self::step("a courier's turn failed", || self.app.carry()) {
                Some(Carried::Nothing) => {
                    let due = Self::step("letters could not be looked at", || self.app.next_letter()).flatten();
                    // Due already, and not to be had: others are on their way to where it goes.
                    self.hub.letters.wait(seen, self.until(due).max(ASIDE));
                }
                Some(Carried::Dropped) => {}
                Some(Carried::Taken) => {
                    metrics::counter!("gradus_letters_total", "result" => "taken").increment(1);
                }
                Some(Carried::Not { hook, why, given_up }) => {
                    let result = if given_up { "given-up" } else { "put-off" };
                    metrics::counter!("gradus_letters_total", "result" => result).increment(1);
                    warn!(%hook, why, given_up, "a web hook did not take its letter");
                }
                None => thread::sleep(Duration::from_secs(1)),
            }
        }
    }

    /// Tells forges how the tags stand that they told of.
    fn answer(&self) {
        loop {
            // Before it is seen whether all stops: that rings, too.
            let seen = self.hub.answers.rung();
            if self.stopped() {
                return;
            }
            match Self::step("an answer to a forge failed", || self.app.answer()) {
                Some(Answered::Nothing) => self.hub.answers.wait(seen, self.until(self.app.next_answer())),
                Some(Answered::Silent) => {}
                Some(Answered::Told(source)) => {
                    metrics::counter!("gradus_answers_total", "source" => source.to_string(), "result" => "taken")
                        .increment(1);
                }
                Some(Answered::Not { source, why, given_up }) => {
                    let result = if given_up { "given-up" } else { "put-off" };
                    metrics::counter!("gradus_answers_total", "source" => source.to_string(), "result" => result)
                        .increment(1);
                    warn!(%source, why, given_up, "a forge did not take the status of a commit");
                }
                None => thread::sleep(Duration::from_secs(1)),
            }
        }
    }

    /// Fetches pushed tags, and hands them in.
    fn fetch(&self) {
        loop {
            // Before it is seen whether all stops: that rings, too.
            let seen = self.hub.pushes.rung();
            if self.stopped() {
                return;
            }
            let began = Instant::now();
            match Self::step("a fetcher's turn failed", || self.app.fetch()) {
                Some(FetchTurn::Idle) => self.hub.pushes.wait(seen, self.until(self.app.next_fetch())),
                Some(FetchTurn::Did(push)) => {
                    // Another of that project may be had now.
                    self.hub.pushes.ring();
                    graphs::fetched(&push, began.elapsed());
                }
                None => self.rest(),
            }
        }
    }

    /// Removes blobs that nothing refers to.
    fn collect(&self) {
        let mut found: Option<Garbage> = None;
        let mut next = Instant::now() + TIDY;
        while !self.stopped() {
            thread::sleep(Duration::from_millis(100));
            if Instant::now() < next {
                continue;
            }
            // Twice, and nothing is removed that was not there both times.
            next = Instant::now() + if found.is_none() { COLLECTED } else { COLLECT };
            let what = "blobs that nothing refers to could not be removed";
            found = match found {
                None => Self::step(what, || self.app.garbage()),
                Some(garbage) => {
                    if let Some(count @ 1..) = Self::step(what, || self.app.collect(&garbage)) {
                        metrics::counter!("gradus_blobs_removed_total").increment(count);
                        info!(count, "blobs that nothing refers to were removed");
                    }
                    None
                }
            };
        }
    }

    fn reconcile(&self) {
        let mut tidied = Instant::now();
        // Soon after the start, too: an engine may only then have done what a dead host asked for.
        let mut sweep = Instant::now() + RENEWAL;
        while !self.stopped() {
            let woken = Instant::now();
            while !self.stopped() && woken.elapsed() < RENEWAL {
                thread::sleep(Duration::from_millis(100));
            }
            Self::step("claims could not be renewed", || self.app.renew());
            if let Some(count @ 1..) = Self::step("claims could not be taken back", || self.app.reap()) {
                metrics::counter!("gradus_leases_lost_total").increment(count as u64);
                warn!(count, "claims had run out and were taken back");
            }
            if Instant::now() >= sweep {
                sweep = Instant::now() + SWEEP;
                Self::step("what dead runs left could not be removed", || self.app.sweep());
            }
            if tidied.elapsed() >= TIDY {
                tidied = Instant::now();
                Self::step("idempotency keys could not be swept", || self.app.tidy());
                Self::step("old letters could not be forgotten", || self.app.forget_letters());
                prune(&self.app);
            }
            if let count @ 1.. = self.app.unwritten_letters() {
                metrics::counter!("gradus_letters_total", "result" => "not-written").increment(count);
                warn!(count, "letters were not written, as too many wait for their web hooks");
            }
            graphs::load(&self.app);
        }
    }
}

/// Removes images that were fetched for tasks and that none needs any more.
fn prune(app: &App) {
    if let Some(count @ 1..) = Workers::step("images could not be removed", || app.prune_images()) {
        info!(count, "images that no task needs any more were removed");
    }
}

/// Opens the lane for programs. Whether that went well.
fn open(app: &App, opener: &Opener) -> bool {
    let opened = opener();
    let well = opened.is_ok();
    app.open_lane(opened);
    if well
        && let Some(swept) = Workers::step("what earlier runs left could not be removed", || app.sweep())
        && swept != Swept::default()
    {
        warn!(containers = swept.containers, rest = swept.rest, "what runs of a dead host left was removed");
    }
    if well {
        prune(app);
    }
    well
}

#[cfg(test)]
mod tests;
