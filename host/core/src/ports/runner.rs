//! Running a participant's program in a container. The future that a runner gives is its caller's to poll on the async
//! runtime that the adapter needs; nothing here knows one.
//!
//! What it deliberately does not do: fetch or build images, decide whose fault an end is, give a program the network,
//! or show it anything but its inputs.

use super::blobs::{Part, ReadAt};
use crate::domain::digest::Digest;
use crate::domain::id::{ChallengeId, RunId};
use crate::domain::printed::Printed;
use crate::domain::report::LimitKind;
use crate::domain::run::{ImageName, ImageRef, Place};
use crate::domain::run_limits::RunLimits;
use crate::domain::tree::TreePath;
use crate::domain::units::{Bytes, Millis};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Work that is done when it is polled.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, RunnerError>> + Send + 'a>>;

/// A file that a program can read.
#[derive(Clone)]
pub struct RunFile {
    /// Where it lies in its tree.
    pub path: TreePath,
    /// Its bytes.
    pub bytes: Arc<dyn ReadAt>,
}

/// Files at a place. They can be read and executed there, and not changed.
#[derive(Clone)]
pub struct Input {
    /// The folder that holds them.
    pub at: Place,
    /// The files.
    pub files: Vec<RunFile>,
}

/// A place where a program may write what nobody keeps. Lies in the run's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scratch {
    /// The folder.
    pub at: Place,
    /// Bytes in it.
    pub bytes: Bytes,
    /// Files and folders in it.
    pub files: u32,
}

/// An image that comes with its run, and goes with it.
#[derive(Clone)]
pub struct SavedImage {
    /// How to start it: JSON, as images have it.
    pub config: Vec<u8>,
    /// The layers, from the first to the last. Nobody has looked into them.
    pub layers: Vec<SavedLayer>,
}

/// A layer of an image.
#[derive(Clone)]
pub struct SavedLayer {
    /// A tar archive, plain or compressed.
    pub bytes: Arc<dyn ReadAt>,
    /// What its digest is said to be, plain.
    pub digest: Digest,
}

/// The image of a run.
#[derive(Clone)]
pub enum RunImage {
    /// One that the engine has.
    Known(ImageRef),
    /// One of the run's own.
    Saved(SavedImage),
    /// One that who hands in named: fetched for the run and removed after it, unless the engine has it.
    Named(ImageRef),
}

impl From<ImageRef> for RunImage {
    fn from(image: ImageRef) -> Self {
        Self::Known(image)
    }
}

/// A program in its container. What is not named here is not there for it.
#[derive(Clone)]
pub struct Program {
    /// The image.
    pub image: RunImage,
    /// Program and arguments in place of the image's own.
    pub command: Option<Vec<String>>,
    /// The folder to start in, in place of the image's own.
    pub workdir: Option<Place>,
    /// All variables, beside the image's `PATH` and what the engine itself sets (`HOME`, `HOSTNAME`).
    pub environment: Vec<(String, String)>,
    /// What it reads.
    pub inputs: Vec<Input>,
    /// Where it may write what nobody keeps.
    pub scratch: Vec<Scratch>,
    /// Gets what the program prints, as it comes; how much of it is kept is its own matter, by `limits.log`.
    pub printed: Arc<Printed>,
}

/// A second program, in a container of its own, while the first one goes. The two meet in one place and nowhere else.
#[derive(Clone)]
pub struct Beside {
    /// It.
    pub program: Program,
    /// Where both may write, and read what the other wrote. Lies in memory.
    pub shared: Scratch,
}

/// One run.
#[derive(Clone)]
pub struct Run {
    /// Names it; never used twice.
    pub id: RunId,
    /// The challenge that it is for, where it is for one: registries may be one challenge's alone.
    pub challenge: Option<ChallengeId>,
    /// What is run: the run ends with it.
    pub program: Program,
    /// What goes on beside it, and is ended with it. When it fails, the run ends soon after.
    pub beside: Option<Beside>,
    /// The folder that is collected afterwards; the first program alone has it.
    pub output: Place,
    /// What each of its programs may use.
    pub limits: RunLimits,
    /// GPUs that no other run has meanwhile: of the second program if there is one.
    pub gpus: u32,
    /// What each of these has at least, where the operator says what they have.
    pub gpu_memory: Bytes,
    /// The engine's runtime that runs it; its usual one unless named.
    pub runtime: Option<String>,
    /// The engine's network that its containers have; none unless named.
    pub network: Option<String>,
    /// Whether the CPUs of each container are its own, and it stays on them. Then there is a whole number of them.
    pub pinned: bool,
    /// Set from outside to stop it: the end is then [`Ended::Stopped`].
    pub stop: Arc<AtomicBool>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The program ended by itself; 0 is success.
    Exited {
        /// With what.
        code: u8,
    },
    /// A signal ended the program. As in a shell, an exit code above 128 is read as one.
    Signal {
        /// Its number.
        signal: u8,
    },
    /// A limit was reached, and nothing of the program is left.
    Limit {
        /// Which.
        limit: LimitKind,
        /// What was used, in the limit's unit.
        used: u64,
        /// What was allowed, in the limit's unit.
        allowed: u64,
    },
    /// It was never started.
    Refused {
        /// Why.
        code: RefusalCode,
        /// Why, in words for the participant.
        text: String,
    },
    /// `stop` was set.
    Stopped,
}

