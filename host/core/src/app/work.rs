//! A worker's turn: claim a job, run and grade it, store how it ended. Called from threads of their own.

use super::change::Yield;
use super::grade::Graded;
use super::launch::{LaunchError, Launched, Prints};
use super::{App, Held, Refusal, chain};
use crate::domain::challenge::Version;
use crate::domain::digest::Digest;
use crate::domain::id::{ChallengeId, RunId, SubmissionId};
use crate::domain::job::{Job, JobEvent, Stage, State};
use crate::domain::printed::Printed;
use crate::domain::report::{Cost, Outcome};
use crate::domain::run_record::{RunOutput, Stream};
use crate::domain::submission::{MAX_INLINE, Submission};
use crate::ports::scorer::Listener;
use crate::ports::store::{Small, Tracked};
use jiff::{SignedDuration, Timestamp};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LockResult, RwLockReadGuard, RwLockWriteGuard};

/// How long a claim holds unless it is renewed.
pub const LEASE: SignedDuration = SignedDuration::from_secs(30);

/// What a worker's turn came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Worked {
    /// There is nothing to do.
    Idle,
    /// A job was worked on.
    Did {
        /// Whose.
        id: SubmissionId,
        /// What it was handed in to; `None` if it is not there any more.
        challenge: Option<ChallengeId>,
        /// How it stands now; `None` if its result was dropped, as somebody cancelled it or took it over.
        job: Option<Box<Job>>,
        /// What its scorer used, if that ran to an end.
        cost: Option<Cost>,
        /// What went wrong on our side, for the operator's log.
        trouble: Option<String>,
    },
}

impl App {
    /// Claims the next job that waits for `stage` and works on it to its end.
    ///
    /// # Errors
    /// The store's: then the job is claimed again, here or after a restart.
    pub fn work(&self, worker: &str, stage: Stage) -> Result<Worked, Refusal> {
        let now = self.clock.now();
        if stage == Stage::Run && !self.lane_is_open(now) {
            return Ok(Worked::Idle);
        }
        let Some(id) = self.queue().take(stage, now) else { return Ok(Worked::Idle) };
        let mut turn = Turn { app: self, id, ended: false };
        let worked = self.work_on(id, worker);
        turn.ended = matches!(&worked, Ok(Done { job: Some(job), .. }) if job.state.is_terminal());
        drop(turn);
        // The room of a run may be enough for several; and its entrant's place, for one that waits elsewhere.
        let waits = match stage {
            Stage::Run => self.queue().waiting() > 0,
            Stage::Score => self.queue().waits(Stage::Run),
        };
        if waits {
            self.signals.queued();
        }
        // Whatever happened: what waits by its row waits in the picture.
        let tracked = self.store.submission(id)?;
        tracked.iter().try_for_each(|tracked| self.line_up(tracked))?;
        let Done { job, cost, trouble } = worked?;
        let challenge = tracked.map(|tracked| tracked.submission.challenge);
        Ok(Worked::Did { id, challenge, job: job.map(Box::new), cost, trouble })
    }

    fn work_on(&self, id: SubmissionId, worker: &str) -> Result<Done, Refusal> {
        let dropped = Done::default();
        let Some(waiting) = self.store.submission(id)? else { return Ok(dropped) };
        let claimed = match waiting.job.stage() {
            Stage::Score => {
                let _room = self.room(&waiting.job);
                let Some(claim) = self.claim(id, worker)? else { return Ok(dropped) };
                return self.finish(&claim, |claim| self.score(claim));
            }
            Stage::Run => self.claim(id, worker)?,
        };
        let Some(claim) = claimed else { return Ok(dropped) };
        let launched = match self.launch(&claim) {
            Ok(Some(launched)) => launched,
            Ok(None) => return self.finish(&claim, |_| Ok(None)),
            Err(error) => return self.not_run(&claim, &error),
        };
        let began = launched.began;
        let (event, ended) = match self.kept_run(&claim, launched) {
            Ok(kept) => kept,
            Err(error) => return self.not_run(&claim, &NotRun::Refused(error)),
        };
        if began {
            self.lane_went_well(id);
        }
        // Stored before it is scored: whatever comes, it is not run again.
        let Some(job) = self.change(id, &event, Some(&ended))? else { return Ok(dropped) };
        if job.state != State::Scoring {
            return Ok(Done { job: Some(job), ..dropped });
        }
        // Another claim's by now, perhaps: then its result is not ours to give.
        let ours = |tracked: &Tracked| tracked.job.epoch == claim.epoch() && tracked.job.lease.is_some();
        let Some(tracked) = self.store.submission(id)?.filter(ours) else { return Ok(dropped) };
        let _room = self.room(&tracked.job);
        self.finish(&Claim { tracked, ..claim }, |claim| self.score(claim))
    }

