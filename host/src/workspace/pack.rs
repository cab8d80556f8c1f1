//! Packs a folder for sending: tar.zst, the same bytes for the same files, whoever packs them and when.

use super::limits::ArchiveLimits;
use super::local::{Found, open, walk};
use super::refused::{Entry, Refused};
use cap_std::fs::Dir;
use std::io::{self, Read, Write};
use tar::{Builder, EntryType, Header};

/// zstd's own default; its window is far below what [`unpack`](super::unpack) accepts.
const LEVEL: i32 = 3;

/// Writes the files of `dir` to `out` as a tar.zst, sorted, without times, owners and modes, and says how many there
/// are. What is left out and refused is the same as for [`folder`](super::folder). Streams; nothing is followed out of
/// `dir`.
///
/// # Errors
/// [`Refused`], in the words for archives; [`Refused::Local`] when a file cannot be read, [`Refused::Pack`] when `out`
/// does not take the bytes.
pub fn pack<W: Write>(dir: &Dir, limits: &ArchiveLimits, out: W) -> Result<(usize, W), Refused> {
    let found = walk(dir, limits)?;
    let encoder = zstd::stream::write::Encoder::new(out, LEVEL).map_err(Refused::Pack)?;
    let mut builder = Builder::new(encoder);
    for Found { path, len } in &found {
        let entry = || Entry::new(path.as_str().as_bytes());
        let (file, now) = open(dir, path.as_str())?;
        if now != *len {
            return Err(Refused::Changed { entry: entry() });
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(*len);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        let mut body = Exact { inner: file.take(*len), left: *len, failed: None };
        let appended = builder.append_data(&mut header, path.as_str(), &mut body);
        if let Some(source) = body.failed {
            return Err(Refused::Local { entry: entry(), source });
        }
        appended.map_err(Refused::Pack)?;
        if body.left != 0 {
            return Err(Refused::Changed { entry: entry() });
        }
    }
    let encoder = builder.into_inner().map_err(Refused::Pack)?;
    Ok((found.len(), encoder.finish().map_err(Refused::Pack)?))
}

/// Tells a failed or short read from a failed write.
struct Exact<R> {
    inner: R,
    left: u64,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(count) => {
                self.left -= count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}
