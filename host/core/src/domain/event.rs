//! What happened to a submission: the append-only log that every live view is a view of.

use super::id::SubmissionId;
use super::job::State;
use super::queue::Place;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum EventKind {
    /// The job is in another state.
    State {
        /// Which.
        state: State,
        /// Why, when there is more to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Where it stands in the queue. Told to those who listen, and not logged.
    Place(Place),
    /// The scorer is so far. Told to those who listen, and not logged.
    Progress {
        /// Steps done.
        done: u64,
        /// Steps in all.
        total: u64,
    },
    /// The program printed something. Told to those who listen and may see it, and not logged.
    Log {
        /// `stdout` or `stderr`.
        stream: String,
        /// Bytes of the stream up to the end of this piece.
        to: u64,
        /// The piece; what is no UTF-8 in it is replaced.
        text: String,
    },
    /// There is a report.
    Report {
        /// The outcome's word.
        outcome: String,
    },
}

/// One event of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counted from 1 for each submission, without gaps.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub submission: SubmissionId,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}