    /// It could not be run, and nothing of its own is why.
    fn not_run(&self, claim: &Claim, error: &NotRun) -> Result<Done, Refusal> {
        let id = claim.tracked.submission.id;
        let trouble = match error {
            NotRun::Missing(text) | NotRun::NotStarted(text) => text.clone(),
            NotRun::NotAllowed(text) => format!("{NOT_ALLOWED}: {text}"),
            NotRun::Refused(error) => chain(error),
        };
        let event = match error {
            _ if self.stopping.load(Ordering::Relaxed) => Some(JobEvent::Released { epoch: claim.epoch() }),
            NotRun::Missing(text) => Some(self.put_off(&claim.tracked, text.clone())),
            NotRun::NotAllowed(_) => Some(self.put_off(&claim.tracked, NOT_ALLOWED.to_owned())),
            // An attempt is counted, and nobody else is held up.
            NotRun::NotStarted(_) => None,
            NotRun::Refused(_) => self.lane_trouble(&claim.tracked, trouble.clone()),
        };
        let event = event.unwrap_or_else(|| platform(claim));
        let job = self.change(id, &event, None)?;
        Ok(Done { job, cost: None, trouble: Some(trouble) })
    }

    /// Held while a scorer runs. One that has to be alone waits for the others, and no other begins beside it. Taken before
    /// the claim: what waits here is still queued, and cancelled for nothing.
    fn room(&self, job: &Job) -> Hold<'_> {
        if job.alone { Hold::Sole(self.machine.write()) } else { Hold::Shared(self.machine.read()) }
    }

    /// Does what is left of a claimed job, and stores how it ended.
    fn finish(
        &self,
        claim: &Claim,
        grade: impl FnOnce(&Claim) -> Result<Option<Graded>, Refusal>,
    ) -> Result<Done, Refusal> {
        let id = claim.tracked.submission.id;
        let epoch = claim.epoch();
        let (event, ended) = match grade(claim) {
            Ok(Some(Graded { report, log, attachments })) => {
                let event = JobEvent::Finished { epoch, outcome: report.outcome.clone(), fault: report.fault };
                (event, Yield { report: Some(report), log, attachments, ..Yield::default() })
            }
            Ok(None) if self.stopping.load(Ordering::Relaxed) => (JobEvent::Released { epoch }, Yield::default()),
            Ok(None) => return Ok(Done::default()),
            Err(error) => return self.failed_on_our_side(claim, &error),
        };
        match self.change(id, &event, Some(&ended)) {
            Ok(job) => Ok(Done { job, cost: ended.report.map(|report| report.cost), trouble: None }),
            // A body that could not be kept, say: the attempt is lost, and the submission is not.
            Err(error) => self.failed_on_our_side(claim, &error),
        }
    }

    /// An attempt is lost.
    fn failed_on_our_side(&self, claim: &Claim, error: &Refusal) -> Result<Done, Refusal> {
        let id = claim.tracked.submission.id;
        let job = self.change(id, &platform(claim), None)?;
        Ok(Done { job, cost: None, trouble: Some(chain(error)) })
    }

    /// Runs the program. `None`: it was stopped.
    fn launch(&self, claim: &Claim) -> Result<Option<Launched>, NotRun> {
        let Submission { task, files, lane, .. } = &claim.tracked.submission;
        let containers = self.containers().map_err(Refusal::NoContainers)?;
        let launcher = self.launcher(&claim.version, task)?;
        // The operator may have taken back since what was allowed when the challenge was published.
        if let Some((_, what)) = containers.allows.refusal(&launcher.run) {
            return Err(NotRun::NotAllowed(what));
        }
        let program = self.folder(files)?;
        // A run of its own for each claim: what is left of an earlier one never meets it.
        let id = RunId(self.clock.id(self.clock.now()));
        let printed = launcher.printed();
        if let Some(held) = self.running().get_mut(&claim.tracked.submission.id) {
            held.printed = Some(printed.clone());
        }
        Ok(launcher.launch(&*containers.runner, id, (*lane, &program), &printed, &claim.stop)?)
    }

    /// What a run left, kept: durable, or to go in with the row.
    fn kept_run(&self, claim: &Claim, launched: Launched) -> Result<(JobEvent, Yield), Refusal> {
        let Launched { record, left, stdout, stderr, ingestion, began: _ } = launched;
        let mut output = RunOutput::default();
        let mut small = Vec::new();
        if let Some(left) = left {
            let (kept, with_row) = left.keep_with_row(self)?;
            output.predictions = Some(self.keep_body(kept.to_text())?);
            small = with_row;
        }
        let printed = [(&mut output.stdout, stdout), (&mut output.stderr, stderr), (&mut output.ingestion, ingestion)];
        self.keep_printed(printed, &mut small)?;
        let event = JobEvent::Ran { epoch: claim.epoch(), run: Box::new(record) };
        Ok((event, Yield { run: Some((output, small)), ..Yield::default() }))
    }

    /// What a run that is called off printed until now.
    pub(super) fn printed_until_now(&self, id: SubmissionId) -> Result<Yield, Refusal> {
        let held = self.running().get(&id).and_then(|held| held.printed.clone());
        let Some(Prints { program, ingestion }) = held else { return Ok(Yield::default()) };
        let of = |printed: &Printed, stream| printed.since(stream, 0).0;
        let (mut output, mut small) = (RunOutput::default(), Vec::new());
        let both = [of(&ingestion, Stream::Stdout), of(&ingestion, Stream::Stderr)].concat();
        let all = [
            (&mut output.stdout, of(&program, Stream::Stdout)),
            (&mut output.stderr, of(&program, Stream::Stderr)),
            (&mut output.ingestion, both),
        ];
        self.keep_printed(all, &mut small)?;
        Ok(Yield { run: Some((output, small)), ..Yield::default() })
    }

    /// Keeps what was printed: with the row what has room there.
    fn keep_printed<const N: usize>(
        &self,
        printed: [(&mut Option<Digest>, Vec<u8>); N],
        small: &mut Vec<Small>,
    ) -> Result<(), Refusal> {
        let mut room = MAX_INLINE.saturating_sub(small.iter().map(|small| small.bytes.len()).sum());
        for (stream, bytes) in printed {
            if bytes.is_empty() {
                continue;
            }
            *stream = Some(if bytes.len() <= room {
                room -= bytes.len();
                let digest = Digest::of(&bytes);
                small.push(Small { digest, bytes });
                digest
            } else {
                self.keep_bytes(&bytes)?
            });
        }
        Ok(())
    }

    /// Scores predictions, those that were handed in or those that the run left. `None`: it was stopped.
    fn score(&self, claim: &Claim) -> Result<Option<Graded>, Refusal> {
        let Claim { tracked, version, stop } = claim;
        let submission = &tracked.submission;
        let grader = self.grader(version, &submission.task)?;
        let mut listener = Progress { app: self, id: submission.id };
        let Some(record) = &tracked.job.run else {
            let predictions = self.folder(&submission.files)?;
            return Ok(grader.grade(&*self.scorer, &predictions, stop, &mut listener)?);
        };
        let left = self.store.run_output(submission.id)?.and_then(|output| output.predictions);
        let predictions = self.folder(&left.ok_or(Refusal::Unknown("output of the run"))?)?;
        Ok(grader.grade_run(&*self.scorer, &predictions, record, stop, &mut listener)?)
    }

    /// Claims `id` for `worker`; `None` if it is not to be had any more.
    fn claim(&self, id: SubmissionId, worker: &str) -> Result<Option<Claim>, Refusal> {
        let now = self.clock.now();
        let until = now.saturating_add(LEASE).unwrap_or(Timestamp::MAX);
        let Some(job) = self.change(id, &JobEvent::Claimed { worker: worker.to_owned(), until }, None)? else {
            return Ok(None);
        };
        let held = Held { epoch: job.epoch, stop: Arc::default(), printed: None };
        self.running().insert(id, held.clone());
        // After the insert: whoever stops the host sets the flags of those that are in.
        if self.stopping.load(Ordering::Relaxed) {
            held.stop.store(true, Ordering::Relaxed);
        }
        // After the insert as well: who cancelled it before found nobody to stop.
        let claimed = |tracked: &Tracked| tracked.job.epoch == job.epoch && tracked.job.lease.is_some();
        let Some(tracked) = self.store.submission(id)?.filter(claimed) else { return Ok(None) };
        let Submission { challenge, version, .. } = &tracked.submission;
        let version = self.version(challenge, *version)?;
        Ok(version.map(|version| Claim { tracked, version, stop: held.stop }))
    }
}

