//! What goes over the wire: the published shapes. They are not domain types, so that the domain can change.
//!
//! The command line reads the same types; it knows nothing else of the server.

mod forges;
mod hooks;
mod steer;

pub use forges::{
    ForgeUserInfo, LinkInfo, MadeSource, NewSourceInfo, PushInfo, PushedInfo, SourceInfo, StandingInfo,
    kind as forge_kind,
};
pub use hooks::{HookInfo, LetterInfo, MadeHook, NewHook};
pub use steer::{DeedInfo, GrantInfo, NewGrant, NewQueueState, PlaceInfo, QueueInfo, SpanInfo, WaitReason};

use super::described::ProblemsInfo;
use gradus_core::domain::quota::{Standing, Window};
use gradus_core::domain::report::{Fault, Outcome, Problems};
use gradus_core::domain::run_limits::RunLimits;
use gradus_core::domain::run_record::RunRecord;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct List<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Give it as `cursor` to get what follows; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A challenge in a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChallengeItem {
    /// Its id.
    pub id: String,
    /// What people read.
    pub title: String,
    /// One line.
    pub summary: String,
    /// `public`, `listed` or `private`.
    pub visibility: String,
    /// The phase that is open now.
    pub open_phase: Option<String>,
    /// The live version.
    pub version: u32,
}

/// A challenge.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChallengeInfo {
    /// Its id.
    pub id: String,
    /// What people read.
    pub title: String,
    /// One line.
    pub summary: String,
    /// Licence of the data.
    pub licence: Option<String>,
    /// `public`, `listed` or `private`.
    pub visibility: String,
    /// The live version.
    pub version: u32,
    /// When that was published.
    #[schema(value_type = String, format = DateTime)]
    pub published_at: Timestamp,
    /// In order of time.
    pub phases: Vec<PhaseInfo>,
    /// Ids of its leaderboards.
    pub leaderboards: Vec<String>,
    /// Public files, to be had at `files/{path}`.
    pub files: Vec<FileInfo>,
}

/// A phase.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PhaseInfo {
    /// Its id.
    pub id: String,
    /// What people read.
    pub title: String,
    /// `upcoming`, `open` or `closed`.
    pub state: String,
    /// From then on.
    #[schema(value_type = String, format = DateTime)]
    pub starts: Timestamp,
    /// Until then.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends: Option<Timestamp>,
    /// The task graded in it.
    pub task: String,
    /// What may be handed in: `results`, `code` or both.
    pub accepts: Vec<String>,
    /// What one run of a program may use; absent when no code is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunAllowance>,
    /// The metrics that its scorer reports.
    pub metrics: Vec<MetricInfo>,
    /// Submissions of one entrant that run at once.
    pub concurrent: u32,
    /// Submissions of one entrant that wait, at most.
    pub max_queued: u32,
    /// What becomes of files that the same entrant has handed in before: `grade` or `link`.
    pub repeats: String,
}

/// What one run of a program may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunAllowance {
    /// Wall time, milliseconds.
    pub wall_ms: u64,
    /// CPU time of all processes together, milliseconds.
    pub cpu_ms: u64,
    /// CPUs at once, in thousandths.
    pub milli_cpus: u64,
    /// Memory, bytes.
    pub memory: u64,
    /// Processes and threads at once.
    pub pids: u32,
    /// Bytes of output.
    pub output: u64,
    /// Files and folders of output.
    pub files: u32,
    /// Bytes of standard output and error that are kept.
    pub log: u64,
}

impl From<&RunLimits> for RunAllowance {
    fn from(limits: &RunLimits) -> Self {
        let RunLimits { wall, cpu, cpus, memory, pids, output, files, log } = *limits;
        Self {
            wall_ms: wall.0,
            cpu_ms: cpu.0,
            milli_cpus: cpus.0,
            memory: memory.0,
            pids,
            output: output.0,
            files,
            log: log.0,
        }
    }
}

