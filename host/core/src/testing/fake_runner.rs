//! A runner for tests of use cases: what it does is written in the command, and the image says whether it is there.
//!
//! `exit N`, `signal N`, `say OUT ERR`, `copy PLACE/PATH NAME`, `link`, `sleep` and `missing` are what
//! [`Deed`](super::runner_contract::Deed) asks for; `platform` is an error of ours.

use crate::domain::digest::Digest;
use crate::domain::id::{ChallengeId, RunId};
use crate::domain::report::LimitKind;
use crate::domain::run::{ImageName, ImageRef};
use crate::domain::run_record::Stream;
use crate::domain::units::{Bytes, Millis};
use crate::ports::blobs::{Blobs, Part, ReadAt, read_all};
use crate::ports::runner::{
    BadImage, BadOutput, Ended, Finding, Flaw, Level, Output, Ran, RefusalCode, Run, RunImage, Runner, RunnerError,
    Swept, Used, Work,
};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The image that this runner does not have.
pub const MISSING: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// The runner.
pub struct FakeRunner {
    blobs: Arc<dyn Blobs>,
    /// Runs that a killed host left.
    pub left: Mutex<BTreeSet<RunId>>,
    /// The images that were needed when last asked to remove the others.
    pub needed: Mutex<Vec<ImageRef>>,
    /// Whether it carries nothing out.
    pub down: AtomicBool,
    /// Whether somebody removed all images.
    pub gone: AtomicBool,
    /// Whether others have what each run needs.
    pub busy: AtomicBool,
}

impl FakeRunner {
    /// One that keeps outputs in `blobs`.
    pub fn new(blobs: Arc<dyn Blobs>) -> Self {
        Self {
            blobs,
            left: Mutex::default(),
            needed: Mutex::default(),
            down: AtomicBool::default(),
            gone: AtomicBool::default(),
            busy: AtomicBool::default(),
        }
    }

    fn ran(&self, run: &Run) -> Result<Ran, RunnerError> {
        if self.down.load(SeqCst) {
            return Err(failed("the engine is down"));
        }
        if self.busy.load(SeqCst) {
            return Ok(ended(Ended::Refused { code: RefusalCode::Busy, text: "others have it".to_owned() }));
        }
        let of_image;
        let (here, command) = match &run.program.image {
            RunImage::Known(image) => {
                (image.as_str() != MISSING && !self.gone.load(SeqCst), run.program.command.as_deref())
            }
            RunImage::Named(image) => {
                of_image = named(image.as_str());
                (!image.as_str().ends_with(MISSING), Some(of_image.as_slice()))
            }
            RunImage::Saved(saved) => {
                of_image = cmd(&saved.config);
                (true, Some(of_image.as_slice()))
            }
        };
        if !here {
            let text = "the image is not here".to_owned();
            return Ok(ended(Ended::Refused { code: RefusalCode::ImageMissing, text }));
        }
        let words: Vec<&str> = command.unwrap_or_default().iter().map(String::as_str).collect();
        let number = |text: &str| text.parse().unwrap_or(0);
        Ok(match *words.as_slice() {
            ["exit", code] => left(Ended::Exited { code: number(code) }, Vec::new()),
            ["signal", signal] => left(Ended::Signal { signal: number(signal) }, Vec::new()),
            ["say", out, err] => {
                let keep = |stream, text: &str| {
                    run.program.printed.write(stream, text.as_bytes());
                    run.program.printed.since(stream, 0).0
                };
                Ran {
                    stdout: keep(Stream::Stdout, out),
                    stderr: keep(Stream::Stderr, err),
                    ..left(Ended::Exited { code: 0 }, Vec::new())
                }
            }
            ["copy", from, name] => {
                let part = self.copy(run, from, name)?;
                left(Ended::Exited { code: 0 }, vec![part])
            }
            ["link"] => {
                let output = Output::Bad(BadOutput { flaw: Flaw::Link, at: "link".to_owned() });
                Ran { output, ..ended(Ended::Exited { code: 0 }) }
            }
            ["sleep"] => {
                run.program.printed.write(Stream::Stdout, b"asleep\n");
                ended(sleep(run))
            }
            ["platform"] => return Err(failed("no slot")),
            _ => {
                let text = "there is no such program".to_owned();
                ended(Ended::Refused { code: RefusalCode::NoEntryPoint, text })
            }
        })
    }

    fn copy(&self, run: &Run, from: &str, name: &str) -> Result<Part, RunnerError> {
        let is_it = |at: &str, path: &str| from.strip_prefix(at).and_then(|rest| rest.strip_prefix('/')) == Some(path);
        let found = run.program.inputs.iter().find_map(|input| {
            let file = input.files.iter().find(|file| is_it(input.at.as_str(), file.path.as_str()))?;
            Some(Arc::clone(&file.bytes))
        });
        let bytes: Arc<dyn ReadAt> = found.ok_or_else(|| failed("there is no such file"))?;
        let bytes = read_all(&*bytes).map_err(|_| failed("the file cannot be read"))?;
        let mut blob = self.blobs.create().map_err(|_| failed("there is no room"))?;
        blob.write_all(&bytes).map_err(|_| failed("there is no room"))?;
        Ok(Part::Own(name.parse().map_err(|_| failed("that is no name"))?, blob))
    }
}

