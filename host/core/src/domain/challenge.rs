//! A challenge as it was published: phases, tasks, leaderboards, solutions. Immutable; a change is a new version.
//!
//! How it is written in `challenge.toml` is `manifest`'s matter.

use super::digest::Digest;
use super::git_rules::GitRules;
use super::id::{ChallengeId, EntrantId, LeaderboardId, PhaseId, TaskId};
use super::limits::Limits;
use super::manifest::FILE;
use super::metric::{Description, Direction};
use super::queue::Room;
use super::quota::QuotaRule;
use super::report::Audience;
use super::run::{ImageName, ImageRef};
use super::run_limits::RunLimits;
use super::submission::Lane;
use super::tree::TreePath;
use super::units::{Bytes, MilliCpus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who may read pages, boards and public data without a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody, and it is in the lists.
    Public,
    /// Everybody who knows its name.
    Listed,
    /// Only those with a token for it.
    Private,
}

/// The whole challenge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Challenge {
    /// Its name.
    pub id: ChallengeId,
    /// What people read.
    pub title: String,
    /// One line for lists.
    pub summary: String,
    /// Licence of the data.
    pub licence: Option<String>,
    /// Who may read it.
    pub visibility: Visibility,
    /// In order of time; they may touch and do not overlap.
    pub phases: Vec<Phase>,
    /// At least one.
    pub tasks: Vec<Task>,
    /// May be empty.
    pub leaderboards: Vec<Leaderboard>,
    /// The organizer's own submissions.
    pub solutions: Vec<Solution>,
    /// Which tags it takes from forges; none, unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitRules>,
}

/// A span of time in which a task is open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name.
    pub id: PhaseId,
    /// What people read.
    pub title: String,
    /// From then on, inclusive.
    pub starts: Timestamp,
    /// Until then, exclusive; `None` on the last phase only.
    pub ends: Option<Timestamp>,
    /// What is graded in it.
    pub task: TaskId,
    /// All of them hold at once.
    pub quota: Vec<QuotaRule>,
    /// Submissions of one entrant that run at once.
    pub concurrent: u32,
    /// Submissions of one entrant that wait, at most.
    pub max_queued: u32,
    /// What becomes of files that the same entrant has handed in before.
    #[serde(default)]
    pub repeats: Repeats,
}

/// What becomes of files that the same entrant has handed in to the same version before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Repeats {
    /// They are graded again, and count.
    #[default]
    Grade,
    /// They are the earlier submission, and count once.
    Link,
}

/// Where an instant lies to a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PhaseState {
    /// Not yet open.
    Upcoming,
    /// Open.
    Open,
    /// Over.
    Closed,
}

impl Phase {
    /// How the phase stands at `now`. It opens at the instant of `starts` and is over at the instant of `ends`.
    pub fn state(&self, now: Timestamp) -> PhaseState {
        if now < self.starts {
            PhaseState::Upcoming
        } else if self.ends.is_some_and(|ends| now >= ends) {
            PhaseState::Closed
        } else {
            PhaseState::Open
        }
    }
}

/// Where a task's scorer comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScorerSource {
    /// A stock scorer, by name.
    Stock(String),
    /// A component in the folder.
    Component(String),
    /// A crate in the folder; the command line builds it and uploads the bytes.
    Crate(String),
}

/// How participants' programs run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRun {
    /// The image; the operator's unless named.
    pub image: Option<ImageName>,
    /// What one run may use.
    pub limits: RunLimits,
    /// Size of the place for what nobody keeps; counts as memory.
    pub scratch: Bytes,
    /// Who reads what the program printed: what is printed may be hidden input.
    pub logs: Audience,
    /// No other program runs beside it, so that times can be compared.
    #[serde(default)]
    pub alone: bool,
    /// The ingestion program runs in a container of its own, beside what was handed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apart: Option<Apart>,
    /// GPUs of one run, no other's meanwhile.
    #[serde(default)]
    pub gpus: u32,
    /// What each of these has at least.
    #[serde(default)]
    pub gpu_memory: Bytes,
    /// The engine's runtime that runs it, by its name there; the engine's usual one unless named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// The engine's network that it has, by its name there; none unless named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Its CPUs are its own, and it stays on them.
    #[serde(default)]
    pub pinned: bool,
}