/// Why a run is not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalCode {
    /// The engine does not have the image, nor does its registry.
    ImageMissing,
    /// It is not from where participants may name images.
    ImageNotAllowed,
    /// It is bigger than what may be handed in.
    ImageTooBig,
    /// Its registry does not answer now.
    RegistryAway,
    /// GPUs or CPUs that it needs to itself are others' now.
    Busy,
    /// The image asks for what no run gets.
    ImageRefused,
    /// The image is for other machines.
    WrongArchitecture,
    /// There is nothing to start, or it cannot be started.
    NoEntryPoint,
    /// The engine does not start an image that came with its run: by what is in it, or by a trouble of its own.
    NotStarted,
}

impl RefusalCode {
    /// The word for it, as in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::ImageMissing => "image-missing",
            Self::ImageNotAllowed => "image-not-allowed",
            Self::ImageTooBig => "image-too-big",
            Self::RegistryAway => "registry-away",
            Self::Busy => "busy",
            Self::ImageRefused => "image-refused",
            Self::WrongArchitecture => "wrong-architecture",
            Self::NoEntryPoint => "no-entry-point",
            Self::NotStarted => "not-started",
        }
    }
}

/// Why an image cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadImage {
    /// In a word.
    pub code: RefusalCode,
    /// For the organizer: what is wrong, and what to do.
    pub text: String,
}

/// What decides whether a program can be run in an image.
#[derive(Debug, Clone, Default)]
pub struct ImageFacts<'i> {
    /// The machines that it is for, as images name them; empty where it does not say.
    pub architecture: &'i str,
    /// The places that it wants kept.
    pub volumes: Vec<String>,
    /// Where it starts; empty for the root.
    pub workdir: &'i str,
    /// Whether there is something to start.
    pub starts: bool,
}

impl ImageFacts<'_> {
    /// Why no program is run in it on a machine such as `here`.
    pub fn refusal(&self, here: &str) -> Option<BadImage> {
        let Self { architecture, volumes, workdir, starts } = self;
        let refused = |code, text: String| Some(BadImage { code, text });
        if !architecture.is_empty() && *architecture != here {
            let text = format!("the image is for {architecture} machines, and this one is {here}; build it for {here}");
            return refused(RefusalCode::WrongArchitecture, text);
        }
        if !volumes.is_empty() {
            // The engine would make each a writable place on the machine's disk, without a limit.
            let text = format!("the image declares VOLUME {}; build it without", volumes.join(" "));
            return refused(RefusalCode::ImageRefused, text);
        }
        let plain = workdir.is_empty() || *workdir == "/" || workdir.trim_end_matches('/').parse::<Place>().is_ok();
        if !plain {
            // Below `/proc`, say, it may be a folder of this machine's.
            let shown: String = workdir.chars().filter(|c| !c.is_control()).take(100).collect();
            let text =
                format!("the image has `{shown}` as its WORKDIR, which is no plain absolute path; build it without");
            return refused(RefusalCode::ImageRefused, text);
        }
        let text = "the image has neither ENTRYPOINT nor CMD, and no command was given";
        if *starts { None } else { refused(RefusalCode::NoEntryPoint, text.to_owned()) }
    }
}

/// What a run used, by the kernel's own count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// From the start of the container to its end.
    pub wall: Millis,
    /// All processes together.
    pub cpu: Millis,
    /// The most at once, with what lay in scratch and output places in memory.
    pub peak_memory: Bytes,
    /// The most processes and threads at once; 0 where the kernel does not count.
    pub peak_pids: u64,
    /// How often the kernel killed for want of memory. Above 0 beside [`Ended::Exited`]: a child was killed and the run
    /// went on.
    pub oom_kills: u64,
}

/// What is wrong with an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A symbolic link.
    Link,
    /// A file with more than one name.
    HardLink,
    /// A pipe, socket or device.
    Special,
    /// A file with holes: it claims more bytes than it holds.
    Sparse,
    /// A name that is not UTF-8.
    NotUtf8,
    /// A name with a control character or a backslash.
    Name,
    /// A path that is too long or too deep.
    Path,
    /// More files and folders than allowed.
    TooMany,
    /// More bytes than allowed.
    TooBig,
}

impl Flaw {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::HardLink => "hard-link",
            Self::Special => "special-file",
            Self::Sparse => "sparse-file",
            Self::NotUtf8 => "name-not-utf8",
            Self::Name => "path-character",
            Self::Path => "path-too-long",
            Self::TooMany => "too-many-entries",
            Self::TooBig => "too-big",
        }
    }
}

/// An output that is not taken: the participant's doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadOutput {
    /// What is wrong.
    pub flaw: Flaw,
    /// Where, from the output's top; safe to show.
    pub at: String,
}

