//! What every [`Runner`] does. What a program has to do is said as a [`Deed`]; the bench knows how its image does it.

#![allow(clippy::unwrap_used, reason = "a contract is a test: what it does not expect ends it")]

use crate::domain::id::RunId;
use crate::domain::printed::Printed;
use crate::domain::report::LimitKind;
use crate::domain::run::ImageRef;
use crate::domain::run_limits::RunLimits;
use crate::domain::run_record::Stream;
use crate::domain::units::{Bytes, Millis};
use crate::ports::blobs::read_all;
use crate::ports::runner::{
    Ended, Flaw, Input, Output, Program, Ran, RefusalCode, Run, RunFile, Runner, RunnerError, Swept, Work,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;
use ulid::Ulid;

/// What a program does.
#[derive(Debug, Clone, Copy)]
pub enum Deed<'d> {
    /// Exits with this code.
    Exit(u8),
    /// Sends itself this signal.
    Signal(u8),
    /// Writes the first to standard output and the second to standard error.
    Say(&'d str, &'d str),
    /// Copies a file, by its path in the container, to a name in the output.
    Copy(&'d str, &'d str),
    /// Leaves a symbolic link `link` in the output.
    Link,
    /// Sleeps until something ends it.
    Sleep,
    /// Nothing: the program is not there.
    NoProgram,
}

/// A runner to test, and what the tests have to know of it.
pub trait Bench: Sync {
    /// The runner.
    fn runner(&self) -> &dyn Runner;
    /// An image that it has.
    fn image(&self) -> ImageRef;
    /// An image that it has not.
    fn missing(&self) -> ImageRef;
    /// The command that does this in [`image`](Self::image).
    fn command(&self, deed: Deed<'_>) -> Vec<String>;
    /// Waits for it, here.
    fn wait<T>(&self, work: Work<'_, T>) -> Result<T, RunnerError>;
    /// Leaves of a run what a killed host would.
    fn leave(&self, id: RunId);
}

/// Checks all of it.
///
/// # Panics
/// A property does not hold.
pub fn all<B: Bench>(make: &dyn Fn() -> B) {
    for property in [
        files_go_in_and_come_out,
        ends_are_told_apart,
        both_streams_are_kept_and_capped,
        a_limit_ends_it,
        it_is_stopped,
        what_cannot_be_started_is_refused,
        a_name_stands_for_what_can_be_run,
        a_bad_output_is_the_participants,
        what_was_left_is_swept_but_for_the_living,
    ] {
        property(&make());
    }
}

/// An id of a run that no other has.
pub fn id() -> RunId {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    RunId(Ulid(u128::from(COUNT.fetch_add(1, SeqCst))))
}

/// A program that does `deed`.
pub fn program<B: Bench>(bench: &B, deed: Deed<'_>, limits: &RunLimits) -> Program {
    Program {
        image: bench.image().into(),
        command: Some(bench.command(deed)),
        workdir: None,
        environment: Vec::new(),
        inputs: Vec::new(),
        scratch: Vec::new(),
        printed: Arc::new(Printed::new(limits.log)),
    }
}

/// A run that does `deed`, with small limits.
pub fn run<B: Bench>(bench: &B, deed: Deed<'_>) -> Run {
    let limits = RunLimits {
        wall: Millis(20_000),
        memory: Bytes(64 << 20),
        output: Bytes(1 << 20),
        files: 100,
        log: Bytes(4096),
        pids: 32,
        ..RunLimits::default()
    };
    Run {
        id: id(),
        challenge: None,
        program: program(bench, deed, &limits),
        beside: None,
        output: "/out".parse().unwrap(),
        limits,
        gpus: 0,
        gpu_memory: Bytes(0),
        network: None,
        pinned: false,
        runtime: None,
        stop: Arc::new(AtomicBool::new(false)),
    }
}

fn done<B: Bench>(bench: &B, run: Run) -> Ran {
    bench.wait(bench.runner().run(run)).unwrap()
}

fn files(ran: &Ran) -> Vec<(String, Vec<u8>)> {
    let Output::Parts(parts) = &ran.output else { panic!("{:?}", ran.output) };
    parts.iter().map(|part| (part.path().to_string(), read_all(part.bytes()).unwrap())).collect()
}

/// Inputs are read where they were put, and what is written comes back.
pub fn files_go_in_and_come_out<B: Bench>(bench: &B) {
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let file = |path: &str, bytes: Vec<u8>| RunFile { path: path.parse().unwrap(), bytes: Arc::new(bytes) };
    let input =
        Input { at: "/mnt/in".parse().unwrap(), files: vec![file("other", Vec::new()), file("a/b", bytes.clone())] };
    let mut run = run(bench, Deed::Copy("/mnt/in/a/b", "copied"));
    run.program.inputs = vec![input];
    let ran = done(bench, run);
    assert_eq!(ran.ended, Ended::Exited { code: 0 }, "{}", String::from_utf8_lossy(&ran.stderr));
    let files = files(&ran);
    assert_eq!(files.len(), 1);
    assert!(files[0] == ("copied".to_owned(), bytes), "the bytes differ");
}

/// What is pinned is pinned for good; what is not there is told.
pub fn a_name_stands_for_what_can_be_run<B: Bench>(bench: &B) {
    let pin = |image: &ImageRef| {
        let name = image.as_str().parse().unwrap();
        bench.wait(bench.runner().pin(&name, None)).unwrap()
    };
    let pinned = pin(&bench.image()).unwrap();
    assert_eq!(pin(&pinned), Ok(pinned.clone()));
    let mut by_name = run(bench, Deed::Exit(3));
    by_name.program.image = pinned.into();
    let ran = done(bench, by_name);
    assert_eq!(ran.ended, Ended::Exited { code: 3 });
    let missing = pin(&bench.missing()).unwrap_err();
    assert_eq!(missing.code, RefusalCode::ImageMissing);
    assert!(!missing.text.is_empty());
    assert!(bench.wait(bench.runner().answers()).is_ok());
    assert_eq!(bench.wait(bench.runner().prune(Vec::new())).unwrap(), 0, "none was fetched");
}

/// Codes and signals; an output without files is one.
pub fn ends_are_told_apart<B: Bench>(bench: &B) {
    for (deed, ended) in [
        (Deed::Exit(0), Ended::Exited { code: 0 }),
        (Deed::Exit(7), Ended::Exited { code: 7 }),
        (Deed::Signal(15), Ended::Signal { signal: 15 }),
    ] {
        let ran = done(bench, run(bench, deed));
        assert_eq!(ran.ended, ended, "{deed:?}");
        assert_eq!(files(&ran), []);
    }
}

/// Each stream by itself, within the cap.
pub fn both_streams_are_kept_and_capped<B: Bench>(bench: &B) {
    let run_one = run(bench, Deed::Say("to out", "to err"));
    let printed = Arc::clone(&run_one.program.printed);
    let ran = done(bench, run_one);
    assert_eq!(printed.since(Stream::Stdout, 0).0, ran.stdout, "whoever follows it sees the same");
    assert_eq!(printed.since(Stream::Stderr, 0).0, ran.stderr);
    assert_eq!((ran.stdout.trim_ascii(), ran.stderr.trim_ascii()), (&b"to out"[..], &b"to err"[..]));
    let long = format!("begin{}end", "x".repeat(50_000));
    let ran = done(bench, run(bench, Deed::Say(&long, "to err")));
    assert!(ran.stdout.len() <= 4096, "{}", ran.stdout.len());
    assert!(ran.stdout.starts_with(b"beginx") && ran.stdout.trim_ascii().ends_with(b"xend"));
    assert_eq!(ran.ended, Ended::Exited { code: 0 });
}

/// Which, and how much.
pub fn a_limit_ends_it<B: Bench>(bench: &B) {
    let mut run = run(bench, Deed::Sleep);
    run.limits.wall = Millis(300);
    let ran = done(bench, run);
    let Ended::Limit { limit: LimitKind::Wall, used, allowed: 300 } = ran.ended else { panic!("{:?}", ran.ended) };
    assert!((300..2_300).contains(&used), "{used}");
    assert!(matches!(ran.output, Output::NotTaken));
}

/// Before it begins, and while it goes.
pub fn it_is_stopped<B: Bench>(bench: &B) {
    let run = run(bench, Deed::Sleep);
    let stop = Arc::clone(&run.stop);
    let ran = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(700));
            stop.store(true, SeqCst);
        });
        done(bench, run)
    });
    assert_eq!(ran.ended, Ended::Stopped);
    let run = self::run(bench, Deed::Sleep);
    run.stop.store(true, SeqCst);
    assert_eq!(done(bench, run).ended, Ended::Stopped);
}

