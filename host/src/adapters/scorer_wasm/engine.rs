//! The engine: what makes two runs of a scorer the same, and what ends one that would not end.
//!
//! It knows no run and no component. All that could differ between two machines and show in a result is set here:
//! NaN bits, instructions that the standard leaves open, fuel, the stack. What may differ between machines (CPU
//! features, where memories lie) is in [`build`], which names compiled code and nothing else.

use gradus_core::domain::limits::Limits;
use sha2::{Digest as _, Sha256};
use std::hash::{Hash, Hasher};
use std::thread;
use std::time::Duration;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, Memory, MemoryType, PoolingAllocationConfig, Result, Store,
    WasmBacktraceDetails,
};

/// How often a running guest looks up: whether it was stopped, and whether its time is over.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// Stack of a guest, bytes.
pub(super) const STACK: usize = 512 << 10;
/// Elements of all tables of one run.
pub(super) const TABLE_ELEMENTS: usize = 100_000;
/// Core instances, memories and tables of one run. A component of any language's tools has one memory and a handful of
/// tables; the pool has room for this many in every slot, so that no run can take another's.
pub(super) const INSTANCES: usize = 64;
pub(super) const MEMORIES: usize = 4;
pub(super) const TABLES: usize = 16;

/// All semantics that a result depends on. Fuel counts under the same text are comparable.
pub(super) const SEMANTICS: &str = "wasmtime 48.0.8 fuel=48-default nan=canonical simd=strict stack=512KiB \
     memory=32bit clock=virtual random=chacha20";

/// Where memories and stacks of guests come from. No result depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allocation {
    /// Reserved once, for so many runs at a time: the fastest.
    Pooling(u32),
    /// Mapped for each run.
    OnDemand,
    /// As little address space as can be, at the price of bounds checks in the code: for `ulimit -v` and the like.
    Frugal,
}

/// A running engine: pooling when there is the address space for it.
pub(super) fn start(slots: usize) -> Result<(Engine, Allocation)> {
    let slots = u32::try_from(slots.clamp(1, 256))?;
    let mut last = None;
    for allocation in [Allocation::Pooling(slots), Allocation::OnDemand, Allocation::Frugal] {
        match Engine::new(&config(allocation)).and_then(|engine| probe(&engine).map(|()| engine)) {
            Ok(engine) => {
                ticker(&engine)?;
                return Ok((engine, allocation));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| wasmtime::format_err!("no way to allocate was tried")))
}

/// Whether a memory can be had: one that is not reserved by the engine is mapped only now.
fn probe(engine: &Engine) -> Result<()> {
    let mut store = Store::new(engine, ());
    Memory::new(&mut store, MemoryType::new(1, None)).map(drop)
}

/// Settings that no compiled code depends on but by [`Allocation::Frugal`] are those of the pool.
pub(super) fn config(allocation: Allocation) -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .concurrency_support(false)
        .max_wasm_stack(STACK)
        .async_stack_size(2 * STACK)
        .async_stack_zeroing(true)
        // By default an environment variable decides.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    match allocation {
        Allocation::Pooling(slots) => {
            let mut pool = PoolingAllocationConfig::new();
            // What one run may have of each, its limiter says, the same wherever memories lie. These are mostly address
            // space: 4 GiB for a memory, 800 KiB for a table, nothing for an instance.
            pool.total_component_instances(slots)
                .total_core_instances(slots * INSTANCES as u32)
                .total_memories(slots * MEMORIES as u32)
                .total_tables(slots * TABLES as u32)
                .total_stacks(slots)
                .max_tables_per_module(TABLES as u32)
                .max_component_instance_size(4 << 20)
                .max_core_instance_size(4 << 20)
                .max_memory_size(usize::try_from(Limits::MOST.memory.0).unwrap_or(usize::MAX))
                .table_elements(TABLE_ELEMENTS)
                // What a small run touches stays mapped, and is zeroed instead of given back.
                .linear_memory_keep_resident(4 << 20)
                .pagemap_scan(wasmtime::Enabled::Auto)
                .table_keep_resident(16 << 10)
                .async_stack_keep_resident(32 << 10);
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        }
        Allocation::OnDemand => {
            config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        }
        Allocation::Frugal => {
            config
                .allocation_strategy(InstanceAllocationStrategy::OnDemand)
                .memory_reservation(0)
                .memory_reservation_for_growth(16 << 20)
                .memory_guard_size(1 << 16);
        }
    }
    config
}

