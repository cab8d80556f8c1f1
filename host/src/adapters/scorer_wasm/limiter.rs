//! Memory, tables and instances of one run: counted over all of them, and ended in a way that can be told from a crash.
//!
//! A memory that may not grow ends the run with [`Halt`], as a plain "no" would reach the guest's allocator and come
//! back as an `unreachable` that says nothing.

use super::engine::{INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES};
use gradus_core::domain::report::LimitKind;
use wasmtime::{Error, ResourceLimiter, Result};

/// Why the host ended a run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Halt {
    /// A limit was reached.
    #[error("a limit was reached: {limit:?}, {used} of {allowed}")]
    Limit { limit: LimitKind, used: u64, allowed: u64 },
    /// It was stopped from outside.
    #[error("the run was stopped")]
    Stopped,
    /// We could not do our part.
    #[error("{0}")]
    Platform(&'static str, #[source] Option<Box<dyn std::error::Error + Send + Sync>>),
}

/// What a run holds, and the most it held.
#[derive(Debug)]
pub(super) struct Meter {
    allowed: u64,
    memory: u64,
    elements: usize,
}

impl Meter {
    /// Lets a run have `allowed` bytes of linear memory.
    pub(super) fn new(allowed: u64) -> Self {
        Self { allowed, memory: 0, elements: 0 }
    }

    /// The most memory that it had, bytes. Memories never shrink, so it is what it has.
    pub(super) fn peak(&self) -> u64 {
        self.memory
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let wanted = self.memory + (desired - current) as u64;
        if wanted > self.allowed {
            return Err(Halt::Limit { limit: LimitKind::Memory, used: wanted, allowed: self.allowed }.into());
        }
        // Over what the module itself declares: the instruction gives -1, as the standard has it.
        let fits = maximum.is_none_or(|maximum| desired <= maximum);
        if fits {
            self.memory = wanted;
        }
        Ok(fits)
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        // Allowed by all limits, and yet not to be had: a guest that saw -1 would give another result than elsewhere.
        Err(Halt::Platform("memory for the scorer", Some(error.into())).into())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let wanted = self.elements.saturating_add(desired - current);
        if wanted > TABLE_ELEMENTS {
            let (used, allowed) = (wanted as u64, TABLE_ELEMENTS as u64);
            return Err(Halt::Limit { limit: LimitKind::Handles, used, allowed }.into());
        }
        let fits = maximum.is_none_or(|maximum| desired <= maximum);
        if fits {
            self.elements = wanted;
        }
        Ok(fits)
    }

    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        Err(Halt::Platform("a table for the scorer", Some(error.into())).into())
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_summed_and_over_the_limit_is_an_error() {
        let mut meter = Meter::new(100);
        assert!(meter.memory_growing(0, 60, None).unwrap());
        assert!(!meter.memory_growing(60, 70, Some(65)).unwrap(), "the module's own maximum");
        assert!(meter.memory_growing(0, 40, None).unwrap(), "a second memory");
        assert_eq!(meter.peak(), 100);
        let error = meter.memory_growing(40, 41, None).unwrap_err();
        let halt = error.downcast_ref::<Halt>().unwrap();
        assert!(matches!(halt, Halt::Limit { limit: LimitKind::Memory, used: 101, allowed: 100 }));
        assert_eq!(meter.peak(), 100);
    }
}
