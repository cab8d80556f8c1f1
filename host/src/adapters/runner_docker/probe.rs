//! What the safety of a run depends on, looked at: what the engine says of itself, what the machine has, and, with an
//! image to try it in, what a run really gets.
//!
//! Versions are not judged: distributions carry fixes back. What counts is what holds.

use super::engine::{Engine, says};
use super::folder::Owner;
use super::gpu::Gpu;
use super::{DockerRunner, Settings, Shared};
use bollard::models::SystemInfo;
use gradus_core::domain::id::RunId;
use gradus_core::domain::printed::Printed;
use gradus_core::domain::report::LimitKind;
use gradus_core::domain::run::ImageRef;
use gradus_core::domain::run_limits::RunLimits;
use gradus_core::domain::units::{Bytes, Millis};
use gradus_core::ports::runner::{Ended, Finding, Level, Output, Program, Ran, Run, Runner as _, RunnerError};
use std::path::Path;
use std::sync::Arc;
use ulid::Ulid;

/// Prints what a process is allowed.
const LOOK: &str = "cat /proc/self/status; ls -l /proc/self/ns; echo x > /out/x; exit 0";
/// Takes memory without end.
const EAT: &str = "tail /dev/zero";
/// Namespaces that a run has to itself.
const NAMESPACES: [&str; 5] = ["ipc", "mnt", "net", "pid", "uts"];

fn finding(check: &'static str, good: bool, otherwise: Level, ok: &str, not: &str) -> Finding {
    let (level, text) = if good { (Level::Ok, ok) } else { (otherwise, not) };
    Finding { check, level, text: text.to_owned() }
}

/// All checks.
pub(super) async fn probe(runner: &DockerRunner) -> Result<Vec<Finding>, RunnerError> {
    let shared = &runner.shared;
    let info = shared.engine.info().await?;
    let mut findings = said(&info);
    findings.push(users(&shared.engine));
    if shared.cannot.is_none() {
        findings.push(groups(shared).await?);
    }
    findings.push(match shared.cannot.as_deref() {
        None => finding("places", true, Level::Fail, "output places and control groups are ours to make", ""),
        Some(why) => finding("places", false, Level::Fail, "", why),
    });
    findings.extend(shared.engine.podman.then(podman));
    findings.extend((shared.engine.podman && !shared.settings.registries.is_empty()).then(no_registries));
    findings.extend(offered(runner).await?);
    findings.push(tools(shared.engine.systemd.is_some()));
    findings.extend(gpus(&info, &shared.gpus));
    match shared.settings.probe_image.clone() {
        Some(image) if shared.cannot.is_none() => findings.extend(tried(runner, &image).await?),
        Some(_) | None => {
            let text = "no run was tried: name an image with `sh`, `cat`, `ls` and `tail` as `probe_image` of [runner]";
            findings.push(finding("tried", false, Level::Warn, "", text));
        }
    }
    Ok(findings)
}

/// What the engine says of itself.
fn said(info: &SystemInfo) -> Vec<Finding> {
    let is = |flag: Option<bool>| flag == Some(true);
    let version = info.server_version.as_deref().unwrap_or("of a version that it does not tell");
    let limits = is(info.memory_limit) && is(info.pids_limit) && is(info.cpu_cfs_quota);
    vec![
        finding("engine", true, Level::Fail, &format!("the engine {version} answers"), ""),
        finding(
            "seccomp",
            says(info, "seccomp"),
            Level::Fail,
            "system calls are filtered",
            "the engine does not filter system calls: use a kernel and an engine built with seccomp",
        ),
        finding(
            "cgroup-limits",
            limits,
            Level::Fail,
            "memory, CPU and processes can be limited",
            "the engine cannot limit memory, CPU and processes: give it the control groups memory, cpu and pids",
        ),
        finding(
            "swap-limit",
            is(info.swap_limit),
            Level::Warn,
            "swap can be limited",
            "swap cannot be limited: boot with `swapaccount=1`, or without swap",
        ),
        finding(
            "cpus",
            info.cpu_set != Some(false),
            Level::Warn,
            "runs can have CPUs of their own",
            "the engine cannot give runs CPUs of their own: `pinned` runs wait until it can (systemd's `Delegate=cpuset`)",
        ),
    ]
}

