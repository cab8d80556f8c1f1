//! The folder of one run below the data folder: its inputs, and the place for its output, which is a file system of its
//! own that holds no more than the run may write.
//!
//! Mounting needs root and the programs `mount`, `umount` and, for outputs too big to lie in memory, `mkfs.ext4`. The
//! engine must see these mounts: it runs on this machine, in this mount namespace or one that follows it. Where it does
//! not, a run cannot write at all, since the folder beneath the mount is closed to it.

use super::tool::tool;
use crate::disk::free_space;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, OpenOptions, OpenOptionsExt as _};
use gradus_core::domain::id::RunId;
use gradus_core::domain::run_limits::RunLimits;
use gradus_core::ports::runner::{Beside, Input, Run, RunFile, Scratch};
use rustix::fs::{AtFlags, Mode};
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Bytes copied at once.
const BUFFER: usize = 256 << 10;
/// What a full file system has beyond the limit, so that full is over it and not at it.
const BEYOND: u64 = 64 << 10;
/// Kernel memory of a file in memory, beside its bytes.
const INODE: u64 = 1 << 10;
/// The file with the id of this data folder.
const OWNER: &str = "owner";
/// The file with the filter of system calls.
const SECCOMP: &str = "seccomp.json";

/// The file with the name of the image that is being fetched for a task.
const FETCHING: &str = "fetching";

/// A user and a group of this machine's, by their numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Owner {
    /// The user.
    pub(super) user: u32,
    /// The group.
    pub(super) group: u32,
}

/// The folder of all runs.
#[derive(Debug)]
pub(super) struct Folders {
    pub(super) path: PathBuf,
    dir: Dir,
    /// An id of this data folder: what carries it is ours.
    pub(super) owner: String,
    /// The group that passes them on its way to places: that of an engine without root.
    passing: Option<u32>,
}

/// One run's folder, ready.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Bytes and inodes in use before the run began.
    before: (u64, u64),
    /// Memory that its places take when they are full: all of it may be the first program's doing.
    pub(super) in_memory: u64,
    /// The part of it that is the place of two programs.
    pub(super) shared_memory: u64,
    /// Whether the output place lies in a file, on the disk.
    pub(super) in_file: bool,
}

impl Folders {
    /// Opens the runs at `path`, or begins some there. The group `passing` may pass it, and the data folder around it.
    pub(super) fn open(path: &Path, passing: Option<u32>) -> io::Result<Self> {
        use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let path = path.canonicalize()?;
        let dir = Dir::open_ambient_dir(&path, ambient_authority())?;
        let owner = owner(&dir)?;
        let folders = Self { path, dir, owner, passing };
        for folder in [Some(folders.path.as_path()), folders.path.parent()].into_iter().flatten() {
            let about = folder.metadata()?;
            // Another mode is its operator's choice.
            if about.mode() & 0o7777 == 0o700 && about.uid() == rustix::process::geteuid().as_raw() {
                folders.let_pass(folder)?;
            }
        }
        Ok(folders)
    }

