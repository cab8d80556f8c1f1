//! A folder of this computer as a list of files, read through a handle on it, so that nothing outside it is followed.
//!
//! Left out: names that begin with `.`, what operating systems add, and build folders: a `target` beside a `Cargo.toml`
//! or with a `CACHEDIR.TAG` in it. Links are refused, since what they point at would not travel.

use super::collect::{is_junk, outer, stripped};
use super::limits::ArchiveLimits;
use super::refused::{Entry, Refused};
use cap_std::fs::{Dir, File, FileExt, FileType};
use gradus_core::domain::tree::{BadPath, TreePath};
use gradus_core::ports::blobs::ReadAt;
use std::io;
use std::sync::Arc;

/// Files of a folder that stay open; the others are opened for each read, since the number of open files is bounded.
const OPEN: usize = 64;

fn local(name: &str) -> impl Fn(io::Error) -> Refused {
    let entry = Entry::new(name.as_bytes());
    move |source| Refused::Local { entry: entry.clone(), source }
}

/// All files below `dir`, sorted, with the paths they have there.
fn walk(dir: &Dir, limits: &ArchiveLimits) -> Result<Vec<TreePath>, Refused> {
    let mut walk = Walk { found: Vec::new(), entries: 0, bytes: 0, limits };
    walk.folder(dir, "")?;
    if walk.found.is_empty() {
        return Err(Refused::Empty);
    }
    walk.found.sort();
    Ok(walk.found)
}

struct Walk<'l> {
    found: Vec<TreePath>,
    entries: usize,
    bytes: u64,
    limits: &'l ArchiveLimits,
}

impl Walk<'_> {
    /// The depth is bounded: a path deeper than a [`TreePath`] may be is refused.
    fn folder(&mut self, dir: &Dir, prefix: &str) -> Result<(), Refused> {
        let shown = if prefix.is_empty() { "." } else { prefix };
        for entry in dir.entries().map_err(local(shown))? {
            let entry = entry.map_err(local(shown))?;
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let bytes = name.as_encoded_bytes();
            let name = name.to_str().ok_or_else(|| Refused::NameEncoding { entry: Entry::new(bytes) })?;
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            let kind = entry.file_type().map_err(local(&path))?;
            if kind.is_dir() && name == "target" && is_build(dir) {
                continue;
            }
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(Refused::TooManyEntries { most: self.limits.entries });
            }
            let tree: TreePath = path.parse().map_err(|why: BadPath| Refused::path(path.as_bytes(), why))?;
            if is_junk(&tree) {
                continue;
            }
            if kind.is_dir() {
                self.folder(&entry.open_dir().map_err(local(&path))?, &path)?;
            } else {
                regular(&path, kind)?;
                let len = entry.metadata().map_err(local(&path))?.len();
                self.file(tree, len)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: TreePath, len: u64) -> Result<(), Refused> {
        if len > self.limits.file.0 {
            return Err(Refused::FileTooBig { entry: Entry::new(path.as_str().as_bytes()), most: self.limits.file });
        }
        self.bytes = self.bytes.saturating_add(len);
        if self.bytes > self.limits.bytes.0 {
            return Err(Refused::TooBig { most: self.limits.bytes });
        }
        self.found.push(path);
        Ok(())
    }
}

fn is_build(parent: &Dir) -> bool {
    parent.is_file("Cargo.toml") || parent.is_file("target/CACHEDIR.TAG")
}

fn regular(path: &str, kind: FileType) -> Result<(), Refused> {
    let entry = || Entry::new(path.as_bytes());
    if kind.is_symlink() {
        return Err(Refused::Link { entry: entry() });
    }
    if kind.is_file() { Ok(()) } else { Err(Refused::Special { entry: entry() }) }
}

/// Opens a file that [`walk`] found; it must still be a regular one.
fn open(dir: &Dir, path: &str) -> Result<(File, u64), Refused> {
    // Looked at before it is opened, too: opening a pipe would wait for its other end.
    regular(path, dir.symlink_metadata(path).map_err(local(path))?.file_type())?;
    let file = dir.open(path).map_err(local(path))?;
    let metadata = file.metadata().map_err(local(path))?;
    regular(path, metadata.file_type())?;
    Ok((file, metadata.len()))
}

/// A file of this computer.
#[derive(Debug)]
pub struct LocalFile {
    dir: Arc<Dir>,
    path: String,
    len: u64,
    open: Option<File>,
}

impl ReadAt for LocalFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let most = rest.min(buffer.len());
        let buffer = &mut buffer[..most];
        let opened;
        let file = match &self.open {
            Some(file) => file,
            None => {
                opened = self.dir.open(&self.path)?;
                &opened
            }
        };
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], offset + filled as u64) {
                // Cut since it was listed: its length would be a lie.
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// A file of a folder: its path, its length in bytes, and the bytes.
pub type Listed = (TreePath, u64, Arc<dyn ReadAt>);

/// The files of a folder, sorted by path, with the outer folder stripped as of an archive.
///
/// # Errors
/// [`Refused`], in the words for archives, and [`Refused::Local`].
pub fn folder(dir: &Dir, limits: &ArchiveLimits) -> Result<Vec<Listed>, Refused> {
    let found = walk(dir, limits)?;
    let strip = outer(found.iter());
    let handle = Arc::new(dir.try_clone().map_err(local("."))?);
    let mut files = Vec::with_capacity(found.len());
    for (at, path) in found.into_iter().enumerate() {
        let (file, len) = open(dir, path.as_str())?;
        let source = LocalFile {
            dir: Arc::clone(&handle),
            path: path.as_str().to_owned(),
            len,
            open: (at < OPEN).then_some(file),
        };
        files.push((stripped(&path, strip.as_deref()), len, Arc::new(source) as Arc<dyn ReadAt>));
    }
    Ok(files)
}

/// One file of a folder.
///
/// # Errors
/// [`Refused`], in the words for archives, and [`Refused::Local`].
pub fn single(dir: &Dir, name: &str) -> Result<Listed, Refused> {
    let path: TreePath = name.parse().map_err(|why| Refused::path(name.as_bytes(), why))?;
    let (file, len) = open(dir, name)?;
    let dir = Arc::new(dir.try_clone().map_err(local(name))?);
    Ok((path, len, Arc::new(LocalFile { dir, path: name.to_owned(), len, open: Some(file) })))
}
