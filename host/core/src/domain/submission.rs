//! What a participant handed in.

use super::digest::Digest;
use super::id::{ChallengeId, EntrantId, PhaseId, SubmissionId, TaskId, TokenId};
use super::push::Pushed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What may be handed in, and so which way it takes to its score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Predictions.
    Results,
    /// Code that runs in the task's image.
    Code,
    /// A tag of a git repository.
    Git,
    /// An image.
    Image,
}

impl Lane {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Results => "results",
            Self::Code => "code",
            Self::Git => "git",
            Self::Image => "image",
        }
    }
}

/// Bodies up to this size live in their row, larger ones as blobs; bytes.
pub const MAX_INLINE: usize = 64 << 10;

/// A text that may be too big for a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// The text itself.
    Inline(String),
    /// The blob that holds it.
    Blob(Digest),
}

/// The bytes that arrived. Of an archive only its files are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The file name that the participant gave, without folders.
    pub name: String,
    /// Length, in bytes.
    pub len: u64,
    /// Digest of the bytes.
    pub digest: Digest,
}

/// What the participant says about a submission. Text of theirs: to be escaped wherever it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Name of the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method_name: Option<String>,
    /// What the method does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method_description: Option<String>,
    /// Where the project is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_url: Option<String>,
    /// Where the publication is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication_url: Option<String>,
}

/// One submission. It never changes; how it goes is its job's matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Its id.
    pub id: SubmissionId,
    /// The challenge.
    pub challenge: ChallengeId,
    /// The version that was live when it arrived: that one grades it.
    pub version: u32,
    /// The phase.
    pub phase: PhaseId,
    /// The task.
    pub task: TaskId,
    /// Whose it is.
    pub entrant: EntrantId,
    /// The token that brought it, if it was not pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<TokenId>,
    /// Where it was pushed to, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<Box<Pushed>>,
    /// Which way it takes.
    pub lane: Lane,
    /// When its last byte arrived.
    pub submitted_at: Timestamp,
    /// What arrived.
    pub upload: Upload,
    /// Its files, predictions or a program: a JSON [`Kept`](super::kept::Kept).
    #[serde(alias = "predictions")]
    pub files: Body,
    /// What the participant says about it.
    pub about: About,
    /// An organizer of the challenge handed it in: it begins before those of entrants.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub organizers: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_from_before_there_were_programs_are_read() {
        let row = r#"{"id":"01KB3ZBCA0VRDTA90XY10PZ7QF","challenge":"c","version":1,"phase":"dev","task":"main",
            "entrant":"anna","by":"01KB3ZBCA0VRDTA90XY10PZ7QF","lane":"results","submitted_at":"2026-01-01T00:00:00Z",
            "upload":{"name":"p.csv","len":1,"digest":"sha256:DIGEST"},"predictions":{"inline":"[]"},"about":{}}"#;
        let row = row.replace("DIGEST", &"0".repeat(64));
        let read: Submission = serde_json::from_str(&row).unwrap();
        assert_eq!(read.files, Body::Inline("[]".into()));
        let again = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<Submission>(&again).unwrap(), read);
    }
}
