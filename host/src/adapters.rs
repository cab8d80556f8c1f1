//! The ports, on real things. An adapter knows its port and the domain, and no other adapter.

pub mod blobs_fs;
pub mod clock_os;
pub mod courier_http;
pub mod forge_git;
pub mod forge_http;
pub mod runner_docker;
pub mod scorer_wasm;
pub mod store_sled;