/// Names the code that this engine compiles: version, semantics, CPU features, settings of the compiler.
pub(super) fn build(engine: &Engine) -> String {
    let mut hasher = Fingerprint(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hex::encode(&hasher.0.finalize()[..8])
}

/// A stable hasher: that of the standard library may change between releases.
struct Fingerprint(Sha256);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let bytes = self.0.clone().finalize();
        bytes[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}

/// Makes guests look up, as long as the engine lives.
fn ticker(engine: &Engine) -> Result<()> {
    let weak = engine.weak();
    let run = move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    };
    thread::Builder::new().name("scorer-ticks".into()).spawn(run)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_names_the_engine_that_is_linked() {
        let lock = include_str!("../../../../Cargo.lock");
        let (_, rest) = lock.split_once("name = \"wasmtime\"\nversion = \"").unwrap();
        let (version, _) = rest.split_once('"').unwrap();
        assert!(SEMANTICS.starts_with(&format!("wasmtime {version} ")), "{version}");
        assert!(SEMANTICS.contains(&format!("stack={}KiB", STACK >> 10)) && !SEMANTICS.contains("  "));
    }

    #[test]
    fn the_build_is_the_same_wherever_memories_lie_and_frugal_is_another() {
        let build_of = |allocation| build(&Engine::new(&config(allocation)).unwrap());
        assert_eq!(build_of(Allocation::Pooling(1)), build_of(Allocation::OnDemand), "a child compiles for the pool");
        assert_ne!(build_of(Allocation::OnDemand), build_of(Allocation::Frugal));
    }

    /// Runs that take all that a run may have leave room for one another. Without a limiter, as the pool alone is asked.
    #[test]
    fn a_run_cannot_take_what_is_for_others() {
        use wasmtime::component::{Component, Linker};
        let (slots, modules) = (3, TABLES / MEMORIES);
        let engine = Engine::new(&config(Allocation::Pooling(slots))).unwrap();
        let tables = "(table 1 funcref)".repeat(modules);
        let filled =
            format!("(core module $f (memory 1) {tables})") + &"(core instance (instantiate $f))".repeat(MEMORIES);
        let empty = "(core instance (instantiate $e))".repeat(INSTANCES - MEMORIES);
        let greedy = wat::parse_str(format!("(component {filled} (core module $e) {empty})")).unwrap();
        let greedy = Component::new(&engine, greedy).unwrap();
        let mut held = Vec::new();
        let mut take = || {
            let mut store = Store::new(&engine, ());
            store.set_fuel(1_000_000).unwrap();
            store.set_epoch_deadline(1 << 30);
            let taken = Linker::new(&engine).instantiate(&mut store, &greedy);
            held.push(store);
            taken.map(drop)
        };
        (0..slots).for_each(|_| take().unwrap());
        assert!(take().unwrap_err().is::<wasmtime::PoolConcurrencyLimitError>());
    }

    #[test]
    fn the_most_slots_can_be_had() {
        let engine = Engine::new(&config(Allocation::Pooling(256)));
        assert!(engine.is_ok(), "{:?}", engine.err());
    }

    #[test]
    fn the_ticker_ends_with_its_engine() {
        let (engine, _) = start(1).unwrap();
        let weak = engine.weak();
        drop(engine);
        let gone = (0..500).any(|_| {
            thread::sleep(TICK);
            weak.upgrade().is_none()
        });
        assert!(gone);
    }
}
