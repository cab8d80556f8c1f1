//! The connection to the engine: its socket on this machine, the version of its API that both speak, what it is.

use super::folder::Owner;
use super::rootless::Rootless;
use super::systemd::Systemd;
use bollard::models::{SystemInfo, SystemInfoCgroupDriverEnum, SystemInfoCgroupVersionEnum};
use bollard::{API_DEFAULT_VERSION, Docker};
use gradus_core::ports::runner::RunnerError;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;

/// Seconds that the engine has to begin an answer.
const PATIENCE_S: u64 = 120;

/// The engine.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) docker: Docker,
    /// As images name it: `amd64`.
    pub(super) architecture: String,
    /// Whether it uses cgroup v2.
    pub(super) version_two: bool,
    /// Where it keeps its images, and unpacks them.
    pub(super) roots: Vec<PathBuf>,
    /// What user 0 of a container is on this machine: those of runs follow.
    pub(super) zero: Owner,
    /// Who it is, if it runs without rights.
    pub(super) rootless: Option<Rootless>,
    /// Who makes its groups, if it leaves them to systemd.
    pub(super) systemd: Option<Systemd>,
    /// Why runs cannot be started with it, and what to do.
    pub(super) cannot: Option<String>,
    /// Whether it is Podman, which speaks Docker's API with an accent.
    pub(super) podman: bool,
}

/// Turns what went wrong into the port's error.
pub(super) fn trouble<E>(what: impl Into<String>) -> impl FnOnce(E) -> RunnerError
where
    E: std::error::Error + Send + Sync + 'static,
{
    let what = what.into();
    move |source| RunnerError { what, source: Some(Box::new(source)) }
}

/// The engine's answer, when it gave one.
pub(super) fn status(error: &bollard::errors::Error) -> Option<u16> {
    if let bollard::errors::Error::DockerResponseServerError { status_code, .. } = error {
        Some(*status_code)
    } else {
        None
    }
}

impl Engine {
    /// Connects to `socket`; runs will have `users`.
    ///
    /// # Errors
    /// It is not there, or does not answer.
    pub(super) async fn connect(socket: &Path, users: &RangeInclusive<u32>) -> Result<Self, RunnerError> {
        let path = socket.to_string_lossy();
        // First by hand: the library's words for that help nobody.
        let by_hand = UnixStream::connect(socket).await.map_err(|error| {
            let known = [
                (ErrorKind::NotFound, "is not there; start the engine, or name its socket as `engine` of [runner]"),
                (ErrorKind::PermissionDenied, "may be used by root only"),
                (ErrorKind::ConnectionRefused, "is nobody's; start the engine"),
            ];
            let Some((_, what)) = known.iter().find(|(kind, _)| *kind == error.kind()) else {
                return trouble(format!("the container engine at {path} does not answer"))(error);
            };
            let what = format!("the container engine's socket {path} {what}");
            RunnerError { what, source: None }
        })?;
        let docker = Docker::connect_with_socket(&path, PATIENCE_S, API_DEFAULT_VERSION)
            .map_err(trouble(format!("there is no container engine at {path}")))?;
        let docker = docker.negotiate_version().await.map_err(trouble("the container engine does not answer"))?;
        let version = docker.version().await.map_err(trouble("the container engine does not say what it is"))?;
        let podman = version.components.iter().flatten().any(|part| part.name.starts_with("Podman"));
        let mut engine = Self {
            docker,
            architecture: String::new(),
            version_two: false,
            roots: Vec::new(),
            zero: Owner::default(),
            rootless: None,
            systemd: None,
            cannot: None,
            podman,
        };
        let info = engine.info().await?;
        if let Some(why) = cannot(&info, rustix::process::geteuid().is_root(), podman) {
            engine.cannot = Some(why.to_owned());
        } else if says(&info, "rootless") {
            match peer(&by_hand).and_then(|(pid, by)| Rootless::of(pid, by, users)) {
                Ok(rootless) => engine.rootless = Some(rootless),
                Err(why) => engine.cannot = Some(why),
            }
        }
        engine.zero = match &engine.rootless {
            Some(rootless) => rootless.zero,
            None => mapped(&info).unwrap_or_default().unwrap_or_default(),
        };
        if info.cgroup_driver == Some(SystemInfoCgroupDriverEnum::SYSTEMD) {
            engine.systemd = Some(engine.rootless.as_ref().map_or(Systemd::System, |engine| engine.systemd.clone()));
        }
        engine.version_two = info.cgroup_version == Some(SystemInfoCgroupVersionEnum::_2);
        engine.roots = roots(&info, podman);
        engine.architecture = match info.architecture.as_deref() {
            Some("x86_64") => "amd64".to_owned(),
            Some("aarch64") => "arm64".to_owned(),
            other => other.unwrap_or_default().to_owned(),
        };
        Ok(engine)
    }

