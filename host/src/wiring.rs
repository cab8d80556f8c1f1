//! Puts adapters into ports: the one place, with `main`, that points at adapters.

use crate::adapters::blobs_fs::FsBlobs;
use crate::adapters::clock_os::OsClock;
use crate::adapters::courier_http::HttpCourier;
use crate::adapters::forge_git::GitFetcher;
use crate::adapters::forge_http::HttpForges;
use crate::adapters::runner_docker::{DockerRunner, Gpu, Registry, Settings};
use crate::adapters::scorer_wasm::{Compiler, EngineConfig, WasmScorer, stock};
use crate::adapters::store_sled::{Options, SledStore};
use crate::backup::{BackupError, End, Head, Target};
use crate::config::{self, Config, Engine};
use crate::http::reserving::Reserving;
use crate::live::{Hub, Live};
use crate::serve::{Running, start};
use crate::worker::Opener;
use anyhow::Context as _;
use gradus_core::app::launch::{Allows, Containers};
use gradus_core::app::verify::Verified;
use gradus_core::app::{App, Stock, chain};
use gradus_core::domain::digest::Digest;
use gradus_core::domain::queue::Room;
use gradus_core::domain::units::Bytes;
use gradus_core::ports::blobs::{BlobError, Blobs};
use gradus_core::ports::runner::{Finding, Level, Runner as _, RunnerError};
use gradus_core::ports::store::Snapshot;
use std::fs::Permissions;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Where the engine's socket is unless told otherwise.
const USUAL_SOCKET: &str = "/var/run/docker.sock";

/// Checks of what tasks may name.
const OFFERED: [&str; 4] = ["runtimes", "networks", "gpus", USUAL_IMAGE];
/// The check of the image of tasks that name none.
const USUAL_IMAGE: &str = "image";
/// How long the engine has to be opened and probed.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long in all, when an image is fetched for that.
const FETCHED: Duration = Duration::from_secs(3_600);

/// How long a forge has to give a tag.
const GIVEN: Duration = Duration::from_secs(300);

/// In a data folder: what is being fetched; the rows, and the blobs.
const FETCHED_FOLDER: &str = "fetch";
const STORE: &str = "store";
const BLOBS: &str = "blobs";

/// The stock scorers.
pub const STOCK: Stock = stock::STOCK;

/// The engine, with compiled components in `cache`. Components are compiled in a child of this program.
///
/// # Errors
/// No memory, or the cache folder is not safe.
pub fn engine(cache: Option<PathBuf>, slots: usize) -> anyhow::Result<WasmScorer> {
    let program = std::env::current_exe().context("this program cannot find itself")?;
    Ok(WasmScorer::new(EngineConfig { cache, compiler: Compiler::Child(program), slots })?)
}

/// Makes `path`, for its owner alone, and all folders above it.
///
/// # Errors
/// The disk's.
pub fn private_dir(path: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("the folder {} cannot be made", path.display()))
}

/// Why nothing runs programs, where the operator wants it so.
const ENGINE_OFF: &str = "the configuration says `engine = \"off\"`";

/// The container engine, with places for runs in `runs`, and what its checks found; `limits` say what of the disk stays free,
/// and what images may hold. Call it on the runtime that runs shall go on.
///
/// # Errors
/// There is none that can be used, in words.
pub async fn probe(
    config: &config::Runner,
    runs: &Path,
    limits: &config::Limits,
    blobs: Arc<dyn Blobs>,
) -> Result<(DockerRunner, Vec<Finding>), String> {
    let socket = match &config.engine {
        Engine::Off => return Err(ENGINE_OFF.to_owned()),
        Engine::Auto => PathBuf::from(USUAL_SOCKET),
        Engine::Socket(path) => path.clone(),
    };
    // Nothing was run yet: the cause alone says more.
    let said = |RunnerError { what, source }: RunnerError| match source {
        Some(source) => format!("{what}: {}", chain(&*source)),
        None => what,
    };
    let (reserve, image) = (limits.free_disk, limits.image);
    let gpu = |gpu: &config::Gpu| match gpu.clone() {
        config::Gpu::Id(id) => Gpu { id, memory: Bytes(0) },
        config::Gpu::With { id, memory } => Gpu { id, memory },
    };
    let gpus = config.gpus.as_ref().map(|gpus| gpus.iter().map(gpu).collect());
    let registries = config.registries.iter().map(registry).collect::<Result<_, _>>()?;
    let (runtimes, networks) = (config.runtimes.clone(), config.networks.clone());
    let settings =
        Settings { reserve, image, gpus, runtimes, networks, registries, ..Settings::new(socket, runs.to_owned()) };
    let mut runner = within(DockerRunner::open(settings, blobs)).await?.map_err(said)?;
    if let Some(name) = &config.probe_image {
        // It may have to be fetched, which takes what it takes.
        let image = runner.pin(name, None).await.map_err(said)?;
        let image = image.map_err(|bad| format!("`probe_image`: {}", bad.text))?;
        runner.have(&image).await.map_err(said)?;
        runner = runner.trying_in(image);
    }
    let mut findings = within(runner.probe()).await?.map_err(said)?;
    findings.extend(usual_image(&runner, config).await);
    Ok((runner, findings))
}