/// What came of a turn.
#[derive(Default)]
struct Done {
    job: Option<Job>,
    cost: Option<Cost>,
    trouble: Option<String>,
}

/// An attempt that is lost by our doing.
fn platform(claim: &Claim) -> JobEvent {
    let outcome = Outcome::Platform;
    JobEvent::Finished { epoch: claim.epoch(), fault: outcome.fault(), outcome }
}

/// What is told of a task that asks for too much.
const NOT_ALLOWED: &str = "the task asks for what this server does not allow now; its operator is told";

/// Why a program was not run.
enum NotRun {
    /// Something of the task's is not there now.
    Missing(String),
    /// The task asks for what the operator does not allow now. What is allowed is not for participants.
    NotAllowed(String),
    /// What was handed in was not started, perhaps by its own doing.
    NotStarted(String),
    /// We could not do our part.
    Refused(Refusal),
}

impl From<Refusal> for NotRun {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<LaunchError> for NotRun {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::Missing(text) | LaunchError::Busy(text) => Self::Missing(text),
            LaunchError::NotStarted(text) => Self::NotStarted(text),
            LaunchError::Runner(error) => Self::Refused(error.into()),
        }
    }
}

/// A claimed job.
struct Claim {
    tracked: Tracked,
    version: Arc<Version>,
    stop: Arc<AtomicBool>,
}

impl Claim {
    fn epoch(&self) -> u64 {
        self.tracked.job.epoch
    }
}

/// Held while a scorer runs; it guards no data that a panic could spoil.
#[expect(dead_code, reason = "guards are there to be dropped")]
enum Hold<'a> {
    Shared(LockResult<RwLockReadGuard<'a, ()>>),
    Sole(LockResult<RwLockWriteGuard<'a, ()>>),
}

/// A worker is at a submission; whichever way it ends, even by a panic, it is not any more.
struct Turn<'a> {
    app: &'a App,
    id: SubmissionId,
    ended: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.app.running().remove(&self.id);
        self.app.queue().done(self.id, self.ended.then(|| self.app.clock.now()));
    }
}

/// Passes a scorer's progress on.
struct Progress<'a> {
    app: &'a App,
    id: SubmissionId,
}

impl Listener for Progress<'_> {
    fn progress(&mut self, done: u64, total: u64) {
        self.app.signals.progress(self.id, done, total);
    }
}
