//! Blobs in a folder: a file for each, called by its digest. Nothing outside the folder can be reached through it.
//!
//! A blob is written to `tmp/`, synced, and renamed to `<2 hex digits>/<62 hex digits>`; then that folder is synced, and
//! only then its digest is given out. So what has a blob's name is whole even after a power cut. What is kept again gets
//! another time of change, by which who removes one sees that somebody wants it.
//!
//! Small bytes lie in memory until they are kept: most never are, as small submissions go into the store.

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, OpenOptions, OpenOptionsExt as _};
use gradus_core::domain::digest::{Digest, Hasher};
use gradus_core::ports::blobs::{BlobError, Blobs, PendingBlob, ReadAt, Stamp};
use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_NOW};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, RwLock};

const TMP: &str = "tmp";
/// Bytes that are not kept yet lie in memory, so many of one blob at most,
const SMALL: usize = 64 << 10;
/// and so many of all together.
const IN_MEMORY: usize = 64 << 20;

/// The blobs in a folder. One opener at a time: opening clears what an earlier one had not kept.
pub struct FsBlobs {
    folders: Arc<Folders>,
}

struct Folders {
    root: Dir,
    tmp: Dir,
    /// The shards whose own names are known to be durable.
    synced: [AtomicBool; 256],
    /// Held while a blob gets its name, or another time of change; and alone by who takes a name away.
    naming: RwLock<()>,
    /// Names in `tmp` are numbers.
    counter: AtomicU64,
    /// Bytes in memory.
    in_memory: AtomicUsize,
}

/// Where bytes are that are not kept yet.
enum Held {
    Memory(Vec<u8>),
    /// In `tmp`, by that name.
    File(File, String),
}

struct Pending {
    held: Held,
    len: u64,
    hasher: Hasher,
    folders: Arc<Folders>,
}

struct Kept {
    file: File,
    len: u64,
}

impl FsBlobs {
    /// Opens the blobs in `dir`, or begins some there.
    ///
    /// # Errors
    /// [`BlobError::Write`]: the folder is not ours to create, read and write.
    pub fn open(dir: &Path) -> Result<Self, BlobError> {
        Self::begin(dir).map_err(BlobError::Write)
    }

    fn begin(dir: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let root = Dir::open_ambient_dir(dir, ambient_authority())?;
        make_dir(&root, TMP)?;
        let tmp = root.open_dir(TMP)?;
        for entry in tmp.entries()? {
            tmp.remove_file(entry?.file_name())?;
        }
        sync_dir(&root)?;
        // The folder's own name too.
        std::fs::File::open(dir.join(".."))?.sync_all()?;
        let folders = Folders {
            root,
            tmp,
            synced: std::array::from_fn(|_| AtomicBool::new(false)),
            naming: RwLock::default(),
            counter: AtomicU64::new(0),
            in_memory: AtomicUsize::new(0),
        };
        Ok(Self { folders: Arc::new(folders) })
    }
}

impl Folders {
    /// Begins a file in `tmp`.
    fn begin(&self) -> io::Result<(File, String)> {
        let name = self.counter.fetch_add(1, Relaxed).to_string();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        Ok((self.tmp.open_with(&name, &options)?.into_std(), name))
    }

    /// Makes room for so many bytes more, if there is.
    fn grow(&self, held: &mut Vec<u8>, bytes: usize) -> bool {
        let (needed, had) = (held.len() + bytes, held.capacity());
        if needed > SMALL {
            return false;
        }
        if needed > had {
            // Twice as much each time, as bytes may come one by one.
            let more = needed.max(had * 2).min(SMALL) - had;
            let taken = |now: usize| now.checked_add(more).filter(|now| *now <= IN_MEMORY);
            if self.in_memory.fetch_update(Relaxed, Relaxed, taken).is_err() {
                return false;
            }
            held.reserve_exact(had + more - held.len());
            // The allocator may give more than it was asked for.
            self.in_memory.fetch_add(held.capacity() - had - more, Relaxed);
        }
        true
    }
}

/// Where the blob of `digest` is: folder and file.
fn place(digest: Digest) -> (String, String) {
    let mut shard = digest.hex();
    let name = shard.split_off(2);
    (shard, name)
}

