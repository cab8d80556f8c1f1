//! The job of a submission: a pure state machine with every lane's states in it.
//!
//! Nothing is stored, sent or timed here. [`step`] says what the job becomes and what has to happen; the store compares
//! `generation` when it writes, so that two that decide at once cannot both be right.

use super::quota::Settlement;
use super::report::{Fault, LimitKind, Outcome};
use super::run_record::RunRecord;
use super::submission::Lane;
use super::units::Millis;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Attempts that a job gets before a platform fault is final.
pub const MAX_ATTEMPTS: u32 = 5;
/// The same where it was the host that ended: that says little of the job, and hosts are started again and again.
pub const MAX_HOSTS: u32 = 10;
/// Wait after the first failed attempt; doubled for each further one.
pub const BACK_OFF: Millis = Millis(1_000);

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for a worker.
    Queued,
    /// Git only: tag → commit → tree.
    Fetching,
    /// Git only: an image is built from the tree.
    Building,
    /// Code, git, image: the participant's code runs.
    Running,
    /// The scorer runs.
    Scoring,
    /// It has a score.
    Scored,
    /// It ended without a score.
    Failed,
    /// The participant or an organizer called it off.
    Cancelled,
}

impl State {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Fetching,
        Self::Building,
        Self::Running,
        Self::Scoring,
        Self::Scored,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether nothing follows.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Scored | Self::Failed | Self::Cancelled => true,
            Self::Queued | Self::Fetching | Self::Building | Self::Running | Self::Scoring => false,
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Fetching => "fetching",
            Self::Building => "building",
            Self::Running => "running",
            Self::Scoring => "scoring",
            Self::Scored => "scored",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The first state of a claimed job in `lane`.
    fn first(lane: Lane) -> Self {
        match lane {
            Lane::Results => Self::Scoring,
            Lane::Code | Lane::Image => Self::Running,
            Lane::Git => Self::Fetching,
        }
    }

    /// What follows a state's work, if that has no result of its own.
    fn next(self) -> Option<Self> {
        match self {
            Self::Fetching => Some(Self::Building),
            Self::Building => Some(Self::Running),
            Self::Queued | Self::Running | Self::Scoring | Self::Scored | Self::Failed | Self::Cancelled => None,
        }
    }
}

/// A worker's hold on a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who holds it.
    pub worker: String,
    /// It is void from then on.
    pub until: Timestamp,
}

/// The job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Which way the submission takes.
    pub lane: Lane,
    /// Where it is.
    pub state: State,
    /// Bumped by each change; the store compares it.
    pub generation: u64,
    /// Bumped by each claim; a result under an old one is dropped.
    pub epoch: u64,
    /// Attempts that a platform fault ended.
    pub attempts: u32,
    /// While it waits: not to be claimed before then.
    pub not_before: Option<Timestamp>,
    /// While it is worked on: who does, and until when.
    pub lease: Option<Lease>,
    /// It ran into the wall-time limit once and is to run with nothing beside it.
    pub alone: bool,
    /// Why it waits, or how its run failed, if there is more to say than the state.
    pub reason: Option<String>,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
    /// Whose doing that was.
    pub fault: Option<Fault>,
    /// The run in a container that ended, if one did. A job that is claimed again goes on behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Box<RunRecord>>,
}

/// What the next step of a job takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A container.
    Run,
    /// A scorer.
    Score,
}

impl Job {
    /// A job that waits for its first claim.
    pub fn new(lane: Lane) -> Self {
        Self {
            lane,
            state: State::Queued,
            generation: 1,
            epoch: 0,
            attempts: 0,
            not_before: None,
            lease: None,
            alone: false,
            reason: None,
            outcome: None,
            fault: None,
            run: None,
        }
    }

    /// What it takes to go on.
    pub fn stage(&self) -> Stage {
        if self.lane == Lane::Results || self.run.is_some() { Stage::Score } else { Stage::Run }
    }
}

