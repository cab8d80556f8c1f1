//! What forges are told. Blocks: called from threads that may.

use crate::domain::answer::CommitStatus;
use crate::domain::forge::{ObjectId, Project, Source, TagName};
use crate::domain::hook::Secret;
use jiff::SignedDuration;

/// Which commit a status is of.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    /// Where.
    pub project: &'a Project,
    /// Which.
    pub id: &'a ObjectId,
    /// The tag that it was pushed as.
    pub tag: &'a TagName,
    /// What the status is called: one of each name stands.
    pub name: &'a str,
}

/// Why a forge was not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// What was wrong, for the operator.
    pub why: String,
    /// The forge takes nothing at the moment, and not only not this.
    pub whole: bool,
    /// How long it asks us to wait.
    pub after: Option<SignedDuration>,
}

/// Tells forges.
pub trait ForgeApi: Send + Sync {
    /// Gives a commit a status. Giving it one that it has is no error.
    ///
    /// # Errors
    /// [`Untold`].
    fn set_status(&self, source: &Source, commit: Commit<'_>, status: &CommitStatus) -> Result<(), Untold>;

    /// Has a forge send hooks of all its projects to `url`, proved with `secret`; one that it sends there already is changed.
    ///
    /// # Errors
    /// [`Untold`].
    fn register(&self, source: &Source, url: &str, secret: &Secret) -> Result<(), Untold>;
}
