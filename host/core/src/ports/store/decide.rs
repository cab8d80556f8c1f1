//! What a store decides inside a transaction, from the rows that it read there. Pure, so that all stores decide alike.
//!
//! How rows are kept and found is each store's own matter.

use super::{Admission, Admitted, Advance, Idempotency, Tracked};
use crate::domain::answer::Owed;
use crate::domain::challenge::{ChallengeRow, HoldKind};
use crate::domain::digest::Digest;
use crate::domain::event::{Event, EventKind};
use crate::domain::id::{EntrantId, SubmissionId};
use crate::domain::job::Job;
use crate::domain::operation::{Operation, OperationState};
use crate::domain::push::{ForgeUser, Push, PushState};
use crate::domain::quota::Ledger;
use crate::domain::report::Outcome;
use crate::domain::submission::Submission;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a submission goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRow {
    /// The job.
    pub job: Job,
    /// Whether its charge was given back.
    pub refunded: bool,
    /// Number of its last event.
    pub last_event: u64,
}

/// What an idempotency key was used for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyRow {
    /// Digest of what was asked.
    pub request: Digest,
    /// What was accepted.
    pub submission: SubmissionId,
    /// Forgotten from then on.
    pub until: Timestamp,
}

/// An operation, and what was seen when it began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationRow {
    /// The operation.
    pub operation: Operation,
    /// Whose the challenge was when the right to publish was looked at; `None`: nobody's, and whoever is done first owns
    /// it.
    pub owner: Option<EntrantId>,
}

/// A submission that is taken in.
#[derive(Debug, Clone, PartialEq)]
pub struct Intake {
    /// How it begins.
    pub job: JobRow,
    /// The ledger with the reservation.
    pub ledger: Ledger,
    /// The first event.
    pub event: Event,
    /// What the client's key stands for from now on.
    pub key: Option<KeyRow>,
}

/// A change of a job that applies.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// How it goes now.
    pub job: JobRow,
    /// The settled ledger.
    pub ledger: Option<Ledger>,
    /// The events, numbered.
    pub events: Vec<Event>,
    /// Whether this change gave the charge back.
    pub refunded: bool,
}

/// A step of an operation that applies.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// The operation after it.
    pub operation: OperationRow,
    /// The challenge, if something changes for it.
    pub challenge: Option<ChallengeRow>,
}

