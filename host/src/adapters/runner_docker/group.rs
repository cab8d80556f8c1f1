//! The control group around one run. The container's own goes when it ends, and its counters with it; this one is ours,
//! holds the memory limit, and is read after the end.
//!
//! It knows cgroup v1, where every controller is mounted by itself, and v2. On v1 a group does not count kills in groups
//! below it; there an event descriptor, registered before the container exists, counts how often memory ran out.
//! Where the engine leaves groups to systemd, [`systemd`] makes them; they are read and emptied all the same.

use super::systemd::{self, Systemd};
use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The group of Podman's own process that watches a container.
const CONMON: &str = "conmon";

/// Where the hierarchies are.
#[derive(Debug, Clone)]
pub(super) struct Hierarchies {
    /// Mounts of v1, with their options, among which the controllers are.
    one: Vec<(PathBuf, Vec<String>)>,
    /// The mount of v2.
    two: Option<PathBuf>,
    /// Whether the engine uses v2. With v1, that of v2 has no controllers.
    version_two: bool,
    /// Who makes groups, if the engine leaves that to systemd.
    systemd: Option<Systemd>,
}

impl Hierarchies {
    /// Those of this machine, in the version that the engine uses, and made by whom it leaves that to.
    pub(super) fn find(version_two: bool, systemd: Option<Systemd>) -> io::Result<Self> {
        Self::read(&fs::read_to_string("/proc/self/mountinfo")?, version_two, systemd)
    }

    fn read(mounts: &str, version_two: bool, systemd: Option<Systemd>) -> io::Result<Self> {
        let (mut one, mut two) = (Vec::new(), None);
        for line in mounts.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let (mut left, mut right) = (left.split(' '), right.split(' '));
            let (Some(path), Some(kind)) = (left.nth(4), right.next()) else { continue };
            let options = right.nth(1).unwrap_or_default().split(',').map(ToOwned::to_owned).collect();
            match kind {
                "cgroup" => one.push((PathBuf::from(path), options)),
                "cgroup2" => two = Some(PathBuf::from(path)),
                _ => {}
            }
        }
        if let Some(systemd) = &systemd {
            two = two.map(|mount: PathBuf| mount.join(systemd.base()));
        }
        let found = Self { one, two, version_two, systemd };
        for controller in ["memory", "cpuacct", "pids"] {
            if !version_two {
                found.controller(controller)?;
            }
        }
        if version_two && found.two.is_none() { Err(ErrorKind::NotFound.into()) } else { Ok(found) }
    }

    fn controller(&self, name: &str) -> io::Result<&Path> {
        if let Some(two) = self.two.as_deref().filter(|_| self.version_two) {
            return Ok(two);
        }
        let found = self.one.iter().find(|(_, options)| options.iter().any(|option| option == name));
        found
            .map(|(path, _)| path.as_path())
            .ok_or_else(|| io::Error::new(ErrorKind::NotFound, format!("the cgroup controller {name} is not mounted")))
    }

    /// All mounts in which the engine may make a group: with v1 it does so in one of v2 as well, where there is one.
    fn all(&self) -> impl Iterator<Item = &Path> {
        self.one.iter().map(|(path, _)| path.as_path()).chain(self.two.as_deref())
    }

    /// Names of groups here that begin with `prefix`.
    pub(super) fn named(&self, prefix: &str) -> io::Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for mount in self.all() {
            for entry in fs::read_dir(mount)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                // Whoever made them: the engine may have left that to another before.
                let name = systemd::name(&name).unwrap_or(name);
                if name.starts_with(prefix) {
                    names.insert(name);
                }
            }
        }
        Ok(names)
    }

    /// What the folder of the group `name` is called.
    fn called(&self, name: &str) -> String {
        if self.systemd.is_some() { systemd::slice(name) } else { name.to_owned() }
    }

    /// The group `name` as the engine takes it, for a container's to be made in.
    pub(super) fn parent(&self, name: &str) -> String {
        if self.systemd.is_some() { systemd::slice(name) } else { format!("/{name}") }
    }

    /// Makes the group `name`, which may use `memory` bytes and no swap.
    pub(super) fn create(&self, name: &str, memory: u64) -> io::Result<Group> {
        let called = self.called(name);
        let path = |controller: &str| Ok::<_, io::Error>(self.controller(controller)?.join(&called));
        let group = Group {
            memory: path("memory")?,
            cpu: path("cpuacct")?,
            pids: path("pids")?,
            two: self.version_two,
            events: None,
        };
        if let Some(systemd) = &self.systemd {
            systemd.create(name, memory, &group.memory)?;
            return Ok(group);
        }
        if let Some(two) = self.two.as_deref().filter(|_| self.version_two) {
            fs::write(two.join("cgroup.subtree_control"), "+cpu +memory +pids")?;
        }
        for dir in BTreeSet::from([&group.memory, &group.cpu, &group.pids]) {
            fs::create_dir(dir)?;
        }
        group.limited(memory)
    }

    /// Ends all processes in the group `name`, and removes it. Whether there was one.
    pub(super) fn remove(&self, name: &str) -> io::Result<bool> {
        let forms = [name.to_owned(), systemd::slice(name)];
        let dirs = self.all().flat_map(|mount| forms.iter().map(|form| mount.join(form)));
        let dirs: Vec<PathBuf> = dirs.filter(|dir| dir.is_dir()).collect();
        for dir in &dirs {
            if let Some(systemd) = &self.systemd {
                // What is left in there has no time to end by itself.
                kill(dir)?;
                systemd.stop(name)?;
            }
            let until = Instant::now() + Duration::from_secs(2);
            loop {
                match remove(dir) {
                    Ok(()) => break,
                    Err(_) if !dir.exists() => break,
                    Err(error) if Instant::now() > until => return Err(error),
                    Err(_) => {
                        kill(dir)?;
                        thread::sleep(Duration::from_millis(5));
                    }
                }
            }
        }
        Ok(!dirs.is_empty())
    }

    /// Sends SIGKILL to all processes of containers in the group `name`.
    pub(super) fn kill(&self, name: &str) -> io::Result<()> {
        let entries = match fs::read_dir(self.controller("pids")?.join(self.called(name))) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() && entry.file_name() != CONMON {
                kill(&entry.path())?;
            }
        }
        Ok(())
    }
}

