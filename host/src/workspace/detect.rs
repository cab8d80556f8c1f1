//! What an upload is: by its first bytes, with its name for the doubtful cases. Reads a few hundred bytes.

use super::refused::{Entry, Refused};
use super::source::{Meter, part};
use super::tar::{self, Packing};
use gradus_core::domain::tree::{BadPath, TreePath};
use gradus_core::ports::blobs::ReadAt;
use std::io::Read;

/// What an upload is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One file, of this name.
    Bare(TreePath),
    Zip,
    Tar(Packing),
}

/// Formats that happen to be a zip inside; nobody means them as a folder of files.
const OWN_FORMAT: [&str; 9] = [".npz", ".xlsx", ".ods", ".docx", ".odt", ".pt", ".pth", ".keras", ".jar"];
/// Names that promise an archive that is read here.
const ARCHIVE: [&str; 6] = [".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"];
/// Names of archives that are not read here.
const UNSUPPORTED: [&str; 9] =
    [".7z", ".rar", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.lz4", ".tar.lzma", ".tar.Z"];

pub(super) fn kind(name: &str, upload: &dyn ReadAt, meter: &Meter<'_>) -> Result<Kind, Refused> {
    let lower = name.to_ascii_lowercase();
    let ends = |list: &[&str]| list.iter().any(|end| lower.ends_with(&end.to_ascii_lowercase()));
    let mut head = Vec::new();
    let mut start = part(upload, meter, 0, upload.len()).take(512);
    start.read_to_end(&mut head).map_err(|error| Refused::from_read(error, "upload"))?;
    if (head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")) && !ends(&OWN_FORMAT) {
        return Ok(Kind::Zip);
    }
    let named = ends(&ARCHIVE);
    let packing = match &head[..] {
        [0x1f, 0x8b, ..] => Some(Packing::Gzip),
        // A skippable frame, 0x184d2a50 to 5f, may stand before the first one.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Packing::Zstd),
        _ if tar::looks_like(&head, named) => return Ok(Kind::Tar(Packing::Plain)),
        _ => None,
    };
    if let Some(packing) = packing {
        let mut inside = Vec::new();
        let read = tar::open(upload, packing, meter).and_then(|stream| {
            stream.take(512).read_to_end(&mut inside).map_err(|error| Refused::from_read(error, packing.format()))
        });
        match read {
            _ if tar::looks_like(&inside, named) => return Ok(Kind::Tar(packing)),
            // Damaged and named like an archive: say that, and not that it is none.
            Err(refused @ Refused::Corrupt { .. }) if !named => drop(refused),
            Err(Refused::Window) if !named => {}
            Err(refused) => return Err(refused),
            Ok(_) => {}
        }
    }
    if named {
        return Err(Refused::NotArchive { name: Entry::new(name.as_bytes()) });
    }
    if ends(&UNSUPPORTED) {
        return Err(Refused::UnsupportedArchive { name: Entry::new(name.as_bytes()) });
    }
    plain_name(name).map(Kind::Bare)
}

/// The last name of a path as clients send it, of either system.
fn plain_name(name: &str) -> Result<TreePath, Refused> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    last.parse().map_err(|why: BadPath| Refused::path(last.as_bytes(), why))
}
