//! WASI with nothing granted, and nothing in it that differs between two runs.
//!
//! A component that a common toolchain made imports WASI whether it uses it or not, so all of it is linked: no
//! directory, no environment, no argument, no socket, no name look-up; standard input is closed. The wall clock stands
//! still. The monotonic clock is virtual: it moves when the guest waits, and waiting is over at once. So a wait can be
//! no way around the limits, and racing a wait against a loop can measure no time.

use super::log_sink::LogSink;
use super::run::State;
use gradus_core::domain::digest::Digest;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::time::Duration;
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// 2026-01-01T00:00:00Z: a date at which the certificates and file times that a guest may compare with are plausible.
const NOW: Duration = Duration::from_secs(1_767_225_600);
/// Random bytes of one call.
const MAX_RANDOM: u64 = 1 << 20;

/// Adds all of WASI 0.2 to `linker`.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<State, VirtualClock>(linker, |state| ClockView {
        now: &mut state.clock,
        table: &mut state.table,
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// What one run sees of WASI. `seed` decides all of its randomness.
pub(super) fn context(seed: Digest, log: LogSink) -> WasiCtx {
    let mut secure = ChaCha20Rng::from_seed(*seed.as_bytes());
    let insecure = ChaCha20Rng::seed_from_u64(secure.next_u64());
    let hash_seed = u128::from(secure.next_u64()) << 64 | u128::from(secure.next_u64());
    WasiCtxBuilder::new()
        .secure_random(secure)
        .insecure_random(insecure)
        .insecure_random_seed(hash_seed)
        .max_random_size(MAX_RANDOM)
        .wall_clock(Still)
        .stdout(log.clone())
        .stderr(log)
        .build()
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// A wall clock that stands still.
struct Still;

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        NOW
    }
}

struct VirtualClock;

impl HasData for VirtualClock {
    type Data<'a> = ClockView<'a>;
}

/// The virtual clock of a run, nanoseconds.
struct ClockView<'a> {
    now: &'a mut u64,
    table: &'a mut ResourceTable,
}

impl monotonic_clock::Host for ClockView<'_> {
    fn now(&mut self) -> Result<u64> {
        Ok(*self.now)
    }

    fn resolution(&mut self) -> Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> Result<Resource<DynPollable>> {
        *self.now = (*self.now).max(when);
        let over = self.table.push(Over)?;
        subscribe(self.table, over)
    }

    fn subscribe_duration(&mut self, duration: u64) -> Result<Resource<DynPollable>> {
        self.subscribe_instant(self.now.saturating_add(duration))
    }
}

/// A wait that is over.
struct Over;

#[wasmtime_wasi::async_trait]
impl Pollable for Over {
    async fn ready(&mut self) {}
}
