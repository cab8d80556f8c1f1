//! The files of an archive on their way to the blobs: what is dropped, what clashes, which folder is stripped.
//!
//! A pending blob may hold a file open and costs the disk a sync when it is kept, so only the first few files get one of
//! their own. All others share one, which is kept as a whole.

use super::refused::{Entry, Refused};
use super::source::{BUFFER, Meter};
use gradus_core::domain::digest::Hasher;
use gradus_core::domain::tree::{TreeFile, TreePath};
use gradus_core::ports::blobs::{BlobError, Blobs, Part, PendingBlob, Slice};
use std::io::{self, Read, Write};
use std::sync::Arc;

/// Files of an archive that get a pending blob of their own.
const OWN: usize = 32;

/// Where the body of a file is.
enum Body {
    Own(Box<dyn PendingBlob>),
    /// From `at` in the shared blob.
    Shared {
        at: u64,
    },
}

/// Takes the entries of one archive.
pub(super) struct Collector<'c> {
    blobs: &'c dyn Blobs,
    meter: &'c Meter<'c>,
    files: Vec<(TreeFile, Body)>,
    folders: Vec<TreePath>,
    shared: Option<Box<dyn PendingBlob>>,
    entries: usize,
    buffer: Vec<u8>,
}

impl<'c> Collector<'c> {
    pub(super) fn new(blobs: &'c dyn Blobs, meter: &'c Meter<'c>) -> Self {
        let (files, folders) = (Vec::new(), Vec::new());
        Self { blobs, meter, files, folders, shared: None, entries: 0, buffer: vec![0; BUFFER] }
    }

    /// Counts an entry of whatever kind.
    pub(super) fn entry(&mut self) -> Result<(), Refused> {
        self.entries += 1;
        let most = self.meter.limits.entries;
        if self.entries > most { Err(Refused::TooManyEntries { most }) } else { Ok(()) }
    }

    pub(super) fn folder(&mut self, path: TreePath) {
        self.folders.push(path);
    }

    /// Writes all of `body`, and says how many bytes that were. What is dropped is read all the same.
    pub(super) fn file(&mut self, path: TreePath, body: &mut dyn Read, format: &'static str) -> Result<u64, Refused> {
        if is_junk(&path) {
            return self.drain(body, format, |_| Ok(()));
        }
        if self.files.len() < OWN {
            let mut own = self.blobs.create().map_err(Refused::Disk)?;
            let len = self.drain(body, format, |bytes| own.write_all(bytes))?;
            let digest = own.digest();
            self.files.push((TreeFile { path, len, digest }, Body::Own(own)));
            return Ok(len);
        }
        let mut shared = match self.shared.take() {
            Some(shared) => shared,
            None => self.blobs.create().map_err(Refused::Disk)?,
        };
        let (at, mut hasher) = (shared.len(), Hasher::default());
        let len = self.drain(body, format, |bytes| {
            hasher.update(bytes);
            shared.write_all(bytes)
        })?;
        self.shared = Some(shared);
        self.files.push((TreeFile { path, len, digest: hasher.finish() }, Body::Shared { at }));
        Ok(len)
    }

    fn drain(
        &mut self,
        body: &mut dyn Read,
        format: &'static str,
        mut to: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<u64, Refused> {
        let mut len = 0;
        loop {
            match body.read(&mut self.buffer) {
                Ok(0) => return Ok(len),
                Ok(count) => {
                    len += count as u64;
                    to(&self.buffer[..count]).map_err(|error| Refused::Disk(BlobError::Write(error)))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Refused::from_read(error, format)),
            }
        }
    }

    /// All entries were taken: refuses clashes, strips the outer folder, sorts.
    pub(super) fn finish(mut self) -> Result<Vec<Part>, Refused> {
        let paths = self.files.iter().map(|(file, _)| (&file.path, false));
        no_clash(paths.chain(self.folders.iter().map(|path| (path, true))).collect())?;
        let strip = outer(self.files.iter().map(|(file, _)| &file.path));
        for (file, _) in &mut self.files {
            file.path = stripped(&file.path, strip.as_deref());
        }
        if self.files.is_empty() {
            return Err(Refused::Empty);
        }
        Ok(self.unstripped())
    }

    /// All entries were taken, from where no two can clash: sorts them, and keeps their paths.
    pub(super) fn unstripped(mut self) -> Vec<Part> {
        self.files.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
        let shared = self.shared.map(Arc::new);
        let mut parts = Vec::with_capacity(self.files.len());
        for (file, body) in self.files {
            match (body, &shared) {
                (Body::Own(own), _) => parts.push(Part::Own(file.path, own)),
                (Body::Shared { at }, Some(shared)) => {
                    let slice = Slice { whole: Arc::clone(shared), at, len: file.len };
                    parts.push(Part::Inside(file, slice));
                }
                (Body::Shared { .. }, None) => unreachable!("a file that is shared was written to the shared blob"),
            }
        }
        parts
    }
}

/// Refuses a file that is there twice, or that is also a folder; `true` marks folders, which may be there twice.
fn no_clash(mut paths: Vec<(&TreePath, bool)>) -> Result<(), Refused> {
    // Compared name by name, what lies below a path follows it at once, so that looking at neighbours is enough.
    paths.sort_by(|(a, a_folder), (b, b_folder)| {
        a.as_str().split('/').cmp(b.as_str().split('/')).then(a_folder.cmp(b_folder))
    });
    for pair in paths.windows(2) {
        let [(a, a_folder), (b, b_folder)] = [pair[0], pair[1]];
        let entry = || Entry::new(a.as_str().as_bytes());
        if a == b && !a_folder && !b_folder {
            return Err(Refused::Duplicate { entry: entry() });
        }
        if !a_folder && b.is_under(a.as_str()) {
            return Err(Refused::FileAndFolder { entry: entry() });
        }
    }
    Ok(())
}

/// What operating systems add on their own.
pub(super) fn is_junk(path: &TreePath) -> bool {
    let file = path.file_name();
    matches!(file, ".DS_Store" | "Thumbs.db")
        || file.starts_with("._")
        || path.as_str().split('/').any(|n| n == "__MACOSX")
}

/// The folder to strip: the one around all files, or around a single file the whole way to it.
pub(super) fn outer<'p>(mut paths: impl Iterator<Item = &'p TreePath>) -> Option<String> {
    let first = paths.next()?;
    let mut rest = paths.peekable();
    if rest.peek().is_none() {
        return first.as_str().rsplit_once('/').map(|(folder, _)| folder.to_owned());
    }
    let (folder, _) = first.as_str().split_once('/')?;
    rest.all(|path| path.below(folder).is_some()).then(|| folder.to_owned())
}

/// `path` without the folder that [`outer`] found.
pub(super) fn stripped(path: &TreePath, outer: Option<&str>) -> TreePath {
    outer.and_then(|folder| path.below(folder)).unwrap_or_else(|| path.clone())
}