impl KeyRow {
    /// Whether the key still stands for its request at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

impl JobRow {
    /// The row beside its submission, as callers see it.
    pub fn of(self, submission: Submission) -> Tracked {
        Tracked { submission, job: self.job, refunded: self.refunded }
    }
}

/// Whether a submission stands for one of `version` with the same files: it was graded by that version, or will be. What
/// was called off, or failed on our side, does not.
pub fn stands(earlier: &Submission, job: &Job, version: u32) -> bool {
    let ended = job.outcome.as_ref().is_some_and(|outcome| match outcome {
        Outcome::Cancelled | Outcome::Platform => true,
        Outcome::Scored
        | Outcome::InvalidSubmission
        | Outcome::InvalidChallenge
        | Outcome::ScorerFailed
        | Outcome::Limit { .. }
        | Outcome::RunFailed { .. }
        | Outcome::OverQuota => false,
    });
    earlier.version == version && !ended
}

/// What a push is already, as it is stored: it is taken in once.
pub fn pushed_before(stored: Option<&Push>) -> Option<Admitted> {
    match &stored?.state {
        PushState::Waiting { .. } => None,
        PushState::Submitted { submission } | PushState::Same { submission } => Some(Admitted::Before(*submission)),
        // Nobody decides that of one that somebody is at.
        PushState::Refused { .. } | PushState::Passed => None,
    }
}

/// Who somebody of a forge is from now on, given who they are known as, and whether somebody else is that entrant already.
/// `None`: somebody is.
pub fn known(user: &ForgeUser, known: Option<ForgeUser>, taken: bool) -> Option<ForgeUser> {
    match known {
        Some(known) => Some(ForgeUser { name: user.name.clone().or(known.name), ..known }),
        None => (!taken).then(|| user.clone()),
    }
}

/// What is owed once it was told what it was at the change numbered `seen`, given what is owed by now.
pub fn owed(stored: Owed, seen: u64, next: Option<Owed>) -> Option<Owed> {
    if stored.marks == seen {
        return next;
    }
    let known = next.unwrap_or_default();
    Some(Owed { told: known.told.or(stored.told), failing: known.failing, due: known.due.or(stored.due), ..stored })
}

/// What a push becomes when it is taken in as `submission`.
pub fn pushed(push: &Push, submission: SubmissionId) -> Push {
    Push { state: PushState::Submitted { submission }, ..push.clone() }
}

/// Decides on a submission at the door, given what its key was used for, its challenge, the one that stands for it, and how
/// the ledger stands.
///
/// # Errors
/// Why it stays outside; never [`Admitted::Accepted`].
pub fn admit(
    admission: &Admission,
    key: Option<&KeyRow>,
    challenge: Option<&ChallengeRow>,
    same: Option<SubmissionId>,
    mut ledger: Ledger,
) -> Result<Intake, Admitted> {
    let Admission { submission, small: _, job, rules, max_open, idempotency, once: _, push: _ } = admission;
    let now = submission.submitted_at;
    if let (Some(asked), Some(used)) = (idempotency, key)
        && used.holds(now)
    {
        return Err(if used.request == asked.request {
            Admitted::Before(used.submission)
        } else {
            Admitted::OtherRequest
        });
    }
    if let Some(hold) = challenge.and_then(|row| row.hold.as_ref()).filter(|hold| hold.kind == HoldKind::Draining) {
        return Err(Admitted::Draining(hold.clone()));
    }
    if let Some(same) = same {
        return Err(Admitted::Same(same));
    }
    if ledger.open >= *max_open {
        return Err(Admitted::TooManyOpen { open: ledger.open });
    }
    ledger.reserve(rules, now).map_err(Admitted::OverQuota)?;
    let kind = EventKind::State { state: job.state, reason: job.reason.clone() };
    let event = Event { seq: 1, at: now, submission: submission.id, kind };
    let row = |asked: &Idempotency| KeyRow { request: asked.request, submission: submission.id, until: asked.until };
    let job = JobRow { job: job.clone(), refunded: false, last_event: 1 };
    Ok(Intake { job, ledger, event, key: idempotency.as_ref().map(row) })
}

/// Decides on a change of a job, given its row, the live version of its challenge and the ledger that is to be settled.
/// `None` is a conflict.
pub fn advance(advance: &Advance, row: Option<&JobRow>, live: Option<u32>, ledger: Ledger) -> Option<Change> {
    let row = row.filter(|row| row.job.generation == advance.seen)?;
    if advance.live.is_some() && advance.live != live {
        return None;
    }
    let number =
        |(kind, seq): (&EventKind, u64)| Event { seq, at: advance.at, submission: advance.id, kind: kind.clone() };
    let events: Vec<_> = advance.events.iter().zip(row.last_event + 1..).map(number).collect();
    let settled = advance.settle.as_ref().map(|settle| {
        let mut ledger = ledger;
        let refunded = ledger.settle(settle.reserved_at, settle.settlement, advance.at);
        (ledger, refunded)
    });
    let (ledger, refunded) = settled.map_or((None, None), |(ledger, refunded)| (Some(ledger), Some(refunded)));
    let job = JobRow {
        job: advance.job.clone(),
        refunded: refunded.unwrap_or(row.refunded),
        last_event: row.last_event + events.len() as u64,
    };
    Some(Change { job, ledger, events, refunded: refunded == Some(true) })
}

/// Decides on an operation's next step, given the challenge as it is now. `None` if it has taken that step, or ended.
///
/// A version never takes the place of a later one. Of two who publish the same new challenge at once, the one whose
/// operation is done first owns it, and the other's fails.
pub fn settle(row: OperationRow, state: OperationState, challenge: Option<ChallengeRow>) -> Option<Settled> {
    let OperationRow { operation, owner } = row;
    let settled = |state| OperationRow { operation: Operation { state, ..operation.clone() }, owner: owner.clone() };
    match (&operation.state, &state) {
        (OperationState::Running, OperationState::Live) => {}
        (OperationState::Running, OperationState::Failed { .. }) | (OperationState::Live, OperationState::Done) => {
            return Some(Settled { operation: settled(state), challenge: None });
        }
        (OperationState::Running, OperationState::Running | OperationState::Done)
        | (OperationState::Live, OperationState::Running | OperationState::Live | OperationState::Failed { .. })
        | (OperationState::Done | OperationState::Failed { .. }, _) => return None,
    }
    let challenge = match challenge {
        None => {
            let (id, owner) = (operation.challenge.clone(), operation.by.clone());
            Some(ChallengeRow { id, owner, live: operation.version, hold: None })
        }
        Some(there) if there.owner != *owner.as_ref().unwrap_or(&operation.by) => {
            let id = &operation.challenge;
            let problem =
                format!("challenge.toml: id: `{id}` was published by somebody else meanwhile; choose another");
            let state = OperationState::Failed { problems: vec![problem] };
            return Some(Settled { operation: settled(state), challenge: None });
        }
        Some(there) if there.live < operation.version => Some(ChallengeRow { live: operation.version, ..there }),
        Some(_) => None,
    };
    Some(Settled { operation: settled(state), challenge })
}