impl Hierarchies {
    /// Moves Podman's own process out of the group `name`, so that it is not counted with the run, nor killed for its memory:
    /// without it Podman does not see the end.
    pub(super) fn move_conmon(&self, name: &str) {
        for mount in self.all() {
            let members = fs::read_to_string(mount.join(name).join(CONMON).join("cgroup.procs")).unwrap_or_default();
            for member in members.lines() {
                // It may have ended by now.
                let _ = fs::write(mount.join("cgroup.procs"), member);
            }
        }
    }
}

/// One run's group.
#[derive(Debug)]
pub(super) struct Group {
    memory: PathBuf,
    cpu: PathBuf,
    pids: PathBuf,
    two: bool,
    /// v1: counts how often memory ran out.
    events: Option<OwnedFd>,
}

impl Group {
    fn limited(mut self, memory: u64) -> io::Result<Self> {
        let set = |file: &str, value: u64| fs::write(self.memory.join(file), value.to_string());
        let optional = |result: io::Result<()>| match result {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        };
        if self.two {
            set("memory.max", memory)?;
            optional(set("memory.swap.max", 0))?;
            return Ok(self);
        }
        set("memory.limit_in_bytes", memory)?;
        // Not there where the kernel does not account for swap.
        optional(set("memory.memsw.limit_in_bytes", memory))?;
        let events = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let control = fs::File::open(self.memory.join("memory.oom_control"))?;
        let line = format!("{} {}", events.as_raw_fd(), control.as_raw_fd());
        fs::write(self.memory.join("cgroup.event_control"), line)?;
        self.events = Some(events);
        Ok(self)
    }

