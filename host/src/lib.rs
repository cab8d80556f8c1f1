//! The host of Gradus: adapters to the outside, the HTTP server, the workers and the command line.
//!
//! Architecture invariants, kept by the tidy test in `tests/e2e`:
//!
//! * The word sled occurs in `adapters/store_sled` only, wasmtime in `adapters/scorer_wasm` only, bollard in
//!   `adapters/runner_docker` only, gix in `adapters/forge_git` only.
//! * No code here decides what the core can: handlers parse, call one use case and map.
//! * Only `config` and the command line read the environment; only `main` and `wiring` point at adapters.
//! * Participants' bytes never touch a path that their names could choose.

pub mod adapters;
pub mod backup;
pub mod cli;
pub mod client;
pub mod config;
pub mod disk;
pub mod http;
pub mod live;
mod outside;
pub mod serve;
pub mod sink;
pub mod wiring;
pub mod worker;
pub mod workspace;
