//! Repositories at forges, of which tags are fetched. Blocks: called from threads that may.

use super::blobs::Part;
use crate::domain::digest::Digest;
use crate::domain::forge::{Access, ObjectId, TagName};
use std::sync::atomic::AtomicBool;

/// What is to be fetched.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Where the repository is.
    pub url: &'a str,
    /// Who we are there; none: whoever comes.
    pub access: Option<&'a Access>,
    /// Whether it may be at an address of a private network, or of this machine.
    pub private: bool,
    /// Which tag.
    pub tag: &'a TagName,
    /// What it was when we were told of it.
    pub object: &'a ObjectId,
}

/// What a tag holds.
#[derive(Debug)]
pub struct Fetched {
    /// The commit that it is.
    pub commit: ObjectId,
    /// Its files. Links are files with what they lead to; submodules are left out.
    pub parts: Vec<Part>,
    /// How many bytes came, and their digest.
    pub came: (u64, Digest),
    /// What whoever pushed should know of it.
    pub notes: Vec<String>,
}

/// Why there is nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotFetched {
    /// It is the repository's doing: another try would end the same.
    Refused {
        /// The stable code.
        code: String,
        /// What is wrong and what to do, for whoever pushed.
        reason: String,
        /// The commit that it is, if that was seen.
        commit: Option<ObjectId>,
    },
    /// It is ours, or the forge's: it is tried again. For the operator.
    Trouble(String),
    /// It took too long, which may be the repository's doing: it is tried again a few times. For the operator.
    Late(String),
    /// It was told to stop.
    Stopped,
}

/// What fetches.
pub trait Git: Send + Sync {
    /// Fetches a tag, unless it is told to `stop` meanwhile.
    ///
    /// # Errors
    /// [`NotFetched`].
    fn fetch(&self, wanted: &Wanted<'_>, stop: &AtomicBool) -> Result<Fetched, NotFetched>;
}