/// Whose processes those of runs are.
fn users(engine: &Engine) -> Finding {
    let text = match (&engine.rootless, engine.zero) {
        (Some(rootless), Owner { user, .. }) => {
            format!("users of runs are ids of the engine's user {}, from {user} on", rootless.by.user)
        }
        (None, Owner { user: 0, .. }) => "runs have users of this machine that are nobody's".to_owned(),
        (None, Owner { user, .. }) => format!("users of runs are mapped to others of this machine, from {user} on"),
    };
    finding("users", true, Level::Fail, &text, "")
}

/// Whether a control group can be made and removed.
async fn groups(shared: &Arc<Shared>) -> Result<Finding, RunnerError> {
    let (here, name) = (Arc::clone(shared), shared.name(RunId(Ulid(random()?))));
    let tried = move || {
        let made = here.groups.create(&name, 64 << 20).map(drop);
        let removed = here.groups.remove(&name).map(drop);
        made.and(removed)
    };
    let tried = tokio::task::spawn_blocking(tried).await.map_err(super::trouble("trying control groups broke off"))?;
    let not = tried.as_ref().err().map(|error| format!("no control group of a run can be made: {error}"));
    Ok(finding("groups", tried.is_ok(), Level::Fail, "control groups of runs can be made", &not.unwrap_or_default()))
}

/// What the configuration lets tasks name, and the engine does not have.
async fn offered(runner: &DockerRunner) -> Result<Vec<Finding>, RunnerError> {
    let Settings { runtimes, networks, .. } = &runner.shared.settings;
    let (has_runtimes, has_networks) = runner.offers().await?;
    let of = |check, what: &str, named: &[String], has: &[String]| {
        let missing: Vec<_> = named.iter().filter(|name| !has.contains(name)).map(String::as_str).collect();
        let ok = format!("tasks may name the {what} {}", has.join(", "));
        let not = format!(
            "the configuration lets tasks name the {what} {}, which the engine does not have",
            missing.join(", ")
        );
        (!named.is_empty()).then(|| finding(check, missing.is_empty(), Level::Warn, &ok, &not))
    };
    let runtimes = of("runtimes", "runtimes", runtimes, &has_runtimes);
    Ok(runtimes.into_iter().chain(of("networks", "networks", networks, &has_networks)).collect())
}

/// What Podman does not do as Docker does.
fn podman() -> Finding {
    let not = "the engine is Podman, tried with 4.3: limits and walls hold there, but a run reads the name of its control group, \
               has no GPUs, and one that is called off while it is made may stay in Podman's lists";
    finding("podman", false, Level::Warn, "", not)
}

/// Podman's service does not say what a registry has.
fn no_registries() -> Finding {
    let not = "the configuration names registries, which cannot be used through Podman: load images there by hand";
    finding("registries", false, Level::Warn, "", not)
}

/// The GPUs, if there are to be some.
fn gpus(info: &SystemInfo, gpus: &[Gpu]) -> Option<Finding> {
    let ids: Vec<_> = gpus.iter().map(|gpu| gpu.id.as_str()).collect();
    let driver = info.runtimes.as_ref().is_some_and(|runtimes| runtimes.contains_key("nvidia"));
    let described = ids.iter().all(|id| id.contains('='));
    let ok = format!("runs can have {} GPUs: {}", ids.len(), ids.join(", "));
    let not =
        "the configuration names GPUs, and the engine has no runtime `nvidia`: install NVIDIA's container toolkit";
    (!ids.is_empty()).then(|| finding("gpus", driver || described, Level::Warn, &ok, not))
}

/// The programs that make places, and groups where systemd does.
fn tools(systemd: bool) -> Finding {
    let there =
        |name: &&&str| ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|dir| Path::new(dir).join(name).exists());
    let of_systemd: &[&str] = if systemd { &["busctl", "systemctl"] } else { &[] };
    let needed = [&["mount", "umount", "mkfs.ext4"], of_systemd].concat();
    let missing: Vec<_> = needed.iter().filter(|name| !there(name)).copied().collect();
    let not = format!("missing: {}; install them", missing.join(", "));
    finding("tools", missing.is_empty(), Level::Fail, &format!("{} are there", needed.join(", ")), &not)
}