/// Whether tasks that name no image have the one of the configuration. A registry that hangs is no reason to run nothing.
async fn usual_image(runner: &DockerRunner, config: &config::Runner) -> Option<Finding> {
    let name = config.image.as_ref()?;
    let (level, text) = match within(runner.pin(name, None)).await {
        Ok(Ok(Ok(_))) => (Level::Ok, format!("tasks that name no image have {name}")),
        Ok(Ok(Err(bad))) => {
            (Level::Warn, format!("tasks that name no image have none: `image` of [runner]: {}", bad.text))
        }
        Ok(Err(error)) => (Level::Warn, format!("`image` of [runner]: {}", chain(&error))),
        Err(why) => (Level::Warn, format!("`image` of [runner]: {why}")),
    };
    Some(Finding { check: USUAL_IMAGE, level, text })
}

/// What the engine answers in its time.
async fn within<T>(asked: impl Future<Output = T>) -> Result<T, String> {
    let late = |_| format!("the container engine did not answer within {} s", PATIENCE.as_secs());
    tokio::time::timeout(PATIENCE, asked).await.map_err(late)
}

/// A registry, with its password.
fn registry(config: &config::Registry) -> Result<Registry, String> {
    let config::Registry { host, username, password_file, participants, challenges } = config;
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| format!("the password for the registry `{host}`: {}: {error}", path.display()));
        text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
    };
    let password = password_file.as_ref().map(read).transpose()?;
    let credentials = username.clone().zip(password);
    Ok(Registry { host: host.clone(), credentials, participants: participants.clone(), challenges: challenges.clone() })
}

/// What runs participants' programs, all together within `room`; or why nothing does. As [`probe`].
///
/// # Errors
/// Why nothing does, in words.
pub async fn containers(
    config: &config::Runner,
    room: Room,
    runs: &Path,
    limits: &config::Limits,
    blobs: Arc<dyn Blobs>,
) -> Result<Containers, String> {
    let (runner, findings) = probe(config, runs, limits, blobs).await?;
    let failed: Vec<_> = findings.iter().filter(|finding| finding.level == Level::Fail).collect();
    let to_tell = findings.iter().filter(|finding| finding.level == Level::Fail || OFFERED.contains(&finding.check));
    for finding in to_tell.filter(|finding| finding.level != Level::Ok) {
        tracing::warn!(check = finding.check, "container engine: {}", finding.text);
    }
    // What cannot be done at all is not allowed either.
    match failed.iter().find(|finding| !config.allow_failed_checks || finding.check == "places") {
        Some(Finding { check, text, .. }) => Err(format!("the check `{check}` of the container engine fails: {text}")),
        None => {
            let gpus: Vec<Bytes> = runner.gpus().iter().map(|gpu| gpu.memory).collect();
            let room = Room { gpus: u32::try_from(gpus.len()).unwrap_or(u32::MAX), ..room };
            // What the engine does not have, no task is told that it may name.
            let offers = within(runner.offers()).await?.map_err(|error| error.to_string())?;
            let allows = Allows { runtimes: offers.0, networks: offers.1, gpus };
            Ok(Containers { runner: Arc::new(runner), image: config.image.clone(), room, allows })
        }
    }
}

