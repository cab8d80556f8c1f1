//! The use cases: load, decide (in `domain`), commit, emit. Nothing is decided after the commit.
//!
//! Synchronous: called from threads that may block. Knows no HTTP and no thread; those who call it do.

pub mod access;
pub mod answers;
pub mod bodies;
pub mod cancel;
mod change;
pub mod check;
mod first_pages;
pub mod folder;
pub mod forges;
pub mod garbage;
pub mod grade;
pub mod hooks;
pub mod lane;
pub mod launch;
mod launched;
pub mod publish;
pub mod pushes;
pub mod read;
pub mod reconcile;
mod saved_image;
pub mod solutions;
pub mod steer;
pub mod submit;
pub mod verify;
pub mod work;

use self::grade::Grader;
use self::lane::ContainerLane;
use self::launch::{Containers, Launcher};
use self::solutions::TrialError;
use crate::domain::challenge::{Hold, PhaseState, Version};
use crate::domain::forge::{Forged, Unreadable};
use crate::domain::git_rules::GitRules;
use crate::domain::id::{ChallengeId, PhaseId, SubmissionId, TaskId};
use crate::domain::job::IllegalTransition;
use crate::domain::manifest::Located;
use crate::domain::queue::Queue;
use crate::domain::quota::Standing;
use crate::domain::report::Problems;
use crate::ports::blobs::{BlobError, Blobs};
use crate::ports::clock::Clock;
use crate::ports::courier::Courier;
use crate::ports::forge_api::ForgeApi;
use crate::ports::git::Git;
use crate::ports::runner::RunnerError;
use crate::ports::scorer::{Scorer, ScorerError};
use crate::ports::signals::Signals;
use crate::ports::store::{Store, StoreError};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

/// A stock scorer's name and component.
pub type Stock = &'static [(&'static str, &'static [u8])];

/// Versions that stay in memory, at most.
const MAX_VERSIONS: usize = 512;

/// The use cases, over their ports.
pub struct App {
    /// Rows.
    pub store: Arc<dyn Store>,
    /// Bodies.
    pub blobs: Arc<dyn Blobs>,
    /// Scorers.
    pub scorer: Arc<dyn Scorer>,
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// Wake-ups.
    pub signals: Arc<dyn Signals>,
    /// The stock scorers.
    pub stock: Stock,
    lane: Mutex<ContainerLane>,
    queue: Mutex<Queue>,
    running: Mutex<HashMap<SubmissionId, Held>>,
    graders: Mutex<HashMap<(ChallengeId, u32, TaskId), Arc<Grader>>>,
    launchers: Mutex<HashMap<(ChallengeId, u32, TaskId), Arc<Launcher>>>,
    versions: Mutex<HashMap<(ChallengeId, u32), Arc<Version>>>,
    first_pages: first_pages::FirstPages,
    /// Held shared by a run, and alone by one that has to have the machine for itself.
    machine: RwLock<()>,
    /// At the door: submissions charged to one ledger pass one after the other.
    gates: [Mutex<()>; 64],
    /// Held by who holds a queue or lets it go on: the row and the picture tell the same.
    steering: Mutex<()>,
    courier: Option<Arc<dyn Courier>>,
    rounds: Mutex<hooks::Rounds>,
    git: Option<Arc<dyn Git>>,
    fetches: Mutex<pushes::Line>,
    /// Which tags each challenge takes, by its live version.
    git_rules: Mutex<HashMap<ChallengeId, KnownRules>>,
    /// What tells forges, and where people reach this server.
    forges: Option<(Arc<dyn ForgeApi>, Option<String>)>,
    owing: Mutex<answers::Owing>,
    stopping: Arc<AtomicBool>,
}

/// Which tags a live version takes, if any.
type KnownRules = (u32, Option<Arc<GitRules>>);

/// A job that a worker of this host is at.
#[derive(Clone)]
struct Held {
    epoch: u64,
    stop: Arc<AtomicBool>,
    /// What its programs have printed so far.
    printed: Option<launch::Prints>,
}

