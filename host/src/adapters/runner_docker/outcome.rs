//! What the end of a container means: the engine's words and numbers, the group's counters and the state of the output
//! place become one of the port's ends. Pure, but for reading the counters.

use super::engine::trouble;
use super::group::Group;
use super::image;
use super::watch::Verdict;
use bollard::errors::Error;
use gradus_core::domain::report::LimitKind;
use gradus_core::domain::run_limits::RunLimits;
use gradus_core::domain::units::{Bytes, Millis};
use gradus_core::ports::runner::{Ended, Program, RefusalCode, RunnerError, Used};
use std::time::Duration;

/// The signal that nothing survives.
const SIGKILL: u8 = 9;

/// What a started container came to.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) verdict: Option<Verdict>,
    pub(super) code: i64,
    pub(super) wall: Duration,
    pub(super) logs: (Vec<u8>, Vec<u8>),
}

/// What the engine's refusal to start means.
pub(super) fn not_started(error: Error) -> Result<Ended, RunnerError> {
    let Error::DockerResponseServerError { message, .. } = &error else {
        return Err(trouble("the engine did not start the container")(error));
    };
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["executable file not found", "exec format error", "exec: \"", "no command specified"]) {
        return Ok(image::refused(RefusalCode::NoEntryPoint, "the program is not in the image, or cannot be executed"));
    }
    if says(&["Cannot mkdir", "chdir to cwd"]) || (says(&["mkdir /"]) && says(&["not a directory"])) {
        return Ok(image::refused(RefusalCode::NoEntryPoint, "the folder to start in is none, or is closed"));
    }
    Err(trouble("the engine did not start the container")(error))
}

/// The engine's init starts the program: when it could not, that is all that was said. A program that says the same
/// fools nobody but its author.
pub(super) fn no_program(program: &Program, came: &Came) -> Option<Ended> {
    let (stdout, stderr) = &came.logs;
    let stderr = str::from_utf8(stderr).ok()?.trim_end();
    // Docker's init, and Podman's.
    let docker = stderr.strip_prefix("[FATAL tini (");
    let podman = stderr.strip_prefix("ERROR (catatonit:").filter(|told| told.contains(": failed to exec pid1: "));
    let program = program.command.as_ref().and_then(|words| words.first());
    let about = |told: &str| program.is_none_or(|program| told.contains(&format!("exec {program} failed")));
    let told = docker.filter(|told| about(told) && told.contains(" failed: ")).or(podman)?;
    let alone = stdout.is_empty() && !told.contains('\n');
    // Never the words themselves: they may be the program's.
    let known = ["No such file or directory", "Permission denied", "Exec format error"];
    let why = known.iter().find(|why| told.ends_with(*why)).unwrap_or(&"the system does not say why");
    let shown = |word: &String| word.chars().filter(|c| !c.is_control() && *c != '`').take(100).collect::<String>();
    let named = program.map_or_else(|| "the program".to_owned(), |word| format!("`{}`", shown(word)));
    let text = || format!("{named} could not be started: {why}");
    (alone && came.verdict.is_none() && came.code != 0).then(|| image::refused(RefusalCode::NoEntryPoint, text()))
}

/// What it used, by the counters of its group.
pub(super) fn used(group: &Group, came: &Came, limits: &RunLimits) -> Used {
    let millis = u64::try_from(came.wall.as_millis()).unwrap_or(u64::MAX);
    Used {
        wall: Millis(millis),
        cpu: Millis(group.cpu_micros().unwrap_or(0) / 1_000),
        peak_memory: Bytes(group.peak_memory()),
        // The engine's own are counted, too: one of Docker's, more of Podman's.
        peak_pids: group.peak_pids().saturating_sub(1).min(limits.pids.into()),
        oom_kills: group.oom_kills(),
    }
}

/// What it came to: our own verdict first, then what the end and the places say. `at_end`: bytes and files in the output place, of who has it.
pub(super) fn ended(limits: &RunLimits, came: &Came, used: &Used, at_end: (u64, u64)) -> Ended {
    let (mut bytes, mut files) = at_end;
    let limit = |limit, used, allowed| Ended::Limit { limit, used, allowed };
    match came.verdict {
        Some(Verdict::Stopped | Verdict::Beside) => return Ended::Stopped,
        Some(Verdict::Wall) => return limit(LimitKind::Wall, used.wall.0, limits.wall.0),
        Some(Verdict::Cpu) => return limit(LimitKind::Cpu, used.cpu.0.max(limits.cpu.0), limits.cpu.0),
        Some(Verdict::Full { bytes: seen, files: counted }) => {
            bytes = bytes.max(seen);
            files = files.max(counted);
        }
        None if used.cpu > limits.cpu => return limit(LimitKind::Cpu, used.cpu.0, limits.cpu.0),
        None => {}
    }
    let killed = came.code == i64::from(128 + SIGKILL);
    if came.verdict.is_none() && killed && used.oom_kills > 0 {
        // What lies in its places in memory comes on top, and is no part of the limit.
        let allowed = limits.memory.0;
        return limit(LimitKind::Memory, used.peak_memory.0.min(allowed), allowed);
    }
    if bytes > limits.output.0 {
        return limit(LimitKind::Output, bytes, limits.output.0);
    }
    if files > u64::from(limits.files) {
        return limit(LimitKind::Files, files, u64::from(limits.files));
    }
    // Reaching it is no failure by itself: programs ask for as many threads as they get.
    if came.code != 0 && used.peak_pids >= u64::from(limits.pids) {
        return limit(LimitKind::Pids, used.peak_pids, u64::from(limits.pids));
    }
    match u8::try_from(came.code).unwrap_or(u8::MAX) {
        code @ 129..=192 => Ended::Signal { signal: code - 128 },
        code => Ended::Exited { code },
    }
}
