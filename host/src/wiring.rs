//! Puts adapters into ports: the one place, with `main`, that points at adapters.

use crate::adapters::blobs_fs::FsBlobs;
use crate::adapters::clock_os::OsClock;
use crate::adapters::scorer_wasm::{Compiler, EngineConfig, WasmScorer, stock};
use crate::adapters::store_sled::{Options, SledStore};
use crate::config::Config;
use crate::live::Hub;
use crate::serve::{Running, start};
use anyhow::Context as _;
use gradus_core::app::{App, Stock};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// Opens the data folder and starts the server on `listen`.
///
/// # Errors
/// The folder is not ours, is held by another server, or the address is taken.
pub async fn serve(config: &Config, data: &Path, listen: SocketAddr) -> anyhow::Result<Running> {
    private_dir(data)?;
    let hub = Arc::new(Hub::default());
    let (folder, ring) = (data.to_owned(), Arc::clone(&hub));
    let slots = config.graders() + config.workers.checks + 2;
    let open = move || -> anyhow::Result<App> {
        // The store first: its lock says whether the folder is ours.
        let store = SledStore::open(&folder.join("store"), Options::default())?;
        let blobs = FsBlobs::open(&folder.join("blobs"))?;
        let cache = folder.join("cache");
        private_dir(&cache)?;
        let scorer = engine(Some(cache), slots)?;
        let clock = Arc::new(OsClock::default());
        Ok(App::new(Arc::new(store), Arc::new(blobs), Arc::new(scorer), clock, ring, STOCK))
    };
    let app = Arc::new(tokio::task::spawn_blocking(open).await??);
    start(app, hub, config, data, listen).await
}
