//! What one run of a container may use. An adapter enforces each of these and has no limit of its own.

use super::units::{Bytes, MilliCpus, Millis};
use serde::{Deserialize, Serialize};

/// Limits of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLimits {
    /// Wall time, from the moment that the container has started.
    pub wall: Millis,
    /// CPU time of all processes together.
    pub cpu: Millis,
    /// CPUs at once.
    pub cpus: MilliCpus,
    /// Memory of all processes together, scratch places included; there is no swap. An output place that lies in memory
    /// is added to it.
    pub memory: Bytes,
    /// Processes and threads at once.
    pub pids: u32,
    /// The output place, counted in the blocks that its files fill; holds while the run goes.
    pub output: Bytes,
    /// Files and folders in the output place; holds while the run goes.
    pub files: u32,
    /// Standard output and error together; cut in the middle, never a failure.
    pub log: Bytes,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self {
            wall: Millis(600_000),
            cpu: Millis(600_000),
            cpus: MilliCpus(1_000),
            memory: Bytes(1 << 30),
            pids: 256,
            output: Bytes(256 << 20),
            files: 10_000,
            log: Bytes(1 << 20),
        }
    }
}

impl RunLimits {
    /// The highest that a task may ask for.
    pub const MOST: Self = Self {
        wall: Millis(24 * 3_600_000),
        cpu: Millis(64 * 24 * 3_600_000),
        cpus: MilliCpus(64_000),
        memory: Bytes(256 << 30),
        pids: 32_768,
        output: Bytes(64 << 30),
        files: 1_000_000,
        log: Bytes(64 << 20),
    };
}
