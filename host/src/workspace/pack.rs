//! Packs files for sending: tar.zst, the same bytes for the same files, whoever packs them and when.

use gradus_core::domain::tree::TreePath;
use gradus_core::ports::blobs::ReadAt;
use std::io::{self, Read, Write};
use tar::{Builder, EntryType, Header};

/// zstd's own default; its window is far below what [`unpack`](super::unpack) accepts.
const LEVEL: i32 = 3;

/// Writes `files`, in their order, to `out` as a tar.zst, without times, owners and modes.
///
/// # Errors
/// A file cannot be read, or `out` does not take the bytes.
pub fn pack<'f>(files: impl IntoIterator<Item = (&'f TreePath, &'f dyn ReadAt)>, out: impl Write) -> io::Result<()> {
    let mut builder = Builder::new(zstd::stream::write::Encoder::new(out, LEVEL)?);
    for (path, bytes) in files {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len());
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, path.as_str(), Body { bytes, at: 0 })?;
    }
    builder.into_inner()?.finish()?.flush()
}

/// Bytes from their first to their last.
pub(crate) struct Body<'a> {
    pub(crate) bytes: &'a dyn ReadAt,
    pub(crate) at: u64,
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read_at(self.at, buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}
