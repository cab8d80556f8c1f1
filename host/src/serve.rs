//! The server's life: open, recover, listen, say that it is ready, and end in good order.
//!
//! Knows no adapter: `wiring` hands it an [`App`].

use crate::config::Config;
use crate::disk::free_space;
use crate::http;
use crate::http::connections;
use crate::http::counted::Counted;
use crate::http::desk::Desk;
use crate::http::reserving::Reserving;
use crate::http::state::{Api, Shared};
use crate::live::Hub;
use crate::worker::{Opener, Workers};
use anyhow::{Context as _, anyhow, bail};
use gradus_core::app::App;
use gradus_core::domain::token::Role;
use gradus_core::ports::store::{Snapshot, Store};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::fs::Permissions;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Beside the data: the token that the first start made.
pub const TOKEN_FILE: &str = "operator.token";
/// Connections that are still busy when the server stops get so long.
const GRACE: Duration = Duration::from_secs(10);
/// Measured durations are folded into their buckets this often.
const UPKEEP: Duration = Duration::from_secs(5);
/// Upper bounds of the buckets of all durations, seconds.
const BUCKETS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0];
/// Fuel of a scorer.
const FUEL: [f64; 7] = [1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];
/// Memory of a scorer: from a mebibyte to four gibibytes.
const MEMORY: [f64; 7] =
    [1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0, 268_435_456.0, 1_073_741_824.0, 4_294_967_296.0];

/// A server that runs.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The operator's token.
    pub token_file: PathBuf,
    workers: Arc<Workers>,
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    stop: watch::Sender<bool>,
    asked: Asked,
    serving: tokio::task::JoinHandle<()>,
}

fn recorder() -> anyhow::Result<PrometheusHandle> {
    // One for each process: a second server in the same one, as in tests, shares it.
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let of = |name: &str| Matcher::Full(name.to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets(&BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(of("gradus_scorer_fuel"), &FUEL))
        .and_then(|builder| builder.set_buckets_for_metric(of("gradus_scorer_memory_bytes"), &MEMORY))
        .context("setting up the metrics")?;
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        return HANDLE.get().cloned().ok_or_else(|| anyhow!("another part of this process records metrics already"));
    }
    Ok(HANDLE.get_or_init(|| handle).clone())
}

/// Connections, uploads and stored files each need an open file: as many as this process may have are none too many.
fn allow_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current < maximum || maximum.is_none() {
        // What is refused leaves things as they were.
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
}

/// Sees to it that an operator's token that holds lies beside the data, readable by its owner only.
fn first_token(app: &App, data: &Path) -> anyhow::Result<PathBuf> {
    let path = data.join(TOKEN_FILE);
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    if app.authenticate(held.trim())?.is_some_and(|token| token.role == Role::Operator) {
        return Ok(path);
    }
    // None yet, or it was lost or revoked: whoever owns the folder can always have one.
    let (_, text) = app.grant(None, Role::Operator, "operator".parse()?, Vec::new())?;
    let write = || {
        let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o600)).tempfile_in(data)?;
        writeln!(file, "{text}")?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        std::fs::File::open(data)?.sync_all()
    };
    write().with_context(|| format!("the operator's token cannot be written to {}", path.display()))?;
    Ok(path)
}

