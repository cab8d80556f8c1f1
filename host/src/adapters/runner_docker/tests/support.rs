//! A runner on the engine of this machine, with a data folder and a user of its own, and the proof that nothing is left.

use super::super::{DockerRunner, OWNER, Settings, run as running};
use bollard::query_parameters::ListContainersOptionsBuilder;
use gradus_core::domain::id::RunId;
use gradus_core::domain::run::ImageRef;
use gradus_core::domain::units::{Bytes, Millis};
use gradus_core::ports::blobs::{Blobs, read_all};
use gradus_core::ports::runner::{Ended, Flaw, Output, Ran, Run, Runner, RunnerError, Work};
use gradus_core::testing::memory_blobs::MemoryBlobs;
use gradus_core::testing::runner_contract::{Bench, Deed, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The engine's socket: the machine's own unless another is named.
fn socket() -> PathBuf {
    std::env::var_os("GRADUS_TEST_ENGINE").map_or_else(|| PathBuf::from("/var/run/docker.sock"), PathBuf::from)
}

/// The same, as the engine's command line takes it.
pub(super) fn host() -> String {
    format!("unix://{}", socket().display())
}

/// How many times as long all takes here: `GRADUS_TEST_SLOW` says so of a machine that is known to be slow.
pub(super) fn slow() -> u64 {
    std::env::var("GRADUS_TEST_SLOW").map_or(1, |times| times.parse().unwrap())
}

/// So many milliseconds of a machine that is not slow.
pub(super) fn soon(millis: u64) -> Duration {
    Duration::from_millis(millis * slow())
}

/// A runner, and all that it may leave something in.
pub(super) struct Real {
    pub(super) runner: DockerRunner,
    pub(super) runtime: Runtime,
    pub(super) image: ImageRef,
    /// The user of its first run.
    pub(super) uid: u32,
    data: TempDir,
}

/// Why the tests cannot run here.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("root".to_owned());
    }
    if !socket().exists() {
        return Some(format!("a container engine at {}", socket().display()));
    }
    build("").err()
}

/// The test image, with further instructions.
pub(super) fn build(more: &str) -> Result<ImageRef, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/build.sh");
    let output = Command::new("bash")
        .arg(script)
        .arg(more)
        .env("DOCKER_HOST", host())
        .output()
        .map_err(|error| format!("bash: {error}"))?;
    if !output.status.success() {
        return Err(format!("the test image: {}", String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|error| format!("{error}"))
}

impl Real {
    /// `None`: what is needed is not here, and the test is skipped.
    pub(super) fn new() -> Option<Self> {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Settings)) -> Option<Self> {
        Self::made(change, |_| Arc::new(MemoryBlobs::default()))
    }

    /// `blobs` gets the data folder.
    pub(super) fn made(
        change: impl FnOnce(&mut Settings),
        blobs: impl FnOnce(&Path) -> Arc<dyn Blobs>,
    ) -> Option<Self> {
        static MISSING: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        // The upper half: servers begin at the lower end.
        static USERS: AtomicU32 = AtomicU32::new(60_880);
        if let Some(what) = MISSING.get_or_init(missing) {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "this test needs {what}");
            eprintln!("skipped: this test needs {what}");
            return None;
        }
        let image = build("").unwrap();
        let data = tempfile::tempdir().unwrap();
        // Nobody else's, so that a process of it is one of this test's.
        let uid = USERS.fetch_add(4, SeqCst);
        let mut settings = Settings { users: uid..=uid + 3, ..Settings::new(socket(), data.path().join("runs")) };
        change(&mut settings);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let blobs = blobs(data.path());
        let runner = runtime.block_on(DockerRunner::open(settings, blobs)).unwrap();
        Some(Self { runner, runtime, image, uid, data })
    }

    /// Runs a script to its end, with what `change` makes of the usual small run, and checks that nothing is left.
    pub(super) fn sh(&self, script: &str, change: impl FnOnce(&mut Run)) -> Ran {
        let mut asked = run(self, Deed::Exit(0));
        asked.program.command = Some(["sh", "-c", script].map(ToOwned::to_owned).into());
        asked.limits.wall.0 *= slow();
        change(&mut asked);
        let wall = asked.limits.wall.duration();
        let since = Instant::now();
        let ran = self.wait(self.runner.run(asked)).unwrap();
        assert!(since.elapsed() < wall + soon(6_000), "it took {:?}", since.elapsed());
        self.nothing_is_left();
        ran
    }

    /// Nothing of any run: container, mount, folder, group, process.
    pub(super) fn nothing_is_left(&self) {
        assert_eq!(self.traces(), [""; 0]);
    }

    pub(super) fn no_process_is_left(&self) {
        assert_eq!(self.processes(), [""; 0]);
    }

    fn traces(&self) -> Vec<String> {
        let shared = &self.runner.shared;
        let filter = super::super::request::filter(OWNER, &shared.folders.owner);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filter).build();
        let containers = self.runtime.block_on(shared.engine.docker.list_containers(Some(options))).unwrap();
        let mut traces: Vec<String> = containers.into_iter().map(|one| format!("container {:?}", one.names)).collect();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let data = self.data.path().to_string_lossy().into_owned();
        traces.extend(mounts.lines().filter(|line| line.contains(&data)).map(|line| format!("mount {line}")));
        traces.extend(shared.folders.list().unwrap().into_iter().map(|id| format!("folder {id}")));
        // Looked for by itself, and not where the adapter looks.
        let (find, named) = ("/sys/fs/cgroup", format!("*{}*", shared.folders.owner));
        let found = Command::new("find").args([find, "-type", "d", "-name", &named]).output().unwrap();
        traces.extend(String::from_utf8_lossy(&found.stdout).lines().map(|path| format!("group {path}")));
        let loops = Command::new("losetup").arg("--list").output().unwrap();
        let loops = String::from_utf8_lossy(&loops.stdout).into_owned();
        traces.extend(loops.lines().filter(|line| line.contains(&data)).map(ToOwned::to_owned));
        traces.extend(self.processes());
        traces
    }

    /// Processes of the run's user.
    fn processes(&self) -> Vec<String> {
        let mine: Vec<_> = (self.uid..self.uid + 4).map(|uid| format!("Uid:\t{uid}\t")).collect();
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let all = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("status")).ok());
        all.filter(|status| mine.iter().any(|uid| status.contains(uid)))
            .map(|status| format!("process {}", status.replace('\n', " ")))
            .collect()
    }

    /// Waits until nothing is left of a run that nobody waits for.
    pub(super) fn until_nothing_is_left(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        // It may not even have begun.
        std::thread::sleep(Duration::from_millis(100));
        while !self.runner.shared.active().is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.nothing_is_left();
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.nothing_is_left();
        }
    }
}

