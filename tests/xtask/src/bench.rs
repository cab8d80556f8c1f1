//! `cargo xtask bench`: figures and ratios of a release build. Asserts nothing; a noisy machine is no failure.

use super::{Failure, cargo, setup};

/// Builds for release and runs the benchmark program of `tests/e2e`.
pub fn run(words: &[String]) -> Result<(), Failure> {
    setup::wasm_target()?;
    super::run(&mut cargo(&["build", "--release", "--package", "gradus"]))?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let bench = ["run", "--release", "--package", "gradus-e2e", "--features", "bench", "--bin", "bench", "--"];
    super::run(cargo(&bench).args(words))
}
