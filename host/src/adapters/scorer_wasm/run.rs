//! One run: a fresh store, one call, and what is left of it.
//!
//! A store is never used twice: after a trap a component may not be entered again, and what one submission leaves in a
//! memory is no other submission's business.

use super::bindings::{Scorer, ScorerPre};
use super::data::Input;
use super::engine::TICK;
use super::feedback::Feedback;
use super::limiter::{Halt, Meter};
use super::log_sink::LogSink;
use super::outcome::Stage;
use super::{outcome, wasi};
use gradus_core::domain::digest::{Digest, Hasher};
use gradus_core::domain::limits::Limits;
use gradus_core::domain::report::{Cost, LimitKind};
use gradus_core::ports::scorer::{Ended, Listener, Ran, Run, ScorerError};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use wasmtime::component::ResourceTable;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::WasiCtx;

/// Handles that a guest may hold, beside two for each file.
pub(super) const HANDLES: usize = 16 << 10;

/// Bytes that any call to the host may carry, whatever the task's caps: up to here, an attachment that is too large is
/// answered in words. The SDK hands over no larger one.
const HOSTCALL: u64 = 16 << 20;

/// All that a store holds.
pub(super) struct State {
    pub(super) input: Input,
    pub(super) feedback: Feedback,
    pub(super) meter: Meter,
    pub(super) table: ResourceTable,
    pub(super) wasi: WasiCtx,
    pub(super) clock: u64,
    log: LogSink,
}

/// What one run reads and may use, in the engine's own terms.
pub(super) struct Task<'a> {
    pub(super) input: Input,
    pub(super) seed: Digest,
    pub(super) limits: &'a Limits,
    pub(super) stop: Arc<AtomicBool>,
}

impl<'a> Task<'a> {
    /// Of `run`; with the reference data or, to validate, without.
    pub(super) fn of(run: &'a Run, reference: bool) -> Self {
        let reference = if reference { run.reference.clone() } else { Vec::new() };
        let trees = [run.predictions.clone(), run.template.clone(), reference];
        let mut seed = Hasher::default();
        seed.update(run.component.as_bytes());
        seed.update(run.seed.as_bytes());
        Self {
            input: Input { trees, params: run.params.clone() },
            seed: seed.finish(),
            limits: &run.limits,
            stop: Arc::clone(&run.stop),
        }
    }
}

/// Runs `call` in a fresh store of its own, within the limits of `task`.
///
/// Blocks this thread, which must be no thread of an asynchronous runtime.
pub(super) fn run<T>(
    scorer: &ScorerPre<State>,
    task: Task<'_>,
    listener: &mut dyn Listener,
    call: impl AsyncFnOnce(&Scorer, &mut Store<State>) -> wasmtime::Result<Ended<T>>,
) -> Result<Ran<T>, ScorerError> {
    let limits = task.limits;
    let wall = limits.wall.duration();
    let (mut store, hostcall_bytes) = store(scorer, task, wall)?;
    let events = store.data().feedback.events.clone();
    let started = Instant::now();
    let result = on_this_thread(|runtime| {
        runtime.block_on(async {
            let mut guest = pin!(async {
                let instance =
                    scorer.instantiate_async(&mut store).await.map_err(|error| (Stage::Instantiating, error))?;
                call(&instance, &mut store).await.map_err(|error| (Stage::Calling, error))
            });
            // The guest comes back here at each tick at the latest: the time to pass on what it said.
            let heard = poll_fn(|context| {
                let polled = guest.as_mut().poll(context);
                events.deliver(listener);
                polled
            });
            // A tick ends a guest that computes; this ends one that is inside a call of the host.
            tokio::time::timeout(wall + 2 * TICK, heard).await
        })
    })?;
    let ended = match result {
        Ok(Ok(ended)) => ended,
        Ok(Err((stage, error))) => outcome::of(error, stage, limits, hostcall_bytes)?,
        Err(_) => Ended::Limit { limit: LimitKind::Wall, used: millis(started.elapsed()), allowed: limits.wall.0 },
    };
    let left = store.get_fuel().map_err(|error| failed("reading the fuel", error))?;
    let state = store.into_data();
    Ok(Ran {
        ended,
        cost: Cost { fuel: limits.fuel.0.saturating_sub(left), peak_memory: state.meter.peak() },
        log: state.log.take(),
        notes: state.feedback.notes,
        attachments: state.feedback.attachments,
    })
}

/// A store with every limit set, and how many bytes a call to the host may carry.
fn store(scorer: &ScorerPre<State>, task: Task<'_>, wall: Duration) -> Result<(Store<State>, u64), ScorerError> {
    let limits = task.limits;
    let log = LogSink::new(limits.log.0);
    let handles = HANDLES + 2 * task.input.len();
    let mut table = ResourceTable::new();
    table.set_max_capacity(HANDLES);
    let state = State {
        input: task.input,
        feedback: Feedback::new(limits),
        meter: Meter::new(limits.memory.0),
        table,
        wasi: wasi::context(task.seed, log.clone()),
        clock: 0,
        log,
    };
    let mut store = Store::new(scorer.engine(), state);
    store.limiter(|state| &mut state.meter);
    store.set_fuel(limits.fuel.0).map_err(|error| failed("setting the fuel", error))?;
    // A value may take twice its JSON in memory; what is within the limit of the thing itself must get through.
    let within_limits = limits.report.0.saturating_mul(2).max(limits.attachments.0).max(limits.notes.0);
    let hostcall_bytes = within_limits.max(HOSTCALL) + (1 << 20);
    store.set_hostcall_fuel(usize::try_from(hostcall_bytes).unwrap_or(usize::MAX));
    store.set_max_component_handles(handles);
    store.set_epoch_deadline(1);
    let (stop, started, allowed) = (task.stop, Instant::now(), limits.wall.0);
    store.epoch_deadline_callback(move |_| {
        if stop.load(Ordering::Relaxed) {
            return Err(Halt::Stopped.into());
        }
        let elapsed = started.elapsed();
        if elapsed >= wall {
            return Err(Halt::Limit { limit: LimitKind::Wall, used: millis(elapsed), allowed }.into());
        }
        Ok(UpdateDeadline::Yield(1))
    });
    Ok((store, hostcall_bytes))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// We failed at `what`.
pub(super) fn failed(what: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ScorerError {
    ScorerError { what: what.into(), source: Some(error.into()) }
}

/// Each thread that runs scorers has a runtime of its own: making one takes longer than a small run.
fn on_this_thread<T>(use_it: impl FnOnce(&Runtime) -> T) -> Result<T, ScorerError> {
    thread_local! {
        static RUNTIME: std::io::Result<Runtime> = tokio::runtime::Builder::new_current_thread().enable_all().build();
    }
    RUNTIME.with(|runtime| match runtime {
        Ok(runtime) => Ok(use_it(runtime)),
        Err(error) => Err(failed("starting a runtime", error.to_string())),
    })
}
