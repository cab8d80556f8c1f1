//! [`Runner`] on a container engine that speaks Docker's API, over its socket on this machine: the only place where the
//! word bollard occurs.
//!
//! A run is a container that is made, watched, emptied and removed. It has no network, no capability, no writable place
//! but those of its request, and each of these has a cap on bytes and on files. Its output place is a file system of our
//! own making, mounted below the data folder, so that the cap holds while the run goes; it is read when the container is
//! gone. See [`request`] for the flags, [`folder`] for the places, [`group`] for what is counted.
//!
//! Architecture invariants:
//!
//! * Everything of a run carries its id and that of the data folder: containers by label and name, groups by name,
//!   folders below `runs/`. What nobody remembers is swept by that.
//! * Nothing of a run outlives its future, but by the time that it takes to remove it.
//! * What a program writes is read through handles beneath its output place, and never joined to a path.
//!
//! Deliberately absent: building images, removing those that tasks no longer use, making networks, more than two containers
//! in one run, adopting a run that a crash left going (it is swept), engines on other machines, Podman without root, and
//! systemd's groups on cgroup v1: [`Runner::probe`] says what fails. Each run has an unprivileged user that no other run under
//! way has; whether it is another one on this machine is the engine's matter.

mod end;
mod engine;
mod folder;
mod gpu;
mod group;
mod image;
mod load;
mod log;
mod named;
mod outcome;
mod probe;
mod registry;
mod request;
mod rootless;
mod run;
mod sweep;
mod systemd;
mod taken;
#[cfg(test)]
mod tests;
mod tool;
mod watch;

use bollard::query_parameters::InspectNetworkOptions;
use engine::{Engine, trouble};
use folder::Folders;
pub use gpu::Gpu;
use gradus_core::domain::id::{ChallengeId, RunId};
use gradus_core::domain::queue::IN_MEMORY;
use gradus_core::domain::run::{ImageName, ImageRef};
use gradus_core::domain::units::Bytes;
use gradus_core::ports::blobs::Blobs;
use gradus_core::ports::runner::{
    BadImage, Finding, Program, Ran, RefusalCode, Run, RunImage, Runner, RunnerError, Swept, Work,
};
use group::Hierarchies;
pub use registry::Registry;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use taken::{Taken, Wanted};
use tokio::runtime::Handle;

/// Label with the id of the data folder.
const OWNER: &str = "gradus.owner";
/// Label with the id of the run.
const RUN: &str = "gradus.run";
/// What the name of the program beside a run's first ends with.
const BESIDE: &str = "-beside";

/// The run that a name without its beginning is of.
fn run_of(name: &str) -> Option<RunId> {
    name.strip_suffix(BESIDE).unwrap_or(name).parse().ok()
}

/// An engine that needs longer to say that it is there is not.
const ANSWER: Duration = Duration::from_secs(5);

/// What the adapter needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The engine's socket.
    pub socket: PathBuf,
    /// The folder for runs, below the data folder. Nobody else writes there.
    pub runs: PathBuf,
    /// Users and groups of runs: nobody's on this machine. As many runs go at once, at most.
    pub users: RangeInclusive<u32>,
    /// Outputs up to this size lie in memory, bigger ones in a file.
    pub output_in_memory: Bytes,
    /// So much of the disk with the folder for runs stays free: what would take it is ended.
    pub reserve: Bytes,
    /// GPUs for runs, by their ids at the engine's driver; those of the machine, if the engine has a driver, unless named.
    pub gpus: Option<Vec<Gpu>>,
    /// Runtimes of the engine's that tasks may name.
    pub runtimes: Vec<String>,
    /// Networks of the engine's that tasks may name.
    pub networks: Vec<String>,
    /// Registries that images are fetched from, and no others.
    pub registries: Vec<Registry>,
    /// Images that come with their run, unpacked, at most.
    pub image: Bytes,
    /// An image with `sh`, `cat` and `tail` to try limits with. Without one, [`Runner::probe`] tries less.
    pub probe_image: Option<ImageRef>,
}

impl Settings {
    /// The usual ones.
    pub fn new(socket: PathBuf, runs: PathBuf) -> Self {
        // What systemd leaves free between users with a home and those of containers.
        let users = 60_578..=61_183;
        let image = Bytes(2 << 30);
        Self {
            socket,
            runs,
            users,
            output_in_memory: IN_MEMORY,
            reserve: Bytes(0),
            gpus: None,
            runtimes: Vec::new(),
            networks: Vec::new(),
            registries: Vec::new(),
            image,
            probe_image: None,
        }
    }
}