/// What runs really get.
async fn tried(runner: &DockerRunner, image: &ImageRef) -> Result<Vec<Finding>, RunnerError> {
    let look = runner.run(trial(image, LOOK)?).await?;
    if look.ended != (Ended::Exited { code: 0 }) {
        let text = format!("a run of `{LOOK}` in {image} ended as {:?}", look.ended);
        return Ok(vec![finding("tried", false, Level::Fail, "", &text)]);
    }
    let mut findings = looked(&String::from_utf8_lossy(&look.stdout), own_namespace);
    findings.push(finding(
        "output",
        matches!(&look.output, Output::Parts(parts) if parts.len() == 1),
        Level::Fail,
        "what a run writes arrives",
        "what a run writes does not arrive: the engine does not see what this server mounts; give both the same mounts \
         (a unit of systemd's without PrivateTmp and ProtectSystem), or let the engine's follow",
    ));
    let eat: Ran = runner.run(trial(image, EAT)?).await?;
    findings.push(finding(
        "memory-limit",
        matches!(eat.ended, Ended::Limit { limit: LimitKind::Memory, .. }),
        Level::Fail,
        "a run that takes too much memory is ended for it",
        &format!("a run that takes memory without end ended as {:?}", eat.ended),
    ));
    Ok(findings)
}

fn own_namespace(name: &str) -> String {
    let link = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap_or_default();
    link.to_string_lossy().into_owned()
}

/// What the output of [`LOOK`] means; `own` gives this process's namespaces.
fn looked(text: &str, own: impl Fn(&str) -> String) -> Vec<Finding> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    let none = |name| field(name).is_some_and(|value| !value.is_empty() && value.bytes().all(|b| b == b'0'));
    let apart = NAMESPACES.iter().all(|name| {
        let own = own(name);
        !own.is_empty() && text.contains(&format!("{name}:[")) && !text.contains(&own)
    });
    let fail = |check, good, ok, not| finding(check, good, Level::Fail, ok, not);
    vec![
        fail("filter", field("Seccomp") == Some("2"), "the filter is on in a run", "no filter is on in a run"),
        fail(
            "no-new-privileges",
            field("NoNewPrivs") == Some("1"),
            "no program can gain privileges",
            "programs can gain privileges",
        ),
        fail(
            "capabilities",
            none("CapEff") && none("CapBnd") && none("CapPrm"),
            "a run has no capabilities",
            "a run has capabilities",
        ),
        fail("namespaces", apart, "a run has namespaces of its own", "a run shares a namespace with this machine"),
    ]
}

fn random() -> Result<u128, RunnerError> {
    let mut bytes = [0; 16];
    let failed =
        |error: getrandom::Error| RunnerError { what: format!("there is no randomness: {error}"), source: None };
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok(u128::from_ne_bytes(bytes))
}

/// A small run.
fn trial(image: &ImageRef, script: &str) -> Result<Run, RunnerError> {
    let limits = RunLimits {
        wall: Millis(20_000),
        memory: Bytes(32 << 20),
        output: Bytes(1 << 20),
        files: 16,
        ..RunLimits::default()
    };
    Ok(Run {
        id: RunId(Ulid(random()?)),
        challenge: None,
        program: Program {
            image: image.clone().into(),
            command: Some(["sh", "-c", script].map(ToOwned::to_owned).into()),
            workdir: None,
            environment: Vec::new(),
            inputs: Vec::new(),
            scratch: Vec::new(),
            printed: Arc::new(Printed::new(limits.log)),
        },
        beside: None,
        output: "/out".parse().map_err(super::trouble("a place of our own is none"))?,
        limits,
        gpus: 0,
        gpu_memory: Bytes(0),
        network: None,
        pinned: false,
        runtime: None,
        stop: Arc::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_gets_is_read() {
        let good = "CapPrm:\t0000\nCapEff:\t0000\nCapBnd:\t0000\nNoNewPrivs:\t1\nSeccomp:\t2\n\
                    ipc -> ipc:[1]\nmnt -> mnt:[2]\nnet -> net:[3]\npid -> pid:[4]\nuts -> uts:[5]\n";
        let other = |name: &str| format!("{name}:[9]");
        assert!(looked(good, other).iter().all(|finding| finding.level == Level::Ok));
        for (from, to, check) in [
            ("Seccomp:\t2", "Seccomp:\t0", "filter"),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "no-new-privileges"),
            ("CapBnd:\t0000", "CapBnd:\t0400", "capabilities"),
            ("net:[3]", "net:[9]", "namespaces"),
        ] {
            let failed: Vec<_> = looked(&good.replace(from, to), other)
                .into_iter()
                .filter(|finding| finding.level == Level::Fail)
                .map(|finding| finding.check)
                .collect();
            assert_eq!(failed, [check]);
        }
    }
}
