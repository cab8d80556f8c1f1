//! Files from outside: uploads and folders become lists of names with bodies, and folders become archives.
//!
//! Nothing here is ever unpacked to a file system. An entry's body becomes a pending blob and its name a
//! [`TreePath`](gradus_core::domain::tree::TreePath), which is an item of a list and is never joined to a path of the
//! host's. Zip and tar are read by code of our own, since what has to be refused is decided between their headers.
//!
//! The rules, the same for an upload ([`unpack`]) and for a folder on disk ([`folder`]):
//!
//! * What an upload is follows from its content; see [`unpack`].
//! * Only regular files count. A link, device, pipe or sparse file is refused. Folders exist through their files alone.
//! * What operating systems add is dropped: `__MACOSX/`, `.DS_Store`, `Thumbs.db`, `._*`.
//! * A single outer folder around all files is stripped, once. Of a single file only its own name is left, so that
//!   a one-file archive equals the bare file.
//!
//! What it deliberately does not do: decide whether the files make a good submission or challenge, unpack an archive
//! inside an archive (it stays a file), or uncompress a lone `.gz` or `.zst` (scorers do).

mod collect;
mod detect;
pub mod layers;
pub mod limits;
mod local;
pub mod outputs;
mod pack;
mod refused;
mod source;
mod tar;
#[cfg(test)]
mod tests;
mod zip;

pub use local::{Listed, LocalFile, folder, single};
pub(crate) use pack::Body;
pub use pack::pack;
pub use refused::{Entry, Refused};

use collect::Collector;
use detect::Kind;
use gradus_core::ports::blobs::{Blobs, Part, PendingBlob};
use limits::ArchiveLimits;
use source::Meter;

/// Takes an upload apart: the files of a zip, tar, tar.gz or tar.zst archive, or the upload itself under `name`.
///
/// The content says which it is. The name has a say in three cases: a format that happens to be a zip (`.npz`, `.xlsx`
/// and their like) stays a bare file; a name that promises an archive with other content is refused; and archives of
/// kinds that are not read (`.7z`, `.tar.xz`) are refused instead of being taken for a bare file.
///
/// Blocks: call it on a thread that may. When it fails, everything that it wrote is dropped with it.
///
/// # Errors
/// [`Refused`]; see [`Refused::is_ours`] for whose fault it is.
pub fn unpack(
    name: &str,
    upload: Box<dyn PendingBlob>,
    blobs: &dyn Blobs,
    limits: &ArchiveLimits,
) -> Result<Vec<Part>, Refused> {
    let meter = Meter::new(limits, upload.len());
    let kind = detect::kind(name, &*upload, &meter)?;
    let mut collector = Collector::new(blobs, &meter);
    match kind {
        Kind::Bare(path) => {
            meter.announce(path.as_str(), upload.len())?;
            return Ok(vec![Part::Own(path, upload)]);
        }
        Kind::Zip => zip::read(&*upload, &meter, &mut collector)?,
        Kind::Tar(packing) => tar::read(&*upload, packing, &meter, &mut collector)?,
    }
    collector.finish()
}