/// How an ingestion program runs in a container of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apart {
    /// Its image; the task's unless named.
    pub image: Option<ImageName>,
    /// Size of the place where the two meet; counts as memory of both.
    pub shared: Bytes,
}

impl TaskRun {
    /// The part of the machine that one run takes.
    pub fn room(&self) -> Room {
        if self.alone { Room { gpus: self.gpus, ..Room::ALL } } else { self.asks() }
    }

    /// The part of the machine that the limits of one run are.
    pub fn asks(&self) -> Room {
        let one = Room { gpus: self.gpus, ..Room::of(&self.limits) };
        let Some(Apart { shared, .. }) = &self.apart else { return one };
        // Each of the two has the limits for itself.
        let memory = one.memory.0.saturating_add(self.limits.memory.0).saturating_add(shared.0.saturating_mul(2));
        Room { cpus: MilliCpus(one.cpus.0.saturating_mul(2)), memory: Bytes(memory), ..one }
    }
}

impl Default for TaskRun {
    fn default() -> Self {
        Self {
            image: None,
            limits: RunLimits::default(),
            scratch: Bytes(64 << 20),
            logs: Audience::Organizer,
            alone: false,
            apart: None,
            gpus: 0,
            gpu_memory: Bytes(0),
            runtime: None,
            network: None,
            pinned: false,
        }
    }
}

/// What is asked, and how it is graded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its name.
    pub id: TaskId,
    /// What may be handed in.
    pub accepts: Vec<Lane>,
    /// Hidden reference data: a file or folder of the challenge's.
    pub reference: String,
    /// What participants' programs read, and nobody else but organizers: a file or folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The organizer's program that calls participants' programs, in their container: a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingestion: Option<String>,
    /// Public data: a file or folder.
    pub public: Option<String>,
    /// The sample submission: a file or folder.
    pub template: Option<String>,
    /// Where the scorer comes from.
    pub scorer: ScorerSource,
    /// Parameters for the scorer, a JSON object with sorted keys.
    pub params: String,
    /// Limits of one run of the scorer.
    pub limits: Limits,
    /// How programs run, if it takes any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<TaskRun>,
}

/// One column of a leaderboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The metric.
    pub metric: String,
    /// Replaces the metric's title.
    pub title: Option<String>,
    /// Replaces the metric's precision.
    pub precision: Option<u8>,
    /// Replaces the metric's direction.
    pub direction: Option<Direction>,
    /// Seen by organizers only; it still breaks ties.
    pub hidden: bool,
}

/// Which submission of an entrant stands on a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// The one that ranks first.
    Best,
    /// The one that arrived last.
    Last,
}

/// An ordered list of entrants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leaderboard {
    /// Its name.
    pub id: LeaderboardId,
    /// The phases whose submissions it takes.
    pub phases: Vec<PhaseId>,
    /// Which submission of an entrant stands.
    pub rule: Rule,
    /// The first is the primary one; the others break ties in order.
    pub columns: Vec<Column>,
    /// The split by which entries are chosen, and that is shown.
    pub split: Option<String>,
    /// From then on the other splits are shown too.
    pub reveal: Option<Timestamp>,
}

impl Leaderboard {
    /// Whether participants may see scores of `split` at `now`. Scores without a split hide nothing.
    pub fn shows(&self, split: Option<&str>, now: Timestamp) -> bool {
        split.is_none() || self.split.as_deref() == split || self.reveal.is_some_and(|reveal| now >= reveal)
    }
}

/// What a solution must give.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Expected {
    /// These scores, within each metric's precision; the key is `metric` or `metric@split`.
    Scores(BTreeMap<String, f64>),
    /// This outcome, by its word, and this many problems if said.
    Outcome {
        /// The word.
        word: String,
        /// The number of problems.
        problems: Option<u64>,
    },
}

