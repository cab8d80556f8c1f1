//! What one run of a scorer may use. An adapter enforces each of these and has no limit of its own.

use super::units::{Bytes, Fuel, Millis};
use serde::{Deserialize, Serialize};

/// Limits of one scorer run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Fuel: deterministic, the limit that normally holds.
    pub fuel: Fuel,
    /// Linear memory, all memories of the component together.
    pub memory: Bytes,
    /// Wall time: the backstop. Not deterministic, so never final on the first try.
    pub wall: Millis,
    /// The scores and cases that the scorer returns, as JSON.
    pub report: Bytes,
    /// Its standard output and error together; cut in the middle, never a failure.
    pub log: Bytes,
    /// Text of all notes together; what is over it is dropped.
    pub notes: Bytes,
    /// Bytes of all attachments together.
    pub attachments: Bytes,
}

/// Attachments of one run, at most.
pub const MAX_ATTACHMENTS: usize = 32;
/// Cases of one report, at most.
pub const MAX_CASES: usize = 100_000;
/// A component, at most; bigger ones are refused before anything looks into them.
pub const MAX_COMPONENT: Bytes = Bytes(32 << 20);

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: Fuel(50_000_000_000),
            memory: Bytes(512 << 20),
            wall: Millis(30_000),
            report: Bytes(4 << 20),
            log: Bytes(256 << 10),
            notes: Bytes(64 << 10),
            attachments: Bytes(16 << 20),
        }
    }
}

impl Limits {
    /// The highest that a task may ask for.
    pub const MOST: Self = Self {
        fuel: Fuel(10_000_000_000_000),
        memory: Bytes(4 << 30),
        wall: Millis(3_600_000),
        report: Bytes(64 << 20),
        log: Bytes(16 << 20),
        notes: Bytes(1 << 20),
        attachments: Bytes(256 << 20),
    };

    /// What `validate` gets at the door: small, as it runs before the submission counts.
    pub fn at_the_door(self) -> Self {
        self.within(2_000)
    }

    /// What `describe` gets.
    pub fn to_describe(self) -> Self {
        self.within(5_000)
    }

    /// What a run gets that anyone may cause and that makes no report, for `wall` milliseconds at most. Nobody would see
    /// what it attached.
    fn within(self, wall: u64) -> Self {
        Self {
            fuel: Fuel(self.fuel.0.min(1_000_000_000)),
            memory: Bytes(self.memory.0.min(512 << 20)),
            wall: Millis(self.wall.0.min(wall)),
            report: Bytes(self.report.0.min(1 << 20)),
            log: Bytes(self.log.0.min(64 << 10)),
            notes: Bytes(self.notes.0.min(64 << 10)),
            attachments: Bytes(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anyone_may_cause_has_small_limits() {
        for small in [Limits::MOST.at_the_door(), Limits::MOST.to_describe()] {
            let bytes = [small.memory, small.report, small.log, small.notes, small.attachments].map(|bytes| bytes.0);
            assert_eq!(bytes, [512 << 20, 1 << 20, 64 << 10, 64 << 10, 0]);
            assert!(small.fuel.0 == 1_000_000_000 && small.wall.0 <= 5_000);
        }
        let mine = Limits { memory: Bytes(1 << 16), log: Bytes(7), ..Limits::default() };
        assert_eq!((mine.at_the_door().memory, mine.to_describe().log), (mine.memory, mine.log));
    }
}
