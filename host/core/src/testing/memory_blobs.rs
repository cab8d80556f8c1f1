//! Blobs in memory: for tests. Nothing is kept after its end.

use crate::domain::digest::{Digest, Hasher};
use crate::ports::blobs::{BlobError, Blobs, PendingBlob, ReadAt, Stamp};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

type Kept = Arc<Mutex<BTreeMap<Digest, (Arc<Vec<u8>>, Stamp)>>>;

/// The blobs, behind one lock.
#[derive(Debug, Default)]
pub struct MemoryBlobs {
    kept: Kept,
    /// While it is set nothing new is taken, as on a full disk.
    pub full: AtomicBool,
}

struct Pending {
    bytes: Vec<u8>,
    hasher: Hasher,
    kept: Kept,
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ReadAt for Pending {
    fn len(&self) -> u64 {
        ReadAt::len(&self.bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read_at(offset, buffer)
    }
}

impl PendingBlob for Pending {
    fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    fn keep(self: Box<Self>) -> Result<Digest, BlobError> {
        let digest = self.digest();
        let Self { bytes, kept, .. } = *self;
        let mut kept = kept.lock().expect("nothing panics while it holds the blobs");
        let (_, stamp) = kept.entry(digest).or_insert_with(|| (Arc::new(bytes), Stamp(0)));
        stamp.0 += 1;
        Ok(digest)
    }
}

impl Blobs for MemoryBlobs {
    fn create(&self) -> Result<Box<dyn PendingBlob>, BlobError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(BlobError::Write(io::ErrorKind::StorageFull.into()));
        }
        Ok(Box::new(Pending { bytes: Vec::new(), hasher: Hasher::default(), kept: Arc::clone(&self.kept) }))
    }

    fn open(&self, digest: Digest) -> Result<Arc<dyn ReadAt>, BlobError> {
        let kept = self.kept.lock().expect("nothing panics while it holds the blobs");
        let (bytes, _) = kept.get(&digest).ok_or(BlobError::Missing(digest))?;
        Ok(Arc::<Vec<u8>>::clone(bytes))
    }

    fn list(&self, first: u8) -> Result<Vec<Digest>, BlobError> {
        let kept = self.kept.lock().expect("nothing panics while it holds the blobs");
        Ok(kept.keys().filter(|digest| digest.as_bytes()[0] == first).copied().collect())
    }

    fn stamp(&self, digest: Digest) -> Result<Option<Stamp>, BlobError> {
        let kept = self.kept.lock().expect("nothing panics while it holds the blobs");
        Ok(kept.get(&digest).map(|(_, stamp)| *stamp))
    }

    fn remove(&self, digest: Digest, stamp: Stamp) -> Result<bool, BlobError> {
        let mut kept = self.kept.lock().expect("nothing panics while it holds the blobs");
        let same = kept.get(&digest).is_some_and(|(_, now)| *now == stamp);
        Ok(same && kept.remove(&digest).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::blobs_contract;

    #[test]
    fn it_keeps_the_contract() {
        blobs_contract::all(&|| Box::new(MemoryBlobs::default()));
    }
}