/// What all runs share.
struct Shared {
    engine: Engine,
    settings: Settings,
    folders: Folders,
    groups: Hierarchies,
    blobs: Arc<dyn Blobs>,
    /// Why nothing can be run.
    cannot: Option<String>,
    /// Held by who has the engine take an image.
    loading: tokio::sync::Mutex<()>,
    /// The GPUs, those with the least memory first.
    gpus: Vec<Gpu>,
    /// The CPUs, by their numbers.
    cpus: Vec<usize>,
    /// Held by who has the engine fetch one.
    fetching: tokio::sync::Mutex<()>,
    /// Runs under way, and those that are over and still there.
    active: Mutex<BTreeMap<RunId, Taken>>,
    /// GPUs that a run was put off for.
    wanted: Mutex<Option<Wanted>>,
}

impl Shared {
    /// What the names of all our containers and groups begin with.
    fn prefix(&self) -> String {
        format!("gradus-{}-", self.folders.owner)
    }

    /// The name of a run's container and of its group.
    fn name(&self, id: RunId) -> String {
        format!("{}{id}", self.prefix())
    }

    /// The name of the container and the group of the program beside a run's first.
    fn name_beside(&self, id: RunId) -> String {
        self.name(id) + BESIDE
    }

    fn active(&self) -> std::sync::MutexGuard<'_, BTreeMap<RunId, Taken>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_active(&self, id: RunId) -> bool {
        self.active().get(&id).is_some_and(|taken| !taken.left)
    }

    /// From its begin to the last of its traces.
    async fn run(self: Arc<Self>, run: Run, gone: Arc<AtomicBool>) -> Result<Ran, RunnerError> {
        if let Some(why) = &self.cannot {
            return Err(RunnerError { what: why.clone(), source: None });
        }
        let id = run.id;
        let saved = |program: &Program| !matches!(program.image, RunImage::Known(_));
        let both = run.beside.is_some();
        let own_image = saved(&run.program) || run.beside.as_ref().is_some_and(|beside| saved(&beside.program));
        let taken = match self.begin(&run)? {
            Ok(taken) => taken,
            Err(why) => return Ok(run::nothing(image::refused(RefusalCode::Busy, why), None)),
        };
        // A task of its own, so that a panic in there is cleared up after too.
        let here = Arc::clone(&self);
        let ran = tokio::spawn(async move { run::carry_out(&here, &run, &taken, &gone).await }).await;
        let mut cleared = self.clear(id, both).await.map(drop);
        if own_image {
            cleared = cleared.and(self.remove_image(id).await.map(drop));
        }
        match cleared {
            Ok(()) => self.end(id),
            Err(error) => {
                // The result stands; what is left is swept.
                self.leave(id);
                tracing::warn!(run = %id, error = %gradus_core::ports::chain(&error), "a run could not be removed");
            }
        }
        ran.map_err(trouble("the run broke off"))?
    }
}

/// The runner.
pub struct DockerRunner {
    shared: Arc<Shared>,
    handle: Handle,
}

impl DockerRunner {
    /// Connects to the engine. Call it on the runtime that runs shall go on.
    ///
    /// # Errors
    /// The engine is not there or does not answer, or the folder for runs is not ours.
    pub async fn open(settings: Settings, blobs: Arc<dyn Blobs>) -> Result<Self, RunnerError> {
        let engine = Engine::connect(&settings.socket, &settings.users).await?;
        let info = engine.info().await?;
        let (path, passing) = (settings.runs.clone(), engine.rootless.as_ref().map(|engine| engine.by.group));
        let folders = tokio::task::spawn_blocking(move || Folders::open(&path, passing)).await;
        let folders = folders
            .map_err(trouble("opening the folder for runs failed"))?
            .map_err(trouble("the folder for runs could not be opened"))?;
        if engine.podman {
            let written = folders.write_seccomp(request::SECCOMP);
            written.map_err(trouble("the folder for runs could not be written to"))?;
        }
        let groups = Hierarchies::find(engine.version_two, engine.systemd.clone());
        let groups = groups.map_err(trouble("there are no control groups"))?;
        let reached = engine.rootless.as_ref().and_then(|engine| engine.passes(&folders.path).err());
        let cannot = engine.cannot.clone().or(reached);
        // Podman's form of Docker's request leaves them out, and says nothing.
        let mut gpus =
            if engine.podman { Vec::new() } else { settings.gpus.clone().unwrap_or_else(|| gpu::of_machine(&info)) };
        gpus.sort_by_key(|gpu| gpu.memory);
        let shared = Shared {
            engine,
            settings,
            folders,
            groups,
            blobs,
            cannot,
            gpus,
            cpus: if info.cpu_set == Some(false) { Vec::new() } else { taken::cpus() },
            loading: tokio::sync::Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
            active: Mutex::default(),
            wanted: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), handle: Handle::current() })
    }
}