/// Makes the folder `name`, unless it is there.
fn make_dir(parent: &Dir, name: &str) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    match parent.create_dir_with(name, &builder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Gives a file another time of change, if it is there. Whether it is.
fn touch(dir: &Dir, name: &str) -> io::Result<bool> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    match rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW) {
        Err(rustix::io::Errno::NOENT) => Ok(false),
        touched => touched.map(|()| true).map_err(Into::into),
    }
}

/// Nanoseconds of a file's last change, of its bytes or of its times.
fn stamp(dir: &Dir, path: &str) -> io::Result<Option<Stamp>> {
    match rustix::fs::statat(dir, path, AtFlags::SYMLINK_NOFOLLOW) {
        Err(rustix::io::Errno::NOENT) => Ok(None),
        #[expect(clippy::cast_sign_loss, reason = "any number that differs will do")]
        stat => stat
            .map(|stat| {
                Some(Stamp((stat.st_mtime as u64).wrapping_mul(1_000_000_000).wrapping_add(stat.st_mtime_nsec)))
            })
            .map_err(Into::into),
    }
}

fn sync_dir(dir: &Dir) -> io::Result<()> {
    dir.open(".")?.sync_all()
}

impl Pending {
    /// The file with its bytes, and its name in `tmp`.
    fn file(&mut self) -> io::Result<(&File, &str)> {
        if let Held::Memory(bytes) = &self.held {
            let (mut file, name) = self.folders.begin()?;
            if let Err(error) = file.write_all(bytes) {
                drop(self.folders.tmp.remove_file(&name));
                return Err(error);
            }
            self.folders.in_memory.fetch_sub(bytes.capacity(), Relaxed);
            self.held = Held::File(file, name);
        }
        match &self.held {
            Held::File(file, name) => Ok((file, name)),
            Held::Memory(_) => Err(ErrorKind::InvalidData.into()),
        }
    }

    fn settle(&mut self, digest: Digest) -> io::Result<()> {
        let (shard, name) = place(digest);
        let folders = Arc::clone(&self.folders);
        let Folders { root, tmp, synced, naming, .. } = &*folders;
        make_dir(root, &shard)?;
        let folder = root.open_dir(&shard)?;
        let there = self.is_there(digest, &folder, &name) && {
            let _held = naming.read();
            touch(&folder, &name)?
        };
        if !there {
            let (file, own) = self.file()?;
            file.sync_data()?;
            let _held = naming.read();
            tmp.rename(own, &folder, &name)?;
        }
        // Also where it was there: who put it there may not have come to this yet.
        sync_dir(&folder)?;
        let synced = &synced[usize::from(digest.as_bytes()[0])];
        if !synced.load(SeqCst) {
            sync_dir(root)?;
            synced.store(true, SeqCst);
        }
        Ok(())
    }

    /// Whether our bytes are kept already. A file of our name that holds others was spoilt by the disk: ours takes its
    /// place.
    fn is_there(&self, digest: Digest, folder: &Dir, name: &str) -> bool {
        let same = folder.open(name).and_then(|there| {
            let there = there.into_std();
            Ok(there.metadata()?.len() == self.len && digest_of(&there)? == digest)
        });
        same.unwrap_or(false)
    }
}

fn digest_of(file: &File) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    loop {
        match read_full(file, at, &mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => {
                hasher.update(&buffer[..count]);
                at += count as u64;
            }
        }
    }
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = if let Held::Memory(held) = &mut self.held
            && self.folders.grow(held, bytes.len())
        {
            held.extend_from_slice(bytes);
            bytes.len()
        } else {
            let (mut file, _) = self.file()?;
            file.write(bytes)?
        };
        self.hasher.update(&bytes[..count]);
        self.len += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ReadAt for Pending {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.held {
            Held::Memory(bytes) => bytes.read_at(offset, buffer),
            Held::File(file, _) => read_full(file, offset, buffer),
        }
    }
}

