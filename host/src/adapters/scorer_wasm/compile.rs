//! Compiling a component, which is the one thing about it that no fuel bounds: done in a child process that can be
//! ended, and that has no more memory, time and output than it needs.
//!
//! The child is this program under a hidden subcommand. It reads the allocation and the component on standard input
//! and writes the code, or on standard error why there is none.

use super::engine::{Allocation, config};
use super::outcome::cut;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};
use wasmtime::Engine;

/// What the child is called with.
pub const SUBCOMMAND: &str = "__compile";
/// How long a child may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// Processor time of a child, on all of its threads.
const CPU_SECONDS: u64 = 240;
/// Memory of a child.
const MEMORY: u64 = 4 << 30;
/// Compiled code, at most.
const MAX_CODE: u64 = 1 << 30;
/// The child's way to say that the component is at fault.
const BAD_COMPONENT: i32 = 3;

/// Where components are compiled.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// In this process: for tests, and for one's own components.
    InProcess,
    /// In a child process: the program at this path, which must be this very one.
    Child(PathBuf),
}

/// Code that our own compiler produced. Holding one is the right to run it, so it is made with care.
pub(super) struct Compiled(Vec<u8>);

impl Compiled {
    /// See the `SAFETY` of `cache::load`, which rests on this: only for bytes that our compiler produced.
    pub(super) fn ours(code: Vec<u8>) -> Self {
        Self(code)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub(super) enum CompileError {
    /// The component is at fault.
    #[error("{0}")]
    Component(String),
    /// It took too long: the component may be at fault, or this machine.
    #[error("the component takes longer than {} s to compile; make it smaller, or try again", .0.as_secs_f32())]
    Slow(Duration),
    /// We are at fault.
    #[error("compiling a component in a child process")]
    Child(#[source] io::Error),
    /// The child did not end well, and it is not said why.
    #[error("the child process that compiles ended with {0}: {1}")]
    Ended(ExitStatus, String),
}

/// Compiles `component`.
pub(super) fn compile(
    engine: &Engine,
    allocation: Allocation,
    compiler: &Compiler,
    component: &[u8],
) -> Result<Compiled, CompileError> {
    match compiler {
        Compiler::InProcess => {
            engine.precompile_component(component).map(Compiled::ours).map_err(|error| wrong(&error))
        }
        Compiler::Child(program) => in_child(program, allocation, component, DEADLINE),
    }
}

fn wrong(error: &wasmtime::Error) -> CompileError {
    CompileError::Component(cut(format!("the component cannot be compiled: {error:#}")))
}

fn in_child(
    program: &Path,
    allocation: Allocation,
    component: &[u8],
    deadline: Duration,
) -> Result<Compiled, CompileError> {
    let run = || -> io::Result<(Option<ExitStatus>, File, File)> {
        // Files in memory instead of pipes: nobody waits for anybody, and the child's limits hold for what it writes.
        let mut input = memory_file("component")?;
        input.write_all(&[u8::from(allocation == Allocation::Frugal)])?;
        input.write_all(component)?;
        input.rewind()?;
        let (output, errors) = (memory_file("code")?, memory_file("errors")?);
        let child = Command::new(program)
            .arg(SUBCOMMAND)
            .env_clear()
            .current_dir("/")
            .stdin(input)
            .stdout(output.try_clone()?)
            .stderr(errors.try_clone()?)
            .spawn()?;
        Ok((wait(child, deadline)?, output, errors))
    };
    let (status, output, errors) = run().map_err(CompileError::Child)?;
    let Some(status) = status else { return Err(CompileError::Slow(deadline)) };
    let said = || String::from_utf8_lossy(&contents(errors, 4 << 10).unwrap_or_default()).trim().to_owned();
    let signal = |wanted: Signal| status.signal() == Some(wanted.as_raw());
    match status.code() {
        Some(0) => contents(output, MAX_CODE).map(Compiled::ours).map_err(CompileError::Child),
        Some(BAD_COMPONENT) => Err(CompileError::Component(cut(said()))),
        _ if signal(Signal::XFSZ) => {
            Err(CompileError::Component(format!("the component compiles to more than {} MiB of code", MAX_CODE >> 20)))
        }
        _ if signal(Signal::XCPU) => {
            let text =
                format!("the component takes more than {CPU_SECONDS} s of processor time to compile; make it smaller");
            Err(CompileError::Component(text))
        }
        _ => Err(CompileError::Ended(status, cut(said()))),
    }
}

fn memory_file(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

fn contents(mut file: File, most: u64) -> io::Result<Vec<u8>> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `None` when it took too long and was killed.
fn wait(mut child: Child, deadline: Duration) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        let status = child.try_wait();
        let late = started.elapsed() >= deadline;
        match status {
            Ok(None) if !late => sleep(pause),
            Ok(None) => {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            Ok(Some(status)) => return Ok(Some(status)),
            Err(error) => {
                let _ = child.kill();
                return Err(error);
            }
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The child's side; returns its exit code. The command line calls it for [`SUBCOMMAND`], before anything else.
pub fn compile_child() -> i32 {
    child_between(io::stdin().lock(), io::stdout().lock())
}

pub(super) fn child_between(input: impl Read, output: impl Write) -> i32 {
    match child(input, output) {
        Ok(()) => 0,
        Err(error @ CompileError::Component(_)) => {
            eprintln!("{error}");
            BAD_COMPONENT
        }
        Err(error) => {
            let mut all = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                all.push_str(&format!(": {error}"));
                source = error.source();
            }
            eprintln!("{all}");
            1
        }
    }
}

fn child(mut input: impl Read, mut output: impl Write) -> Result<(), CompileError> {
    let mut frugal = [0];
    let mut component = Vec::new();
    let mut prepare = || -> io::Result<()> {
        // When the parent dies, so does this.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        for (resource, most) in
            [(Resource::Cpu, CPU_SECONDS), (Resource::Data, MEMORY), (Resource::Fsize, MAX_CODE), (Resource::Core, 0)]
        {
            // Reached softly, a limit ends the child with a signal that says which.
            setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most + 5) })?;
        }
        input.read_exact(&mut frugal)?;
        input.read_to_end(&mut component)?;
        Ok(())
    };
    prepare().map_err(CompileError::Child)?;
    let allocation = if frugal == [0] { Allocation::OnDemand } else { Allocation::Frugal };
    let engine = Engine::new(&config(allocation)).map_err(|error| CompileError::Child(io::Error::other(error)))?;
    let code = engine.precompile_component(&component).map_err(|error| wrong(&error))?;
    output.write_all(&code).and_then(|()| output.flush()).map_err(CompileError::Child)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_child_that_takes_too_long_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("slow");
        std::fs::write(&program, "#!/bin/sh\nexec sleep 60\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let start = Instant::now();
        let ended = in_child(&program, Allocation::OnDemand, b"x", Duration::from_millis(50));
        assert!(matches!(ended, Err(CompileError::Slow(_))));
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