/// A run of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunInfo {
    /// How it failed, for the participant; absent when it left what is scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// More exactly, when the outcome is `run-failed`: `exit`, `signal`, `bad-output`, `no-entry-point`, …; when it is
    /// `limit`, which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The program's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
    /// Wall time, milliseconds.
    pub wall_ms: u64,
    /// CPU time of all processes together, milliseconds.
    pub cpu_ms: u64,
    /// The most memory at once, bytes.
    pub peak_memory: u64,
    /// The most processes and threads at once.
    pub peak_pids: u64,
    /// How often the kernel killed one of its processes for want of memory.
    pub oom_kills: u64,
    /// The image, `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What it was allowed.
    pub allowed: RunAllowance,
    /// The container engine's runtime that ran it, where the task named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// The container engine's network that it had, where the task named one; else it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The task's ingestion program, if it ran beside it in a container of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingestion: Option<IngestionInfo>,
}

/// An ingestion program that ran in a container of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IngestionInfo {
    /// Its exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
    /// CPU time of all processes together, milliseconds.
    pub cpu_ms: u64,
    /// The most memory at once, bytes.
    pub peak_memory: u64,
    /// Its image, `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

impl From<&RunRecord> for RunInfo {
    fn from(record: &RunRecord) -> Self {
        let code = record.failed.as_ref().and_then(|failed| match &failed.outcome {
            Outcome::RunFailed { code } => Some(code.clone()),
            Outcome::Limit { limit, .. } => Some(limit.word().to_owned()),
            Outcome::Scored
            | Outcome::InvalidSubmission
            | Outcome::InvalidChallenge
            | Outcome::ScorerFailed
            | Outcome::OverQuota
            | Outcome::Cancelled
            | Outcome::Platform => None,
        });
        Self {
            failure: record.failed.as_ref().map(|failed| failed.text.clone()),
            code,
            exit_code: record.exit_code,
            signal: record.signal,
            wall_ms: record.wall.0,
            cpu_ms: record.cpu.0,
            peak_memory: record.peak_memory.0,
            peak_pids: record.peak_pids,
            oom_kills: record.oom_kills,
            image: record.image.clone(),
            allowed: (&record.limits).into(),
            runtime: record.runtime.clone(),
            network: record.network.clone(),
            ingestion: record.ingestion.as_deref().map(|ingestion| IngestionInfo {
                exit_code: ingestion.exit_code,
                signal: ingestion.signal,
                cpu_ms: ingestion.cpu.0,
                peak_memory: ingestion.peak_memory.0,
                image: ingestion.image.clone(),
            }),
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MetricInfo {
    /// Its name.
    pub name: String,
    /// What people read.
    pub title: String,
    /// `higher` or `lower` is better.
    pub direction: String,
    /// Unit.
    pub unit: Option<String>,
    /// Decimal places shown.
    pub precision: u8,
}

/// A public file.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FileInfo {
    /// Its path.
    pub path: String,
    /// Length, bytes.
    pub len: u64,
    /// `sha256:…`
    pub digest: String,
}

/// An operation: a publication whose solutions are run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OperationInfo {
    /// Its id.
    pub id: String,
    /// The challenge that is published.
    pub challenge: String,
    /// The version that goes live if it holds.
    pub version: u32,
    /// `running`, `done` or `failed`.
    pub state: String,
    /// Why it failed.
    pub problems: Vec<String>,
}

/// A submission.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SubmissionInfo {
    /// Its id, a ULID.
    pub id: String,
    /// The challenge.
    pub challenge: String,
    /// The version that grades it.
    pub version: u32,
    /// The phase.
    pub phase: String,
    /// The entrant.
    pub entrant: String,
    /// When its last byte arrived.
    #[schema(value_type = String, format = DateTime)]
    pub submitted_at: Timestamp,
    /// Which way it takes: `results` or `code`.
    pub lane: String,
    /// `queued`, `fetching`, `building`, `running`, `scoring`, `scored`, `failed` or `cancelled`.
    pub state: String,
    /// Why it waits, or how its run failed, when there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where it stands, while it waits for its turn; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceInfo>,
    /// The same files were handed in before, and are not graded again: this is that submission, and nothing was charged. In
    /// the answer to a submission only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// How it ended, once it has: `scored`, `invalid-submission`, `limit`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Whose doing that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub fault: Option<Fault>,
    /// Whether it counted against the quota; absent while it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged: Option<bool>,
    /// What arrived.
    pub file: FileInfo,
    /// What the participant says about it.
    pub about: AboutInfo,
    /// The tag that it is, if it was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<PushedInfo>,
    /// The run of its program, once it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunInfo>,
    /// Where its report is, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
}

/// What the participant says about a submission.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AboutInfo {
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

