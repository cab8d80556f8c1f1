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
        Self {
            fuel: Fuel(self.fuel.0.min(1_000_000_000)),
            wall: Millis(self.wall.0.min(2_000)),
            memory: Bytes(self.memory.0.min(512 << 20)),
            ..self
        }
    }

    /// What `describe` gets.
    pub fn to_describe(self) -> Self {
        Self { fuel: Fuel(self.fuel.0.min(1_000_000_000)), wall: Millis(self.wall.0.min(5_000)), ..self }
    }
}
