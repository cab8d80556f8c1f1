//! Rows: what must be there after a power cut. Synchronous: called from threads that may block.
//!
//! Each method that changes something is one transaction over all rows it names, durable when it returns. What such a
//! change depends on (quota, generation, live version) is compared inside it. Lists are read page by page along an index;
//! nothing scans all submissions to answer one question.

use crate::domain::answer::Owed;
use crate::domain::audit::{Deed, Logged};
use crate::domain::board::{BoardKey, Entry, Placement};
use crate::domain::challenge::{ChallengeRow, Hold, Version};
use crate::domain::digest::Digest;
use crate::domain::event::{Event, EventKind};
use crate::domain::forge::{ObjectId, Source};
use crate::domain::hook::{Hook, Letter};
use crate::domain::id::{
    ChallengeId, EntrantId, HookId, LetterId, OperationId, PhaseId, PushId, SourceId, SubmissionId, TokenId,
};
use crate::domain::job::Job;
use crate::domain::operation::{Operation, OperationState};
use crate::domain::push::{ForgeUser, Push, TagKey};
use crate::domain::quota::{Ledger, QuotaRule, Settlement, Standing};
use crate::domain::run_record::RunOutput;
use crate::domain::submission::{Body, Submission};
use crate::domain::token::Token;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io::Write;

pub mod decide;

/// We could not do our part.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or a file of it could not be opened.
    #[error("could not open the store in {path}: {hint}")]
    Open {
        /// The folder.
        path: String,
        /// What to do.
        hint: String,
        /// Why.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A read failed.
    #[error("could not read {what} from the store")]
    Read {
        /// Which rows.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A write failed. Nothing of it is there, or all of it is but was not acknowledged; no further write is taken.
    #[error("could not write to the store; no further change is taken: check the disk, then start again")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A backup could not be written, or read.
    #[error("{what}")]
    Backup {
        /// What went wrong, and what to do.
        what: String,
        /// Why.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The store is closed: the host stops, or an earlier write failed.
    #[error("the store takes no more changes: the server is stopping, or an earlier write failed")]
    Closed,
}

/// A result of the store's.
pub type Result<T> = std::result::Result<T, StoreError>;

/// An entrant's ledger in a phase.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LedgerKey {
    /// The challenge.
    pub challenge: ChallengeId,
    /// The phase.
    pub phase: PhaseId,
    /// The entrant.
    pub entrant: EntrantId,
}

impl LedgerKey {
    /// The ledger that `submission` is charged to.
    pub fn of(submission: &Submission) -> Self {
        Self {
            challenge: submission.challenge.clone(),
            phase: submission.phase.clone(),
            entrant: submission.entrant.clone(),
        }
    }
}

/// A client's promise that the same key means the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Keys belong to a token.
    pub token: TokenId,
    /// The key.
    pub key: String,
    /// Digest of what was asked.
    pub request: Digest,
    /// Forgotten from then on.
    pub until: Timestamp,
}

/// Bytes that are too few for a blob: they go in with the rows that name them, and need no file and no syncing of their
/// own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Small {
    /// Of the bytes.
    pub digest: Digest,
    /// At most [`MAX_INLINE`](crate::domain::submission::MAX_INLINE), all of one change together.
    pub bytes: Vec<u8>,
}

/// A submission at the door.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The submission; its blobs are durable, or in `small`.
    pub submission: Submission,
    /// Those of its files that are no blobs.
    pub small: Vec<Small>,
    /// Its job.
    pub job: Job,
    /// The phase's rules.
    pub rules: Vec<QuotaRule>,
    /// Submissions of the entrant that have not ended, at most.
    pub max_open: u32,
    /// The client's key.
    pub idempotency: Option<Idempotency>,
    /// Digest of the files, when the same ones are not to be graded again.
    pub once: Option<Digest>,
    /// The push that it is, if it was pushed: it becomes this submission.
    pub push: Option<Push>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Admitted {
    /// It is in, with its first event; the quota is reserved.
    Accepted {
        /// The first event.
        event: Event,
    },
    /// The same request was accepted before.
    Before(SubmissionId),
    /// The key was used for another request.
    OtherRequest,
    /// The challenge's queue is let run empty.
    Draining(Hold),
    /// The same files were accepted before, and stand.
    Same(SubmissionId),
    /// A rule has nothing left.
    OverQuota(Standing),
    /// Too many have not ended.
    TooManyOpen {
        /// How many are open.
        open: u32,
    },
}

