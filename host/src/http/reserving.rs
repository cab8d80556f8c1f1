//! Blobs for what comes in, which leave the disk its reserve: what is graded meanwhile has to go somewhere. Knows nothing
//! of bodies and archives; what is written through it is counted, whoever writes.

use crate::disk::free_space;
use gradus_core::domain::digest::Digest;
use gradus_core::domain::units::Bytes;
use gradus_core::ports::blobs::{BlobError, Blobs, PendingBlob, ReadAt, Stamp};
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The free space is looked at again after so many bytes, of all who write together.
const LOOK: u64 = 16 << 20;

/// Blobs that take nothing more when less than the reserve is free.
pub struct Reserving {
    blobs: Arc<dyn Blobs>,
    reserve: Arc<Reserve>,
}

struct Reserve {
    folder: PathBuf,
    least: Bytes,
    /// Bytes since the last look.
    written: AtomicU64,
}

impl Reserving {
    /// The blobs below `folder`, of whose disk `least` stays free.
    pub fn new(blobs: Arc<dyn Blobs>, folder: PathBuf, least: Bytes) -> Self {
        Self { blobs, reserve: Arc::new(Reserve { folder, least, written: AtomicU64::new(0) }) }
    }
}

impl Reserve {
    fn look(&self) -> io::Result<()> {
        self.written.store(0, Relaxed);
        if free_space(&self.folder)? < self.least.0 { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

struct Pending {
    blob: Box<dyn PendingBlob>,
    reserve: Arc<Reserve>,
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.blob.write(bytes)?;
        let count_u64 = count as u64;
        if self.reserve.written.fetch_add(count_u64, Relaxed) + count_u64 >= LOOK {
            self.reserve.look()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.blob.flush()
    }
}

impl ReadAt for Pending {
    fn len(&self) -> u64 {
        self.blob.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.blob.read_at(offset, buffer)
    }
}

impl PendingBlob for Pending {
    fn digest(&self) -> Digest {
        self.blob.digest()
    }

    fn keep(self: Box<Self>) -> Result<Digest, BlobError> {
        self.blob.keep()
    }
}

impl Blobs for Reserving {
    fn create(&self) -> Result<Box<dyn PendingBlob>, BlobError> {
        Ok(Box::new(Pending { blob: self.blobs.create()?, reserve: Arc::clone(&self.reserve) }))
    }

    fn open(&self, digest: Digest) -> Result<Arc<dyn ReadAt>, BlobError> {
        self.blobs.open(digest)
    }

    fn list(&self, first: u8) -> Result<Vec<Digest>, BlobError> {
        self.blobs.list(first)
    }

    fn stamp(&self, digest: Digest) -> Result<Option<Stamp>, BlobError> {
        self.blobs.stamp(digest)
    }

    fn remove(&self, digest: Digest, stamp: Stamp) -> Result<bool, BlobError> {
        self.blobs.remove(digest, stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_core::testing::blobs_contract;
    use gradus_core::testing::memory_blobs::MemoryBlobs;

    fn reserving(least: u64) -> Reserving {
        Reserving::new(Arc::new(MemoryBlobs::default()), std::env::temp_dir(), Bytes(least))
    }

    #[test]
    fn it_keeps_the_contract() {
        blobs_contract::all(&|| Box::new(reserving(0)));
    }

    #[test]
    fn what_would_take_the_reserve_is_refused_on_its_way() {
        let blobs = reserving(u64::MAX);
        let (mut first, mut second) = (blobs.create().unwrap(), blobs.create().unwrap());
        let half = vec![0; usize::try_from(LOOK / 2).unwrap()];
        first.write_all(&half).unwrap();
        let refused = second.write_all(&half).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::StorageFull, "both count");
    }
}
