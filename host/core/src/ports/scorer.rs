//! Running an organizer's scorer. Synchronous: called from threads that do nothing else.

use super::blobs::ReadAt;
use crate::domain::digest::Digest;
use crate::domain::limits::Limits;
use crate::domain::metric::Description;
use crate::domain::report::{Attachment, Audience, Case, Cost, LimitKind, Note, Problems, Score};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A file that a scorer can read.
#[derive(Clone)]
pub struct InputFile {
    /// Its path in its tree.
    pub path: String,
    /// Its bytes.
    pub bytes: Arc<dyn ReadAt>,
}

/// What one run reads, and what it may use.
#[derive(Clone)]
pub struct Run {
    /// The component, by its digest; it was admitted before.
    pub component: Digest,
    /// Gives the component's bytes when no compiled form is at hand.
    pub source: Arc<dyn ReadAt>,
    /// Sorted by path.
    pub predictions: Vec<InputFile>,
    /// Sorted by path.
    pub template: Vec<InputFile>,
    /// Sorted by path; empty while validating.
    pub reference: Vec<InputFile>,
    /// A JSON object.
    pub params: String,
    /// Digest of the predictions: with the component's, the seed of the guest's randomness.
    pub seed: Digest,
    /// What it may use.
    pub limits: Limits,
    /// Set from outside to stop it: the outcome is then [`Ended::Stopped`].
    pub stop: Arc<AtomicBool>,
}

/// How the guest's call ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended<T> {
    /// It returned.
    Value(T),
    /// It returned `invalid-submission`.
    InvalidSubmission(Problems),
    /// It returned `invalid-challenge`.
    InvalidChallenge(String),
    /// It trapped, left early, or returned what is no report. The text is for organizers.
    Failed(String),
    /// A limit was reached.
    Limit {
        /// Which.
        limit: LimitKind,
        /// What was used.
        used: u64,
        /// What was allowed.
        allowed: u64,
    },
    /// `stop` was set.
    Stopped,
}

/// What a report from a guest holds, before it is checked against the description.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Returned {
    /// The scores.
    pub scores: Vec<Score>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// An attachment and its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Attached {
    /// Name, type, audience, digest.
    pub about: Attachment,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// All that a run left.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran<T> {
    /// How it ended.
    pub ended: Ended<T>,
    /// What it used.
    pub cost: Cost,
    /// Standard output and error, capped.
    pub log: Vec<u8>,
    /// Notes, in order.
    pub notes: Vec<Note>,
    /// Attachments, in order.
    pub attachments: Vec<Attached>,
}

/// What a scorer says while it runs.
pub trait Listener: Send {
    /// It is at step `done` of `total`.
    fn progress(&mut self, done: u64, total: u64);
    /// It said something. What is kept of it comes with [`Ran`].
    fn note(&mut self, to: Audience, text: &str) {
        let _ = (to, text);
    }
}

/// Nobody listens.
impl Listener for () {
    fn progress(&mut self, _done: u64, _total: u64) {}
}

/// Why a component is not taken as a scorer. Authors read this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The component is not one to run.
    #[error("{0}")]
    Component(String),
    /// The scorer does not take the parameters.
    #[error("{0}")]
    Params(String),
}

/// We could not do our part. Retried.
#[derive(Debug, thiserror::Error)]
#[error("the scorer could not be run: {what}")]
pub struct ScorerError {
    /// What we were about.
    pub what: String,
    /// Why it did not work.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Runs scorers.
pub trait Scorer: Send + Sync {
    /// The engine's fingerprint: version, semantic flags, cost table. The same everywhere for the same bits.
    fn engine(&self) -> String;

    /// Looks a component over, compiles it, and lets it describe itself under `params`.
    ///
    /// # Errors
    /// The outer one is ours, the inner one the component's.
    fn admit(
        &self,
        component: &[u8],
        params: &str,
        limits: &Limits,
    ) -> Result<Result<Description, NotAdmitted>, ScorerError>;

    /// The format check: predictions and template, no reference data.
    ///
    /// # Errors
    /// We could not do our part.
    fn validate(&self, run: &Run) -> Result<Ran<()>, ScorerError>;

    /// Scores.
    ///
    /// # Errors
    /// We could not do our part.
    fn score(&self, run: &Run, listener: &mut dyn Listener) -> Result<Ran<Returned>, ScorerError>;
}
