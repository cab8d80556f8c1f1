//! Files that use cases read, wherever they lie: on the way in, among the blobs, or in a folder of the organizer's.

use super::bodies::open;
use super::{App, Refusal};
use crate::domain::digest::{Digest, Hasher};
use crate::domain::kept::Kept;
use crate::domain::tree::{Tree, TreeFile, TreePath};
use crate::ports::blobs::{Blobs, ReadAt, Slice};
use crate::ports::scorer::InputFile;
use crate::ports::store::Store;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, OnceLock};

/// A file at hand: its place, its digest, its bytes.
#[derive(Clone)]
pub struct File {
    /// Place, length and digest.
    pub about: TreeFile,
    /// The bytes.
    pub bytes: Arc<dyn ReadAt>,
}

/// Files of a folder that stay open once they were read.
const KEPT_OPEN: usize = 16;

/// A kept file that is opened when it is read.
struct Stored {
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    /// What holds it: its own digest, or a pack's.
    holder: Digest,
    at: u64,
    len: u64,
    /// Whether, and as what, its holder stays open.
    opened: Option<Arc<OnceLock<Arc<dyn ReadAt>>>>,
}

impl ReadAt for Stored {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let (at, len) = (self.at, self.len);
        if let Some(opened) = self.opened.as_ref().and_then(|opened| opened.get()) {
            return Slice { whole: Arc::clone(opened), at, len }.read_at(offset, buffer);
        }
        let blob = open(&*self.store, &*self.blobs, self.holder).map_err(io::Error::other)?;
        let count = Slice { whole: Arc::clone(&blob), at, len }.read_at(offset, buffer);
        if let Some(opened) = &self.opened {
            // Another thread may have been faster; either handle reads the same bytes.
            drop(opened.set(blob));
        }
        count
    }
}

/// Files at hand, as a tree.
#[derive(Clone, Default)]
pub struct Folder {
    tree: Tree,
    files: Vec<File>,
}

impl Folder {
    /// From files with known digests.
    ///
    /// # Errors
    /// A path that is there twice.
    pub fn new(mut files: Vec<File>) -> Result<Self, TreePath> {
        files.sort_by(|a, b| a.about.path.cmp(&b.about.path));
        let tree = Tree::new(files.iter().map(|file| file.about.clone()).collect())?;
        Ok(Self { tree, files })
    }

    /// From files that are kept. None is opened yet: there may be more than a process may open.
    fn of_kept(kept: Kept, app: &App) -> Self {
        let packs: HashMap<Digest, _> = kept.packs.iter().map(|pack| (*pack, Arc::<OnceLock<_>>::default())).collect();
        let stored = |(number, (about, holder, at)): (usize, (&TreeFile, Digest, u64))| {
            let pack = packs.get(&holder).cloned();
            let opened = pack.or_else(|| (number < KEPT_OPEN).then(Arc::default));
            let (store, blobs) = (Arc::clone(&app.store), Arc::clone(&app.blobs));
            let bytes = Stored { store, blobs, holder, at, len: about.len, opened };
            File { about: about.clone(), bytes: Arc::new(bytes) }
        };
        let files = kept.placed().enumerate().map(stored).collect();
        Self { tree: kept.files, files }
    }

    /// The paths, lengths and digests.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The files, sorted by path.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// The file at `path`.
    pub fn get(&self, path: &str) -> Option<&File> {
        self.files.binary_search_by(|file| file.about.path.as_str().cmp(path)).ok().map(|at| &self.files[at])
    }

    /// The file `path`, or the folder of that name, as a folder of its own.
    pub fn at(&self, path: &str) -> Self {
        let tree = self.tree.at(path);
        let inside = self.files.iter().filter(|file| file.about.path.is_under(path));
        let files = tree.files().iter().zip(inside);
        let files = files.map(|(about, file)| File { about: about.clone(), bytes: Arc::clone(&file.bytes) }).collect();
        Self { tree, files }
    }

    /// As a scorer reads it.
    pub fn inputs(&self) -> Vec<InputFile> {
        let input = |file: &File| InputFile { path: file.about.path.to_string(), bytes: Arc::clone(&file.bytes) };
        self.files.iter().map(input).collect()
    }
}

/// The digest of all bytes of `source`.
///
/// # Errors
/// The disk's.
pub fn digest_of(source: &dyn ReadAt) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    loop {
        match source.read_at(at, &mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => {
                hasher.update(&buffer[..count]);
                at += count as u64;
            }
        }
    }
}

impl App {
    /// A stored tree, ready to be read.
    pub(super) fn folder(&self, body: &crate::domain::submission::Body) -> Result<Folder, Refusal> {
        Ok(Folder::of_kept(self.kept(body)?, self))
    }
}