/// A submission of the organizer's own, kept with the challenge: what `check` runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Solution {
    /// A file or folder.
    pub path: String,
    /// The task that it is for.
    pub task: TaskId,
    /// What it must give.
    pub expected: Expected,
}

impl Challenge {
    /// The phase called `id`.
    pub fn phase(&self, id: &PhaseId) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.id == *id)
    }

    /// The task called `id`.
    pub fn task(&self, id: &TaskId) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == *id)
    }

    /// The leaderboard called `id`.
    pub fn leaderboard(&self, id: &LeaderboardId) -> Option<&Leaderboard> {
        self.leaderboards.iter().find(|board| board.id == *id)
    }

    /// The leaderboards that take submissions of `phase`.
    pub fn boards_of<'a>(&'a self, phase: &'a PhaseId) -> impl Iterator<Item = &'a Leaderboard> {
        self.leaderboards.iter().filter(move |board| board.phases.contains(phase))
    }

    /// Whether everybody who reads the challenge may read the file at `path`: below a task's `public`, its `template`, or
    /// a page at the top of the folder. Never what any task keeps as its reference, whatever else names it; nor its input,
    /// unless that lies in what it publishes.
    pub fn publishes(&self, path: &TreePath) -> bool {
        let inside = |place: &Option<String>| place.as_ref().is_some_and(|place| path.is_under(place));
        if path.as_str() == FILE || self.tasks.iter().any(|task| path.is_under(&task.reference)) {
            return false;
        }
        let page = !path.as_str().contains('/') && path.as_str().ends_with(".md");
        let page = page && !self.solutions.iter().any(|solution| path.is_under(&solution.path));
        page || self.tasks.iter().any(|task| inside(&task.public) || inside(&task.template))
    }

    /// The phase that is open at `now`; else the one that starts next; else the last one.
    pub fn phase_at(&self, now: Timestamp) -> Option<&Phase> {
        let next = || self.phases.iter().find(|phase| phase.state(now) == PhaseState::Upcoming);
        self.open_phase(now).or_else(next).or(self.phases.last())
    }

    /// The phase that is open at `now`.
    pub fn open_phase(&self, now: Timestamp) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.state(now) == PhaseState::Open)
    }
}

/// The scorer of a task as it was admitted at publication.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskScorer {
    /// The component; also its blob.
    pub component: Digest,
    /// What it said of itself under the task's parameters.
    pub description: Description,
    /// Keys the digest of the reference data that is shown outside; hex, 32 bytes.
    pub salt: String,
}

/// One published version of a challenge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// What was published.
    pub challenge: Challenge,
    /// Counted from 1.
    pub version: u32,
    /// All files of the folder: a JSON [`Kept`](super::kept::Kept).
    pub files: super::submission::Body,
    /// Digest of the folder's tree.
    pub digest: Digest,
    /// The scorer of each task.
    pub scorers: BTreeMap<TaskId, TaskScorer>,
    /// The image of each task that takes programs, as its name stood for when this was published.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<TaskId, ImageRef>,
    /// The same of ingestion programs that run apart.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ingestion_images: BTreeMap<TaskId, ImageRef>,
    /// When it was handed in.
    pub published_at: Timestamp,
    /// Who did it.
    pub by: EntrantId,
}

/// A challenge on a server: who owns it and which version is live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChallengeRow {
    /// Its name.
    pub id: ChallengeId,
    /// Who published it first.
    pub owner: EntrantId,
    /// The live version.
    pub live: u32,
    /// How its queue is held, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
}

/// How a queue is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldKind {
    /// Nothing begins; what is handed in waits.
    Paused,
    /// Nothing is taken in; what waits begins.
    Draining,
}

impl HoldKind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }
}

/// A queue that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// How.
    pub kind: HoldKind,
    /// Since when.
    pub since: Timestamp,
    /// Why, in the organizer's words; participants read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Hold {
    /// Since when and why, in words.
    pub fn told(&self) -> String {
        let why = self.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        format!("since {}{why}", self.since)
    }
}
