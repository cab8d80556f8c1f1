//! Reads zip archives: the directory at the end says what there is, and every file's own header must agree with it.
//!
//! Decided: the directory ends where the end record begins, and nothing follows the end record's comment; no two
//! entries overlap; sizes are those of the directory, and the data must have exactly them and the checksum. Stored and
//! deflated entries are read, zip64 too; encrypted ones, other methods and several volumes are not.

mod directory;

use super::collect::{Collector, is_junk};
use super::refused::{Entry, NAME_MOST, Refused};
use super::source::{Meter, Metered, part};
use directory::Listed;
use flate2::Crc;
use gradus_core::domain::tree::{BadPath, TreePath};
use gradus_core::ports::blobs::ReadAt;
use std::io::{self, Read};

/// Hands all files to `collector`.
pub(super) fn read(upload: &dyn ReadAt, meter: &Meter<'_>, collector: &mut Collector<'_>) -> Result<(), Refused> {
    let (listed, directory) = directory::read(upload, meter)?;
    let mut paths = Vec::with_capacity(listed.len());
    for entry in &listed {
        collector.entry()?;
        let path = path(&entry.name)?;
        match &path {
            Some(path) if !entry.folder && !is_junk(path) => meter.announce(path.as_str(), entry.size)?,
            Some(_) => {}
            None if entry.folder => {}
            None => return Err(Refused::path(&entry.name, BadPath::Empty)),
        }
        paths.push(path);
    }
    let mut order: Vec<usize> = (0..listed.len()).collect();
    order.sort_by_key(|at| listed[*at].offset);
    // All headers first: of an archive with overlapping entries nothing is unpacked.
    let mut starts = Vec::with_capacity(listed.len());
    for (step, at) in order.iter().enumerate() {
        let end = order.get(step + 1).map_or(directory, |next| listed[*next].offset.min(directory));
        starts.push(directory::local(upload, meter, &listed[*at], end)?);
    }
    for (at, start) in order.into_iter().zip(starts) {
        let (entry, Some(path)) = (&listed[at], &paths[at]) else { continue };
        if is_junk(path) {
            continue;
        }
        match entry.folder {
            true => collector.folder(path.clone()),
            false => file(upload, meter, entry, path.clone(), start, collector)?,
        }
    }
    Ok(())
}

fn file(
    upload: &dyn ReadAt,
    meter: &Meter<'_>,
    entry: &Listed,
    path: TreePath,
    start: u64,
    collector: &mut Collector<'_>,
) -> Result<(), Refused> {
    let mismatch = |what| Refused::Mismatch { entry: Entry::new(&entry.name), what };
    let packed = part(upload, meter, start, start + entry.packed);
    let mut crc = Crc::new();
    // One byte more than announced is enough to see that there is more.
    let (taken, unread) = if entry.deflated {
        let mut inflate = flate2::bufread::DeflateDecoder::new(packed);
        let metered = Metered { inner: &mut inflate, meter };
        let mut body = Summed { inner: metered.take(entry.size.saturating_add(1)), crc: &mut crc };
        let taken = collector.file(path, &mut body, "zip")?;
        (taken, inflate.total_in() != entry.packed)
    } else {
        let mut body =
            Summed { inner: Metered { inner: packed, meter }.take(entry.size.saturating_add(1)), crc: &mut crc };
        (collector.file(path, &mut body, "zip")?, entry.packed != entry.size)
    };
    if taken != entry.size || unread {
        return Err(mismatch("its size"));
    }
    if crc.sum() != entry.crc {
        return Err(mismatch("its checksum"));
    }
    Ok(())
}

/// Sums up what passes.
struct Summed<'c, R> {
    inner: R,
    crc: &'c mut Crc,
}

impl<R: Read> Read for Summed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.crc.update(&buffer[..count]);
        Ok(count)
    }
}

/// The path of an entry; a folder's name ends with `/`. `None` is the top itself.
fn path(name: &[u8]) -> Result<Option<TreePath>, Refused> {
    // Without its UTF-8 flag a name is in some old code page by the standard and UTF-8 in practice.
    let text = std::str::from_utf8(name).map_err(|_| Refused::NameEncoding { entry: Entry::new(name) })?;
    if text.len() > NAME_MOST {
        return Err(Refused::path(name, BadPath::TooLong));
    }
    let mut text = text;
    while let Some(rest) = text.strip_prefix("./") {
        text = rest;
    }
    text = text.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(text);
    // `./`: the top itself, as `zip -r x.zip ./` and Python's `zipfile` write it.
    if text.is_empty() && !name.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|why| Refused::path(name, why))
}
