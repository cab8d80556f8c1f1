//! The composition root: configuration → adapters → use cases → command line or server. Everything else is told what it
//! needs.

use gradus::adapters::blobs_fs::FsBlobs;
use gradus::adapters::forge_git;
use gradus::adapters::scorer_wasm::compile_child;
use gradus::backup::{End, Head};
use gradus::cli::{self, Host, Running, ServeOptions};
use gradus::config::{Config, Limits, LogFormat, Runner};
use gradus::wiring;
use gradus_core::app::Stock;
use gradus_core::app::launch::Containers;
use gradus_core::app::verify::Verified;
use gradus_core::ports::blobs::Blobs;
use gradus_core::ports::runner::Finding;
use gradus_core::ports::scorer::Scorer;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Runs at once in a command's own engine: one, and one that ends while the next begins.
const SLOTS: usize = 4;

fn main() -> ExitCode {
    cli::run(&Wired, std::env::args_os())
}

/// The adapters that this program is made of.
struct Wired;

impl Host for Wired {
    fn serve(&self, options: ServeOptions) -> anyhow::Result<()> {
        let config = Config::load(options.config.as_deref())?;
        log(&config)?;
        let (data, listen) = config.place(options.data, options.listen);
        let runtime = runtime()?;
        let served = runtime.block_on(async {
            let running = wiring::serve(&config, &data, listen).await?;
            let mut out = std::io::stdout();
            // Whoever started it may have closed its output; the server runs all the same.
            let token = running.token_file.display();
            drop(writeln!(out, "gradus is ready at http://{} (operator's token: {token})", running.addr));
            drop(out.flush());
            running.until_asked().await
        });
        // Blocking work that hangs, such as a body from a dead client, does not hold the end up.
        runtime.shutdown_timeout(std::time::Duration::from_secs(5));
        served
    }

    fn start(&self, options: ServeOptions, told: Sender<()>) -> anyhow::Result<Running> {
        let config = Config::load(options.config.as_deref())?;
        let (data, listen) = config.place(options.data, options.listen);
        let runtime = runtime()?;
        // Before anything is on the disk.
        runtime.block_on(async { pass_signals_on(told) })?;
        let running = runtime.block_on(wiring::serve(&config, &data, listen))?;
        let (addr, operator_token_file) = (running.addr, running.token_file.clone());
        let stop = Box::new(move || {
            runtime.block_on(running.stop());
            Ok(())
        });
        Ok(Running { addr, operator_token_file, stop })
    }

    fn scorer(&self, cache: Option<&Path>) -> anyhow::Result<Arc<dyn Scorer>> {
        cache.map(wiring::private_dir).transpose()?;
        Ok(Arc::new(wiring::engine(cache.map(Path::to_owned), SLOTS)?))
    }

    fn stock(&self) -> Stock {
        wiring::STOCK
    }

    fn blobs(&self, folder: &Path) -> anyhow::Result<Arc<dyn Blobs>> {
        Ok(Arc::new(FsBlobs::open(folder)?))
    }

    fn containers(&self, room: &Path, stop: Arc<AtomicBool>) -> Result<Containers, String> {
        let blobs = self.blobs(&room.join("blobs")).map_err(|error| format!("{error:#}"))?;
        let runtime = programs().map_err(|error| error.to_string())?;
        let (config, runs) = (Config::default(), room.join("runs"));
        let opened = wiring::containers(&config.runner, config.room(room), &runs, &config.limits, blobs);
        let containers = runtime.block_on(opened)?;
        let (told, heard) = std::sync::mpsc::channel();
        runtime.block_on(async { pass_signals_on(told) }).map_err(|error| error.to_string())?;
        std::thread::spawn(move || {
            while heard.recv().is_ok() {
                if stop.swap(true, Ordering::Relaxed) {
                    // As a shell reads it: ended by SIGINT.
                    std::process::exit(130);
                }
            }
        });
        Ok(containers)
    }

    fn probe(&self, config: &Runner, room: &Path) -> Result<Vec<Finding>, String> {
        let blobs = self.blobs(&room.join("blobs")).map_err(|error| format!("{error:#}"))?;
        let runtime = programs().map_err(|error| error.to_string())?;
        runtime
            .block_on(wiring::probe(config, &room.join("runs"), &Limits::default(), blobs))
            .map(|(_, findings)| findings)
    }

    fn verify(&self, data: &Path, tell: &mut dyn FnMut(String)) -> anyhow::Result<Verified> {
        wiring::verify(data, tell)
    }

    fn restore(
        &self,
        backup: &Path,
        data: &Path,
        tell: &mut dyn FnMut(String),
    ) -> anyhow::Result<(Head, End, Verified)> {
        wiring::restore(backup, data, tell)
    }

    fn child(&self, name: &str) -> ExitCode {
        let code = if name == forge_git::SUBCOMMAND { forge_git::fetch_child() } else { compile_child() };
        ExitCode::from(u8::try_from(code).unwrap_or(1))
    }
}

/// Tells `told` of each SIGINT and SIGTERM, which end the program no longer.
fn pass_signals_on(told: Sender<()>) -> std::io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            // Whoever listened may have heard enough.
            let _ = told.send(());
        }
    });
    Ok(())
}

/// Threads for requests, and some to lend to reads and writes of the disk, which go back soon after a crowd.
fn runtime() -> std::io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().max_blocking_threads(64).thread_keep_alive(std::time::Duration::from_secs(2)).build()
}

/// What the runs of a command go on.
fn programs() -> std::io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if RUNTIME.get().is_none() {
        drop(RUNTIME.set(runtime()?));
    }
    RUNTIME.get().ok_or_else(|| std::io::Error::other("there is no runtime"))
}

/// The log goes to standard error, so that standard output is the ready line alone.
fn log(config: &Config) -> anyhow::Result<()> {
    let level = config.log.level.as_deref().unwrap_or("info");
    let plain = ["error", "warn", "info", "debug", "trace", "off"];
    if !level.contains('=') && !plain.contains(&level) {
        anyhow::bail!("log level `{level}`: use {}, or a filter such as `gradus=debug`", plain.join(", "));
    }
    let filter = EnvFilter::try_new(level).map_err(|error| anyhow::anyhow!("log level `{level}`: {error}"))?;
    let colours = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        // A line that cannot be written is lost. It would be told on standard error as well, and who could not write there
        // either would panic: a full disk would end workers one by one.
        .log_internal_errors(false);
    let set = match config.log.format {
        LogFormat::Json => subscriber.json().try_init(),
        LogFormat::Text => subscriber.try_init(),
    };
    set.map_err(|error| anyhow::anyhow!("the log cannot be set up: {error}"))
}