/// What an image starts by its name: `exit` with the number that is its last part.
fn named(image: &str) -> Vec<String> {
    let code = image.split('@').next().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
    vec!["exit".to_owned(), code.to_owned()]
}

/// What an image starts.
fn cmd(config: &[u8]) -> Vec<String> {
    let config: serde_json::Value = serde_json::from_slice(config).unwrap_or_default();
    let words = config["config"]["Cmd"].as_array().cloned().unwrap_or_default();
    words.iter().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
}

fn failed(what: &str) -> RunnerError {
    RunnerError { what: what.to_owned(), source: None }
}

fn ended(ended: Ended) -> Ran {
    let used = Used { wall: Millis(1), cpu: Millis(1), peak_memory: Bytes(1), peak_pids: 1, oom_kills: 0 };
    Ran { ended, used, image: None, stdout: Vec::new(), stderr: Vec::new(), output: Output::NotTaken, beside: None }
}

fn left(how: Ended, parts: Vec<Part>) -> Ran {
    Ran { output: Output::Parts(parts), ..ended(how) }
}

/// Until it is stopped, or the time is up.
fn sleep(run: &Run) -> Ended {
    for _ in 0..run.limits.wall.0 {
        if run.stop.load(SeqCst) {
            return Ended::Stopped;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ended::Limit { limit: LimitKind::Wall, used: run.limits.wall.0, allowed: run.limits.wall.0 }
}

impl Runner for FakeRunner {
    fn run(&self, run: Run) -> Work<'_, Ran> {
        Box::pin(async move { self.ran(&run) })
    }

    fn pin<'a>(&'a self, name: &'a ImageName, _: Option<&'a ChallengeId>) -> Work<'a, Result<ImageRef, BadImage>> {
        Box::pin(async move {
            if name.as_str() == MISSING || name.as_str() == "missing" {
                return Ok(Err(BadImage { code: RefusalCode::ImageMissing, text: "it is not here".to_owned() }));
            }
            let pinned = ImageRef::try_from(name.to_string());
            // A name stands for the digest of itself.
            let named = || format!("sha256:{}", Digest::of(name.as_str().as_bytes()).hex());
            Ok(Ok(pinned.or_else(|_| named().parse()).map_err(|_| failed("that is no digest"))?))
        })
    }

    fn may_name<'a>(&'a self, image: &'a ImageRef, _: &'a ChallengeId) -> Work<'a, Result<(), BadImage>> {
        Box::pin(async move {
            let bad = |code: RefusalCode| Ok(Err(BadImage { code, text: code.word().to_owned() }));
            match image.as_str() {
                _ if self.down.load(SeqCst) => Err(failed("the registry is down")),
                name if !name.starts_with("here/") => bad(RefusalCode::ImageNotAllowed),
                name if name.ends_with(MISSING) => bad(RefusalCode::ImageMissing),
                _ => Ok(Ok(())),
            }
        })
    }

    fn prune(&self, needed: Vec<ImageRef>) -> Work<'_, u64> {
        *self.needed.lock().expect("nothing panics while it holds them") = needed;
        Box::pin(async { Ok(0) })
    }

    fn answers(&self) -> Work<'_, ()> {
        Box::pin(async { if self.down.load(SeqCst) { Err(failed("the engine is down")) } else { Ok(()) } })
    }

    fn sweep(&self, alive: Vec<RunId>) -> Work<'_, Swept> {
        Box::pin(async move {
            let mut left = self.left.lock().expect("nothing panics while it holds the runs");
            let before = left.len();
            left.retain(|id| alive.contains(id));
            Ok(Swept { containers: (before - left.len()) as u64, rest: 0 })
        })
    }

    fn probe(&self) -> Work<'_, Vec<Finding>> {
        Box::pin(async { Ok(vec![Finding { check: "fake", level: Level::Warn, text: "it runs nothing".to_owned() }]) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory_blobs::MemoryBlobs;
    use super::super::runner_contract::{self, Bench, Deed};
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    struct Fake(FakeRunner);

    impl Bench for Fake {
        fn runner(&self) -> &dyn Runner {
            &self.0
        }

        fn image(&self) -> ImageRef {
            MISSING.replace('0', "1").parse().unwrap()
        }

        fn missing(&self) -> ImageRef {
            MISSING.parse().unwrap()
        }

        fn command(&self, deed: Deed<'_>) -> Vec<String> {
            let words = match deed {
                Deed::Exit(code) => vec!["exit".to_owned(), code.to_string()],
                Deed::Signal(signal) => vec!["signal".to_owned(), signal.to_string()],
                Deed::Say(out, err) => vec!["say".to_owned(), out.to_owned(), err.to_owned()],
                Deed::Copy(from, name) => vec!["copy".to_owned(), from.to_owned(), name.to_owned()],
                Deed::Link => vec!["link".to_owned()],
                Deed::Sleep => vec!["sleep".to_owned()],
                Deed::NoProgram => vec!["/no/such/program".to_owned()],
            };
            words.into_iter().collect()
        }

        fn wait<T>(&self, work: Work<'_, T>) -> Result<T, RunnerError> {
            let mut work = pin!(work);
            loop {
                if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    return done;
                }
            }
        }

        fn leave(&self, id: RunId) {
            self.0.left.lock().unwrap().insert(id);
        }
    }

    #[test]
    fn it_keeps_the_contract() {
        runner_contract::all(&|| Fake(FakeRunner::new(Arc::new(MemoryBlobs::default()))));
    }
}
