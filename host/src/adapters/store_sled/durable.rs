//! Durability: when [`Durable::sync`] returns, what was committed before survives a power cut.
//!
//! A flush of sled's alone does not do that on Linux: it hands the log to the disk but waits neither for the file's length
//! nor for the disk's cache, and pages that sled writes to files of their own are not synced at all. So: flush, then sync
//! each other file that was written, then fdatasync the log. Which files were written the kernel tells us; where it
//! cannot, all are synced.

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::error::Error;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why nothing more may be written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// It may be there in part for a reader, never after a restart.
    #[error("a transaction did not go through")]
    Commit(#[source] sled::Error),
    /// What was committed may not be on the disk.
    #[error("the log could not be flushed")]
    Flush(#[source] sled::Error),
    /// What was committed may not be on the disk.
    #[error("{path} could not be synced")]
    Sync {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
}

impl Failure {
    /// As a cause. A full disk can be told from other failures by its kind, as with the errors of files.
    pub fn into_source(self) -> Box<dyn Error + Send + Sync> {
        let kind = match &self {
            Self::Commit(sled::Error::Io(error)) | Self::Flush(sled::Error::Io(error)) => error.kind(),
            Self::Commit(_) | Self::Flush(_) => return Box::new(self),
            Self::Sync { source, .. } => source.kind(),
        };
        Box::new(io::Error::new(kind, self))
    }
}

/// What the writer waits for before it answers.
pub trait Durable: Send {
    /// Makes all that was committed durable.
    fn sync(&mut self) -> Result<(), Failure>;
}

/// The folder of a store, on a disk.
pub struct Disk {
    db: sled::Db,
    log: File,
    log_path: PathBuf,
    folders: [Folder; 2],
    watch: Option<OwnedFd>,
}

struct Folder {
    path: PathBuf,
    file: File,
    watched: i32,
}

impl Disk {
    /// Watches the store in `dir`, which `db` has open, and makes it durable as it is.
    pub fn new(db: sled::Db, dir: &Path) -> Result<Self, Failure> {
        let watch = rustix::fs::inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        let mut blind = false;
        let mut folder = |path: PathBuf| {
            // A file counts when it is closed, as sled writes each in one go; or when it takes another's place.
            let flags = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO;
            let watched = watch.as_ref().map(|watch| rustix::fs::inotify::add_watch(watch, &path, flags));
            let watched = watched.and_then(Result::ok).unwrap_or_else(|| {
                blind = true;
                -1
            });
            let file = File::open(&path).map_err(|source| failed(&path, source))?;
            Ok(Folder { path, file, watched })
        };
        let folders = [folder(dir.to_owned())?, folder(dir.join("blobs"))?];
        let log_path = dir.join("db");
        let log = File::open(&log_path).map_err(|source| failed(&log_path, source))?;
        let mut disk = Self { db, log, log_path, folders, watch: watch.filter(|_| !blind) };
        disk.sync()?;
        disk.sync_everything()?;
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|folder| folder.sync_all()).map_err(|source| failed(parent, source))?;
        Ok(disk)
    }

    fn sync_everything(&self) -> Result<(), Failure> {
        for Folder { path, file, .. } in &self.folders {
            for entry in std::fs::read_dir(path).map_err(|source| failed(path, source))? {
                let entry = entry.map_err(|source| failed(path, source))?;
                let kind = entry.file_type().map_err(|source| failed(path, source))?;
                if kind.is_file() {
                    sync_file(&entry.path())?;
                }
            }
            file.sync_all().map_err(|source| failed(path, source))?;
        }
        Ok(())
    }

    /// Syncs what was written since the last time, and the folders that it is in.
    fn sync_written(&self) -> Result<(), Failure> {
        let Some(watch) = &self.watch else { return self.sync_everything() };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(watch, &mut buffer);
        let mut changed = [false; 2];
        loop {
            let event = match events.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(failed(&self.folders[0].path, errno.into())),
            };
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                return self.sync_everything();
            }
            let at = self.folders.iter().position(|folder| folder.watched == event.wd());
            if let (Some(at), Some(name)) = (at, event.file_name()) {
                changed[at] = true;
                sync_file(&self.folders[at].path.join(OsStr::from_bytes(name.to_bytes())))?;
            }
        }
        for (Folder { path, file, .. }, changed) in self.folders.iter().zip(changed) {
            if changed {
                file.sync_all().map_err(|source| failed(path, source))?;
            }
        }
        Ok(())
    }
}

impl Durable for Disk {
    fn sync(&mut self) -> Result<(), Failure> {
        self.db.flush().map_err(Failure::Flush)?;
        self.sync_written()?;
        self.log.sync_data().map_err(|source| failed(&self.log_path, source))
    }
}

/// Syncs one file; one that is gone by now is not missed.
fn sync_file(path: &Path) -> Result<(), Failure> {
    match File::open(path).and_then(|file| file.sync_data()) {
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(|source| failed(path, source)),
    }
}

fn failed(path: &Path, source: io::Error) -> Failure {
    Failure::Sync { path: path.to_owned(), source: Arc::new(source) }
}
