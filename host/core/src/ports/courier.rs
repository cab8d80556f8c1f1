//! Takes letters to web hooks.

use crate::domain::hook::{Hook, Letter};
use jiff::{SignedDuration, Timestamp};

/// Why a letter did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// In words for the organizer.
    pub text: String,
    /// When the other side wants to be asked again, if it said so.
    pub after: Option<SignedDuration>,
    /// Whether it said that it never wants to be asked again.
    pub gone: bool,
}

/// Takes letters to web hooks.
pub trait Courier: Send + Sync {
    /// Whether a hook may be at `url`; why not, in words for the organizer.
    ///
    /// # Errors
    /// Why not.
    fn may_be_at(&self, url: &str) -> Result<(), String>;

    /// Takes a letter there, signed as of `now`. Blocks, for a bounded time.
    ///
    /// # Errors
    /// It was not taken.
    fn deliver(&self, hook: &Hook, letter: &Letter, now: Timestamp) -> Result<(), Undelivered>;
}