/// What happens to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEvent {
    /// A worker takes it, under a lease.
    Claimed {
        /// Who.
        worker: String,
        /// Until when, unless renewed.
        until: Timestamp,
    },
    /// The worker is still at it.
    Renewed {
        /// The claim.
        epoch: u64,
        /// Until when now.
        until: Timestamp,
    },
    /// A stage before the run is done.
    Advanced {
        /// The claim.
        epoch: u64,
    },
    /// The run ended, well or by the participant's doing.
    Ran {
        /// The claim.
        epoch: u64,
        /// How.
        run: Box<RunRecord>,
    },
    /// The work ended, well or not.
    Finished {
        /// The claim.
        epoch: u64,
        /// How.
        outcome: Outcome,
        /// Whose doing.
        fault: Option<Fault>,
    },
    /// The worker gives it back: the host stops.
    Released {
        /// The claim.
        epoch: u64,
    },
    /// It cannot be worked on now, by nothing of its own: it waits, and no attempt is counted.
    PutOff {
        /// The claim.
        epoch: u64,
        /// Until then.
        until: Timestamp,
        /// Why, for those who wait.
        reason: String,
    },
    /// The reaper looked at the lease.
    LeaseExpired,
    /// The host that held it is gone, whatever its lease says. It counts as an attempt, so that a submission that brings
    /// hosts down does not do so for ever.
    HostLost,
    /// Somebody with the right to do so called it off.
    Cancelled,
}

/// What has to happen when the change is stored; the first three in the same transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The quota is settled.
    Settle(Settlement),
    /// The report is stored, and the leaderboards take the scores.
    Rank,
    /// The organizers are told that their challenge failed.
    TellOrganizers,
    /// A worker that is at it has to stop.
    StopWork,
    /// It is in the queue again.
    Enqueue,
}

/// Why an event does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IllegalTransition {
    /// The state does not know the event.
    #[error("a submission that is {} cannot do that", .0.word())]
    FromHere(State),
    /// The event is of an earlier claim.
    #[error("the work was taken over by a later claim")]
    StaleEpoch,
    /// It may not be claimed yet, or the lease still holds.
    #[error("it is too early for that")]
    Early,
}

/// What the job becomes by `event` at `now`, and what follows.
///
/// # Errors
/// The event does not apply; nothing changes.
pub fn step(job: &Job, event: &JobEvent, now: Timestamp) -> Result<(Job, Vec<Effect>), IllegalTransition> {
    let mut next = job.clone();
    next.generation += 1;
    let effects = match event {
        JobEvent::Claimed { worker, until } => {
            if job.state != State::Queued {
                return Err(IllegalTransition::FromHere(job.state));
            }
            if job.not_before.is_some_and(|at| now < at) {
                return Err(IllegalTransition::Early);
            }
            next.state = if job.run.is_some() { State::Scoring } else { State::first(job.lane) };
            next.epoch += 1;
            next.lease = Some(Lease { worker: worker.clone(), until: *until });
            next.not_before = None;
            next.reason = None;
            vec![]
        }
        JobEvent::Renewed { epoch, until } => {
            held(job, *epoch)?;
            if let Some(lease) = &mut next.lease {
                lease.until = *until;
            }
            vec![]
        }
        JobEvent::Advanced { epoch } => {
            held(job, *epoch)?;
            next.state = job.state.next().ok_or(IllegalTransition::FromHere(job.state))?;
            vec![]
        }
        JobEvent::Ran { epoch, run } => {
            held(job, *epoch)?;
            if job.state != State::Running {
                return Err(IllegalTransition::FromHere(job.state));
            }
            next.run = Some(run.clone());
            match &run.failed {
                Some(failed) => {
                    let effects = finish(&mut next, &failed.outcome, Some(failed.fault), now);
                    next.reason = Some(failed.text.clone());
                    effects
                }
                None => {
                    next.state = State::Scoring;
                    vec![]
                }
            }
        }
        JobEvent::Finished { epoch, outcome, fault } => {
            held(job, *epoch)?;
            finish(&mut next, outcome, *fault, now)
        }
        JobEvent::Released { epoch } => {
            held(job, *epoch)?;
            wait(&mut next, None, "the server was stopped; it starts again by itself");
            vec![Effect::Enqueue]
        }
        JobEvent::PutOff { epoch, until, reason } => {
            held(job, *epoch)?;
            wait(&mut next, Some(*until), reason);
            vec![Effect::Enqueue]
        }
        JobEvent::LeaseExpired => {
            let lease = job.lease.as_ref().ok_or(IllegalTransition::FromHere(job.state))?;
            if now < lease.until {
                return Err(IllegalTransition::Early);
            }
            let mut effects = lost(&mut next, MAX_ATTEMPTS, now);
            effects.push(Effect::StopWork);
            effects
        }
        JobEvent::HostLost => {
            if job.lease.is_none() {
                return Err(IllegalTransition::FromHere(job.state));
            }
            lost(&mut next, MAX_HOSTS, now)
        }
        JobEvent::Cancelled => {
            if job.state.is_terminal() {
                return Err(IllegalTransition::FromHere(job.state));
            }
            let waiting = job.state == State::Queued;
            end(&mut next, State::Cancelled, &Outcome::Cancelled, None);
            // What waits to be scored again has had its run, or its scorer's time.
            let untouched = waiting && job.run.is_none() && !job.alone;
            let settlement = if untouched { Settlement::Refund } else { Settlement::Charge };
            let mut effects = vec![Effect::Settle(settlement)];
            if !waiting {
                effects.push(Effect::StopWork);
            }
            effects
        }
    };
    Ok((next, effects))
}