impl fmt::Display for BadOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flaw, at } = self;
        match flaw {
            Flaw::Link => write!(f, "`{at}` in the output is a symbolic link; write the file itself"),
            Flaw::HardLink => write!(f, "`{at}` in the output has several names (hard links); write each file once"),
            Flaw::Special => write!(f, "`{at}` in the output is no regular file; leave it out"),
            Flaw::Sparse => write!(f, "`{at}` in the output has holes; write all of its bytes"),
            Flaw::NotUtf8 => write!(f, "the name `{at}` in the output is not UTF-8; use another"),
            Flaw::Name => {
                write!(f, "the name `{at}` in the output has a control character or a backslash; use another")
            }
            Flaw::Path => write!(f, "`{at}` in the output is too long or too deep; use shorter paths"),
            Flaw::TooMany => write!(f, "at `{at}` the output has more files and folders than the task allows"),
            Flaw::TooBig => write!(f, "at `{at}` the output has more bytes than the task allows"),
        }
    }
}

/// What a run left.
#[derive(Debug)]
pub enum Output {
    /// Nobody looked: it never started, was stopped, or reached a limit.
    NotTaken,
    /// The files, sorted by path; there may be none.
    Parts(Vec<Part>),
    /// It is not taken.
    Bad(BadOutput),
}

/// What is known of the program beside the first one.
#[derive(Debug)]
pub struct RanBeside {
    /// How it ended. [`Ended::Stopped`]: it went on until the first one ended.
    pub ended: Ended,
    /// What it used.
    pub used: Used,
    /// The image by its id, when there is one.
    pub image: Option<String>,
    /// Standard output, capped.
    pub stdout: Vec<u8>,
    /// Standard error, capped.
    pub stderr: Vec<u8>,
}

/// All that is known of a run.
#[derive(Debug)]
pub struct Ran {
    /// How its first program ended. [`Ended::Stopped`] while `stop` was not set: the one beside it failed.
    pub ended: Ended,
    /// What it used.
    pub used: Used,
    /// The image by its id, when there is one.
    pub image: Option<String>,
    /// Standard output, capped. Bytes as they came: whoever shows them takes control characters out.
    pub stdout: Vec<u8>,
    /// Standard error, capped.
    pub stderr: Vec<u8>,
    /// What it left.
    pub output: Output,
    /// What became of the program beside it, if there was one.
    pub beside: Option<Box<RanBeside>>,
}

/// What [`Runner::sweep`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Containers.
    pub containers: u64,
    /// Everything else: folders with their mounts, control groups.
    pub rest: u64,
}

/// How a check of the engine went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Runs are safe; something is less exact, or was not tried.
    Warn,
    /// Nothing that participants send may run here.
    Fail,
}

/// One check of the engine and the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at: `seccomp`, `memory-limit`, …
    pub check: &'static str,
    /// How it is.
    pub level: Level,
    /// What was found, and what to do.
    pub text: String,
}

/// We could not do our part. Retried.
#[derive(Debug, thiserror::Error)]
#[error("the run could not be carried out: {what}")]
pub struct RunnerError {
    /// What we were about.
    pub what: String,
    /// Why it did not work.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Runs programs in containers.
pub trait Runner: Send + Sync {
    /// Runs it to its end, and leaves nothing of it: no container, process, mount or file. Also when the future is
    /// dropped; then what is left goes in the background.
    ///
    /// # Errors
    /// We could not do our part.
    fn run(&self, run: Run) -> Work<'_, Ran>;

    /// What `name` stands for now, in `challenge`: the image that runs are made of from then on, whatever the name stands
    /// for later. It is one that a program can be run in.
    ///
    /// # Errors
    /// The outer one is ours; the inner one says what is wrong with the image.
    fn pin<'a>(
        &'a self,
        name: &'a ImageName,
        challenge: Option<&'a ChallengeId>,
    ) -> Work<'a, Result<ImageRef, BadImage>>;

    /// Whether an image that a participant of `challenge` names may be run, as far as that is known before it is fetched.
    ///
    /// # Errors
    /// The outer one is ours, as when its registry does not answer; the inner one says what is wrong with the image.
    fn may_name<'a>(&'a self, image: &'a ImageRef, challenge: &'a ChallengeId) -> Work<'a, Result<(), BadImage>>;

    /// Removes images that were fetched for tasks and are none of `needed`. How many.
    ///
    /// # Errors
    /// The engine's.
    fn prune(&self, needed: Vec<ImageRef>) -> Work<'_, u64>;

    /// Whether the engine answers now.
    ///
    /// # Errors
    /// It does not.
    fn answers(&self) -> Work<'_, ()>;

    /// Removes what is left of our runs but those of `alive` and those under way here: what a killed host left behind.
    /// To be done at the start and again from time to time: what an engine was asked for before a crash, it may do after
    /// a first sweep.
    ///
    /// # Errors
    /// The engine or the machine did not let us.
    fn sweep(&self, alive: Vec<RunId>) -> Work<'_, Swept>;

    /// Looks at what the safety of a run depends on.
    ///
    /// # Errors
    /// The engine does not answer.
    fn probe(&self) -> Work<'_, Vec<Finding>>;
}