    /// What it says of itself.
    pub(super) async fn info(&self) -> Result<SystemInfo, RunnerError> {
        self.docker.info().await.map_err(trouble("the container engine does not say what it is"))
    }
}

/// Where images lie, also while they are fetched.
fn roots(info: &SystemInfo, podman: bool) -> Vec<PathBuf> {
    let mut status = info.driver_status.iter().flatten().flatten();
    let containerd = status.any(|word| word == "io.containerd.snapshotter.v1");
    let own = info.docker_root_dir.clone().unwrap_or_default();
    let others = [(containerd, "/var/lib/containerd"), (podman, "/var/tmp")];
    let others = others.into_iter().filter(|(there, _)| *there).map(|(_, path)| path.to_owned());
    [own].into_iter().chain(others).map(PathBuf::from).collect()
}

/// Whether the engine was told so of itself.
pub(super) fn says(info: &SystemInfo, name: &str) -> bool {
    let options = info.security_options.as_deref().unwrap_or_default();
    options.iter().any(|option| option.split(',').any(|word| word.strip_prefix("name=") == Some(name)))
}

/// What user 0 of a container is on this machine, if users are mapped to others (`userns-remap`).
///
/// # Errors
/// They are, and the engine does not tell to which.
pub(super) fn mapped(info: &SystemInfo) -> Result<Option<Owner>, ()> {
    if !says(info, "userns") {
        return Ok(None);
    }
    // The folder of an engine that maps users is called after them.
    let name = info.docker_root_dir.as_deref().and_then(|root| root.rsplit('/').next()).unwrap_or_default();
    let (user, group) = name.split_once('.').ok_or(())?;
    let number = |text: &str| text.parse::<u32>().map_err(drop);
    Ok(Some(Owner { user: number(user)?, group: number(group)? }))
}

/// The process at the other end of a connection, and its user.
fn peer(stream: &UnixStream) -> Result<(i32, Owner), String> {
    let about = stream.peer_cred().map_err(|error| format!("the engine's process is not told: {error}"))?;
    let pid = about.pid().filter(|pid| *pid > 0).ok_or("the engine's process is none that is seen from here")?;
    Ok((pid, Owner { user: about.uid(), group: about.gid() }))
}

