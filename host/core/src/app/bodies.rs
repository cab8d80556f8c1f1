//! Bodies that live with their row when small, and as blobs when not.

use super::{App, Refusal};
use crate::domain::digest::Digest;
use crate::domain::kept::Kept;
use crate::domain::submission::{Body, MAX_INLINE};
use crate::ports::blobs::{BlobError, Blobs, ReadAt, read_all};
use crate::ports::store::Store;
use std::io::Write as _;
use std::sync::Arc;

impl App {
    /// Keeps `text`; durable when a blob, and else as durable as the row that it goes into.
    pub(super) fn keep_body(&self, text: String) -> Result<Body, Refusal> {
        if text.len() <= MAX_INLINE {
            return Ok(Body::Inline(text));
        }
        Ok(Body::Blob(self.keep_bytes(text.as_bytes())?))
    }

    /// Keeps `bytes` as a blob.
    pub(super) fn keep_bytes(&self, bytes: &[u8]) -> Result<Digest, Refusal> {
        let mut blob = self.blobs.create()?;
        blob.write_all(bytes).map_err(BlobError::Write)?;
        Ok(blob.keep()?)
    }

    /// The bytes of that digest, wherever they are.
    pub(super) fn open(&self, digest: Digest) -> Result<Arc<dyn ReadAt>, Refusal> {
        open(&*self.store, &*self.blobs, digest)
    }

    /// The text again.
    ///
    /// # Errors
    /// The disk's.
    pub fn body(&self, body: &Body) -> Result<Vec<u8>, Refusal> {
        match body {
            Body::Inline(text) => Ok(text.clone().into_bytes()),
            Body::Blob(digest) => {
                let blob = self.blobs.open(*digest)?;
                Ok(read_all(&*blob).map_err(|source| BlobError::Read { digest: *digest, source })?)
            }
        }
    }

    /// A list of files that was kept as a body.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn kept(&self, body: &Body) -> Result<Kept, Refusal> {
        let parsed = serde_json::from_slice(&self.body(body)?);
        parsed.map_err(|error| Refusal::Stored { what: "a list of files", source: error.into() })
    }
}

/// The bytes of that digest: beside the rows, or a blob.
pub(super) fn open(store: &dyn Store, blobs: &dyn Blobs, digest: Digest) -> Result<Arc<dyn ReadAt>, Refusal> {
    match store.small(digest)? {
        Some(bytes) => Ok(Arc::new(bytes)),
        None => Ok(blobs.open(digest)?),
    }
}
