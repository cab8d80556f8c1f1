//! What a participant's program left in a folder, taken as hostile: every entry is looked at before it is opened, and
//! again through the handle it was opened by.
//!
//! The folder is walked beneath one handle, a name at a time; no link is followed, nothing but a regular file is opened,
//! and no other file system is entered. Its writers are gone by then: a file that changes all the same is a failure of
//! ours. Unlike an archive's, paths are kept as they are and there may be no file at all.

use super::collect::{Collector, is_junk};
use super::limits::ArchiveLimits;
use super::refused::{Entry, Refused};
use super::source::Meter;
use cap_std::fs::{Dir, File, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use gradus_core::domain::tree::{BadPath, MAX_DEPTH, TreePath};
use gradus_core::domain::units::Bytes;
use gradus_core::ports::blobs::{BlobError, Blobs, Part};
use gradus_core::ports::runner::{BadOutput, Flaw};
use rustix::fs::OFlags;
use std::io::{self, Read as _};
use std::time::Duration;

/// Bytes of holes that a file may have: libraries leave small ones, and a hole's length counts as bytes anyway.
const HOLES: u64 = 1 << 20;
/// Backstop for the whole walk. What may be there is bounded, so that only a broken disk comes here.
const TIME: Duration = Duration::from_secs(3_600);

/// Why outputs are not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// The participant's doing.
    #[error("{0}")]
    Bad(BadOutput),
    /// The folder could not be read.
    #[error("could not read the output of a run")]
    Read(#[source] io::Error),
    /// The blobs took no more.
    #[error("could not keep the output of a run")]
    Keep(#[source] BlobError),
    /// A file changed under our hands.
    #[error("the output of a run changed while it was read")]
    Changed,
}

impl From<io::Error> for NotTaken {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// All files below `dir`: `bytes` together, and `files` of them and of folders, at most.
///
/// Blocks: call it on a thread that may.
///
/// # Errors
/// [`NotTaken`]; then everything that was written is dropped.
pub fn collect(dir: &Dir, bytes: Bytes, files: u32, blobs: &dyn Blobs) -> Result<Vec<Part>, NotTaken> {
    let entries = usize::try_from(files).unwrap_or(usize::MAX);
    let limits = ArchiveLimits { bytes, file: bytes, entries, ratio: u32::MAX, time: TIME, links: false };
    // Nothing is unpacked: a ratio of nothing.
    let meter = Meter::new(&limits, u64::MAX);
    let mut walk = Walk { collector: Collector::new(blobs, &meter), meter: &meter, device: dir.dir_metadata()?.dev() };
    walk.folder(dir, "", 0)?;
    Ok(walk.collector.unstripped())
}

struct Walk<'w> {
    collector: Collector<'w>,
    meter: &'w Meter<'w>,
    device: u64,
}

fn bad(flaw: Flaw, at: &str) -> NotTaken {
    NotTaken::Bad(BadOutput { flaw, at: Entry::new(at.as_bytes()).to_string() })
}

impl Walk<'_> {
    fn folder(&mut self, dir: &Dir, prefix: &str, depth: usize) -> Result<(), NotTaken> {
        if depth > MAX_DEPTH {
            return Err(bad(Flaw::Path, prefix));
        }
        // Sorted, so that the same output gives the same answer; bounded, as each is counted before it is kept.
        let mut names = Vec::new();
        for entry in dir.entries()? {
            let entry = entry?;
            let name = entry.file_name();
            let shown = format!("{prefix}{}", String::from_utf8_lossy(name.as_encoded_bytes()));
            self.collector.entry().map_err(|_| bad(Flaw::TooMany, &shown))?;
            let name = name.into_string().map_err(|_| bad(Flaw::NotUtf8, &shown))?;
            names.push((name, entry.metadata()?));
        }
        names.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, metadata) in names {
            let path = format!("{prefix}{name}");
            let kind = metadata.file_type();
            if kind.is_symlink() {
                return Err(bad(Flaw::Link, &path));
            }
            let tree: TreePath = path.parse().map_err(|why| bad(flaw(&why), &path))?;
            if kind.is_dir() && metadata.dev() == self.device {
                self.folder(&dir.open_dir(&name)?, &format!("{path}/"), depth + 1)?;
            } else {
                self.file(dir, &name, tree, &metadata)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, dir: &Dir, name: &str, path: TreePath, listed: &Metadata) -> Result<(), NotTaken> {
        let shown = path.as_str().to_owned();
        if !listed.is_file() || listed.dev() != self.device {
            return Err(bad(Flaw::Special, &shown));
        }
        if listed.nlink() > 1 {
            return Err(bad(Flaw::HardLink, &shown));
        }
        let len = listed.len();
        self.meter.announce(&shown, len).map_err(|_| bad(Flaw::TooBig, &shown))?;
        if len.saturating_sub(listed.blocks().saturating_mul(512)) > HOLES {
            return Err(bad(Flaw::Sparse, &shown));
        }
        if is_junk(&path) {
            return Ok(());
        }
        let file = open(dir, name)?;
        let opened = file.metadata()?;
        let same = |a: &Metadata, b: &Metadata| {
            (a.dev(), a.ino(), a.len(), a.nlink()) == (b.dev(), b.ino(), b.len(), b.nlink())
        };
        if !opened.is_file() || !same(&opened, listed) {
            return Err(NotTaken::Changed);
        }
        // One byte more than there should be: a file that grows is noticed and not followed.
        let taken = self.collector.file(path, &mut file.take(len.saturating_add(1)), "output").map_err(failed)?;
        if taken == len { Ok(()) } else { Err(NotTaken::Changed) }
    }
}

/// Never waits, as for a pipe's other end, and follows nothing.
fn open(dir: &Dir, name: &str) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let mut options = OpenOptions::new();
    dir.open_with(name, options.read(true).custom_flags(i32::try_from(flags).unwrap_or_default()))
}

fn flaw(why: &BadPath) -> Flaw {
    match why {
        BadPath::TooLong => Flaw::Path,
        BadPath::Absolute | BadPath::Climbs | BadPath::Empty | BadPath::Character => Flaw::Name,
    }
}

/// All that the collector itself complains of is about reading and writing.
fn failed(refused: Refused) -> NotTaken {
    if let Refused::Disk(error) = refused { NotTaken::Keep(error) } else { NotTaken::Read(io::Error::other(refused)) }
}
