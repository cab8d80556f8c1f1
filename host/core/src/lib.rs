//! What Gradus decides: the domain, the ports to the outside and the use cases.
//!
//! Architecture invariants, kept by the tidy test in `tests/e2e`:
//!
//! * There is no clock, no randomness and no I/O here: time and ids come in as arguments, bytes through ports. The same
//!   input gives the same output.
//! * Nothing here knows sled, wasmtime, Docker, HTTP or an async runtime.
//! * `domain` points at nothing, `ports` at `domain`, `app` at both. An adapter never decides what `domain` can.

pub mod app;
pub mod domain;
pub mod ports;
#[cfg(feature = "testing")]
pub mod testing;