/// Starts the server over `app`, whose rows `rows` has all. It takes requests when this returns; `opener` opens the container engine, if there is to be
/// one.
///
/// # Errors
/// The store's; the address is taken.
pub async fn start(
    app: Arc<App>,
    rows: Arc<dyn Snapshot>,
    hub: Arc<Hub>,
    config: &Config,
    data: &Path,
    listen: SocketAddr,
    opener: Option<Opener>,
) -> anyhow::Result<Running> {
    allow_open_files();
    let store = Arc::clone(&app.store);
    // First the port: a server that cannot listen must not begin to grade.
    let listener = bind(listen).await?;
    let metrics_listener = match config.server.metrics_listen {
        Some(addr) => Some(bind(addr).await?),
        None => None,
    };
    let addr = listener.local_addr()?;
    let metrics = recorder()?;
    let (starting, folder) = (Arc::clone(&app), data.to_owned());
    let token_file = tokio::task::spawn_blocking(move || first_token(&starting, &folder)).await??;
    let (starting, bell, graders, runs) = (Arc::clone(&app), Arc::clone(&hub), config.graders(), config.runs());
    let (folder, least) = (data.to_owned(), config.limits.free_disk.0);
    // A disk that cannot be asked is found out by the run itself.
    let space = Box::new(move || free_space(&folder).map_or(true, |free| free >= least));
    let workers =
        tokio::task::spawn_blocking(move || Workers::start(starting, bell, graders, runs, space, opener)).await?;
    let workers = workers.map_err(|error| anyhow!(error))?;
    let api: Api = Arc::new(Shared {
        hub: Arc::clone(&hub),
        workers: Arc::clone(&workers),
        limits: config.door(),
        door: Desk::open("door", config.workers.checks)?,
        publishing: Desk::open("publishing", 1)?,
        intake: Reserving::new(Arc::clone(&app.blobs), data.to_owned(), config.limits.free_disk),
        app,
        uploads: Counted::new(http::upload::OF_ONE, http::upload::OF_ALL),
        rows,
        streams: Counted::new(http::events::OF_ONE, http::events::OF_ALL),
        pace: config.pace(),
        backups: Arc::default(),
        ready: std::sync::Mutex::default(),
        metrics: metrics.clone(),
        data: data.to_owned(),
    });
    let (stop, stopped) = watch::channel(false);
    let (upkeep, mut until, paced) = (metrics.clone(), stopped.clone(), Arc::clone(&api));
    tokio::spawn(async move {
        // Durations pile up until they are folded into their buckets, whether anybody asks for them or not.
        while tokio::time::timeout(UPKEEP, until.wait_for(|stop| *stop)).await.is_err() {
            upkeep.run_upkeep();
            paced.pace.forget();
        }
    });
    if let Some(listener) = metrics_listener {
        let api = Arc::clone(&api);
        let text = axum::routing::get(move || http::health::measured(api));
        let router = axum::Router::new().route("/metrics", text);
        tokio::spawn(connections::serve(listener, router, config.connections(), stopped.clone()));
    }
    // Before anybody can see that it runs.
    let asked = Asked::listen()?;
    let serving = tokio::spawn(connections::serve(listener, http::router(api), config.connections(), stopped));
    Ok(Running { addr, token_file, workers, store, hub, stop, asked, serving })
}

async fn bind(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.map_err(|error| {
        let known = [
            (ErrorKind::AddrInUse, "is in use by another program; choose another with --listen, or stop that one"),
            (
                ErrorKind::PermissionDenied,
                "may not be listened on; use a port from 1024 on, or give the program the right",
            ),
            (ErrorKind::AddrNotAvailable, "is not an address of this machine; choose one with --listen"),
        ];
        match known.iter().find(|(kind, _)| *kind == error.kind()) {
            Some((_, what)) => anyhow!("{addr} {what}"),
            None => anyhow!(error).context(format!("cannot listen on {addr}")),
        }
    })
}

/// SIGINT and SIGTERM, from when this is made on.
struct Asked {
    term: Signal,
    int: Signal,
}

impl Asked {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }
}

impl Running {
    /// Stops taking requests and claims, lets runs end or puts them back, and returns when all is stored.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // Event streams end now: they would hold their connections for ever.
        self.hub.stop();
        let workers = Arc::clone(&self.workers);
        let joined = tokio::task::spawn_blocking(move || workers.stop());
        if tokio::time::timeout(GRACE, self.serving).await.is_err() {
            tracing::warn!("connections were still busy and are cut");
        }
        if let Err(error) = joined.await {
            tracing::error!(%error, "the workers could not be stopped");
        }
    }

    /// Runs until it is asked to stop, and stops.
    ///
    /// # Errors
    /// The store failed on the way: the host must not go on, and the next start recovers.
    pub async fn until_asked(mut self) -> anyhow::Result<()> {
        let mut look = tokio::time::interval(Duration::from_millis(200));
        let broken = loop {
            tokio::select! {
                _ = self.asked.term.recv() => break false,
                _ = self.asked.int.recv() => break false,
                _ = look.tick() => if !self.store.is_open() { break true },
            }
        };
        if broken {
            tracing::error!("the store takes no more changes; stopping");
        } else {
            tracing::info!("stopping");
        }
        self.stop().await;
        if broken {
            bail!("the store took no more changes; check the disk, then start again: nothing acknowledged is lost");
        }
        tracing::info!("stopped");
        Ok(())
    }
}