    /// Lets those pass `folder` who need to, and nobody else.
    fn let_pass(&self, folder: &Path) -> io::Result<()> {
        use std::os::unix::fs::{PermissionsExt as _, chown};
        if let Some(group) = self.passing {
            chown(folder, None, Some(group))?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o710))?;
        }
        Ok(())
    }

    /// The file that Podman reads the filter of system calls from.
    pub(super) fn seccomp(&self) -> PathBuf {
        self.path.join(SECCOMP)
    }

    /// Writes that file.
    pub(super) fn write_seccomp(&self, text: &str) -> io::Result<()> {
        self.dir.write(SECCOMP, text)
    }

    /// The image that was being fetched for a task when somebody last wrote one down here.
    pub(super) fn fetching(&self) -> io::Result<Option<String>> {
        match self.dir.read_to_string(FETCHING) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Writes it down.
    pub(super) fn begin_fetching(&self, image: &str) -> io::Result<()> {
        self.dir.write(FETCHING, image)
    }

    /// Free bytes of the disk that they are on.
    pub(super) fn free(&self) -> io::Result<u64> {
        free_space(&self.path)
    }

    /// The runs of which there is a folder.
    pub(super) fn list(&self) -> io::Result<Vec<RunId>> {
        let mut found = Vec::new();
        for entry in self.dir.entries()? {
            if let Ok(id) = entry?.file_name().to_string_lossy().parse() {
                found.push(id);
            }
        }
        Ok(found)
    }

    /// Makes the folder of a run, with its inputs in it and the place for its output mounted, for `owner` to write to.
    /// What of it there is when this fails, [`remove`](Self::remove) removes. `scratch`: places that the engine does not make.
    pub(super) fn create(
        &self,
        run: &Run,
        owner: Owner,
        scratch: &[Scratch],
        most_in_memory: u64,
    ) -> io::Result<Folder> {
        let (name, limits) = (run.id.to_string(), &run.limits);
        make_dir(&self.dir, &name, 0o700)?;
        self.let_pass(&self.path.join(&name))?;
        let dir = self.dir.open_dir(&name)?;
        make_dir(&dir, "in", 0o755)?;
        make_dir(&dir, "out", 0o700)?;
        let path = self.path.join(&name);
        let beside = run.beside.iter().flat_map(|beside| &beside.program.inputs);
        let inputs: Vec<&Input> = run.program.inputs.iter().chain(beside).collect();
        if !inputs.is_empty() {
            let inside = dir.open_dir("in")?;
            for (number, input) in inputs.iter().enumerate() {
                let number = number.to_string();
                make_dir(&inside, &number, 0o755)?;
                write_all(&inside.open_dir(&number)?, &input.files)?;
            }
            drop(inside);
            // The container's bind takes these flags over; the engine has no way to ask for them. An engine with mounts of its
            // own sees a mount as it was made, and flags that came later not: so it is bound once more, with them.
            let (place, read) = (path.join("in"), path.join("read"));
            make_dir(&dir, "read", 0o700)?;
            tool("mount", |mount| mount.args(["--bind", "-o", "ro,nosuid,nodev"]).arg(&place).arg(&place))?;
            tool("mount", |mount| mount.arg("--bind").arg(&place).arg(&read))?;
        }
        let out = path.join("out");
        let mut in_memory = 0;
        if limits.output.0 <= most_in_memory {
            let (size, inodes) = (limits.output.0 + BEYOND, u64::from(limits.files) + 2);
            in_memory = size + inodes * INODE;
            mount_memory(&out, size, inodes, owner, "noexec")?;
        } else {
            mount_file(&path.join("image"), &out, limits, owner)?;
        }
        let mut shared_memory = 0;
        if let Some(Beside { shared, .. }) = &run.beside {
            make_dir(&dir, "shared", 0o700)?;
            let inodes = u64::from(shared.files) + 1;
            shared_memory = shared.bytes.0 + inodes * INODE;
            in_memory += shared_memory;
            mount_memory(&path.join("shared"), shared.bytes.0, inodes, owner, "noexec")?;
        }
        for (number, place) in scratch.iter().enumerate() {
            let name = format!("scratch{number}");
            make_dir(&dir, &name, 0o700)?;
            // They lie in the run's own memory.
            mount_memory(&path.join(name), place.bytes.0, u64::from(place.files) + 1, owner, "exec")?;
        }
        let mut folder =
            Folder { path, before: (0, 0), in_memory, shared_memory, in_file: limits.output.0 > most_in_memory };
        folder.before = folder.usage()?;
        Ok(folder)
    }

    /// Removes the folder of a run and all that is mounted there. Whether there was one.
    pub(super) fn remove(&self, id: RunId) -> io::Result<bool> {
        let name = id.to_string();
        if !self.dir.is_dir(&name) {
            return Ok(false);
        }
        for mounted in mounts_below(&self.path.join(&name))? {
            if tool("umount", |umount| umount.arg(&mounted)).is_err() {
                // Somebody is in there: it goes when they do, and is out of sight at once.
                tool("umount", |umount| umount.arg("--lazy").arg(&mounted))?;
            }
        }
        // Nothing of the participant's is left in there: its files were in the mount.
        self.dir.remove_dir_all(&name)?;
        Ok(true)
    }
}

impl Folder {
    /// The input of that number.
    pub(super) fn input(&self, number: usize) -> PathBuf {
        self.path.join("read").join(number.to_string())
    }

    /// The place for the output.
    pub(super) fn out(&self) -> PathBuf {
        self.path.join("out")
    }

    /// The place that two programs share.
    pub(super) fn shared(&self) -> PathBuf {
        self.path.join("shared")
    }

    /// The place for what nobody keeps of that number.
    pub(super) fn scratch(&self, number: usize) -> PathBuf {
        self.path.join(format!("scratch{number}"))
    }

    /// A handle on the output.
    pub(super) fn open_out(&self) -> io::Result<Dir> {
        Dir::open_ambient_dir(self.out(), ambient_authority())
    }