/// Why runs cannot be started with such an engine by this process, and what to do.
fn cannot(info: &SystemInfo, root: bool, podman: bool) -> Option<&'static str> {
    if !root {
        return Some("capped places for outputs are mounted by root only; start the server as root");
    }
    let (rootless, two) = (says(info, "rootless"), info.cgroup_version == Some(SystemInfoCgroupVersionEnum::_2));
    if rootless && podman {
        return Some("Podman without root is not supported: use its service that runs as root, or Docker without root");
    }
    if mapped(info).is_err() {
        return Some("the engine maps users to others and does not tell to which: use another folder for its data");
    }
    match info.cgroup_driver {
        Some(SystemInfoCgroupDriverEnum::CGROUPFS) if !rootless => None,
        Some(SystemInfoCgroupDriverEnum::SYSTEMD) if podman => Some(
            "Podman leaves control groups to systemd, which is not supported; set `cgroup_manager = \"cgroupfs\"` in its \
             containers.conf",
        ),
        Some(SystemInfoCgroupDriverEnum::SYSTEMD) if two => None,
        Some(SystemInfoCgroupDriverEnum::SYSTEMD) => Some(
            "the engine leaves control groups to systemd, which is supported with cgroup v2 only; start it with \
             `--exec-opt native.cgroupdriver=cgroupfs`",
        ),
        Some(
            SystemInfoCgroupDriverEnum::CGROUPFS | SystemInfoCgroupDriverEnum::NONE | SystemInfoCgroupDriverEnum::EMPTY,
        )
        | None => Some(
            "the engine cannot limit what runs take: without root it needs cgroup v2, systemd, and to be a service of its \
             user's",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_users_are_mapped_to_is_told_by_the_engines_folder() {
        let info = |option: &str, root: &str| SystemInfo {
            security_options: Some(vec!["name=seccomp,profile=default".to_owned(), option.to_owned()]),
            docker_root_dir: Some(root.to_owned()),
            cgroup_driver: Some(SystemInfoCgroupDriverEnum::CGROUPFS),
            ..SystemInfo::default()
        };
        assert_eq!(mapped(&info("name=x", "/var/lib/docker/100000.200000")), Ok(None));
        let owner = Owner { user: 100_000, group: 200_000 };
        assert_eq!(mapped(&info("name=userns", "/var/lib/docker/100000.200000")), Ok(Some(owner)));
        for (option, root) in [("name=userns", "/var/lib/docker"), ("name=userns", "/1.x")] {
            assert!(cannot(&info(option, root), true, false).is_some_and(|why| why.contains("maps users")), "{root}");
        }
    }

    #[test]
    fn images_lie_where_the_engine_keeps_them_and_where_containerd_does() {
        let root = Some("/big/docker".to_owned());
        let plain = SystemInfo { docker_root_dir: root, ..SystemInfo::default() };
        assert_eq!(roots(&plain, false), [PathBuf::from("/big/docker")]);
        let status = vec![vec!["driver-type".to_owned(), "io.containerd.snapshotter.v1".to_owned()]];
        let containerd = SystemInfo { driver_status: Some(status), ..plain.clone() };
        assert_eq!(roots(&containerd, false)[1..], [PathBuf::from("/var/lib/containerd")]);
        assert_eq!(roots(&plain, true)[1..], [PathBuf::from("/var/tmp")]);
    }

    #[test]
    fn what_runs_cannot_be_started_with_is_told() {
        let with = |driver, version, option: &str| SystemInfo {
            cgroup_driver: Some(driver),
            cgroup_version: Some(version),
            security_options: Some(vec![option.to_owned()]),
            ..SystemInfo::default()
        };
        let (ours, systemd, none) = (
            SystemInfoCgroupDriverEnum::CGROUPFS,
            SystemInfoCgroupDriverEnum::SYSTEMD,
            SystemInfoCgroupDriverEnum::NONE,
        );
        let (one, two) = (SystemInfoCgroupVersionEnum::_1, SystemInfoCgroupVersionEnum::_2);
        for (info, podman) in [
            (with(ours, one, ""), false),
            (with(ours, two, ""), true),
            (with(systemd, two, ""), false),
            (with(systemd, two, "name=rootless"), false),
        ] {
            assert_eq!(cannot(&info, true, podman), None, "{info:?}");
            assert!(cannot(&info, false, podman).is_some_and(|why| why.contains("as root")));
        }
        for (info, podman, word) in [
            (with(systemd, one, ""), false, "cgroupfs"),
            (with(systemd, two, ""), true, "containers.conf"),
            (with(systemd, two, "name=rootless"), true, "Podman without root"),
            (with(ours, two, "name=rootless"), false, "cannot limit"),
            (with(none, one, "name=rootless"), false, "cannot limit"),
            (SystemInfo::default(), false, "cannot limit"),
        ] {
            assert!(cannot(&info, true, podman).is_some_and(|why| why.contains(word)), "{word}");
        }
    }
}