/// Tells the operator, once for each reason.
fn told(opened: &Result<Containers, String>, said: &mut String, engine: &Engine) {
    match opened {
        Ok(_) => tracing::info!("programs run in containers"),
        Err(why) if why == said => {}
        // Nobody said that there is one.
        Err(why) if *engine == Engine::Auto && why.contains("is not there") => {
            tracing::info!(why, "no programs are run until there is an engine")
        }
        Err(why) => tracing::warn!(why, "no programs are run until the engine can be used"),
    }
    opened.as_ref().err().map_or("", String::as_str).clone_into(said);
}

/// Comes when the server stops.
async fn stopping(live: &mut Receiver<Live>) {
    while !matches!(live.recv().await, Ok(Live::Stopping) | Err(RecvError::Closed)) {}
}

/// Opens the data folder: the use cases over it, and all its rows.
fn open(data: &Path, slots: usize, ring: Arc<Hub>) -> anyhow::Result<(App, Arc<dyn Snapshot>)> {
    // The store first: its lock says whether the folder is ours.
    let store = Arc::new(SledStore::open(&data.join(STORE), Options::default())?);
    let blobs = FsBlobs::open(&data.join(BLOBS))?;
    let cache = data.join("cache");
    private_dir(&cache)?;
    let scorer = engine(Some(cache), slots)?;
    let (clock, rows) = (Arc::new(OsClock::default()), Arc::clone(&store));
    Ok((App::new(store, Arc::new(blobs), Arc::new(scorer), clock, ring, STOCK), rows))
}

/// Looks over what is stored in a data folder that no server has open; what is wrong goes to `tell`.
///
/// # Errors
/// There is none, a server has it open, or it cannot be read.
pub fn verify(data: &Path, tell: &mut dyn FnMut(String)) -> anyhow::Result<Verified> {
    if !data.join(STORE).is_dir() {
        anyhow::bail!("{} is no data folder of a server: there is no `{STORE}` in it", data.display());
    }
    let (app, _) = open(data, 1, Arc::default())?;
    Ok(app.verify(tell)?)
}

/// Puts a backup into `data`, which is not there yet or empty, and looks it over; what is wrong goes to `tell`. All of it is
/// there when this returns, or nothing.
///
/// # Errors
/// It is no whole backup; the folder is in use; the disk's.
pub fn restore(backup: &Path, data: &Path, tell: &mut dyn FnMut(String)) -> anyhow::Result<(Head, End, Verified)> {
    // A folder that is there may be a disk of its own: what goes there is made there. One that is not there appears whole.
    let there = data.exists();
    if there {
        let mut entries = std::fs::read_dir(data).with_context(|| format!("{} is no folder", data.display()))?;
        if entries.next().is_some() {
            anyhow::bail!("{} is not empty: name a folder that is empty, or not there yet", data.display());
        }
    }
    let from = std::fs::File::open(backup).with_context(|| format!("{} cannot be opened", backup.display()))?;
    let parent = data.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = if there { data } else { parent };
    private_dir(parent)?;
    let mut room = tempfile::Builder::new();
    let room = room.prefix(".gradus-restore-").permissions(Permissions::from_mode(0o700)).tempdir_in(parent);
    let room = room.with_context(|| format!("nothing can be made in {}", parent.display()))?;
    let mut target = Restored { store: room.path().join(STORE), blobs: FsBlobs::open(&room.path().join(BLOBS))? };
    let mut spoilt = Vec::new();
    let from = std::io::BufReader::with_capacity(1 << 20, from);
    let (head, end) = crate::backup::read(from, &mut target, &mut |digest| spoilt.push(digest))?;
    drop(target);
    for digest in &spoilt {
        tell(format!(
            "{digest}: its bytes are others: the backup's file is damaged, or the disk that it was made from"
        ));
    }
    // What is there is worth having, whatever is wrong with the rest.
    let mut verified = match verify(room.path(), tell) {
        Ok(verified) => verified,
        Err(error) => {
            tell(format!("{error:#}"));
            Verified { problems: 1, ..Verified::default() }
        }
    };
    verified.problems += spoilt.len() as u64;
    if there {
        // The store last: without one there is no data folder.
        for name in [BLOBS, STORE] {
            let moved = std::fs::rename(room.path().join(name), data.join(name));
            moved.with_context(|| format!("{} cannot be made", data.join(name).display()))?;
        }
        drop(room);
    } else {
        std::fs::rename(room.path(), data).with_context(|| format!("{} cannot be made", data.display()))?;
        // It has another name now.
        drop(room.keep());
    }
    std::fs::File::open(parent).and_then(|folder| folder.sync_all()).context("the folder could not be synced")?;
    Ok((head, end, verified))
}

