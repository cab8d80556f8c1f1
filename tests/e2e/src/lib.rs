//! What end-to-end tests stand on: the real binary, a server of its own for each test, and plain HTTP.
//!
//! Uses nothing of the host's crates: what a test sees is what a user sees.

mod forge;
pub mod git;
mod gradus;
mod guest;
mod http;
pub mod images;
mod kept;
pub mod lab;
mod own_engine;
pub mod programs;
mod raw;
pub mod rows;
mod server;
pub mod tags;
mod zip;

pub use forge::{Forge, NEW, object};
pub use gradus::{Ran, example, gradus, root, run, skip, until};
pub use guest::{misbehaving, misbehaving_challenge};
pub use http::{Answer, Api};
pub use kept::{Kept, variant, wide};
pub use own_engine::OwnEngine;
pub use raw::Raw;
pub use server::{Options, Server, size_of, unpaced};
pub use zip::zip;
