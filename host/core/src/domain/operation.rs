//! Work behind an answered request: a publication whose solutions are being run. Stored, so that a restart resumes it.

use super::id::{ChallengeId, EntrantId, OperationId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How an operation stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum OperationState {
    /// It runs, or will after a restart.
    Running,
    /// Its version is live, and the leaderboards are being filled; a restart goes on with that.
    Live,
    /// It did what was asked.
    Done,
    /// It did not, and nothing changed.
    Failed {
        /// Each as `where: what; do this`.
        problems: Vec<String>,
    },
}

impl OperationState {
    /// Whether nothing follows.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Running | Self::Live => false,
            Self::Done | Self::Failed { .. } => true,
        }
    }
}

/// A publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// What is being published.
    pub challenge: ChallengeId,
    /// The version that goes live when it holds.
    pub version: u32,
    /// Who asked for it.
    pub by: EntrantId,
    /// When.
    pub started_at: Timestamp,
    /// How it stands.
    #[serde(flatten)]
    pub state: OperationState,
}