impl DockerRunner {
    /// The GPUs that runs can have.
    pub fn gpus(&self) -> Vec<Gpu> {
        self.shared.gpus.clone()
    }

    /// The runtimes and the networks of the settings that the engine has.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn offers(&self) -> Result<(Vec<String>, Vec<String>), RunnerError> {
        let Settings { runtimes, networks, .. } = &self.shared.settings;
        let has = self.shared.engine.info().await?.runtimes.unwrap_or_default();
        let runtimes = runtimes.iter().filter(|name| has.contains_key(*name)).cloned().collect();
        let mut there = Vec::new();
        for name in networks {
            let found = self.shared.engine.docker.inspect_network(name, None::<InspectNetworkOptions>).await;
            match found {
                Ok(_) => there.push(name.clone()),
                Err(error) if engine::status(&error) == Some(404) => {}
                Err(error) => return Err(trouble("the engine does not say which networks it has")(error)),
            }
        }
        Ok((runtimes, there))
    }

    /// Has the engine have `image`, fetched if need be and if it may be.
    ///
    /// # Errors
    /// The engine's, the registry's.
    pub async fn have(&self, image: &ImageRef) -> Result<(), RunnerError> {
        image::look(&self.shared, image, None, true).await.map(drop)
    }

    /// The same; its probe tries limits in `image`.
    #[must_use]
    pub fn trying_in(mut self, image: ImageRef) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.settings.probe_image = Some(image);
        }
        self
    }
}

/// Says that nobody waits any more.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

impl Runner for DockerRunner {
    fn run(&self, run: Run) -> Work<'_, Ran> {
        Box::pin(async move {
            let gone = Gone(Arc::default());
            let work = Arc::clone(&self.shared).run(run, Arc::clone(&gone.0));
            self.handle.spawn(work).await.map_err(trouble("the run broke off"))?
        })
    }

    fn pin<'a>(
        &'a self,
        name: &'a ImageName,
        challenge: Option<&'a ChallengeId>,
    ) -> Work<'a, Result<ImageRef, BadImage>> {
        Box::pin(async move {
            let (shared, name, challenge) = (Arc::clone(&self.shared), name.clone(), challenge.cloned());
            let work = async move { image::pin(&shared, &name, challenge.as_ref()).await };
            self.handle.spawn(work).await.map_err(trouble("looking at the image broke off"))?
        })
    }

    fn prune(&self, needed: Vec<ImageRef>) -> Work<'_, u64> {
        Box::pin(async move {
            let shared = Arc::clone(&self.shared);
            let work = async move { shared.prune(&needed).await };
            self.handle.spawn(work).await.map_err(trouble("removing images broke off"))?
        })
    }

    fn may_name<'a>(&'a self, image: &'a ImageRef, challenge: &'a ChallengeId) -> Work<'a, Result<(), BadImage>> {
        Box::pin(async move {
            let (shared, image, challenge) = (Arc::clone(&self.shared), image.clone(), challenge.clone());
            let work = async move { shared.may_name(&image, Some(&challenge)).await };
            self.handle.spawn(work).await.map_err(trouble("looking at the image broke off"))?
        })
    }

    fn answers(&self) -> Work<'_, ()> {
        Box::pin(async move {
            let shared = Arc::clone(&self.shared);
            let work = async move {
                let answer = shared.engine.docker.clone().with_timeout(ANSWER).ping().await;
                answer.map(drop).map_err(trouble("the container engine does not answer"))
            };
            self.handle.spawn(work).await.map_err(trouble("asking the engine broke off"))?
        })
    }

    fn sweep(&self, alive: Vec<RunId>) -> Work<'_, Swept> {
        Box::pin(async move {
            let shared = Arc::clone(&self.shared);
            let work = async move { shared.sweep(alive).await };
            self.handle.spawn(work).await.map_err(trouble("the sweep broke off"))?
        })
    }

    fn probe(&self) -> Work<'_, Vec<Finding>> {
        Box::pin(async move { probe::probe(self).await })
    }
}
