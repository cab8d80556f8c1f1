//! A container engine of a test's own, which may be killed: the machine's is left as it is.

use super::programs::{Engine, unmount_all};
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn program(name: &str) -> Option<PathBuf> {
    let found = ["/usr/local/bin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
    found.into_iter().find(|path| path.exists())
}

/// Which engine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Docker,
    /// With `userns-remap`.
    MapsUsers,
    Podman,
}

/// The engine; it goes with all that it has.
pub struct OwnEngine {
    daemon: Option<Child>,
    kind: Kind,
    home: TempDir,
}

impl OwnEngine {
    /// A running one without an image.
    ///
    /// # Errors
    /// What is not here, for who skips the test.
    pub fn start() -> Result<Self, String> {
        Self::of(Kind::Docker)
    }

    /// One whose containers have users that are none of this machine's: its `userns-remap`.
    ///
    /// # Errors
    /// As [`OwnEngine::start`].
    pub fn mapping_users() -> Result<Self, String> {
        let kept = |path: &str| {
            std::fs::read_to_string(path).is_ok_and(|text| text.lines().any(|line| line.starts_with("daemon:")))
        };
        if !(kept("/etc/subuid") && kept("/etc/subgid")) {
            return Err("no users are kept for `daemon` in /etc/subuid and /etc/subgid".to_owned());
        }
        Self::of(Kind::MapsUsers)
    }

    /// Podman, which speaks Docker's API.
    ///
    /// # Errors
    /// As [`OwnEngine::start`].
    pub fn podman() -> Result<Self, String> {
        if program("catatonit").is_none() {
            return Err("there is no catatonit, Podman's init".to_owned());
        }
        Self::of(Kind::Podman)
    }

    fn of(kind: Kind) -> Result<Self, String> {
        let program = if kind == Kind::Podman { "podman" } else { "dockerd" };
        let there = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            return Err(format!("there is no {program}"));
        }
        // Users that are mapped pass through it.
        let passed = std::fs::Permissions::from_mode(0o711);
        let home = tempfile::Builder::new().permissions(passed).tempdir().map_err(|error| error.to_string())?;
        let mut engine = Self { daemon: None, kind, home };
        engine.launch()?;
        Ok(engine)
    }

    /// Whether it has gVisor's runtime, `runsc`.
    pub fn has_gvisor(&self) -> bool {
        program("runsc").is_some()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.at("docker.sock")
    }

    /// To look at it and to have images made there.
    pub fn engine(&self) -> Engine {
        Engine::at(&self.socket())
    }

    fn launch(&mut self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(self.at("log")).map_err(|error| error.to_string())?;
        let other = log.try_clone().map_err(|error| error.to_string())?;
        // A killed one leaves them behind; its containerd went with it, and may be a zombie where nobody reaps.
        drop(std::fs::remove_file(self.at("pid")));
        drop(std::fs::remove_file(self.at("exec/containerd/containerd.pid")));
        let config = self.at("config.json");
        // gVisor, where it is there; it may not look at the machine's network, which no run has.
        let runtimes = match program("runsc") {
            Some(path) => serde_json::json!({ "runsc": { "path": path, "runtimeArgs": ["--network=none"] } }),
            None => serde_json::json!({}),
        };
        let text = serde_json::json!({ "runtimes": runtimes }).to_string();
        std::fs::write(&config, text).map_err(|error| error.to_string())?;
        let mut daemon = Command::new("dockerd");
        daemon
            .arg("--config-file")
            .arg(config)
            .arg("--host")
            .arg(format!("unix://{}", self.socket().display()))
            .arg("--data-root")
            .arg(self.at("data"))
            .arg("--exec-root")
            .arg(self.at("exec"))
            .arg("--pidfile")
            .arg(self.at("pid"))
            // No network of its own: containers here have none.
            .args(["--storage-driver", "vfs", "--bridge", "none", "--iptables=false", "--ip6tables=false"])
            .args(["--userland-proxy=false"])
            .args((self.kind == Kind::MapsUsers).then_some("--userns-remap=daemon"));
        if self.kind == Kind::Podman {
            daemon = Command::new("podman");
            daemon
                .arg("--root")
                .arg(self.at("data"))
                .arg("--runroot")
                .arg(self.at("exec"))
                .args(["--storage-driver", "vfs", "system", "service", "--time", "0"])
                .arg(format!("unix://{}", self.socket().display()));
        }
        let daemon = daemon.stdin(Stdio::null()).stdout(log).stderr(other).spawn();
        let daemon = daemon.map_err(|error| format!("the engine: {error}"))?;
        self.daemon = Some(daemon);
        let end = Instant::now() + Duration::from_secs(60);
        while !self.engine().answers() {
            if Instant::now() > end {
                let log = std::fs::read_to_string(self.at("log")).unwrap_or_default();
                let last: Vec<_> = log.lines().rev().take(5).collect();
                return Err(format!("dockerd does not answer; its log, backwards: {}", last.join(" | ")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// SIGKILL, which its containerd follows. Its containers may go on.
    ///
    /// # Panics
    /// It cannot be killed.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().expect("it can be killed");
            daemon.wait().expect("it ends");
        }
    }

    /// Starts again, after [`OwnEngine::kill`].
    ///
    /// # Panics
    /// It does not.
    pub fn again(&mut self) {
        self.launch().expect("it started before");
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        // In order, so that it takes its mounts and its containerd along.
        drop(Command::new("kill").args(["-TERM", &daemon.id().to_string()]).status());
        let end = Instant::now() + Duration::from_secs(20);
        while daemon.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(daemon.kill());
        drop(daemon.wait());
        unmount_all(self.home.path());
    }
}