/// A data folder that is made of a backup.
struct Restored {
    store: PathBuf,
    blobs: FsBlobs,
}

impl Target for Restored {
    fn rows(&mut self, rows: &mut dyn Read) -> Result<u64, BackupError> {
        Ok(SledStore::restore(&self.store, rows)?)
    }

    fn blob(&mut self, bytes: &mut dyn Read) -> Result<Digest, BackupError> {
        let mut blob = self.blobs.create()?;
        std::io::copy(bytes, &mut blob).map_err(BlobError::Write)?;
        Ok(blob.keep()?)
    }
}

/// What fetches from forges, for as much as an upload may be.
fn fetcher(config: &Config, data: &Path, blobs: Arc<dyn Blobs>) -> anyhow::Result<GitFetcher> {
    let folder = data.join(FETCHED_FOLDER);
    // What a host that was killed was at.
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("the folder {} cannot be emptied", folder.display()));
        }
        Ok(()) | Err(_) => private_dir(&folder)?,
    }
    let program = std::env::current_exe().context("this program cannot find itself")?;
    let door = config.door();
    Ok(GitFetcher {
        program,
        folder,
        blobs,
        pack: door.submission,
        limits: door.submission_archive,
        patience: GIVEN,
        environment: config::certificates(),
    })
}

/// Opens the data folder and starts the server on `listen`.
///
/// # Errors
/// The folder is not ours, is held by another server, or the address is taken.
pub async fn serve(config: &Config, data: &Path, listen: SocketAddr) -> anyhow::Result<Running> {
    private_dir(data)?;
    // A limit on the size of files is an error of the write that meets it then, which is told, and not a sudden end.
    drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
    let hub = Arc::new(Hub::default());
    let (folder, ring) = (data.to_owned(), Arc::clone(&hub));
    let slots = config.graders() + config.runs() + config.workers.checks + 2;
    let (app, rows) = tokio::task::spawn_blocking(move || open(&folder, slots, ring)).await??;
    let app = app.with_courier(Arc::new(HttpCourier::new(config.hooks.private)));
    // What programs leave keeps off the reserve of the disk, too.
    let blobs = Arc::new(Reserving::new(Arc::clone(&app.blobs), data.to_owned(), config.limits.free_disk));
    let app = app.with_git(Arc::new(fetcher(config, data, Arc::clone(&blobs) as _)?));
    let app = Arc::new(app.with_forges(Arc::new(HttpForges::default()), config.address()));
    let (runner, room, runs) = (config.runner.clone(), config.room(data), data.join("runs"));
    let limits = config.limits.clone();
    let handle = tokio::runtime::Handle::current();
    let opener: Option<Opener> = (runner.engine != Engine::Off).then(|| -> Opener {
        let (said, first, bell) = (Mutex::new(String::new()), AtomicBool::new(true), Arc::clone(&hub));
        Box::new(move || {
            let open = containers(&runner, room, &runs, &limits, Arc::clone(&blobs) as _);
            // The server does not start later for what is fetched: it is waited for beside it.
            let most = if first.swap(false, Relaxed) { PATIENCE } else { FETCHED };
            let late = || format!("the container engine could not be made ready within {} s", most.as_secs());
            let mut live = bell.listen();
            let opened = handle.block_on(async {
                tokio::select! {
                    opened = tokio::time::timeout(most, open) => opened.unwrap_or_else(|_| Err(late())),
                    () = stopping(&mut live) => Err("the server stops".to_owned()),
                }
            });
            told(&opened, &mut said.lock().unwrap_or_else(PoisonError::into_inner), &runner.engine);
            opened
        })
    });
    if opener.is_none() {
        tracing::info!("no programs are run: {ENGINE_OFF}");
        app.open_lane(Err(ENGINE_OFF.to_owned()));
    }
    start(app, rows, hub, config, data, listen, opener).await
}