impl PendingBlob for Pending {
    fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    fn keep(mut self: Box<Self>) -> Result<Digest, BlobError> {
        let digest = self.digest();
        self.settle(digest).map_err(BlobError::Write)?;
        Ok(digest)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        match &self.held {
            Held::Memory(bytes) => {
                self.folders.in_memory.fetch_sub(bytes.capacity(), Relaxed);
            }
            // Kept or not, the name in `tmp` goes. What stays is cleared at the next opening.
            Held::File(_, name) => drop(self.folders.tmp.remove_file(name)),
        }
    }
}

impl ReadAt for Kept {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        read_full(&self.file, offset, buffer)
    }
}

/// Reads until `buffer` is full or the file ends: the kernel may give less at a time.
fn read_full(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

impl Blobs for FsBlobs {
    fn create(&self) -> Result<Box<dyn PendingBlob>, BlobError> {
        let (held, folders) = (Held::Memory(Vec::new()), Arc::clone(&self.folders));
        Ok(Box::new(Pending { held, len: 0, hasher: Hasher::default(), folders }))
    }

    fn open(&self, digest: Digest) -> Result<Arc<dyn ReadAt>, BlobError> {
        let (shard, name) = place(digest);
        let open = || {
            let file = self.folders.root.open(format!("{shard}/{name}"))?.into_std();
            let len = file.metadata()?.len();
            Ok(Kept { file, len })
        };
        match open() {
            Ok(kept) => Ok(Arc::new(kept)),
            Err(error) if io::Error::kind(&error) == ErrorKind::NotFound => Err(BlobError::Missing(digest)),
            Err(source) => Err(BlobError::Read { digest, source }),
        }
    }

    fn list(&self, first: u8) -> Result<Vec<Digest>, BlobError> {
        let shard = format!("{first:02x}");
        let list = || {
            let mut found = Vec::new();
            for entry in self.folders.root.read_dir(&shard)? {
                let name = entry?.file_name();
                // What has another name is none of ours.
                let digest = name.to_str().and_then(|name| format!("sha256:{shard}{name}").parse::<Digest>().ok());
                found.extend(digest);
            }
            found.sort_unstable();
            Ok(found)
        };
        match list() {
            Err(error) if io::Error::kind(&error) == ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed.map_err(BlobError::List),
        }
    }

    fn stamp(&self, digest: Digest) -> Result<Option<Stamp>, BlobError> {
        let (shard, name) = place(digest);
        stamp(&self.folders.root, &format!("{shard}/{name}")).map_err(|source| BlobError::Read { digest, source })
    }

    fn remove(&self, digest: Digest, seen: Stamp) -> Result<bool, BlobError> {
        let (shard, name) = place(digest);
        let path = format!("{shard}/{name}");
        let Folders { root, naming, .. } = &*self.folders;
        let remove = || {
            let _alone = naming.write();
            if stamp(root, &path)? != Some(seen) {
                return Ok(false);
            }
            // What comes back after a power cut is found again.
            root.remove_file(&path).map(|()| true)
        };
        remove().map_err(BlobError::Write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_core::ports::blobs::read_all;
    use gradus_core::testing::blobs_contract;
    use std::cell::RefCell;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    fn names(dir: &Path) -> Vec<PathBuf> {
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn keep(blobs: &FsBlobs, bytes: &[u8]) -> Digest {
        let mut pending = blobs.create().unwrap();
        pending.write_all(bytes).unwrap();
        pending.keep().unwrap()
    }

    #[test]
    fn it_keeps_the_contract() {
        let folders = RefCell::new(Vec::new());
        blobs_contract::all(&|| {
            let folder = tempfile::tempdir().unwrap();
            let blobs = FsBlobs::open(folder.path()).unwrap();
            folders.borrow_mut().push(folder);
            Box::new(blobs)
        });
        for folder in folders.borrow().iter() {
            assert!(names(&folder.path().join(TMP)).is_empty(), "nothing is left on its way");
        }
    }

    #[test]
    fn a_blob_is_a_file_of_ours_that_is_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("a").join("blobs");
        let digest = keep(&FsBlobs::open(&dir).unwrap(), b"abc");
        let file = dir.join("ba").join("7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(std::fs::read(&file).unwrap(), b"abc");
        assert_eq!(
            (mode(&file), mode(&dir.join("ba")), mode(&dir.join(TMP)), mode(&dir)),
            (0o600, 0o700, 0o700, 0o700)
        );
        let blobs = FsBlobs::open(&dir).unwrap();
        assert_eq!(read_all(&*Blobs::open(&blobs, digest).unwrap()).unwrap(), b"abc");
    }

    #[test]
    fn what_a_crash_left_behind_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = FsBlobs::open(folder.path()).unwrap();
        let mut pending = blobs.create().unwrap();
        pending.write_all(&[b'h'; SMALL + 1]).unwrap();
        std::mem::forget(pending);
        assert_eq!(names(&folder.path().join(TMP)).len(), 1);
        drop(blobs);
        let blobs = FsBlobs::open(folder.path()).unwrap();
        assert_eq!(names(&folder.path().join(TMP)).len(), 0);
        keep(&blobs, b"whole");
    }

    #[test]
    fn small_bytes_need_no_file_until_they_are_kept_and_no_more_memory_than_there_is_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = FsBlobs::open(folder.path()).unwrap();
        let files = || names(&folder.path().join(TMP)).len();
        let begin = |bytes: &[u8]| {
            let mut pending = blobs.create().unwrap();
            pending.write_all(bytes).unwrap();
            pending
        };
        let small = vec![b's'; SMALL];
        let mut grows = begin(&small);
        assert_eq!(files(), 0);
        grows.write_all(b"x").unwrap();
        assert_eq!((files(), read_all(&*grows).unwrap()), (1, [&small[..], b"x"].concat()));
        let held: Vec<_> = (0..IN_MEMORY / SMALL).map(|_| begin(&small)).collect();
        assert_eq!(files(), 1);
        let beyond = begin(b"y");
        assert_eq!((files(), read_all(&*beyond).unwrap()), (2, b"y".to_vec()));
        let digest = beyond.keep().unwrap();
        assert_eq!(read_all(&*Blobs::open(&blobs, digest).unwrap()).unwrap(), b"y");
        // The room is there again, however they ended.
        for (number, pending) in held.into_iter().enumerate() {
            if number % 100 == 0 {
                pending.keep().unwrap();
            }
        }
        drop(grows);
        assert_eq!((files(), blobs.folders.in_memory.load(Relaxed)), (0, 0));
        let _small = begin(&small);
        assert_eq!(files(), 0);
    }

    #[test]
    fn a_file_that_is_not_the_blob_is_replaced_by_it() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = FsBlobs::open(folder.path()).unwrap();
        let digest = keep(&blobs, b"whole");
        let (shard, name) = place(digest);
        let file = folder.path().join(shard).join(name);
        for spoilt in [&b"wh"[..], b"\0\0\0\0\0"] {
            std::fs::write(&file, spoilt).unwrap();
            assert_eq!(keep(&blobs, b"whole"), digest);
            assert_eq!(read_all(&*Blobs::open(&blobs, digest).unwrap()).unwrap(), b"whole");
        }
        assert!(names(&folder.path().join(TMP)).is_empty());
    }

    #[test]
    fn a_link_leads_nowhere_outside() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        std::fs::write(&outside, b"hidden").unwrap();
        let dir = folder.path().join("blobs");
        let blobs = FsBlobs::open(&dir).unwrap();
        let (shard, name) = place(Digest::of(b"x"));
        std::fs::create_dir(dir.join(&shard)).unwrap();
        std::os::unix::fs::symlink(&outside, dir.join(&shard).join(name)).unwrap();
        assert!(matches!(Blobs::open(&blobs, Digest::of(b"x")), Err(BlobError::Read { .. })));
    }

    #[test]
    #[ignore = "takes seconds and prints figures: run it by name with --nocapture"]
    fn pace_of_small_blobs() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = FsBlobs::open(folder.path()).unwrap();
        let mut took: Vec<_> = (0..500_u32)
            .map(|n| {
                let bytes = n.to_be_bytes().repeat(5_000);
                let began = std::time::Instant::now();
                keep(&blobs, &bytes);
                began.elapsed()
            })
            .collect();
        took.sort();
        println!("keep of 20 kB: median {:?}, p99 {:?}", took[250], took[495]);
    }
}