/// A change of a job, and all that goes with it.
#[derive(Debug, Clone)]
pub struct Advance {
    /// Which submission.
    pub id: SubmissionId,
    /// The generation that the decision was made on.
    pub seen: u64,
    /// The job as it becomes.
    pub job: Job,
    /// What to log, in order.
    pub events: Vec<EventKind>,
    /// When.
    pub at: Timestamp,
    /// The ledger and what becomes of the charge of `reserved_at`, when the job ends.
    pub settle: Option<Settle>,
    /// The report, when there is one.
    pub report: Option<Body>,
    /// The scorer's log, when there is one.
    pub log: Option<Body>,
    /// What a run left, when one ended.
    pub run: Option<RunOutput>,
    /// Those of its attachments, and of what the run left, that are no blobs.
    pub small: Vec<Small>,
    /// Where the scores go.
    pub placements: Vec<Placement>,
    /// With placements: the live version whose boards they are for.
    pub live: Option<u32>,
    /// What is logged of who did it, if it was a right of theirs that others do not have.
    pub deed: Option<Deed>,
    /// What web hooks are told of it.
    pub letters: Vec<Letter>,
    /// The push that it is, of which its forge is owed an answer.
    pub owed: Option<PushId>,
}

/// The end of a reservation.
#[derive(Debug, Clone)]
pub struct Settle {
    /// Whose.
    pub ledger: LedgerKey,
    /// The instant of the reservation.
    pub reserved_at: Timestamp,
    /// What becomes of it.
    pub settlement: Settlement,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Advanced {
    /// It is stored.
    Stored {
        /// The events, as logged.
        events: Vec<Event>,
        /// Whether this change gave the charge back.
        refunded: bool,
    },
    /// The job, or the live version, has changed since it was read: read and decide again.
    Conflict,
}

/// A submission and its job.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracked {
    /// What was handed in.
    pub submission: Submission,
    /// How it goes.
    pub job: Job,
    /// Whether its charge was given back.
    pub refunded: bool,
}

/// All rows at one moment, for a backup.
pub trait Snapshot: Send + Sync {
    /// Writes them to `to`, in a form of this kind of store's own; how many. No change is made meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]; `to` would not take them.
    fn snapshot(&self, to: Box<dyn Write + Send>) -> Result<u64>;
}

/// The rows.
pub trait Store: Send + Sync {
    /// Keeps a new token, and logs who made it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put_token(&self, token: &Token, deed: Option<&Deed>) -> Result<()>;
    /// The token of that id.
    ///
    /// # Errors
    /// [`StoreError`].
    fn token(&self, id: TokenId) -> Result<Option<Token>>;
    /// Tokens by id, after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn tokens(&self, after: Option<TokenId>, limit: usize) -> Result<Vec<Token>>;
    /// Revokes a token at the moment of `deed`, and logs that; `false` if there is none, or it was revoked before.
    ///
    /// # Errors
    /// [`StoreError`].
    fn revoke_token(&self, id: TokenId, deed: &Deed) -> Result<bool>;
    /// What was logged of who did what, newest first, below the number `before`; of one challenge if named.
    ///
    /// # Errors
    /// [`StoreError`].
    fn audit(&self, challenge: Option<&ChallengeId>, before: Option<u64>, limit: usize) -> Result<Vec<Logged>>;

