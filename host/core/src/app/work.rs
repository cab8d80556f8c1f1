//! A worker's turn: claim a job, grade it, store how it ended. Called from threads of their own.

use super::grade::Graded;
use super::submit::waiting;
use super::{App, Held, Refusal, chain};
use crate::domain::board::placements;
use crate::domain::challenge::{Phase, Version};
use crate::domain::event::EventKind;
use crate::domain::id::SubmissionId;
use crate::domain::job::{Effect, IllegalTransition, Job, JobEvent, State, step};
use crate::domain::quota::Settlement;
use crate::domain::report::{Outcome, Report};
use crate::domain::submission::{Body, MAX_INLINE, Submission};
use crate::ports::scorer::{Attached, Listener};
use crate::ports::store::{Advance, Advanced, LedgerKey, Settle, Small, Tracked};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How long a claim holds unless it is renewed.
pub const LEASE: SignedDuration = SignedDuration::from_secs(30);
/// How often a decision is made anew when somebody else was faster.
const TRIES: usize = 16;

/// What a worker's turn came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Worked {
    /// There is nothing to do.
    Idle,
    /// A job was worked on.
    Did {
        /// Whose.
        id: SubmissionId,
        /// How it stands now; `None` if its result was dropped, as somebody cancelled it or took it over.
        job: Option<Job>,
        /// What went wrong on our side, for the operator's log.
        trouble: Option<String>,
    },
}

/// What ends a job, beside its state.
#[derive(Default)]
pub(super) struct Yield {
    report: Option<Report>,
    log: Vec<u8>,
    attachments: Vec<Attached>,
}

/// The same, ready for the row.
#[derive(Clone, Default)]
struct Bodies {
    report: Option<Body>,
    log: Option<Body>,
    small: Vec<Small>,
}

impl App {
    /// Claims the next job and works on it to its end.
    ///
    /// # Errors
    /// The store's: then the job is claimed again, here or after a restart.
    pub fn work(&self, worker: &str) -> Result<Worked, Refusal> {
        let now = self.clock.now();
        let Some(id) = self.queue().take(now) else { return Ok(Worked::Idle) };
        let turn = Turn { app: self, id };
        let worked = self.work_on(id, worker);
        drop(turn);
        // Whatever happened: what waits by its row waits in the picture.
        if let Some(tracked) = self.store.submission(id)? {
            self.line_up(&tracked)?;
        }
        worked
    }

    fn work_on(&self, id: SubmissionId, worker: &str) -> Result<Worked, Refusal> {
        let dropped = Worked::Did { id, job: None, trouble: None };
        let Some(waiting) = self.store.submission(id)? else { return Ok(dropped) };
        // A run that has to be alone waits for the others, and no other begins beside it. Before the claim: what waits
        // here is still queued, and cancelled for nothing.
        let (shared, sole) =
            if waiting.job.alone { (None, Some(self.machine.write())) } else { (Some(self.machine.read()), None) };
        let Some((tracked, version)) = self.claim(id, worker)? else { return Ok(dropped) };
        let epoch = tracked.job.epoch;
        let stop = self.running().get(&id).map_or_else(Arc::default, |held| Arc::clone(&held.stop));
        let graded = self.grade_tracked(&tracked, &version, &stop);
        drop((shared, sole));
        let (event, ended, trouble) = match graded {
            Ok(Some(Graded { report, log, attachments })) => {
                let event = JobEvent::Finished { epoch, outcome: report.outcome.clone(), fault: report.fault };
                (event, Yield { report: Some(report), log, attachments }, None)
            }
            Ok(None) if self.stopping.load(Ordering::Relaxed) => (JobEvent::Released { epoch }, Yield::default(), None),
            Ok(None) => return Ok(dropped),
            Err(error) => {
                let outcome = Outcome::Platform;
                let event = JobEvent::Finished { epoch, fault: outcome.fault(), outcome };
                (event, Yield::default(), Some(chain(&error)))
            }
        };
        match self.change(id, &event, Some(&ended)) {
            Ok(job) => Ok(Worked::Did { id, job, trouble }),
            Err(error) => {
                // A body that could not be kept, say: the attempt is lost, and the submission is not.
                let outcome = Outcome::Platform;
                let event = JobEvent::Finished { epoch, fault: outcome.fault(), outcome };
                let job = self.change(id, &event, None)?;
                Ok(Worked::Did { id, job, trouble: Some(chain(&error)) })
            }
        }
    }