/// The answer of the format check when all is well.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CheckInfo {
    /// Always `valid`; a submission with problems is answered by a 422.
    pub check: String,
    /// Files that were looked at.
    pub files: Vec<FileInfo>,
}

/// The quotas of the bearer in a challenge.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QuotaInfo {
    /// Each phase's.
    pub phases: Vec<PhaseQuota>,
}

/// The quotas of the bearer in a phase.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PhaseQuota {
    /// The phase.
    pub phase: String,
    /// Submissions that have not ended.
    pub open: u32,
    /// Submissions beyond the rules that the organizers granted and that are left; used when a rule has nothing left.
    pub extra: u32,
    /// Each rule; all of them hold at once.
    pub rules: Vec<RuleInfo>,
}

/// How a quota rule stands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RuleInfo {
    /// How many are allowed.
    pub limit: u32,
    /// In which span: `day`, `rolling 1 h`, `phase`.
    pub per: String,
    /// The time zone of a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// How many are used.
    pub used: u64,
    /// How many are left.
    pub remaining: u64,
    /// When more are free.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub resets_at: Option<Timestamp>,
}

impl From<&Standing> for RuleInfo {
    fn from(standing: &Standing) -> Self {
        let (per, zone) = match &standing.rule.window {
            Window::Day(zone) => ("day".to_owned(), Some(zone.clone())),
            Window::Rolling(span) => (format!("rolling {span}"), None),
            Window::Total => ("phase".to_owned(), None),
        };
        Self {
            limit: standing.rule.limit,
            per,
            zone,
            used: standing.used,
            remaining: standing.remaining,
            resets_at: standing.resets_at,
        }
    }
}

/// A page of a leaderboard.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BoardInfo {
    /// The columns; the first is the primary one.
    pub columns: Vec<ColumnInfo>,
    /// The rows, best first.
    pub items: Vec<EntryInfo>,
    /// Give it as `cursor` to get what follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A column of a leaderboard.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ColumnInfo {
    /// The metric.
    pub metric: String,
    /// The split that the values are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// What people read.
    pub title: String,
    /// `higher` or `lower` is better.
    pub direction: String,
    /// Unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Decimal places shown.
    pub precision: u8,
}

/// A row of a leaderboard.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EntryInfo {
    /// From 1.
    pub rank: u64,
    /// The entrant.
    pub entrant: String,
    /// The submission: for organizers, and for the entrant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission: Option<String>,
    /// When that arrived.
    #[schema(value_type = String, format = DateTime)]
    pub submitted_at: Timestamp,
    /// One value for each column; null where there is none.
    pub values: Vec<Option<f64>>,
}

/// A token, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenInfo {
    /// Its public half.
    pub id: String,
    /// `operator`, `organizer` or `participant`.
    pub role: String,
    /// The person or team that it stands for.
    pub subject: String,
    /// The challenges that it is for; all if empty.
    pub challenges: Vec<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

/// A token to make.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// `operator`, `organizer` or `participant`.
    pub role: String,
    /// The person or team that it stands for: a slug.
    pub subject: String,
    /// The challenges that it is for; all if empty.
    #[serde(default)]
    pub challenges: Vec<String>,
}

/// A token that was made. Its text is shown this once.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MadeToken {
    /// What the bearer presents.
    pub token: String,
    /// The token.
    #[serde(flatten)]
    pub info: TokenInfo,
}

/// The version of the server.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionInfo {
    /// The version of Gradus.
    pub version: String,
    /// The engine's fingerprint: reports are comparable under the same one.
    pub engine: String,
}

/// The answer of the readiness check.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReadyInfo {
    /// Whether all checks hold.
    pub ready: bool,
    /// Each check and how it went: `ok`, or what is wrong.
    pub checks: BTreeMap<String, String>,
    /// Whether participants' programs are run: `ok`, or that they are not. They wait then, and all else goes on.
    pub programs: String,
}

/// An RFC 9457 problem document.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ProblemInfo {
    /// Always `about:blank`: `code` says which problem it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong, and what to do.
    pub detail: String,
    /// Stable, for programs.
    pub code: String,
    /// With `invalid-submission`: the first problems, and how many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProblemsInfo>)]
    pub problems: Option<Problems>,
    /// With `invalid-challenge`: all problems, as `file:line: key: what`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// With `over-quota`: the rule that has nothing left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleInfo>,
}
