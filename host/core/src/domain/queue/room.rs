//! A part of the machine: what runs take of it, and what there is.

use super::super::run_limits::RunLimits;
use super::super::units::{Bytes, MilliCpus};

/// Output places up to this size lie in memory, on top of a run's own.
pub const IN_MEMORY: Bytes = Bytes(256 << 20);

/// A part of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// CPUs.
    pub cpus: MilliCpus,
    /// Memory.
    pub memory: Bytes,
    /// Disk, for outputs that do not lie in memory.
    pub disk: Bytes,
    /// GPUs, each of one run's alone.
    pub gpus: u32,
}

impl Room {
    /// The whole of it, however much that is.
    pub const ALL: Self =
        Self { cpus: MilliCpus(u64::MAX), memory: Bytes(u64::MAX), disk: Bytes(u64::MAX), gpus: u32::MAX };

    /// What a run with these limits may use.
    pub fn of(limits: &RunLimits) -> Self {
        // A small output place lies in memory, too.
        let (output, disk) = if limits.output <= IN_MEMORY { (limits.output.0, 0) } else { (0, limits.output.0) };
        Self { cpus: limits.cpus, memory: Bytes(limits.memory.0.saturating_add(output)), disk: Bytes(disk), gpus: 0 }
    }

    /// Whether `other` is no more than this.
    pub fn holds(self, other: Self) -> bool {
        other.cpus <= self.cpus && other.memory <= self.memory && other.disk <= self.disk && other.gpus <= self.gpus
    }

    pub(super) fn with(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }

    pub(super) fn without(self, other: Self) -> Self {
        self.each(other, u64::saturating_sub)
    }

    pub(super) fn least(self, other: Self) -> Self {
        self.each(other, u64::min)
    }

    fn each(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            cpus: MilliCpus(of(self.cpus.0, other.cpus.0)),
            memory: Bytes(of(self.memory.0, other.memory.0)),
            disk: Bytes(of(self.disk.0, other.disk.0)),
            gpus: u32::try_from(of(self.gpus.into(), other.gpus.into())).unwrap_or(u32::MAX),
        }
    }
}

impl Room {
    /// In words: what of `asked` is more than this, and what there is of that. `None`: it fits.
    pub fn lacks(self, asked: Self) -> Option<(String, String)> {
        let words = |of: Self| {
            [
                (asked.cpus > self.cpus, format!("{} CPUs", of.cpus)),
                (asked.memory > self.memory, format!("{} of memory", of.memory)),
                (asked.disk > self.disk, format!("{} of disk", of.disk)),
                (asked.gpus > self.gpus, format!("{} GPU{}", of.gpus, if of.gpus == 1 { "" } else { "s" })),
            ]
            .into_iter()
            .filter_map(|(over, words)| over.then_some(words))
            .collect::<Vec<_>>()
            .join(", ")
        };
        (!self.holds(asked)).then(|| (words(asked), words(self)))
    }
}
