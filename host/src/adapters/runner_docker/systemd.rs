//! Groups where systemd makes them: a slice for each run, asked for and given back with systemd's own programs.
//!
//! An engine that leaves its groups to systemd names the slice that a container's scope is put into. A slice that we made
//! by hand would lose its limit as soon as systemd sees it, so it is systemd that sets it. On cgroup v2 only.

use super::folder::Owner;
use super::tool::tool;
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// What the names of slices end with.
const SLICE: &str = ".slice";
/// A slice that is not there by then will not come.
const MADE: Duration = Duration::from_secs(10);

/// The manager that makes them.
#[derive(Debug, Clone)]
pub(super) enum Systemd {
    /// The machine's.
    System,
    /// That of the user whom an engine without root belongs to.
    User {
        /// The user.
        user: Owner,
        /// Its group, below the mount of cgroup v2.
        base: PathBuf,
    },
}

/// The slice of a run. A hyphen in its name would put it below others.
pub(super) fn slice(name: &str) -> String {
    name.replace('-', "_") + SLICE
}

/// The run's name, if `slice` is one.
pub(super) fn name(slice: &str) -> Option<String> {
    slice.strip_suffix(SLICE).map(|name| name.replace('_', "-"))
}

impl Systemd {
    /// Where its slices are, below the mount of cgroup v2.
    pub(super) fn base(&self) -> &Path {
        match self {
            Self::System => Path::new(""),
            Self::User { base, .. } => base,
        }
    }

    /// Makes the slice of `name`, which may use `memory` bytes and no swap, and comes to be `dir`.
    pub(super) fn create(&self, name: &str, memory: u64, dir: &Path) -> io::Result<()> {
        let (slice, memory) = (slice(name), memory.to_string());
        tool("busctl", |busctl| {
            self.told(busctl);
            busctl.args(["--quiet", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1"]);
            busctl.args(["org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))", &slice, "fail"]);
            busctl.args(["4", "Description", "s", "a run of Gradus", "MemoryMax", "t", &memory]);
            busctl.args(["MemorySwapMax", "t", "0", "TasksAccounting", "b", "true", "0"])
        })?;
        // The answer is that it was begun.
        let (limit, until) = (dir.join("memory.max"), Instant::now() + MADE);
        loop {
            // `max` before its limit is set.
            match super::group::number(&limit) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > until => {
                    let what = format!("systemd made no slice with a limit of memory at {}: {error}", dir.display());
                    return Err(io::Error::new(ErrorKind::TimedOut, what));
                }
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Gives the slice of `name` back, with what is in it. It may still be there for a moment.
    pub(super) fn stop(&self, name: &str) -> io::Result<()> {
        let slice = slice(name);
        match tool("systemctl", |systemctl| self.told(systemctl).args(["--quiet", "--no-block", "stop", &slice])) {
            // Somebody made its group, and not systemd.
            Err(error) if error.to_string().contains("not loaded") => Ok(()),
            stopped => stopped,
        }
    }

    /// Which manager, for systemd's programs.
    fn told<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        match self {
            Self::System => command.arg("--system"),
            // Its bus is for itself alone.
            Self::User { user: Owner { user, group }, .. } => {
                command.uid(*user).gid(*group).env("XDG_RUNTIME_DIR", format!("/run/user/{user}")).arg("--user")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_found_by_the_names_of_runs() {
        assert_eq!(slice("gradus-0a1b-01ABC-beside"), "gradus_0a1b_01ABC_beside.slice");
        assert_eq!(name("gradus_0a1b_01ABC_beside.slice").as_deref(), Some("gradus-0a1b-01ABC-beside"));
        assert_eq!(name("gradus-0a1b-01ABC"), None);
    }
}