    /// Keeps a version that is not live yet, with the operation that will decide on it. The store numbers it: one more
    /// than the highest so far. Returns the number. `owner` is whose the challenge was when `operation.by` was found to
    /// have the right to publish it: if it is somebody else's when the version is to go live, it does not. `deed` is logged
    /// with the number in it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn stage_version(
        &self,
        version: &Version,
        operation: &Operation,
        owner: Option<&EntrantId>,
        deed: Option<&Deed>,
    ) -> Result<u32>;
    /// Brings an operation a step further: from running to failed or to live, from live to done. Any other step, as one
    /// that it has taken already, changes nothing. With the step to live its version is live, unless a later one is
    /// already, and the challenge exists with `by` as its owner if it did not before. Live becomes failed if the challenge
    /// belongs to somebody else by now than when it was staged: read the operation back.
    ///
    /// # Errors
    /// [`StoreError`].
    fn settle_operation(&self, id: OperationId, state: OperationState) -> Result<()>;
    /// The operation of that id.
    ///
    /// # Errors
    /// [`StoreError`].
    fn operation(&self, id: OperationId) -> Result<Option<Operation>>;
    /// Operations that have not ended.
    ///
    /// # Errors
    /// [`StoreError`].
    fn running_operations(&self) -> Result<Vec<Operation>>;
    /// The challenge of that id, once a version of it is live.
    ///
    /// # Errors
    /// [`StoreError`].
    fn challenge(&self, id: &ChallengeId) -> Result<Option<ChallengeRow>>;
    /// Holds the queue of a challenge, or lets it go on, and logs that; `false`: there is no such challenge.
    ///
    /// # Errors
    /// [`StoreError`].
    fn set_hold(&self, id: &ChallengeId, hold: Option<Hold>, deed: &Deed) -> Result<bool>;
    /// Challenges by id, after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn challenges(&self, after: Option<&ChallengeId>, limit: usize) -> Result<Vec<ChallengeRow>>;
    /// Challenges of which there is a version, live or not, by id, after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn published(&self, after: Option<&ChallengeId>, limit: usize) -> Result<Vec<ChallengeId>>;
    /// A version of a challenge, live or not.
    ///
    /// # Errors
    /// [`StoreError`].
    fn version(&self, id: &ChallengeId, version: u32) -> Result<Option<Version>>;

    /// Takes a submission in, or says why not: idempotency key, then a queue that is let run empty, then files that are not
    /// graded again, then open submissions, then quota, all in the
    /// transaction that stores submission, job, ledger and first event. All of it happens at the submission's
    /// `submitted_at`.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of it is acknowledged.
    fn admit(&self, admission: Admission) -> Result<Admitted>;
    /// The submission with the same files that stands for one of `version`, if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn same(&self, ledger: &LedgerKey, files: Digest, version: u32) -> Result<Option<SubmissionId>>;
    /// Changes a job and all that goes with it. A submission that is not there is a conflict.
    ///
    /// # Errors
    /// [`StoreError`].
    fn advance(&self, advance: Advance) -> Result<Advanced>;
    /// Puts entries on boards, outside of a job's end: a board that was defined anew is filled so.
    ///
    /// # Errors
    /// [`StoreError`].
    fn place(&self, placements: Vec<Placement>) -> Result<()>;
    /// What an idempotency key was used for, if it holds at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn idempotent(&self, token: TokenId, key: &str, now: Timestamp) -> Result<Option<(Digest, SubmissionId)>>;
    /// Forgets idempotency keys that no longer hold at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn forget_idempotency(&self, now: Timestamp) -> Result<usize>;

    /// A submission and its job.
    ///
    /// # Errors
    /// [`StoreError`].
    fn submission(&self, id: SubmissionId) -> Result<Option<Tracked>>;
    /// Submissions of a challenge, newest first, below `before`; of one entrant if named.
    ///
    /// # Errors
    /// [`StoreError`].
    fn submissions(
        &self,
        challenge: &ChallengeId,
        entrant: Option<&EntrantId>,
        before: Option<SubmissionId>,
        limit: usize,
    ) -> Result<Vec<Tracked>>;
    /// Submissions whose jobs have not ended, oldest first. For the start and the reaper: along an index of open jobs.
    ///
    /// # Errors
    /// [`StoreError`].
    fn open_jobs(&self) -> Result<Vec<Tracked>>;
    /// Events of a submission, after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn events(&self, id: SubmissionId, after: u64, limit: usize) -> Result<Vec<Event>>;
    /// The report of a submission.
    ///
    /// # Errors
    /// [`StoreError`].
    fn report(&self, id: SubmissionId) -> Result<Option<Body>>;
    /// Bytes that went in as [`Small`].
    ///
    /// # Errors
    /// [`StoreError`].
    fn small(&self, digest: Digest) -> Result<Option<Vec<u8>>>;
    /// The scorer's log of a submission.
    ///
    /// # Errors
    /// [`StoreError`].
    fn log(&self, id: SubmissionId) -> Result<Option<Body>>;
    /// What the run of a submission left.
    ///
    /// # Errors
    /// [`StoreError`].
    fn run_output(&self, id: SubmissionId) -> Result<Option<RunOutput>>;
    /// What an entrant has used in a phase.
    ///
    /// # Errors
    /// [`StoreError`].
    fn ledger(&self, key: &LedgerKey) -> Result<Ledger>;
    /// Gives an entrant so many submissions beyond the rules, and logs that. The ledger after it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn grant(&self, key: &LedgerKey, extra: u32, deed: &Deed) -> Result<Ledger>;
    /// Keeps a web hook, and logs who made it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put_hook(&self, hook: &Hook, deed: &Deed) -> Result<()>;
    /// Removes a web hook, and logs that; `false`: there is none of that id in the challenge.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove_hook(&self, challenge: &ChallengeId, id: HookId, deed: &Deed) -> Result<bool>;
    /// The web hooks of a challenge, by id.
    ///
    /// # Errors
    /// [`StoreError`].
    fn hooks(&self, challenge: &ChallengeId) -> Result<Vec<Hook>>;
    /// Puts a letter with those that wait.
    ///
    /// # Errors
    /// [`StoreError`].
    fn post(&self, letter: Letter) -> Result<()>;
    /// The letter that is due first, and due by `now`, of those that are to none of `but`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn due_letter(&self, now: Timestamp, but: &HashSet<HookId>) -> Result<Option<Letter>>;
    /// A letter becomes `next`, or is gone. One that is gone already stays so.
    ///
    /// # Errors
    /// [`StoreError`].
    fn settle_letter(&self, id: LetterId, next: Option<Letter>) -> Result<()>;
    /// How many letters to a hook wait, and how many were given up; up to `most` of each are counted.
    ///
    /// # Errors
    /// [`StoreError`].
    fn letter_counts(&self, hook: HookId, most: usize) -> Result<(usize, usize)>;
    /// Letters to a hook: those that wait, the one that is due first; then those that were given up, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    fn letters(&self, hook: HookId, limit: usize) -> Result<Vec<Letter>>;
    /// Forgets letters that were given up and are older than `before`. How many.
    ///
    /// # Errors
    /// [`StoreError`].
    fn forget_letters(&self, before: Timestamp) -> Result<usize>;
    /// Keeps a forge that may tell of tags, and logs who made it; `false`: there is one of that name, or there was one of
    /// another kind or at another place, whose people and tags are known by it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put_source(&self, source: &Source, deed: &Deed) -> Result<bool>;
    /// Removes a forge, and logs that; what it told stays. `false`: there is none of that name.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove_source(&self, id: &SourceId, deed: &Deed) -> Result<bool>;
    /// The forge of that name.
    ///
    /// # Errors
    /// [`StoreError`].
    fn source(&self, id: &SourceId) -> Result<Option<Source>>;
    /// All forges, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    fn sources(&self) -> Result<Vec<Source>>;
    /// Keeps pushes, but for those that were told before. Which are new.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of it is acknowledged.
    fn receive(&self, pushes: Vec<Push>) -> Result<Vec<Push>>;
    /// The push of that id.
    ///
    /// # Errors
    /// [`StoreError`].
    fn push(&self, id: PushId) -> Result<Option<Push>>;
    /// The push that told of that object of a tag last.
    ///
    /// # Errors
    /// [`StoreError`].
    fn push_of(&self, tag: &TagKey, object: &ObjectId) -> Result<Option<Push>>;
    /// A push that waits becomes `push`, and its forge is owed an answer from `owed` on; `false`: it does not wait any more.
    ///
    /// # Errors
    /// [`StoreError`].
    fn settle_push(&self, push: &Push, owed: Option<Timestamp>) -> Result<bool>;
    /// What a forge is owed to be told of a push.
    ///
    /// # Errors
    /// [`StoreError`].
    fn owed(&self, id: PushId) -> Result<Option<Owed>>;
    /// All pushes of which a forge is owed something, and from when on.
    ///
    /// # Errors
    /// [`StoreError`].
    fn all_owed(&self) -> Result<Vec<(PushId, Timestamp)>>;
    /// What is owed becomes `next`, or nothing, unless something changed since the change numbered `seen`: then it is owed as
    /// it was, at once. From when on something is owed after it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn settle_owed(&self, id: PushId, seen: u64, next: Option<Owed>) -> Result<Option<Timestamp>>;
    /// Pushes that wait, oldest first, after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn waiting_pushes(&self, after: Option<PushId>, limit: usize) -> Result<Vec<Push>>;
    /// Keeps somebody of a forge who was not known; one who is, with another name. As who they are known from then on;
    /// `None`: the entrant is somebody else of a forge.
    ///
    /// # Errors
    /// [`StoreError`].
    fn know_user(&self, user: &ForgeUser) -> Result<Option<ForgeUser>>;
    /// Somebody of a forge, by what it knows them by.
    ///
    /// # Errors
    /// [`StoreError`].
    fn forge_user(&self, source: &SourceId, id: &str) -> Result<Option<ForgeUser>>;
    /// Makes somebody of a forge, known or not, somebody who is here already, and logs that.
    ///
    /// # Errors
    /// [`StoreError`].
    fn link_user(&self, user: &ForgeUser, deed: &Deed) -> Result<()>;
    /// Who of a forge is known, by what it knows them by, after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn forge_users(&self, source: &SourceId, after: Option<&str>, limit: usize) -> Result<Vec<ForgeUser>>;
    /// Pushes that a forge told of, newest first, below `before`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn pushes(&self, source: &SourceId, before: Option<PushId>, limit: usize) -> Result<Vec<Push>>;
    /// Entries of a board in order, after the key `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn entries(&self, board: &BoardKey, after: Option<&str>, limit: usize) -> Result<Vec<Entry>>;
    /// What an entrant has on a board.
    ///
    /// # Errors
    /// [`StoreError`].
    fn entry(&self, board: &BoardKey, entrant: &EntrantId) -> Result<Option<Entry>>;

    /// Proves that a write gets through now: what readiness asks.
    ///
    /// # Errors
    /// [`StoreError`].
    fn probe(&self) -> Result<()>;
    /// Whether it still takes changes: not after a write failed, nor while it stops. Costs nothing.
    fn is_open(&self) -> bool;
}