impl App {
    /// The use cases over these ports, with an empty queue: [`App::recover`](reconcile) fills it.
    pub fn new(
        store: Arc<dyn Store>,
        blobs: Arc<dyn Blobs>,
        scorer: Arc<dyn Scorer>,
        clock: Arc<dyn Clock>,
        signals: Arc<dyn Signals>,
        stock: Stock,
    ) -> Self {
        Self {
            store,
            blobs,
            scorer,
            clock,
            signals,
            stock,
            lane: Mutex::default(),
            queue: Mutex::default(),
            running: Mutex::default(),
            graders: Mutex::default(),
            launchers: Mutex::default(),
            versions: Mutex::default(),
            first_pages: first_pages::FirstPages::default(),
            machine: RwLock::default(),
            gates: std::array::from_fn(|_| Mutex::default()),
            steering: Mutex::default(),
            courier: None,
            rounds: Mutex::default(),
            git: None,
            fetches: Mutex::default(),
            git_rules: Mutex::default(),
            forges: None,
            owing: Mutex::default(),
            stopping: Arc::default(),
        }
    }

    /// The same, with what runs participants' programs, or why nothing does.
    #[must_use]
    pub fn with_containers(self, containers: Result<Containers, String>) -> Self {
        self.open_lane(containers);
        self
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A panic under this lock leaves the picture as good as it was: it is only a picture.
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn graders(&self) -> MutexGuard<'_, HashMap<(ChallengeId, u32, TaskId), Arc<Grader>>> {
        self.graders.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A published version, from memory if it was read before: it never changes.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn version(&self, id: &ChallengeId, version: u32) -> Result<Option<Arc<Version>>, StoreError> {
        let versions = || self.versions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = (id.clone(), version);
        if let Some(known) = versions().get(&key) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(read) = self.store.version(id, version)? else { return Ok(None) };
        let read = Arc::new(read);
        let mut versions = versions();
        // Whatever is here is right; a full shelf is simply cleared.
        if versions.len() >= MAX_VERSIONS {
            versions.clear();
        }
        versions.insert(key, Arc::clone(&read));
        Ok(Some(read))
    }

    fn running(&self) -> MutexGuard<'_, HashMap<SubmissionId, Held>> {
        self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Why a use case did not do what was asked. Each has a stable code; texts are for the one who asked.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such challenge, or none that the bearer may know of.
    #[error("there is no challenge `{0}` here that you may see; `gradus challenge list` shows those that you may")]
    UnknownChallenge(ChallengeId),
    /// No such phase.
    #[error("there is no phase `{phase}` in `{challenge}`; its phases: {known}")]
    UnknownPhase {
        /// The challenge.
        challenge: ChallengeId,
        /// What was asked for.
        phase: PhaseId,
        /// What there is.
        known: String,
    },
    /// The token was revoked while the request was on its way.
    #[error("this token was revoked; ask the operator for a new one")]
    Revoked,
    /// No such thing, or none that the bearer may know of.
    #[error("there is no {0} here that you may see")]
    Unknown(&'static str),
    /// The bearer may not do that.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The phase is not open.
    #[error("phase `{phase}` {}", when(*.state, *.starts, *.ends))]
    NotOpen {
        /// The phase.
        phase: PhaseId,
        /// How it stands.
        state: PhaseState,
        /// When it starts.
        starts: Timestamp,
        /// When it ends.
        ends: Option<Timestamp>,
    },
    /// The organizers let the queue run empty.
    #[error("nothing is taken in at the moment: the organizers let the queue run empty {}", .0.told())]
    Draining(Hold),
    /// The predictions are not what the task asks for.
    #[error("the format check found {} problem{}; nothing was stored, and your quota is untouched", .0.total, if .0.total == 1 { "" } else { "s" })]
    Format(Problems),
    /// A quota rule has nothing left.
    #[error("{}", quota(.0))]
    OverQuota(Standing),
    /// Too many of the entrant's submissions have not ended.
    #[error("{open} of your submissions have not ended, and {most} may wait or run at once; wait for one to end")]
    TooManyOpen {
        /// How many.
        open: u32,
        /// How many may be.
        most: u32,
    },
    /// No place for a web hook, or one too many.
    #[error("{0}")]
    NoHook(String),
    /// A forge that will not do.
    #[error("{0}")]
    NoSource(String),
    /// A hook that its forge did not send.
    #[error(transparent)]
    Forged(#[from] Forged),
    /// A hook that cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The idempotency key was used for another request.
    #[error("this Idempotency-Key was used for another request; use a new key for new content")]
    OtherRequest,
    /// The organizer's format check failed, not the submission.
    #[error("the organizer's format check failed; please tell them; nothing was stored, your quota is untouched")]
    CheckFailed(String),
    /// The organizer's format check did not end in its time: it is slow, or the machine is busy.
    #[error(
        "the format check did not end in its time; nothing was stored, your quota is untouched; try again in a moment, and tell the organizers if it stays so"
    )]
    CheckSlow,
    /// The folder is not a challenge that can be published.
    #[error("the challenge folder has {} problem{}; nothing was published", .0.len(), if .0.len() == 1 { "" } else { "s" })]
    Challenge(Vec<Located>),
    /// The job cannot do that.
    #[error(transparent)]
    Transition(#[from] IllegalTransition),
    /// Two changed the same at once, again and again.
    #[error("somebody else changed this at the same moment; please try again")]
    Contended,
    /// Ours.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Ours.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Ours.
    #[error(transparent)]
    Scorer(#[from] ScorerError),
    /// Ours.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// Ours: nothing runs programs here.
    #[error("no program can be run: {0}")]
    NoContainers(String),
    /// Ours: what we stored cannot be read.
    #[error("could not read back {what}")]
    Stored {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn when(state: PhaseState, starts: Timestamp, ends: Option<Timestamp>) -> String {
    match (state, ends) {
        (PhaseState::Upcoming, _) => format!("is not open yet: it starts at {starts}"),
        (PhaseState::Closed, Some(ends)) => format!("is over: it ended at {ends}"),
        (PhaseState::Closed, None) | (PhaseState::Open, _) => "is not open".to_owned(),
    }
}

fn quota(standing: &Standing) -> String {
    use crate::domain::quota::Window;
    let limit = standing.rule.limit;
    let span = match &standing.rule.window {
        Window::Day(zone) => format!("per day ({zone})"),
        Window::Rolling(span) => format!("in {span}"),
        Window::Total => "in this phase".to_owned(),
    };
    match standing.resets_at {
        Some(at) => format!("the quota of {limit} submissions {span} is used up; it resets at {at}"),
        None => format!("the quota of {limit} submissions {span} is used up"),
    }
}

pub use crate::ports::chain;

impl From<TrialError> for Refusal {
    fn from(error: TrialError) -> Self {
        match error {
            TrialError::Scorer(error) => error.into(),
            TrialError::Runner(error) => error.into(),
            TrialError::Missing(what) => RunnerError { what, source: None }.into(),
        }
    }
}

impl Refusal {
    /// The stable code, as in problem documents.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownChallenge(_) => "unknown-challenge",
            Self::UnknownPhase { .. } => "unknown-phase",
            Self::Unknown(_) => "not-found",
            Self::Revoked => "invalid-token",
            Self::Forbidden(_) => "forbidden",
            Self::NotOpen { state: PhaseState::Upcoming, .. } => "phase-not-open",
            Self::NotOpen { .. } => "phase-closed",
            Self::Draining(_) => "draining",
            Self::Format(_) => "invalid-submission",
            Self::OverQuota(_) => "over-quota",
            Self::TooManyOpen { .. } => "too-many-open",
            Self::NoHook(_) => "invalid-hook",
            Self::NoSource(_) => "invalid-source",
            Self::Forged(_) => "forged-hook",
            Self::Unreadable(_) => "unreadable-hook",
            Self::OtherRequest => "idempotency-mismatch",
            Self::CheckFailed(_) => "format-check-failed",
            Self::CheckSlow => "format-check-slow",
            Self::Challenge(_) => "invalid-challenge",
            Self::Transition(_) => "illegal-transition",
            Self::Contended => "contended",
            Self::Runner(_) => "container-engine",
            Self::Store(StoreError::Closed) => "store-closed",
            Self::Store(_) | Self::Blob(_) | Self::Scorer(_) | Self::NoContainers(_) | Self::Stored { .. } => {
                "internal"
            }
        }
    }
}
