//! Compiled components on disk, and the one place where compiled code becomes runnable.
//!
//! Who can write here can run code as this process: so the folder must be ours alone, and code from anywhere else is
//! never taken. A file that is torn, foreign or of another build is as good as none.

use super::compile::Compiled;
use gradus_core::domain::digest::Digest;
use rustix::fs::{AtFlags, Mode, OFlags, open, openat, renameat, unlinkat};
use rustix::fs::{fchmod, fstat};
use rustix::io::Errno;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The first bytes of a file here; the SHA-256 of the code comes next.
const MAGIC: &[u8; 16] = b"gradus-code 0001";

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError {
    /// The folder cannot be made or opened.
    #[error("could not open the folder for compiled scorers, {0}")]
    Open(PathBuf, #[source] io::Error),
    /// Others could write to it.
    #[error(
        "{0} is not safe for compiled scorers: it must belong to the user that runs Gradus and be closed to all \
        others; \
         run `chmod 700` on it, or name another folder"
    )]
    Unsafe(PathBuf),
}

/// The folder, held open: what happens to its path later does not matter.
#[derive(Debug)]
pub(super) struct Cache {
    folder: OwnedFd,
    /// Of the engine: names the files that it can use.
    build: String,
    temporary: AtomicU64,
}

impl Cache {
    /// Opens the folder at `path`; makes it when there is none.
    pub(super) fn open(path: &Path, build: String) -> Result<Self, CacheError> {
        let failed = |error: io::Error| CacheError::Open(path.into(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        let about = fstat(&folder).map_err(|error| failed(error.into()))?;
        if about.st_uid != rustix::process::geteuid().as_raw() || about.st_mode & 0o077 != 0 {
            return Err(CacheError::Unsafe(path.into()));
        }
        Ok(Self { folder, build, temporary: AtomicU64::new(0) })
    }

    fn name(&self, component: Digest) -> String {
        format!("{}-{}", component.hex(), self.build)
    }

    /// The code of `component`, if it is here and whole.
    pub(super) fn get(&self, component: Digest) -> Option<Compiled> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.folder, self.name(component), flags, Mode::empty()).ok()?);
        let mut head = [0; 16 + 32];
        file.read_exact(&mut head).ok()?;
        let mut code = Vec::new();
        file.read_to_end(&mut code).ok()?;
        let whole = head[..16] == *MAGIC && head[16..] == *Digest::of(&code).as_bytes();
        whole.then(|| Compiled::ours(code))
    }

    /// Keeps the code of `component`, all or nothing.
    pub(super) fn put(&self, component: Digest, code: &Compiled) -> io::Result<()> {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = format!(".tmp-{}-{number}", std::process::id());
        let written = self.write(&temporary, code.bytes()).and_then(|()| {
            renameat(&self.folder, &temporary, &self.folder, self.name(component)).map_err(io::Error::from)
        });
        if written.is_err() {
            let _ = unlinkat(&self.folder, &temporary, AtFlags::empty());
        }
        written
    }

    fn write(&self, name: &str, code: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || openat(&self.folder, name, flags, Mode::RUSR | Mode::WUSR);
        let opened = match open() {
            // Left by a process that had our number and was killed.
            Err(Errno::EXIST) => unlinkat(&self.folder, name, AtFlags::empty()).and_then(|()| open()),
            opened => opened,
        };
        let mut file = File::from(opened?);
        fchmod(&file, Mode::RUSR | Mode::WUSR)?;
        file.write_all(MAGIC)?;
        file.write_all(Digest::of(code).as_bytes())?;
        file.write_all(code)?;
        file.sync_all()
    }
}

/// Makes `code` runnable.
pub(super) fn load(engine: &Engine, code: &Compiled) -> wasmtime::Result<Component> {
    #[allow(unsafe_code, reason = "the one way to run code that was compiled before; see `SAFETY`")]
    // SAFETY: the bytes must be what this library's compiler produced. `Compiled` is made in two places: from the
    // compiler (in this process, or in a child that runs this very program), and in `Cache::get` from a file that bears
    // its own SHA-256 and lies in a folder that no other user can write to. It is never made from bytes of a request.
    // The bytes are in memory and cannot change meanwhile; code of another version or configuration is refused cleanly.
    unsafe {
        Component::deserialize(engine, code.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn code_is_kept_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let cache = Cache::open(&path, "b1".into()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let digest = Digest::of(b"component");
        assert!(cache.get(digest).is_none());
        cache.put(digest, &Compiled::ours(b"code".to_vec())).unwrap();
        assert_eq!(cache.get(digest).unwrap().bytes(), b"code");
        assert!(Cache::open(&path, "b2".into()).unwrap().get(digest).is_none(), "another build");
        let file = path.join(cache.name(digest));
        let whole = fs::read(&file).unwrap();
        for torn in
            [&whole[..whole.len() - 1], &whole[..20], b"", b"not ours at all, and long enough to have a head and more"]
        {
            fs::write(&file, torn).unwrap();
            assert!(cache.get(digest).is_none());
        }
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let error = Cache::open(folder.path(), "b".into()).unwrap_err();
        assert!(error.to_string().contains("chmod 700"), "{error}");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(Cache::open(&link, "b".into()).is_err(), "a symbolic link");
    }
}
