//! In-memory ports, and the contract tests that they and every adapter pass.

pub mod blobs_contract;
pub mod fake_clock;
pub mod fake_runner;
pub mod fake_scorer;
pub mod memory_blobs;
pub mod memory_store;
pub mod runner_contract;
pub mod store_contract;