    /// Bytes, and files and folders, that the run put into the output place.
    pub(super) fn used(&self) -> io::Result<(u64, u64)> {
        let (bytes, inodes) = self.usage()?;
        Ok((bytes.saturating_sub(self.before.0), inodes.saturating_sub(self.before.1)))
    }

    /// Free bytes of the disk that it is on.
    pub(super) fn free(&self) -> io::Result<u64> {
        free_space(&self.path)
    }

    fn usage(&self) -> io::Result<(u64, u64)> {
        let stat = rustix::fs::statvfs(self.out())?;
        let blocks = stat.f_blocks.saturating_sub(stat.f_bfree);
        Ok((blocks.saturating_mul(stat.f_frsize), stat.f_files.saturating_sub(stat.f_ffree)))
    }
}

/// Reads the id of the data folder, or makes it up.
fn owner(dir: &Dir) -> io::Result<String> {
    match dir.read_to_string(OWNER) {
        Ok(owner) if owner.len() == 16 && owner.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(owner),
        Ok(_) => Err(io::Error::new(ErrorKind::InvalidData, "the file `owner` does not hold 16 hex digits")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).map_err(io::Error::other)?;
            let owner = hex::encode(bytes);
            dir.write(OWNER, &owner)?;
            dir.open(OWNER)?.sync_all()?;
            Ok(owner)
        }
        Err(error) => Err(error),
    }
}

/// With exactly this mode: the process's mask has no say.
fn make_dir(dir: &Dir, name: &str, mode: u32) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    dir.create_dir_with(name, builder.mode(mode))?;
    Ok(rustix::fs::chmodat(dir, name, Mode::from_raw_mode(mode), AtFlags::empty())?)
}

/// Writes the files below `dir`: for all to read and to execute, and for none to write.
fn write_all(dir: &Dir, files: &[RunFile]) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    for file in files {
        let path = file.path.as_str();
        for (end, _) in path.match_indices('/') {
            match make_dir(dir, &path[..end], 0o755) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                other => other?,
            }
        }
        let mut options = OpenOptions::new();
        let mut to = dir.open_with(path, options.write(true).create_new(true).mode(0o555))?;
        rustix::fs::fchmod(&to, Mode::from_raw_mode(0o555))?;
        let (mut at, len) = (0, file.bytes.len());
        while at < len {
            match file.bytes.read_at(at, &mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => {
                    to.write_all(&buffer[..count])?;
                    at += count as u64;
                }
            }
        }
    }
    Ok(())
}

/// Mounts a file system that lies in memory, for `owner` alone to write to.
fn mount_memory(at: &Path, size: u64, inodes: u64, owner: Owner, exec: &str) -> io::Result<()> {
    let Owner { user, group } = owner;
    let options = format!("size={size},nr_inodes={inodes},mode=700,uid={user},gid={group},nosuid,nodev,{exec}");
    tool("mount", |mount| mount.args(["-t", "tmpfs", "-o", &options, "gradus"]).arg(at))
}

/// Mounts a file system that lies in a file: it takes room on the disk only as it fills, and no memory of the run's.
fn mount_file(image: &Path, at: &Path, limits: &RunLimits, Owner { user, group }: Owner) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let inodes = u64::from(limits.files) + 32;
    // The file system's own needs: inode tables, bitmaps, folders, trees of extents.
    let size = limits.output.0 + limits.output.0 / 32 + inodes * 512 + (32 << 20);
    fs::File::options().write(true).create_new(true).mode(0o600).open(image)?.set_len(size.next_multiple_of(4096))?;
    let inodes = inodes.to_string();
    let owner = format!("root_owner={user}:{group},lazy_itable_init=1,nodiscard");
    let features = "^has_journal,^resize_inode";
    tool("mkfs.ext4", |mkfs| {
        mkfs.args(["-q", "-F", "-b", "4096", "-m", "0", "-N", &inodes, "-E", &owner, "-O", features]).arg(image)
    })?;
    let options = "loop,noinit_itable,nosuid,nodev,noexec";
    tool("mount", |mount| mount.args(["-t", "ext4", "-o", options]).arg(image).arg(at))?;
    Dir::open_ambient_dir(at, ambient_authority())?.remove_dir("lost+found")
}

/// What is mounted at or below `path`, the last one first.
fn mounts_below(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(|place| PathBuf::from(unescaped(place)));
    let mut found: Vec<PathBuf> = places.filter(|place| place.starts_with(path)).collect();
    found.reverse();
    Ok(found)
}

/// The kernel writes space, tab, line feed and backslash as three octal digits.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, char)| text.replace(code, char))
}
