//! What the core needs from the outside, in the core's words. No adapter's type occurs in a signature.
//!
//! A port is added with its first adapter: those of the lanes that do not exist yet are not here.

pub mod blobs;
pub mod clock;
pub mod courier;
pub mod forge_api;
pub mod git;
pub mod runner;
pub mod scorer;
pub mod signals;
pub mod store;

/// An error and its causes, for the operator's log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
