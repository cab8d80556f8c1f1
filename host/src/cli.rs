//! The command line: one file for each command. Parses arguments, asks the server through `client`, shows the answer.
//!
//! Decides nothing that the core can. Only `score`, `challenge new|check`, `scorer`, `doctor` and `completions` work
//! without a server. Exit codes: 0 it did what was asked, 1 it did not, 2 wrong use.

mod admin;
mod backup;
mod cancel;
mod challenge;
mod completions;
mod demo;
mod doctor;
mod environment;
mod forges;
mod hooks;
mod leaderboard;
mod local;
mod login;
mod logs;
mod output;
mod post_receive;
mod progress;
mod quota;
mod report;
mod score;
mod scorer;
mod serve;
mod status;
mod steer;
mod submit;
mod table;
#[cfg(test)]
mod tests;

pub use environment::Environment;
pub use output::Output;

use crate::backup::{End, Head};
use crate::client::Client;
use crate::client::logins::Logins;
use crate::config;
use anyhow::Context as _;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use gradus_core::app::Stock;
use gradus_core::app::launch::Containers;
use gradus_core::app::verify::Verified;
use gradus_core::ports::blobs::Blobs;
use gradus_core::ports::runner::Finding;
use gradus_core::ports::scorer::Scorer;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;

/// The hidden subcommands under which this program is its own child process: what compiles components, and what fetches from
/// forges.
pub const CHILDREN: [&str; 2] = ["__compile", "__fetch"];

/// How a server is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeOptions {
    /// Folder of its store and blobs; as configured unless said.
    pub data: Option<PathBuf>,
    /// Where it listens; as configured unless said.
    pub listen: Option<SocketAddr>,
    /// Its configuration file.
    pub config: Option<PathBuf>,
}

/// A server that runs in this process.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The file with a token for everything, readable by its owner only.
    pub operator_token_file: PathBuf,
    /// Stops it in order, and returns when it has.
    pub stop: Box<dyn FnOnce() -> anyhow::Result<()>>,
}

/// What commands need of the rest of the program. The composition root gives it, as only that points at adapters.
pub trait Host {
    /// Runs a server until it is told to stop by a signal.
    ///
    /// # Errors
    /// It could not start, or failed.
    fn serve(&self, options: ServeOptions) -> anyhow::Result<()>;
    /// Starts a server beside the caller, and returns when it answers. From then on SIGINT and SIGTERM do not end the
    /// program: `told` hears of each, and it is for the caller to stop the server.
    ///
    /// # Errors
    /// It could not start.
    fn start(&self, options: ServeOptions, told: Sender<()>) -> anyhow::Result<Running>;
    /// An engine for this process, with its compiled scorers in `cache`.
    ///
    /// # Errors
    /// It could not start.
    fn scorer(&self, cache: Option<&Path>) -> anyhow::Result<Arc<dyn Scorer>>;
    /// The stock scorers.
    fn stock(&self) -> Stock;
    /// Blobs in `folder`.
    ///
    /// # Errors
    /// The folder cannot be used.
    fn blobs(&self, folder: &Path) -> anyhow::Result<Arc<dyn Blobs>>;
    /// What runs programs for this process, with its files in `room`; or why nothing does. From then on SIGINT and SIGTERM
    /// set `stop` and do not end the program, as a run has to be cleared up first; once it is set, they do.
    ///
    /// # Errors
    /// Why nothing does, in words.
    fn containers(&self, room: &Path, stop: Arc<AtomicBool>) -> Result<Containers, String>;
    /// What a configuration says of the container engine, looked at: each check as it went.
    ///
    /// # Errors
    /// There is none, in words.
    fn probe(&self, config: &config::Runner, room: &Path) -> Result<Vec<Finding>, String>;
    /// Looks over what is stored in a data folder that no server has open; what is wrong goes to `tell`.
    ///
    /// # Errors
    /// There is none, a server has it open, or it cannot be read.
    fn verify(&self, data: &Path, tell: &mut dyn FnMut(String)) -> anyhow::Result<Verified>;
    /// Makes the data folder `data` of a backup, and looks it over as [`verify`](Self::verify) does.
    ///
    /// # Errors
    /// It is no whole backup; there is something in the folder; the disk's.
    fn restore(
        &self,
        backup: &Path,
        data: &Path,
        tell: &mut dyn FnMut(String),
    ) -> anyhow::Result<(Head, End, Verified)>;
    /// Is the child process of that name, of [`CHILDREN`].
    fn child(&self, name: &str) -> ExitCode;
}

/// Gradus grades submissions to challenges.
#[derive(Debug, Parser)]
#[command(name = "gradus", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "\
Examples:
  gradus demo                                      see it work, in a minute
  gradus challenge new my-challenge                start a challenge of your own
  gradus challenge check my-challenge              try its scorer and its solutions
  gradus score my-challenge predictions.csv        score a file, without a server
  gradus serve --data gradus-data                  run a server
  gradus submit my-challenge predictions.csv --wait

`gradus help COMMAND` shows more, with examples.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Serve(serve::Serve),
    Doctor(doctor::Doctor),
    #[command(subcommand)]
    Challenge(challenge::Challenge),
    #[command(subcommand)]
    Scorer(scorer::Scorer),
    Score(score::Score),
    Submit(submit::Submit),
    Status(status::Status),
    Logs(logs::Logs),
    Leaderboard(leaderboard::Leaderboard),
    Quota(quota::Quota),
    Cancel(cancel::Cancel),
    Login(login::Login),
    PostReceive(post_receive::PostReceive),
    #[command(subcommand)]
    Admin(admin::Admin),
    Completions(completions::Completions),
}

