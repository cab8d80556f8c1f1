//! Opening: one opener for a folder, a format that this gradus knows, and nothing deleted whatever is found.

use super::Options;
use super::draft::Draft;
use super::key;
use super::tables::{Table, Trees};
use gradus_core::ports::store::StoreError;
use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The format that this gradus writes.
pub const FORMAT: u32 = 4;
/// The first one that it reads. Format 1 had other lists of files.
pub const OLDEST: u32 = 2;

/// Brings rows of one format to the next one. Done again after a crash, it changes nothing more.
type Step = fn(&Trees) -> Result<(), StoreError>;

/// The steps, from [`OLDEST`] on.
const STEPS: [Step; (FORMAT - OLDEST) as usize] = [
    // Web hooks, and letters to them, have rows of their own; who makes one is logged. An earlier gradus would send nothing.
    |_| Ok(()),
    // Submissions may be pushed, and then no token brought them: an earlier gradus could not read those.
    |_| Ok(()),
];

/// How long a folder may be held that nobody seems to have.
const PATIENCE: Duration = Duration::from_secs(2);

const DAMAGED: &str = "its files are damaged; nothing was deleted: copy the folder away, then put a backup of \
                       it in its place";

type Source = Option<Box<dyn std::error::Error + Send + Sync>>;

/// An open database, and the lock that keeps others out. The lock is to be dropped last.
pub struct Opened {
    pub db: sled::Db,
    pub trees: Trees,
    pub lock: File,
}

/// Why `dir` cannot be opened.
pub fn refused(dir: &Path, hint: impl Into<String>, source: impl Into<Source>) -> StoreError {
    StoreError::Open { path: dir.display().to_string(), hint: hint.into(), source: source.into() }
}

fn because(error: impl std::error::Error + Send + Sync + 'static) -> Source {
    Some(Box::new(error))
}

/// Opens the store in `dir`, or begins one there.
pub fn open(dir: &Path, options: &Options) -> Result<Opened, StoreError> {
    let unusable = |source| refused(dir, "the folder must be ours to create, read and write", because(source));
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unusable)?;
    let lock = File::options().create(true).truncate(false).write(true).open(dir.join("lock")).map_err(unusable)?;
    let until = Instant::now() + PATIENCE;
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            // A process that a killed gradus had begun to start holds its files for a moment longer.
            Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(Duration::from_millis(10)),
            Err(TryLockError::WouldBlock) => {
                let hint = "another gradus has this data folder open: stop it, or name another folder";
                return Err(refused(dir, hint, None));
            }
            Err(TryLockError::Error(source)) => {
                return Err(refused(dir, "its file system gives no locks: use a local disk", because(source)));
            }
        }
    }
    set_unfinished_snapshots_aside(dir).map_err(unusable)?;
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(options.cache.0)
        .mode(sled::Mode::HighThroughput)
        // Its thread also collects what is no longer used, so it stays on beside our own flushes.
        .flush_every_ms(Some(500));
    // On some damage sled panics instead of saying so.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let db = config.open()?;
        let trees = Trees::open(&db)?;
        Ok((db, trees))
    }));
    let (db, trees) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return Err(explained(dir, error)),
        Err(_) => return Err(refused(dir, DAMAGED, None)),
    };
    check_format(dir, &trees)?;
    Ok(Opened { db, trees, lock })
}

fn explained(dir: &Path, error: sled::Error) -> StoreError {
    let hint = match &error {
        sled::Error::Io(io) if io.to_string().contains("could not acquire lock") => {
            "another process has its files open: stop it, or name another folder"
        }
        sled::Error::Io(_) => "the folder must be readable and writable, and the disk must have room",
        sled::Error::Unsupported(_) => "its files were written by other software: name another folder",
        sled::Error::Corruption { .. } | sled::Error::CollectionNotFound(_) | sled::Error::ReportableBug(_) => DAMAGED,
    };
    refused(dir, hint, because(error))
}

/// A snapshot that a killed process had not finished keeps sled from opening what the log holds whole. Where it is moved
/// sled does not look.
fn set_unfinished_snapshots_aside(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        if let Some(name) = name.to_str().filter(|name| name.starts_with("snap.") && name.ends_with(".generating")) {
            std::fs::rename(dir.join(name), dir.join(format!("unfinished.{name}")))?;
        }
    }
    Ok(())
}

fn check_format(dir: &Path, trees: &Trees) -> Result<(), StoreError> {
    let format: Option<u32> = trees.get(Table::Meta, key::FORMAT)?;
    match format {
        Some(FORMAT) => Ok(()),
        Some(earlier) if (OLDEST..FORMAT).contains(&earlier) => {
            tracing::info!(from = earlier, to = FORMAT, "the store is brought to this gradus's format");
            for (format, step) in (OLDEST..).zip(STEPS).filter(|(format, _)| *format >= earlier) {
                step(trees)?;
                write_format(dir, trees, format + 1)?;
            }
            Ok(())
        }
        Some(other) if other > FORMAT => {
            let hint = format!(
                "a newer gradus wrote it, in format {other}; this one reads up to format {FORMAT}: run the newer gradus"
            );
            Err(refused(dir, hint, None))
        }
        Some(other) => {
            let hint = format!(
                "an earlier gradus wrote it, in format {other}; this one reads formats from {OLDEST} on: run the earlier \
                 gradus, or begin with another folder and publish anew"
            );
            Err(refused(dir, hint, None))
        }
        None if trees.is_empty() => write_format(dir, trees, FORMAT),
        None => Err(refused(dir, DAMAGED, None)),
    }
}

fn write_format(dir: &Path, trees: &Trees, format: u32) -> Result<(), StoreError> {
    let mut draft = Draft::new(trees);
    draft.put(Table::Meta, key::FORMAT, &format)?;
    draft.commit().map(|_| ()).map_err(|error| explained(dir, error))
}