    fn grade_tracked(
        &self,
        tracked: &Tracked,
        version: &Version,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<Graded>, Refusal> {
        let submission = &tracked.submission;
        let grader = self.grader(version, &submission.task)?;
        let predictions = self.folder(&submission.predictions)?;
        let mut listener = Progress { app: self, id: submission.id };
        Ok(grader.grade(&*self.scorer, &predictions, stop, &mut listener)?)
    }

    /// Claims `id` for `worker`; `None` if it is not to be had any more.
    fn claim(&self, id: SubmissionId, worker: &str) -> Result<Option<(Tracked, Arc<Version>)>, Refusal> {
        let now = self.clock.now();
        let until = now.saturating_add(LEASE).unwrap_or(Timestamp::MAX);
        let Some(job) = self.change(id, &JobEvent::Claimed { worker: worker.to_owned(), until }, None)? else {
            return Ok(None);
        };
        let held = Held { epoch: job.epoch, stop: Arc::default() };
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
        Ok(version.map(|version| (tracked, version)))
    }

    /// Applies `event` and stores all that follows from it. `None`: the event does not apply any more.
    pub(super) fn change(
        &self,
        id: SubmissionId,
        event: &JobEvent,
        ended: Option<&Yield>,
    ) -> Result<Option<Job>, Refusal> {
        let none = Yield::default();
        let ended = ended.unwrap_or(&none);
        let mut bodies = None;
        for _ in 0..TRIES {
            let Some(tracked) = self.store.submission(id)? else { return Ok(None) };
            let now = self.clock.now();
            let (job, effects) = match step(&tracked.job, event, now) {
                Ok(stepped) => stepped,
                Err(IllegalTransition::FromHere(_) | IllegalTransition::StaleEpoch | IllegalTransition::Early) => {
                    return Ok(None);
                }
            };
            let over = job.state.is_terminal();
            if over && bodies.is_none() {
                bodies = Some(self.keep_yield(ended)?);
            }
            let Bodies { report, log, small } =
                if over { bodies.clone().unwrap_or_default() } else { Bodies::default() };
            let (placements, live) = self.rank(&tracked, ended, &effects)?;
            let advance = Advance {
                id,
                seen: tracked.job.generation,
                events: events(&tracked.job, &job, ended.report.as_ref().filter(|_| over)),
                job: job.clone(),
                at: now,
                settle: settle(&tracked, &effects),
                report,
                log,
                small,
                placements,
                live,
            };
            match self.store.advance(advance)? {
                Advanced::Stored { events, .. } => {
                    self.signals.logged(&events);
                    self.follow(id, &effects);
                    return Ok(Some(job));
                }
                Advanced::Conflict => {}
            }
        }
        Err(Refusal::Contended)
    }

    /// The bodies that the row will name: durable, or to go in with it.
    fn keep_yield(&self, ended: &Yield) -> Result<Bodies, Refusal> {
        let mut small = Vec::new();
        let total: usize = ended.attachments.iter().map(|attached| attached.bytes.len()).sum();
        for Attached { about, bytes } in &ended.attachments {
            if total <= MAX_INLINE {
                small.push(Small { digest: about.digest, bytes: bytes.clone() });
            } else {
                self.keep_bytes(bytes)?;
            }
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let report = ended.report.as_ref().map(|report| self.keep_body(text(report.to_bytes()))).transpose()?;
        let log = (!ended.log.is_empty()).then(|| self.keep_body(text(ended.log.clone()))).transpose()?;
        Ok(Bodies { report, log, small })
    }

    /// The boards of the live version take the scores, whichever version graded them.
    fn rank(
        &self,
        tracked: &Tracked,
        ended: &Yield,
        effects: &[Effect],
    ) -> Result<(Vec<crate::domain::board::Placement>, Option<u32>), Refusal> {
        let Some(report) = ended.report.as_ref().filter(|_| effects.contains(&Effect::Rank)) else {
            return Ok((Vec::new(), None));
        };
        let challenge = &tracked.submission.challenge;
        let Some(row) = self.store.challenge(challenge)? else { return Ok((Vec::new(), None)) };
        let Some(version) = self.version(challenge, row.live)? else { return Ok((Vec::new(), None)) };
        Ok((placements(&version, &tracked.submission, report), Some(row.live)))
    }

    fn follow(&self, id: SubmissionId, effects: &[Effect]) {
        if effects.contains(&Effect::StopWork)
            && let Some(held) = self.running().get(&id)
        {
            held.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Puts a waiting submission into the picture of the queue.
    pub(super) fn line_up(&self, tracked: &Tracked) -> Result<(), Refusal> {
        if tracked.job.state != State::Queued {
            return Ok(());
        }
        let Submission { challenge, version, phase, .. } = &tracked.submission;
        let version = self.version(challenge, *version)?;
        let phase: Option<&Phase> = version.as_ref().and_then(|version| version.challenge.phase(phase));
        if let Some(phase) = phase {
            let new = self.queue().push(waiting(tracked, phase));
            if new {
                self.signals.queued();
            }
        }
        Ok(())
    }
}

/// What is logged of a change.
fn events(before: &Job, after: &Job, report: Option<&Report>) -> Vec<EventKind> {
    let mut events = Vec::new();
    if let Some(report) = report {
        events.push(EventKind::Report { outcome: report.outcome.word().to_owned() });
    }
    if before.state != after.state {
        events.push(EventKind::State { state: after.state, reason: after.reason.clone() });
    }
    events
}

fn settle(tracked: &Tracked, effects: &[Effect]) -> Option<Settle> {
    let settlement: Option<Settlement> = effects.iter().find_map(|effect| match effect {
        Effect::Settle(settlement) => Some(*settlement),
        Effect::Rank | Effect::TellOrganizers | Effect::StopWork | Effect::Enqueue => None,
    });
    let Submission { challenge, phase, entrant, submitted_at, .. } = &tracked.submission;
    let ledger = LedgerKey { challenge: challenge.clone(), phase: phase.clone(), entrant: entrant.clone() };
    settlement.map(|settlement| Settle { ledger, reserved_at: *submitted_at, settlement })
}

/// A worker is at a submission; whichever way it ends, even by a panic, it is not any more.
struct Turn<'a> {
    app: &'a App,
    id: SubmissionId,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.app.running().remove(&self.id);
        self.app.queue().done(self.id);
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
