//! Bodies that are too big for a row: content-addressed, durable before the row that names them.

use crate::domain::digest::Digest;
use crate::domain::tree::{TreeFile, TreePath};
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

/// Why a blob could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is none of that digest.
    #[error("there is no blob {0}; the data folder is not whole: restore a backup of it")]
    Missing(Digest),
    /// The disk would not say what there is.
    #[error("could not list the blobs in the data folder")]
    List(#[source] io::Error),
    /// The disk would not take it.
    #[error("could not write a blob to the data folder")]
    Write(#[source] io::Error),
    /// The disk would not give it.
    #[error("could not read blob {digest} from the data folder")]
    Read {
        /// Which.
        digest: Digest,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Bytes that can be read anywhere, from any thread.
pub trait ReadAt: Send + Sync {
    /// How many there are. They do not change.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads at `offset` into `buffer`: as much as fits and is there, so less than asked only at the end.
    ///
    /// # Errors
    /// The disk's.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> u64 {
        Vec::len(self) as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// A blob on its way: bytes are written, read back at will, and kept or, when dropped, forgotten.
pub trait PendingBlob: Write + ReadAt {
    /// The digest of what was written so far.
    fn digest(&self) -> Digest;

    /// Keeps the bytes: when this returns, they survive a power cut. Keeping the same bytes again is no error.
    ///
    /// # Errors
    /// [`BlobError::Write`].
    fn keep(self: Box<Self>) -> Result<Digest, BlobError>;
}

// So that one that is shared while a scorer reads it can be kept afterwards.
impl ReadAt for Box<dyn PendingBlob> {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(offset, buffer)
    }
}

/// A file on its way in.
pub enum Part {
    /// It has a blob of its own.
    Own(TreePath, Box<dyn PendingBlob>),
    /// It lies in a blob with many others, which is kept as a whole: a thousand small files are one to the disk.
    Inside(TreeFile, Slice<Box<dyn PendingBlob>>),
}

/// A part of something bigger.
pub struct Slice<R: ?Sized> {
    /// All of it.
    pub whole: Arc<R>,
    /// Where the part begins.
    pub at: u64,
    /// How long it is.
    pub len: u64,
}

impl<R: ?Sized> Clone for Slice<R> {
    fn clone(&self) -> Self {
        Self { whole: Arc::clone(&self.whole), at: self.at, len: self.len }
    }
}

impl<R: ReadAt + ?Sized> ReadAt for Slice<R> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let most = rest.min(buffer.len());
        if most == 0 { Ok(0) } else { self.whole.read_at(self.at + offset, &mut buffer[..most]) }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.path(), self.bytes().len())
    }
}

impl Part {
    /// Where it lies in its tree.
    pub fn path(&self) -> &TreePath {
        match self {
            Self::Own(path, _) => path,
            Self::Inside(file, _) => &file.path,
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &dyn ReadAt {
        match self {
            Self::Own(_, blob) => blob,
            Self::Inside(_, slice) => slice,
        }
    }
}

/// It is another one each time that a blob is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(pub u64);

/// The blobs.
pub trait Blobs: Send + Sync {
    /// A new one to write to.
    ///
    /// # Errors
    /// [`BlobError::Write`].
    fn create(&self) -> Result<Box<dyn PendingBlob>, BlobError>;

    /// The one of that digest.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Read`].
    fn open(&self, digest: Digest) -> Result<Arc<dyn ReadAt>, BlobError>;

    /// Those whose digests begin with `first`, in order: all blobs, in 256 parts.
    ///
    /// # Errors
    /// [`BlobError::List`].
    fn list(&self, first: u8) -> Result<Vec<Digest>, BlobError>;

    /// What tells whether the blob of that digest was kept again since; `None`: there is none.
    ///
    /// # Errors
    /// [`BlobError::Read`].
    fn stamp(&self, digest: Digest) -> Result<Option<Stamp>, BlobError>;

    /// Removes the blob of that digest, unless it was kept again since it had `stamp`. Whether it did. Who has it open reads
    /// on; who keeps it at the same time has it.
    ///
    /// # Errors
    /// [`BlobError::Write`].
    fn remove(&self, digest: Digest, stamp: Stamp) -> Result<bool, BlobError>;
}

/// All bytes of `source`, which must be small enough to hold.
///
/// # Errors
/// The disk's.
pub fn read_all(source: &dyn ReadAt) -> io::Result<Vec<u8>> {
    let len = usize::try_from(source.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; len];
    let mut at = 0;
    while at < len {
        match source.read_at(at as u64, &mut bytes[at..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => at += count,
        }
    }
    Ok(bytes)
}
