//! The runner against the real engine, with programs that do their worst. After each, nothing of it is left.
//!
//! They need root, a container engine, and what `tests/images/build.sh` needs. Where that is missing they say so and
//! skip; with `CI=true` they fail.

mod beside;
mod bombs;
mod contract;
mod cost;
mod ends;
mod fetching;
mod outputs;
mod places;
mod support;
mod sweeping;
mod walls;