impl Bench for Real {
    fn runner(&self) -> &dyn Runner {
        &self.runner
    }

    fn image(&self) -> ImageRef {
        self.image.clone()
    }

    fn missing(&self) -> ImageRef {
        format!("sha256:{}", "0".repeat(64)).parse().unwrap()
    }

    fn command(&self, deed: Deed<'_>) -> Vec<String> {
        let script = match deed {
            Deed::Exit(code) => format!("exit {code}"),
            Deed::Signal(signal) => format!("kill -{signal} $$"),
            Deed::Say(out, err) => format!("echo '{out}'; echo '{err}' >&2"),
            Deed::Copy(from, name) => format!("cp {from} /out/{name}"),
            Deed::Link => "ln -s /etc/passwd /out/link".to_owned(),
            Deed::Sleep => "sleep 1000".to_owned(),
            Deed::NoProgram => return vec!["/no/such/program".to_owned()],
        };
        ["sh", "-c", &script].map(ToOwned::to_owned).into()
    }

    fn wait<T>(&self, work: Work<'_, T>) -> Result<T, RunnerError> {
        let done = self.runtime.block_on(work);
        if let Err(error) = &done {
            eprintln!("{}", gradus_core::ports::chain(error));
        }
        done
    }

    fn leave(&self, id: RunId) {
        let shared = &self.runner.shared;
        let left = Run { id, ..run(self, Deed::Sleep) };
        self.runtime.block_on(async {
            let image = super::super::image::look(shared, &self.image, None, true).await.unwrap().unwrap();
            let (folder, first, _) = running::prepare(shared, &left, self.uid, image, None).await.unwrap();
            let taken = super::super::Taken { user: self.uid, ..Default::default() };
            running::create(shared, &left, &taken, &folder, &first).await.unwrap().unwrap();
            shared.engine.docker.start_container(&shared.name(id), None).await.unwrap();
        });
    }
}

pub(super) const DONE: Ended = Ended::Exited { code: 0 };

/// Both streams, as text.
pub(super) fn said(ran: &Ran) -> String {
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

/// Which limit, used and allowed.
pub(super) fn limit(ran: &Ran) -> (gradus_core::domain::report::LimitKind, u64, u64) {
    let Ended::Limit { limit, used, allowed } = &ran.ended else { panic!("{:?} {}", ran.ended, said(ran)) };
    (*limit, *used, *allowed)
}

/// Names and texts of the output.
pub(super) fn files(ran: &Ran) -> Vec<(String, String)> {
    let Output::Parts(parts) = &ran.output else { panic!("{:?} {}", ran.output, said(ran)) };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    parts.iter().map(|part| (part.path().to_string(), text(read_all(part.bytes()).unwrap()))).collect()
}

/// What is wrong with the output, and where.
pub(super) fn flaw(ran: &Ran) -> (Flaw, String) {
    let Output::Bad(bad) = &ran.output else { panic!("{:?} {:?} {}", ran.ended, ran.output, said(ran)) };
    (bad.flaw, bad.at.clone())
}

pub(super) fn mib(count: u64) -> Bytes {
    Bytes(count << 20)
}

pub(super) fn seconds(count: u64) -> Millis {
    Millis(count * 1_000)
}
