//! The report: what scoring one submission gave, whole. Deterministic: no clock, no host name, no id of the server's.
//!
//! Who may see which part of it is `view`'s matter.

use super::digest::Digest;
use super::units::{Bytes, Millis};
use serde::{Deserialize, Serialize};

/// Version of the report's shape; the first key of each report.
pub const REPORT_VERSION: u32 = 1;
/// Problems that a report shows; the rest are counted.
pub const SHOWN_PROBLEMS: usize = 20;
/// Splits of one report, at most.
pub const MAX_SPLITS: usize = 32;
/// What a split may be called, in words.
pub const SPLIT_NAME: &str = "1 to 64 of `A-Z a-z 0-9 _ - .`";

/// Whether `name` may be a split's: it stands in boards, in `metric@split` and in addresses without any quoting.
pub fn names_a_split(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

/// Who may read something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// The participant whose submission it is, and the organizers.
    Participant,
    /// The organizers.
    Organizer,
}

/// Whose doing a failure is. What follows: the table "Fault, retry, refund" of the architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The participant's.
    Participant,
    /// The challenge's: its scorer, parameters or reference data.
    Challenge,
    /// Ours: engine, network, disk.
    Platform,
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitKind {
    /// Fuel units.
    Fuel,
    /// Linear memory, bytes.
    Memory,
    /// Wall time, milliseconds.
    Wall,
    /// Stack, bytes.
    Stack,
    /// Report, cases, attachments or bytes of a host call; of a run, bytes of its output.
    Output,
    /// CPU time of a run, milliseconds.
    Cpu,
    /// Processes and threads of a run.
    Pids,
    /// Files and folders in a run's output.
    Files,
    /// Tables, instances or handles.
    Handles,
}

impl LimitKind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::Wall => "wall",
            Self::Stack => "stack",
            Self::Output => "output",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
            Self::Files => "files",
            Self::Handles => "handles",
        }
    }

    /// So much of what it limits, in words.
    pub fn shown(self, amount: u64) -> String {
        match self {
            Self::Fuel => format!("{amount} units of fuel"),
            Self::Memory => format!("{} of memory", Bytes(amount)),
            Self::Wall => format!("{} of wall time", Millis(amount)),
            Self::Stack => format!("{} of stack", Bytes(amount)),
            Self::Output => format!("{} of output", Bytes(amount)),
            Self::Cpu => format!("{} of CPU time", Millis(amount)),
            Self::Pids => format!("{amount} processes and threads"),
            Self::Files => format!("{amount} files and folders in the output"),
            Self::Handles => format!("{amount} handles"),
        }
    }
}

/// How scoring ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// There are scores.
    Scored,
    /// The predictions are not what the task asks for.
    InvalidSubmission,
    /// The reference data or the parameters are wrong.
    InvalidChallenge,
    /// The scorer trapped, left early, or returned something that is no report.
    ScorerFailed,
    /// A limit was reached.
    Limit {
        /// Which.
        limit: LimitKind,
        /// What was used, in the limit's unit.
        used: u64,
        /// What was allowed, in the limit's unit.
        allowed: u64,
    },
    /// A run in a container failed.
    RunFailed {
        /// How: `exit`, `signal`, `image-missing`, …
        code: String,
    },
    /// Refused for quota, recorded all the same: tags of a forge.
    OverQuota,
    /// The participant cancelled it.
    Cancelled,
    /// We could not do our part, and gave up after retries.
    Platform,
}

impl Outcome {
    /// The word for it, as in reports and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Scored => "scored",
            Self::InvalidSubmission => "invalid-submission",
            Self::InvalidChallenge => "invalid-challenge",
            Self::ScorerFailed => "scorer-failed",
            Self::Limit { .. } => "limit",
            Self::RunFailed { .. } => "run-failed",
            Self::OverQuota => "over-quota",
            Self::Cancelled => "cancelled",
            Self::Platform => "platform",
        }
    }

    /// Whose doing it is, for a run of a scorer.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Scored | Self::Cancelled => None,
            Self::InvalidSubmission | Self::RunFailed { .. } | Self::OverQuota => Some(Fault::Participant),
            Self::InvalidChallenge | Self::ScorerFailed | Self::Limit { .. } => Some(Fault::Challenge),
            Self::Platform => Some(Fault::Platform),
        }
    }
}

/// One value of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Name of the metric.
    pub metric: String,
    /// Which part of the reference data it is of.
    pub split: Option<String>,
    /// The value; always finite.
    pub value: f64,
}

/// How one case went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Names the case.
    pub id: String,
    /// The group that it belongs to.
    pub group: Option<String>,
    /// Values for this case alone.
    pub scores: Vec<Score>,
    /// Whether it passed.
    pub passed: Option<bool>,
    /// A word on it.
    pub message: Option<String>,
    /// Who may read it.
    pub audience: Audience,
}

/// One thing that is wrong with a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The file that it is in.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u64>,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// What is wrong with a submission: the first, and how many in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problems {
    /// At most [`SHOWN_PROBLEMS`].
    pub first: Vec<Problem>,
    /// How many there are.
    pub total: u64,
}

impl Problems {
    /// A single problem that is in no file in particular.
    pub fn one(message: impl Into<String>) -> Self {
        Problem { file: None, line: None, message: message.into() }.into()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self { first: vec![problem], total: 1 }
    }
}

/// Text that the scorer addressed to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// To whom.
    pub audience: Audience,
    /// What it says.
    pub text: String,
}

/// A file that the scorer made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Plain file name, unique in the report.
    pub name: String,
    /// Media type that the scorer gave; it is shown, and never served as such.
    pub media_type: String,
    /// Who may read it.
    pub audience: Audience,
    /// Length, in bytes.
    pub len: u64,
    /// Digest of its bytes, which names its blob.
    pub digest: Digest,
}

/// What a score depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// Of the predictions, as a tree.
    pub predictions: Digest,
    /// Of the reference data, as a tree. Outside only in a keyed form: a bare digest confirms guesses.
    pub reference: Digest,
    /// Of the scorer's component.
    pub scorer: Digest,
    /// Of the parameters' JSON.
    pub params: Digest,
}

/// What a run used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Fuel; comparable only under the same `engine`.
    pub fuel: u64,
    /// Largest linear memory, bytes.
    pub peak_memory: u64,
}

/// The whole report. The order of the fields is the order of the keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub report: u32,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Whose doing it is.
    pub fault: Option<Fault>,
    /// More words on a failure, for organizers: the trap, what was wrong with the reference data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The scores, in the order of the description and then of the splits.
    pub scores: Vec<Score>,
    /// The cases.
    pub cases: Vec<Case>,
    /// What is wrong with the submission.
    pub problems: Problems,
    /// What the scorer said.
    pub notes: Vec<Note>,
    /// Files that it made.
    pub attachments: Vec<Attachment>,
    /// What the result depends on.
    pub digests: Digests,
    /// The engine's fingerprint.
    pub engine: String,
    /// What the run used.
    pub cost: Cost,
}

impl Report {
    /// The bytes that are stored and compared: two-space JSON and a line feed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a report has text keys and finite numbers only");
        bytes.push(b'\n');
        bytes
    }

    /// The value of `metric` on `split`.
    pub fn score(&self, metric: &str, split: Option<&str>) -> Option<f64> {
        let found = self.scores.iter().find(|s| s.metric == metric && s.split.as_deref() == split);
        found.map(|score| score.value)
    }
}