    /// CPU time used so far, in microseconds.
    pub(super) fn cpu_micros(&self) -> io::Result<u64> {
        if self.two {
            field(&self.cpu.join("cpu.stat"), "usage_usec")
        } else {
            Ok(number(&self.cpu.join("cpuacct.usage"))? / 1_000)
        }
    }

    /// The most memory at once, in bytes; 0 where the kernel does not say.
    pub(super) fn peak_memory(&self) -> u64 {
        number(&self.memory.join(if self.two { "memory.peak" } else { "memory.max_usage_in_bytes" })).unwrap_or(0)
    }

    /// The most tasks at once; 0 where the kernel does not say.
    pub(super) fn peak_pids(&self) -> u64 {
        number(&self.pids.join("pids.peak")).unwrap_or(0)
    }

    /// How often something was killed since memory ran out. To be asked once, at the end.
    pub(super) fn oom_kills(&self) -> u64 {
        let Some(events) = &self.events else {
            return field(&self.memory.join("memory.events"), "oom_kill").unwrap_or(0);
        };
        let mut count = [0; 8];
        match rustix::io::read(events, &mut count) {
            Ok(8) => u64::from_ne_bytes(count),
            Ok(_) | Err(_) => 0,
        }
    }
}

pub(super) fn number(file: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(file)?;
    text.trim().parse().map_err(|_| ErrorKind::InvalidData.into())
}

fn field(file: &Path, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(file)?;
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.and_then(|value| value.trim().parse().ok()).ok_or_else(|| ErrorKind::InvalidData.into())
}

/// Removes the groups below `dir`, and it.
fn remove(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(dir)
}

/// Sends SIGKILL to all processes in `dir` and the groups below it.
fn kill(dir: &Path) -> io::Result<()> {
    match fs::write(dir.join("cgroup.kill"), "1") {
        Err(error) if error.kind() == ErrorKind::NotFound || error.kind() == ErrorKind::PermissionDenied => {}
        other => return other,
    }
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            kill(&entry.path())?;
        }
    }
    let members = || fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    for line in members().lines() {
        let Some(pid) = line.parse().ok().and_then(Pid::from_raw) else { continue };
        // The number may be another's by now: held first, and looked up again.
        let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        if members().lines().any(|member| member == line) {
            // It may have ended meanwhile.
            let _ = pidfd_send_signal(&held, Signal::KILL);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::folder::Owner;
    use super::*;

    const MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn the_hierarchies_are_where_they_are_mounted() {
        let one = Hierarchies::read(MOUNTS, false, None).unwrap();
        assert_eq!(one.controller("cpuacct").unwrap(), Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(one.all().count(), 4);
        let two = Hierarchies::read(MOUNTS, true, None).unwrap();
        assert_eq!(two.controller("memory").unwrap(), Path::new("/sys/fs/cgroup/unified"));
        let base = PathBuf::from("user.slice/user@7.service");
        let user = Systemd::User { user: Owner { user: 7, group: 7 }, base };
        let two = Hierarchies::read(MOUNTS, true, Some(user)).unwrap();
        let place = Path::new("/sys/fs/cgroup/unified/user.slice/user@7.service");
        assert_eq!((two.controller("memory").unwrap(), two.parent("a-b")), (place, "a_b.slice".to_owned()));
        assert!(Hierarchies::read("", false, None).is_err() && Hierarchies::read("", true, None).is_err());
    }

    #[test]
    fn the_counters_of_version_two_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        for (file, text) in [
            ("cpu.stat", "usage_usec 1234567\nuser_usec 1000000\n"),
            ("memory.peak", "4096\n"),
            ("memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n"),
            ("pids.peak", "7\n"),
        ] {
            fs::write(path.join(file), text).unwrap();
        }
        let group = Group { memory: path.clone(), cpu: path.clone(), pids: path, two: true, events: None };
        assert_eq!(group.cpu_micros().unwrap(), 1_234_567);
        assert_eq!((group.peak_memory(), group.oom_kills(), group.peak_pids()), (4096, 2, 7));
    }
}
