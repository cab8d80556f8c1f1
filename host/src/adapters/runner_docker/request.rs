//! What the engine is asked for: the one place where a run's flags are decided. Pure, so that a test can read it.
//!
//! Everything is closed that a run does not need. Nothing here is an option of a task's: what organizers may loosen one
//! day is opened here, one by one.

use super::gpu;
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountType, ResourcesUlimits,
};
use gradus_core::domain::run::{ImageRef, Place};
use gradus_core::domain::run_limits::RunLimits;
use gradus_core::domain::units::Bytes;
use gradus_core::ports::runner::{Program, Scratch};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Which system calls a run may make; `seccomp.md` says where it is from.
pub(super) const SECCOMP: &str = include_str!("seccomp.json");
/// The run's memory is held by the group around the container's; this much more here, so that it is that one which
/// counts what happens.
const MARGIN: u64 = 4 << 20;
/// `/dev/shm` of a run that does not ask for one. The engine's own has no cap on the number of files.
const SHM: (u64, u32) = (16 << 20, 1_024);
/// Where Podman puts writable places into containers that are read-only.
const PODMANS: [&str; 3] = ["/run", "/tmp", "/var/tmp"];
/// Open files of one process.
const OPEN_FILES: i64 = 1_024;

/// What the request takes from elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    /// Labels of the container.
    pub(super) labels: [(&'a str, &'a str); 2],
    /// The group that its own is made in, as the engine takes it.
    pub(super) group: &'a str,
    /// Memory of the run, in bytes, with its output's.
    pub(super) memory: u64,
    /// User and group.
    pub(super) uid: u32,
    /// The GPUs that are its own.
    pub(super) gpus: &'a [String],
    /// The engine's runtime, if another than its usual one.
    pub(super) runtime: Option<&'a str>,
    /// The engine's network that it has.
    pub(super) network: Option<&'a str>,
    /// The CPUs that are its own, as the kernel lists them.
    pub(super) cpus: Option<&'a str>,
    /// Where each input is, in the order of the program's.
    pub(super) inputs: &'a [&'a Path],
    /// Where it may write what is seen by others, and where that is.
    pub(super) writable: &'a [(&'a Place, &'a Path)],
    /// The most bytes in one of these.
    pub(super) biggest: u64,
    /// The image.
    pub(super) image: &'a ImageRef,
    /// The image's own variables.
    pub(super) image_environment: &'a [String],
    /// The names of the image's labels.
    pub(super) image_labels: &'a [String],
    /// What Podman needs in another form.
    pub(super) podman: Option<Podman<'a>>,
}

/// What Podman takes from files and folders of ours, and Docker from the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Podman<'a> {
    /// The file with the filter of system calls.
    pub(super) seccomp: &'a Path,
    /// Where each of [`places`] is.
    pub(super) places: &'a [PathBuf],
}

