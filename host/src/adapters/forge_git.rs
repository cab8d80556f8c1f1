//! [`Git`] by gix, in a child process that can be ended and has no more memory, time and disk than it needs.
//!
//! A repository is hostile: so is the pack that its server sends. The child, which is this program under a hidden subcommand,
//! fetches one tag, without history and without what other tags hold, into a folder that goes with it; it writes the tag's files
//! as a tar, which is taken apart here by the same rules as an upload. It knows the credentials, and nothing else of this server;
//! nobody else has them.

mod child;
mod tree;

use crate::workspace::limits::ArchiveLimits;
use crate::workspace::{Refused, unpack};
use child::{Ask, Told};
use gradus_core::domain::forge::ObjectId;
use gradus_core::domain::units::Bytes;
use gradus_core::ports::blobs::{Blobs, PendingBlob};
use gradus_core::ports::git::{Fetched, Git, NotFetched, Wanted};
use rustix::fs::{MemfdFlags, memfd_create};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

pub use child::{SUBCOMMAND, fetch_child};

/// Bytes of what a child says of itself, at most.
const SAID: u64 = 64 << 10;

/// What fetches.
pub struct GitFetcher {
    /// This very program.
    pub program: PathBuf,
    /// Where repositories lie while they are fetched; it is there.
    pub folder: PathBuf,
    /// Where files go.
    pub blobs: Arc<dyn Blobs>,
    /// What comes over the network, at most.
    pub pack: Bytes,
    /// What a tag may hold.
    pub limits: ArchiveLimits,
    /// How long it may take.
    pub patience: Duration,
    /// What of our environment a child has.
    pub environment: Vec<(&'static str, OsString)>,
}

/// How a child ended.
enum Ended {
    Exit(ExitStatus),
    Late,
    Stopped,
}

impl Git for GitFetcher {
    fn fetch(&self, wanted: &Wanted<'_>, stop: &AtomicBool) -> Result<Fetched, NotFetched> {
        let ours = |error: io::Error| NotFetched::Trouble(format!("a repository could not be fetched: {error}"));
        // It goes with all that is in it, however this ends.
        let folder = tempfile::Builder::new().prefix("fetch-").tempdir_in(&self.folder).map_err(ours)?;
        let ask = Ask::new(wanted, folder.path(), self.pack, &self.limits);
        let blob = self.blobs.create().map_err(|error| NotFetched::Trouble(error.to_string()))?;
        let (ended, errors, took) = self.run(&ask, blob, stop).map_err(ours)?;
        drop(folder);
        let said = contents(errors).map_err(ours)?;
        let status = match ended {
            Ended::Exit(status) => status,
            Ended::Stopped => return Err(NotFetched::Stopped),
            Ended::Late => {
                let seconds = self.patience.as_secs();
                return Err(NotFetched::Late(format!("the forge did not give the repository within {seconds} s")));
            }
        };
        let (told, at) = Told::read(&said);
        let fetched = match (told, took) {
            (Some(Told::Refused { code, reason }), _) => Err(refused(&code, reason)),
            // Before what the child says of its pipe, which was closed for that.
            (_, Took::TooMuch) => Err(too_large(&self.limits)),
            (_, Took::Not(error)) => Err(ours(error)),
            (Some(Told::Trouble { why }), Took::All(_)) => Err(NotFetched::Trouble(why)),
            (Some(Told::Fetched { commit, notes }), Took::All(tar)) if status.success() => {
                self.unpack(tar, commit, notes)
            }
            (Some(Told::Fetched { .. } | Told::At { .. }) | None, Took::All(_)) => {
                Err(ended_by(status, &said, &self.limits, self.pack))
            }
        };
        // Of one that was moved, what it is now is told of by itself.
        fetched.map_err(|error| match error {
            NotFetched::Refused { code, reason, commit: None } if !code.starts_with("tag-") => {
                NotFetched::Refused { code, reason, commit: at }
            }
            NotFetched::Refused { .. } | NotFetched::Trouble(_) | NotFetched::Late(_) | NotFetched::Stopped => error,
        })
    }
}

/// What came of what a child wrote.
enum Took {
    All(Box<dyn PendingBlob>),
    TooMuch,
    Not(io::Error),
}

impl GitFetcher {
    fn run(&self, ask: &Ask, blob: Box<dyn PendingBlob>, stop: &AtomicBool) -> io::Result<(Ended, File, Took)> {
        let mut input = File::from(memfd_create("ask", MemfdFlags::CLOEXEC)?);
        input.write_all(&serde_json::to_vec(ask)?)?;
        input.rewind()?;
        let errors = File::from(memfd_create("errors", MemfdFlags::CLOEXEC)?);
        let mut child = Command::new(&self.program)
            .arg(SUBCOMMAND)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(errors.try_clone()?)
            .spawn()?;
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        // Files, their headers and what fills their blocks up.
        let most = self.limits.bytes.0.saturating_add(self.limits.entries as u64 * 2_048).saturating_add(64 << 10);
        thread::scope(|scope| {
            let reader = scope.spawn(move || take(output, blob, most));
            let ended = self.wait(&mut child, stop);
            let took = reader.join().unwrap_or_else(|_| Took::Not(io::Error::other("it panicked")));
            Ok((ended?, errors, took))
        })
    }

