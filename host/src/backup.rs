//! A backup of a server: one tar with all rows as they were at one moment, and all blobs; and back again.
//!
//! Rows come first: what they name is kept before them, and no blob is deleted that a row names, so that all that they name is
//! there when its turn comes. Each part has its digest, and the last entry says how many there were: what breaks off is no
//! backup. The secrets of web hooks are in it, since letters are signed with them. Deliberately not in it: tokens' secrets,
//! which no server knows; compiled scorers; the configuration.

use crate::disk::free_space;
use crate::workspace::Body;
use gradus_core::domain::digest::{Digest, Hasher};
use gradus_core::domain::units;
use gradus_core::ports::blobs::{BlobError, Blobs};
use gradus_core::ports::store::{Snapshot, StoreError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek as _, Write};
use std::path::{Path, PathBuf};

/// The form of the whole.
const FORMAT: u32 = 1;
const HEAD: &str = "gradus-backup.json";
const ROWS: &str = "rows";
const BLOBS: &str = "blobs/";
const END: &str = "end.json";
/// The documents in it, at most; bytes.
const MAX_DOCUMENT: u64 = 64 << 10;
/// The free space is looked at again after so many bytes.
const LOOK: u64 = 8 << 20;

/// Why a backup could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Rows.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Blobs.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Bytes did not go through.
    #[error("the backup could not be {what}")]
    Io {
        /// Written, or read.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is none, or not whole.
    #[error("this is no whole backup of gradus: {0}; use another")]
    Bad(String),
}

/// What a backup begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The form of the whole.
    pub format: u32,
    /// The gradus that made it.
    pub gradus: String,
    /// When.
    pub made_at: Timestamp,
    /// How many rows it has.
    pub rows: u64,
    /// Digest of the rows.
    pub digest: Digest,
}

/// What it ends with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How many blobs it has.
    pub blobs: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// Where the parts of a backup go.
pub trait Target {
    /// Takes the rows, all of them; how many there were.
    ///
    /// # Errors
    /// They are not whole, or cannot be kept.
    fn rows(&mut self, rows: &mut dyn Read) -> Result<u64, BackupError>;
    /// Takes a blob; the digest of what was there.
    ///
    /// # Errors
    /// It cannot be kept.
    fn blob(&mut self, bytes: &mut dyn Read) -> Result<Digest, BackupError>;
}

/// Looks at a backup, and keeps nothing of it.
pub struct Looked;

impl Target for Looked {
    fn rows(&mut self, rows: &mut dyn Read) -> Result<u64, BackupError> {
        io::copy(rows, &mut io::sink()).map_err(not_read)?;
        // Counted when they are put back; their digest says as much.
        Ok(0)
    }

    fn blob(&mut self, bytes: &mut dyn Read) -> Result<Digest, BackupError> {
        let mut hashed = Hashed { inner: bytes, hasher: Hasher::default() };
        io::copy(&mut hashed, &mut io::sink()).map_err(not_read)?;
        Ok(hashed.hasher.finish())
    }
}

fn not_read(source: io::Error) -> BackupError {
    BackupError::Io { what: "read", source }
}

fn not_written(source: io::Error) -> BackupError {
    BackupError::Io { what: "written", source }
}

