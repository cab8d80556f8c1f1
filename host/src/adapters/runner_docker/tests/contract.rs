//! The port's contract, on the engine.

use super::support::Real;
use gradus_core::testing::runner_contract;

#[test]
fn it_keeps_the_contract() {
    if Real::new().is_some() {
        // Each property gets a data folder of its own, and leaves nothing in it.
        runner_contract::all(&|| Real::new().unwrap());
    }
}
