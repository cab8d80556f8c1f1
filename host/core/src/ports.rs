//! What the core needs from the outside, in the core's words. No adapter's type occurs in a signature.
//!
//! A port is added with its first adapter: those of the lanes that do not exist yet are not here.

pub mod blobs;
pub mod clock;
pub mod scorer;
pub mod signals;
pub mod store;
