//! What a guest's end means: the table "Limits, each with its own outcome" of the design, and nothing else.

use super::engine::{INSTANCES, MEMORIES, STACK, TABLES};
use super::limiter::Halt;
use super::run::{HANDLES, failed};
use gradus_core::domain::limits::Limits;
use gradus_core::domain::report::LimitKind;
use gradus_core::ports::scorer::{Ended, ScorerError};
use std::fmt::Write as _;
use wasmtime::{Error, PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::{I32Exit, ResourceTableError};

/// Frames of the guest that a text shows.
const FRAMES: usize = 12;
/// Bytes of a text about a failure.
const MAX_TEXT: usize = 4 << 10;

/// What a guest's error came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Making the instance: memories, tables, a stack, and the guest's start functions.
    Instantiating,
    /// The call of an export.
    Calling,
}

/// What `error`, from instantiating or calling a guest, means.
pub(super) fn of<T>(error: Error, stage: Stage, limits: &Limits, hostcall_bytes: u64) -> Result<Ended<T>, ScorerError> {
    let limit = |limit, allowed| Ok(Ended::Limit { limit, used: allowed, allowed });
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return Ok(Ended::Failed(format!(
            "the scorer ended its process (exit code {code}) instead of returning; a scorer returns a report or a \
            failure"
        )));
    }
    if error.is::<Halt>() {
        return match error.downcast::<Halt>() {
            Ok(Halt::Limit { limit, used, allowed }) => Ok(Ended::Limit { limit, used, allowed }),
            Ok(Halt::Stopped) => Ok(Ended::Stopped),
            Ok(Halt::Platform(what, source)) => Err(ScorerError { what: what.into(), source }),
            Err(error) => Err(failed("running it", error)),
        };
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return Err(failed("all slots are in use", error));
    }
    // The second: what mapping a memory or a stack fails with.
    if error.is::<std::io::Error>() || error.is::<rustix::io::Errno>() {
        return Err(failed("running it", error));
    }
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        return limit(LimitKind::Handles, HANDLES as u64);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return limit(LimitKind::Fuel, limits.fuel.0),
        Some(Trap::StackOverflow) => return limit(LimitKind::Stack, STACK as u64),
        Some(trap) => return Ok(Ended::Failed(trapped(trap, &error))),
        None => {}
    }
    // These three have no type of their own to tell them by; tests hold on to the words.
    let text = format!("{}", error.root_cause());
    if text.contains("fuel allocated for hostcalls has been exhausted") {
        return limit(LimitKind::Output, hostcall_bytes);
    }
    if text.contains("store handle limit exceeded") {
        return limit(LimitKind::Handles, HANDLES as u64);
    }
    if text.contains("resource limit exceeded") {
        let counts = [("memory", MEMORIES), ("table", TABLES), ("", INSTANCES)];
        let most = counts.iter().find(|(what, _)| text.contains(what)).map_or(0, |(_, most)| *most);
        return limit(LimitKind::Handles, most as u64);
    }
    // Before any of its code ran, a guest that was admitted can have done nothing wrong.
    if stage == Stage::Instantiating && !error.is::<WasmBacktrace>() {
        return Err(failed("making an instance of the scorer", error));
    }
    Ok(Ended::Failed(cut(format!("the scorer broke the rules of its interface: {text}{}", frames(&error)))))
}

fn trapped(trap: &Trap, error: &Error) -> String {
    let deep = error.downcast_ref::<WasmBacktrace>().is_some_and(|trace| trace.frames().len() > FRAMES);
    let hint = if *trap == Trap::UnreachableCodeReached {
        "\nA panic ends like this; its message is in the scorer's log."
    } else if *trap == Trap::MemoryOutOfBounds && deep {
        "\nPossible stack overflow: the calls are nested deeply."
    } else {
        ""
    };
    cut(format!("the scorer trapped: {trap}{hint}{}", frames(error)))
}

/// The innermost frames, by their names in the guest. There is no path of this host in them.
fn frames(error: &Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    // The trace's own text demangles names: `    0:    0x1f3 - gradus_scorer.wasm!name`.
    let text = trace.to_string();
    let names = text.lines().filter_map(|line| line.split_once(" - ")).map(|(_, name)| function(name));
    // How a panic unwinds is of no interest; where it began is.
    let named = names.skip_while(|name| ["abort", "std::", "core::", "__rust"].iter().any(|own| name.starts_with(own)));
    named.take(FRAMES).fold(String::new(), |mut all, name| {
        let _ = write!(all, "\n  at {name}");
        all
    })
}

/// The function's name, without the module's and without the hashes that compilers add.
fn function(name: &str) -> String {
    let name = name.split_once('!').map_or(name, |(_, function)| function);
    let hex = |text: &str| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let name = match name.rsplit_once("::h") {
        Some((plain, hash)) if hex(hash) => plain,
        _ => name,
    };
    let mut plain = String::new();
    for part in name.split_inclusive(['[', ']']) {
        match part.strip_suffix(']') {
            Some(hash) if hex(hash) && plain.ends_with('[') => drop(plain.pop()),
            _ => plain.push_str(part),
        }
    }
    plain.chars().take(160).collect()
}

/// At most `MAX_TEXT` bytes of `text`.
pub(super) fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_before_the_guest_runs_is_ours() {
        let of = |error: Error, stage| of::<()>(error, stage, &Limits::default(), 1);
        for stage in [Stage::Instantiating, Stage::Calling] {
            let nothing_left = Error::from(rustix::io::Errno::NOMEM).context("a fiber's stack");
            assert!(of(nothing_left, stage).is_err(), "{stage:?}");
            assert!(matches!(of(Trap::OutOfFuel.into(), stage), Ok(Ended::Limit { limit: LimitKind::Fuel, .. })));
            assert!(matches!(of(Trap::UnreachableCodeReached.into(), stage), Ok(Ended::Failed(_))));
            let too_many = Error::msg("resource limit exceeded: table count too high at 17");
            assert!(matches!(of(too_many, stage), Ok(Ended::Limit { limit: LimitKind::Handles, allowed: 16, .. })));
        }
        assert!(of(Error::msg("anything else"), Stage::Instantiating).is_err());
        assert!(matches!(of(Error::msg("a bad discriminant"), Stage::Calling), Ok(Ended::Failed(_))));
    }

    #[test]
    fn names_are_for_people() {
        for (name, plain) in [
            ("x.wasm!std[d123b7a1a2ed1472]::process::abort", "std::process::abort"),
            ("x.wasm!<a::B as c::D>::score::hc741880188fae375", "<a::B as c::D>::score"),
            ("<unknown>!wasm-function[12]", "wasm-function[12]"),
            ("x::h", "x::h"),
        ] {
            assert_eq!(function(name), plain);
        }
    }
}