/// The request for `program`.
pub(super) fn request(program: &Program, limits: &RunLimits, around: &Around<'_>) -> ContainerCreateBody {
    let host = HostConfig {
        cgroup_parent: Some(around.group.to_owned()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        memory: Some(signed(around.memory + MARGIN)),
        memory_swap: Some(signed(around.memory + MARGIN)),
        nano_cpus: Some(signed(limits.cpus.0.saturating_mul(1_000_000))),
        // One more: the engine's init.
        pids_limit: Some(i64::from(limits.pids) + 1),
        ulimits: Some(ulimits(program, around.biggest)),
        // The first to go when the machine itself runs out.
        oom_score_adj: Some(500),
        device_requests: gpu::request(around.gpus),
        runtime: around.runtime.map(ToOwned::to_owned),
        network_mode: Some(around.network.unwrap_or("none").to_owned()),
        cpuset_cpus: around.cpus.map(ToOwned::to_owned),
        ipc_mode: Some("private".to_owned()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned(), format!("seccomp={SECCOMP}")]),
        readonly_rootfs: Some(true),
        privileged: Some(false),
        init: Some(true),
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        mounts: Some(mounts(program, around)),
        tmpfs: Some(scratch(program).map(|place| (place.at.to_string(), tmpfs(&place, around.uid))).collect()),
        ..HostConfig::default()
    };
    let host = match around.podman {
        Some(podman) => for_podman(host, program, limits, podman),
        None => host,
    };
    ContainerCreateBody {
        // The engine's own choice is the container's id, which is nobody's business in there.
        hostname: Some("run".to_owned()),
        user: Some(format!("{0}:{0}", around.uid)),
        attach_stdin: Some(false),
        open_stdin: Some(false),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        env: Some(environment(program, around.image_environment, around.podman.is_some())),
        // All of it: an entry point alone makes the engine forget the image's arguments.
        entrypoint: program.command.clone(),
        working_dir: program.workdir.as_ref().map(ToString::to_string),
        image: Some(around.image.to_string()),
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        labels: Some(labels(around)),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

/// Podman reads the filter from a file, and does not cap the number of files in places of its own: these are mounted.
fn for_podman(host: HostConfig, program: &Program, limits: &RunLimits, podman: Podman<'_>) -> HostConfig {
    let seccomp = format!("seccomp={}", podman.seccomp.display());
    // What it sets by itself it may not be allowed to. The group holds them to less.
    let processes = i64::from(limits.pids) + 64;
    let processes = ResourcesUlimits { name: Some("nproc".to_owned()), soft: Some(processes), hard: Some(processes) };
    let places = places(program);
    let places = places.iter().zip(podman.places).map(|(place, source)| bind(place.at.as_str(), source));
    // It mounts anew what it binds, and keeps the other flags.
    let read = |at: &str| program.inputs.iter().any(|input| input.at.as_str() == at);
    let mounts = host.mounts.into_iter().flatten().map(|mount| {
        let read_only = mount.target.as_deref().is_some_and(read);
        Mount { read_only: Some(read_only), ..mount }
    });
    HostConfig {
        security_opt: Some(vec!["no-new-privileges".to_owned(), seccomp]),
        ulimits: Some(host.ulimits.into_iter().flatten().chain([processes]).collect()),
        mounts: Some(mounts.chain(places).collect()),
        tmpfs: None,
        ..host
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The run's variables; a name without a value takes the image's away, and for Podman an empty one hides it. Its `PATH` stays.
fn environment(program: &Program, image: &[String], podman: bool) -> Vec<String> {
    let own: BTreeSet<&str> = program.environment.iter().map(|(name, _)| name.as_str()).collect();
    let names = image.iter().map(|variable| variable.split('=').next().unwrap_or_default());
    let unlisted = names.filter(|name| *name != "PATH" && !own.contains(name));
    let unlisted = unlisted.map(|name| if podman { format!("{name}=") } else { name.to_owned() });
    program.environment.iter().map(|(name, value)| format!("{name}={value}")).chain(unlisted).collect()
}

/// Ours; the image's are emptied, as other software on the machine may act upon them.
fn labels(around: &Around<'_>) -> HashMap<String, String> {
    let images = around.image_labels.iter().map(|name| (name.clone(), String::new()));
    images.chain(around.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).collect()
}

fn ulimits(program: &Program, biggest: u64) -> Vec<ResourcesUlimits> {
    // Bigger than each place, so that a full one says that it is full.
    let places = scratch(program).map(|place| place.bytes.0).chain([biggest]);
    let biggest = places.max().unwrap_or(0) + (1 << 20);
    [("core", 0), ("nofile", OPEN_FILES), ("fsize", signed(biggest)), ("msgqueue", 0), ("memlock", 64 << 10)]
        .into_iter()
        .map(|(name, most)| ResourcesUlimits { name: Some(name.to_owned()), soft: Some(most), hard: Some(most) })
        .collect()
}

fn scratch(program: &Program) -> impl Iterator<Item = Scratch> {
    let shm = "/dev/shm".parse().ok();
    let own = shm.filter(|shm| program.scratch.iter().all(|place| place.at != *shm));
    let own = own.map(|at| Scratch { at, bytes: Bytes(SHM.0), files: SHM.1 });
    program.scratch.iter().cloned().chain(own)
}

/// All places where a program may write what nobody keeps, and those that Podman would make so: these hold nothing.
pub(super) fn places(program: &Program) -> Vec<Scratch> {
    let mut places: Vec<Scratch> = scratch(program).collect();
    for at in PODMANS.iter().filter_map(|at| at.parse::<Place>().ok()) {
        if !places.iter().any(|place| place.at.meets(&at)) {
            // A file of its own, from which it starts what is started, is put into the first.
            let files = u32::from(at.as_str() == PODMANS[0]);
            places.push(Scratch { at, bytes: Bytes(4 << 10), files });
        }
    }
    places
}

fn tmpfs(place: &Scratch, uid: u32) -> String {
    // One for the folder itself. It belongs to the run's user, as the mode is the image's choice where it has such a
    // folder. Programs compile to such places what they then load: those may be executed.
    let inodes = u64::from(place.files) + 1;
    format!("rw,exec,nosuid,nodev,size={},nr_inodes={inodes},mode=700,uid={uid},gid={uid}", place.bytes.0)
}

fn bind(target: &str, source: &Path) -> Mount {
    Mount {
        target: Some(target.to_owned()),
        source: Some(source.to_string_lossy().into_owned()),
        typ: Some(MountType::BIND),
        // Said by the mount that is bound: saying it again would make the engine mount it anew, without its other flags.
        read_only: Some(false),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}

fn mounts(program: &Program, around: &Around<'_>) -> Vec<Mount> {
    let inputs = program.inputs.iter().zip(around.inputs).map(|(input, source)| bind(input.at.as_str(), source));
    inputs.chain(around.writable.iter().map(|(place, source)| bind(place.as_str(), source))).collect()
}

/// The labels as the engine filters by them.
pub(super) fn filter(label: &str, value: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{label}={value}")])])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn image() -> ImageRef {
        format!("sha256:{}", "0".repeat(64)).parse().unwrap()
    }

    fn program() -> Program {
        Program {
            image: image().into(),
            command: None,
            workdir: None,
            environment: vec![("A".to_owned(), "1".to_owned())],
            inputs: Vec::new(),
            scratch: Vec::new(),
            printed: Arc::default(),
        }
    }

    fn asked(program: &Program) -> ContainerCreateBody {
        let image_environment = ["PATH=/bin", "LD_PRELOAD=/x.so", "A=2"].map(ToOwned::to_owned);
        request(
            program,
            &RunLimits::default(),
            &Around {
                labels: [("a", "b"), ("c", "d")],
                group: "/g",
                memory: 1 << 30,
                uid: 60_900,
                gpus: &[],
                runtime: None,
                network: None,
                cpus: None,
                inputs: &[],
                writable: &[(&"/out".parse().unwrap(), Path::new("/runs/x/out"))],
                biggest: 1 << 20,
                image: &image(),
                image_environment: &image_environment,
                image_labels: &["a", "traefik.enable"].map(ToOwned::to_owned),
                podman: None,
            },
        )
    }

    #[test]
    fn everything_is_closed() {
        let asked = asked(&program());
        assert_eq!(asked.user.as_deref(), Some("60900:60900"));
        let labels = asked.labels.unwrap();
        assert_eq!((labels["a"].as_str(), labels["c"].as_str(), labels["traefik.enable"].as_str()), ("b", "d", ""));
        let host = asked.host_config.unwrap();
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        assert_eq!(host.cap_drop.unwrap(), ["ALL"]);
        assert_eq!((host.readonly_rootfs, host.privileged, host.init), (Some(true), Some(false), Some(true)));
        assert_eq!(host.memory, host.memory_swap);
        let options = host.security_opt.unwrap();
        assert!(options.contains(&"no-new-privileges".to_owned()) && options[1].starts_with("seccomp={"));
        let shm = &host.tmpfs.unwrap()["/dev/shm"];
        for word in ["nosuid", "nodev", "size=16777216", "nr_inodes=1025"] {
            assert!(shm.contains(word), "{shm}");
        }
        assert!(
            host.binds.is_none() && host.devices.is_none() && host.device_requests.is_none() && host.cap_add.is_none()
        );
    }

    #[test]
    fn an_images_variables_are_taken_away_but_for_its_path() {
        assert_eq!(asked(&program()).env.unwrap(), ["A=1", "LD_PRELOAD"]);
    }

    #[test]
    fn the_profile_denies_what_it_should() {
        let profile: serde_json::Value = serde_json::from_str(SECCOMP).unwrap();
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
        let rules = profile["syscalls"].as_array().unwrap();
        let free = rules.iter().filter(|rule| rule["action"] == "SCMP_ACT_ALLOW" && rule["args"].is_null());
        let allowed: BTreeSet<&str> =
            free.flat_map(|rule| rule["names"].as_array().unwrap()).filter_map(|name| name.as_str()).collect();
        for denied in [
            "keyctl",
            "add_key",
            "request_key",
            "io_uring_setup",
            "io_uring_enter",
            "io_uring_register",
            "userfaultfd",
            "perf_event_open",
            "bpf",
            "unshare",
            "setns",
            "clone",
            "clone3",
            "ptrace",
            "process_vm_readv",
            "mount",
            "umount2",
            "pivot_root",
            "move_mount",
            "fsopen",
            "socket",
            "personality",
            "kexec_load",
            "init_module",
        ] {
            assert!(!allowed.contains(denied), "{denied}");
        }
        assert!(["execve", "mmap", "read", "futex", "openat"].iter().all(|name| allowed.contains(name)));
        for arch in profile["archMap"].as_array().unwrap() {
            assert_eq!(arch["subArchitectures"].as_array().map(Vec::len), Some(0));
        }
    }
}