/// No image, no program.
pub fn what_cannot_be_started_is_refused<B: Bench>(bench: &B) {
    let mut missing = run(bench, Deed::Exit(0));
    missing.program.image = bench.missing().into();
    for (run, expected) in
        [(missing, RefusalCode::ImageMissing), (run(bench, Deed::NoProgram), RefusalCode::NoEntryPoint)]
    {
        let ran = done(bench, run);
        let Ended::Refused { code, text } = ran.ended else { panic!("{:?}", ran.ended) };
        assert_eq!(code, expected, "{text}");
    }
}

/// It is told where the flaw is.
pub fn a_bad_output_is_the_participants<B: Bench>(bench: &B) {
    let ran = done(bench, run(bench, Deed::Link));
    assert_eq!(ran.ended, Ended::Exited { code: 0 });
    let Output::Bad(bad) = ran.output else { panic!("{:?}", ran.output) };
    assert_eq!((bad.flaw, bad.at.as_str()), (Flaw::Link, "link"));
}

/// What a run of ours left goes; that of a living one stays, until it is dead too.
pub fn what_was_left_is_swept_but_for_the_living<B: Bench>(bench: &B) {
    let sweep = |alive: &[RunId]| bench.wait(bench.runner().sweep(alive.to_vec())).unwrap();
    let (dead, living) = (id(), id());
    bench.leave(dead);
    bench.leave(living);
    assert_eq!(sweep(&[living]).containers, 1);
    assert_eq!(sweep(&[living]), Swept::default());
    assert_eq!(sweep(&[]).containers, 1);
    assert_eq!(sweep(&[]), Swept::default());
}
