//! What every [`Store`] does. Each property gets a fresh store.

#![allow(clippy::unwrap_used, reason = "a contract is a test: what it does not expect ends it")]

pub mod rows;

mod admission;
mod boards;
mod forges;
mod hooks;
mod jobs;
mod lists;
mod publication;

use crate::ports::store::Store;

/// Checks all of it; `make` gives stores that hold nothing.
///
/// # Panics
/// A property does not hold.
pub fn all(make: &dyn Fn() -> Box<dyn Store>) {
    let rooms = [admission::ALL, jobs::ALL, boards::ALL, publication::ALL, lists::ALL, hooks::ALL, forges::ALL];
    for property in rooms.into_iter().flatten() {
        property(&*make());
    }
}

type Property = fn(&dyn Store);