/// Whether the claim `epoch` still holds the job.
fn held(job: &Job, epoch: u64) -> Result<(), IllegalTransition> {
    if job.lease.is_none() {
        // After an end, or a claim that was lost: the later event says more than the epoch.
        return Err(IllegalTransition::FromHere(job.state));
    }
    if job.epoch == epoch { Ok(()) } else { Err(IllegalTransition::StaleEpoch) }
}

/// The table "Fault, retry, refund".
fn finish(next: &mut Job, outcome: &Outcome, fault: Option<Fault>, now: Timestamp) -> Vec<Effect> {
    let wall = matches!(outcome, Outcome::Limit { limit: LimitKind::Wall, .. });
    match fault {
        None => {
            end(next, State::Scored, outcome, fault);
            vec![Effect::Settle(Settlement::Charge), Effect::Rank]
        }
        Some(Fault::Participant) => {
            end(next, State::Failed, outcome, fault);
            vec![Effect::Settle(Settlement::Charge)]
        }
        Some(Fault::Challenge) if wall && next.state == State::Scoring && !next.alone => {
            next.alone = true;
            wait(next, None, "it reached the time limit and runs once more, with nothing beside it");
            vec![Effect::Enqueue]
        }
        Some(Fault::Challenge) => {
            end(next, State::Failed, outcome, fault);
            vec![Effect::Settle(Settlement::RefundCapped), Effect::TellOrganizers]
        }
        Some(Fault::Platform) => lost(next, MAX_ATTEMPTS, now),
    }
}

/// An attempt is lost by our doing: there is another, if there were not `most`.
fn lost(next: &mut Job, most: u32, now: Timestamp) -> Vec<Effect> {
    let pause = BACK_OFF.0 << next.attempts.min(16);
    next.attempts += 1;
    if next.attempts < most {
        let at = now.saturating_add(SignedDuration::from_millis(i64::try_from(pause).unwrap_or(i64::MAX)));
        wait(next, at.ok(), "an attempt failed on our side; it starts again by itself");
        return vec![Effect::Enqueue];
    }
    end(next, State::Failed, &Outcome::Platform, Some(Fault::Platform));
    let text = format!("given up after {} attempts that failed on our side; hand it in again", next.attempts);
    next.reason = Some(text);
    vec![Effect::Settle(Settlement::Refund)]
}

fn wait(next: &mut Job, not_before: Option<Timestamp>, reason: &str) {
    next.state = State::Queued;
    next.lease = None;
    next.not_before = not_before;
    next.reason = Some(reason.to_owned());
}

fn end(next: &mut Job, state: State, outcome: &Outcome, fault: Option<Fault>) {
    next.state = state;
    next.outcome = Some(outcome.clone());
    next.fault = fault;
    next.lease = None;
    next.not_before = None;
    next.reason = None;
}

#[cfg(test)]
mod tests;