/// Hashes what is read.
pub struct Hashed<R> {
    /// What is read.
    pub inner: R,
    /// The digest so far.
    pub hasher: Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// The rows of a backup that is being made.
pub struct Begun {
    head: Head,
    rows: File,
    len: u64,
}

/// A file on a disk of which something stays free: the store needs it.
struct Leaving {
    file: File,
    folder: PathBuf,
    least: units::Bytes,
    /// Since the free space was last looked at.
    written: u64,
}

impl Write for Leaving {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written >= LOOK {
            self.written = 0;
            if free_space(&self.folder)? < self.least.0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Takes all rows as they are now, into a file without a name in `folder`, of whose disk `least` stays free.
///
/// # Errors
/// The store's; the disk's.
pub fn begin(store: &dyn Snapshot, folder: &Path, least: units::Bytes, now: Timestamp) -> Result<Begun, BackupError> {
    let mut rows = tempfile::tempfile_in(folder).map_err(not_written)?;
    let file = rows.try_clone().map_err(not_written)?;
    let count = store.snapshot(Box::new(Leaving { file, folder: folder.to_owned(), least, written: LOOK }))?;
    rows.rewind().map_err(not_written)?;
    let mut hashed = Hashed { inner: &rows, hasher: Hasher::default() };
    let len = io::copy(&mut hashed, &mut io::sink()).map_err(not_written)?;
    let digest = hashed.hasher.finish();
    rows.rewind().map_err(not_written)?;
    let gradus = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Begun { head: Head { format: FORMAT, gradus, made_at: now, rows: count, digest }, rows, len })
}

impl Begun {
    /// Writes the whole of it.
    ///
    /// # Errors
    /// The blobs'; `to` would not take it.
    pub fn write(mut self, blobs: &dyn Blobs, to: impl Write) -> Result<End, BackupError> {
        let mut tar = tar::Builder::new(to);
        let mut put = |path: &str, len: u64, bytes: &mut dyn Read| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(len);
            header.set_mode(0o600);
            tar.append_data(&mut header, path, bytes.take(len)).map_err(not_written)
        };
        let head = document(&self.head);
        put(HEAD, head.len() as u64, &mut head.as_slice())?;
        put(ROWS, self.len, &mut self.rows)?;
        let mut end = End::default();
        for first in 0..=u8::MAX {
            for digest in blobs.list(first)? {
                let bytes = match blobs.open(digest) {
                    // Nothing referred to it, and it was removed meanwhile.
                    Err(BlobError::Missing(_)) => continue,
                    opened => opened?,
                };
                end.blobs += 1;
                end.bytes += bytes.len();
                let path = format!("{BLOBS}{}", digest.hex());
                put(&path, bytes.len(), &mut Body { bytes: &*bytes, at: 0 })?;
            }
        }
        let last = document(&end);
        put(END, last.len() as u64, &mut last.as_slice())?;
        tar.into_inner().and_then(|mut to| to.flush()).map_err(not_written)?;
        Ok(end)
    }
}

fn document(of: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(of).expect("numbers and texts always have a JSON form")
}

/// Reads a backup, part by part, into `target`: what it began and ended with. A blob whose bytes are not its own, as a disk
/// may have spoilt it, goes to `spoilt`: all others are worth having. Whatever `target` took is worth nothing if this fails.
///
/// # Errors
/// It is none, or not whole; `target`'s.
pub fn read(
    from: impl Read,
    target: &mut dyn Target,
    spoilt: &mut dyn FnMut(Digest),
) -> Result<(Head, End), BackupError> {
    let bad = |what: &str| BackupError::Bad(what.to_owned());
    let mut tar = tar::Archive::new(from);
    let (mut head, mut rows, mut end, mut seen) = (None::<Head>, false, None::<End>, End::default());
    for entry in tar.entries().map_err(not_read)? {
        let mut entry = entry.map_err(not_read)?;
        let len = entry.size();
        let path = entry.path().map_err(not_read)?.to_string_lossy().into_owned();
        match (path.as_str(), &head) {
            (HEAD, None) => head = Some(parsed(&mut entry)?),
            (_, None) => return Err(bad("it begins with something else")),
            (ROWS, Some(head)) if !rows => {
                if head.format != FORMAT {
                    return Err(bad(&format!("it is in format {}, and this gradus reads {FORMAT}", head.format)));
                }
                let mut hashed = Hashed { inner: &mut entry, hasher: Hasher::default() };
                target.rows(&mut hashed)?;
                // What a reader of rows left unread is no row.
                let more = io::copy(&mut hashed, &mut io::sink()).map_err(not_read)?;
                if hashed.hasher.finish() != head.digest || more > 0 {
                    return Err(bad("its rows are not those that were written"));
                }
                rows = true;
            }
            (END, Some(_)) if end.is_none() => end = Some(parsed(&mut entry)?),
            (path, Some(_)) if rows && end.is_none() && path.starts_with(BLOBS) => {
                let name = path.strip_prefix(BLOBS).and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok());
                let name = name.ok_or_else(|| bad(&format!("`{path}` is no name of a blob")))?;
                if target.blob(&mut entry)? != name {
                    spoilt(name);
                }
                seen.blobs += 1;
                seen.bytes += len;
            }
            (path, Some(_)) => return Err(bad(&format!("`{path}` does not belong there"))),
        }
    }
    match (head, end) {
        (Some(head), Some(end)) if rows && end == seen => Ok((head, end)),
        _ => Err(bad("it breaks off")),
    }
}

fn parsed<T: serde::de::DeserializeOwned>(entry: &mut impl Read) -> Result<T, BackupError> {
    let mut bytes = Vec::new();
    entry.take(MAX_DOCUMENT).read_to_end(&mut bytes).map_err(not_read)?;
    serde_json::from_slice(&bytes).map_err(|error| BackupError::Bad(format!("a document in it does not read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_core::testing::memory_blobs::MemoryBlobs;

    struct Rows(&'static [u8]);

    impl Snapshot for Rows {
        fn snapshot(&self, mut to: Box<dyn Write + Send>) -> Result<u64, StoreError> {
            to.write_all(self.0).unwrap();
            Ok(3)
        }
    }

    fn made() -> Vec<u8> {
        let blobs = MemoryBlobs::default();
        for text in ["one", "two", ""] {
            let mut blob = blobs.create().unwrap();
            blob.write_all(text.as_bytes()).unwrap();
            blob.keep().unwrap();
        }
        let begun = begin(&Rows(b"rows"), &std::env::temp_dir(), units::Bytes(0), Timestamp::UNIX_EPOCH).unwrap();
        let mut made = Vec::new();
        assert_eq!(begun.write(&blobs, &mut made).unwrap(), End { blobs: 3, bytes: 6 });
        made
    }

    #[test]
    fn what_was_written_is_read() {
        let (head, end) = read(made().as_slice(), &mut Looked, &mut |spoilt| panic!("{spoilt}")).unwrap();
        assert_eq!((head.rows, end), (3, End { blobs: 3, bytes: 6 }));
    }

    #[test]
    fn what_breaks_off_or_was_changed_is_no_backup() {
        let whole = made();
        // Behind the last entry there are zeros only.
        let last = whole.iter().rposition(|byte| *byte != 0).unwrap();
        for len in (0..last - 10).step_by(97) {
            assert!(read(&whole[..len], &mut Looked, &mut |_| {}).is_err(), "{len} of {last}");
        }
        let changed = |word: &str| {
            let at = whole.windows(word.len()).rposition(|part| part == word.as_bytes()).unwrap();
            let mut changed = whole.clone();
            changed[at] ^= 1;
            changed
        };
        let error = read(changed("rows").as_slice(), &mut Looked, &mut |_| {}).unwrap_err();
        assert!(matches!(error, BackupError::Bad(_)), "{error}");
        // A blob that the disk has spoilt is told, and all others are read.
        let mut spoilt = Vec::new();
        read(changed("two").as_slice(), &mut Looked, &mut |digest| spoilt.push(digest)).unwrap();
        assert_eq!(spoilt, [Digest::of(b"two")]);
        let none = read(&b"no tar at all"[..], &mut Looked, &mut |_| {});
        assert!(matches!(none, Err(BackupError::Io { .. } | BackupError::Bad(_))));
    }
}