    fn wait(&self, child: &mut Child, stop: &AtomicBool) -> io::Result<Ended> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let ended = match child.try_wait()? {
                Some(status) => return Ok(Ended::Exit(status)),
                None if stop.load(Ordering::Relaxed) => Some(Ended::Stopped),
                None if started.elapsed() >= self.patience => Some(Ended::Late),
                None => None,
            };
            if let Some(ended) = ended {
                child.kill()?;
                child.wait()?;
                return Ok(ended);
            }
            sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    fn unpack(&self, tar: Box<dyn PendingBlob>, commit: ObjectId, notes: Vec<String>) -> Result<Fetched, NotFetched> {
        let came = (tar.len(), tar.digest());
        let parts = unpack("tag.tar", tar, &*self.blobs, &self.limits).map_err(|refused| of_refused(&refused))?;
        Ok(Fetched { commit, parts, came, notes })
    }
}

fn of_refused(refused: &Refused) -> NotFetched {
    if refused.is_ours() {
        return NotFetched::Trouble(gradus_core::ports::chain(refused));
    }
    self::refused(refused.code(), refused.to_string())
}

fn refused(code: &str, reason: String) -> NotFetched {
    NotFetched::Refused { code: code.to_owned(), reason, commit: None }
}

fn too_large(limits: &ArchiveLimits) -> NotFetched {
    let reason = format!(
        "the repository holds more than {} in {} files at this tag; make it smaller, large data do not belong there",
        limits.bytes, limits.entries
    );
    refused("too-large", reason)
}

/// What a child that did not say why ended by.
fn ended_by(status: ExitStatus, said: &[u8], limits: &ArchiveLimits, pack: Bytes) -> NotFetched {
    use rustix::process::Signal;
    let by = |signal: Signal| status.signal() == Some(signal.as_raw());
    if by(Signal::XFSZ) {
        let reason = format!("the forge sends more than {pack} for this tag; make the repository smaller");
        return refused("too-large", reason);
    }
    if by(Signal::XCPU) {
        let reason = "the repository takes too much work to read; make it smaller".to_owned();
        return refused("too-large", reason);
    }
    if by(Signal::ABORT) {
        // No more memory.
        return too_large(limits);
    }
    let said = String::from_utf8_lossy(said);
    NotFetched::Trouble(format!("the process that fetches ended with {status}: {}", said.trim()))
}

/// Takes what a child writes, up to `most` bytes. What is more is not read: then the child is ended by its pipe.
fn take(mut from: impl Read, mut to: Box<dyn PendingBlob>, most: u64) -> Took {
    match io::copy(&mut (&mut from).take(most.saturating_add(1)), &mut to) {
        Ok(count) if count > most => Took::TooMuch,
        Ok(_) => Took::All(to),
        Err(error) => Took::Not(error),
    }
}

/// The end of it: there is the last word, whatever libraries said before.
fn contents(mut file: File) -> io::Result<Vec<u8>> {
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(SAID)))?;
    let mut bytes = Vec::new();
    file.take(SAID).read_to_end(&mut bytes)?;
    Ok(bytes)
}