/// Which server, and as who.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
struct Remote {
    /// Address of the server [default: that of the last login, or http://127.0.0.1:8400].
    #[arg(long, value_name = "URL", env = "GRADUS_SERVER")]
    server: Option<String>,
    /// File with the token; otherwise GRADUS_TOKEN, or what `gradus login` stored.
    #[arg(long, value_name = "FILE", env = "GRADUS_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

/// How it is printed.
#[derive(Debug, Clone, Copy, Args)]
struct Json {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a command works with.
pub struct Context<'a> {
    host: &'a dyn Host,
    out: Output,
    environment: Environment,
}

/// How a command that did not fail went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// Well.
    Well,
    /// It said what is wrong.
    Failed,
}

impl Done {
    fn well(well: bool) -> Self {
        if well { Self::Well } else { Self::Failed }
    }
}

/// The command was used wrongly.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

fn usage(what: impl Into<String>) -> anyhow::Error {
    Usage(what.into()).into()
}

impl Context<'_> {
    fn logins(&self) -> anyhow::Result<Logins> {
        Ok(self.environment.logins().map_or(Ok(Logins::default()), |path| Logins::load(&path))?)
    }

    /// The address that is meant.
    fn server(&self, remote: &Remote, logins: &Logins) -> String {
        let stored = || logins.server.clone();
        remote.server.clone().or_else(stored).unwrap_or_else(|| crate::client::DEFAULT_SERVER.to_owned())
    }

    fn client(&self, remote: &Remote) -> anyhow::Result<Client> {
        let logins = self.logins()?;
        let server = self.server(remote, &logins);
        let token = match &remote.token_file {
            Some(path) => Some(read_token(path)?),
            None => self.environment.token.clone(),
        };
        // Through the client, so that both were brought into the same form.
        let plain = Client::new(&server, None).map_err(|error| usage(error.to_string()))?;
        let token = token.or_else(|| logins.token(&plain.server()).map(ToOwned::to_owned));
        Ok(Client::new(&server, token)?)
    }
}

fn read_token(path: &Path) -> anyhow::Result<String> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("could not read the token from {}", path.display()))?;
    let token = text.trim();
    let one = !token.is_empty() && !token.contains(char::is_whitespace) && token.is_ascii();
    one.then(|| token.to_owned()).ok_or_else(|| anyhow::anyhow!("{} does not hold one token", path.display()))
}

/// Runs the command that `arguments` name, the program's own name first.
pub fn run(host: &dyn Host, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    // Nobody types them: adapters start this program under them, and the exit codes are their own.
    if let Some(child) = arguments.get(1).and_then(|name| CHILDREN.into_iter().find(|child| name == child)) {
        return host.child(child);
    }
    ExitCode::from(run_with(host, arguments, Output::process(), Environment::process()))
}

fn run_with(
    host: &dyn Host,
    arguments: impl IntoIterator<Item = OsString>,
    out: Output,
    environment: Environment,
) -> u8 {
    let parsed = Cli::command().try_get_matches_from(arguments);
    let parsed = parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, wants_json(&matches))));
    let (cli, json) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are no errors, and go where they can be piped.
            let wrong = error.use_stderr();
            let text = error.render();
            let coloured = if wrong { out.error_colours } else { out.colours };
            let text = if coloured { text.ansi().to_string() } else { text.to_string() };
            drop(if wrong { out.note(text.trim_end()) } else { out.line(text.trim_end()) });
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let errors = out.clone();
    let done = dispatch(cli.command, &mut Context { host, out, environment });
    match done {
        Ok(Done::Well) => 0,
        Ok(Done::Failed) => 1,
        // Whoever read our output has seen enough.
        Err(error) if is_broken_pipe(&error) => 0,
        Err(error) => {
            drop(errors.error(&error));
            // The words are for people, the document is for the program that asked for one.
            if json {
                drop(errors.failure(&error));
            }
            if error.is::<Usage>() { 2 } else { 1 }
        }
    }
}

/// Whether the command that was parsed was asked to print JSON.
fn wants_json(matches: &ArgMatches) -> bool {
    match matches.subcommand() {
        Some((_, below)) => wants_json(below),
        None => matches.try_get_one::<bool>("json").is_ok_and(|json| json == Some(&true)),
    }
}

fn dispatch(command: Command, context: &mut Context) -> anyhow::Result<Done> {
    match command {
        Command::Demo(command) => command.run(context),
        Command::Serve(command) => command.run(context),
        Command::Doctor(command) => command.run(context),
        Command::Challenge(command) => command.run(context),
        Command::Scorer(command) => command.run(context),
        Command::Score(command) => command.run(context),
        Command::Submit(command) => command.run(context),
        Command::Status(command) => command.run(context),
        Command::Logs(command) => command.run(context),
        Command::Leaderboard(command) => command.run(context),
        Command::Quota(command) => command.run(context),
        Command::Cancel(command) => command.run(context),
        Command::Login(command) => command.run(context),
        Command::PostReceive(command) => command.run(context),
        Command::Admin(command) => command.run(context),
        Command::Completions(command) => command.run(context),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
