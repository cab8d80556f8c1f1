//! `gradus demo`: the whole line in one command, on a fresh store and over HTTP.

mod bundle;
mod keep;
mod sample;

use super::challenge::publish::finish;
use super::output::clean;
use super::progress::Progress;
use super::{Context, Done, Json, Running, ServeOptions, leaderboard, local};
use crate::client::{Client, ClientError, Upload};
use crate::http::dto::{BoardInfo, NewToken, OperationInfo};
use anyhow::Context as _;
use bundle::{Bundle, PROGRAMS, RESULTS};
use clap::Args;
use gradus_core::app::folder::Folder;
use gradus_core::app::publish::NONE_RUN;
use gradus_core::domain::manifest::{self, FILE};
use gradus_core::ports::blobs::ReadAt;
use sample::Sample;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// Rows of a leaderboard that are shown: more than there are samples.
const ROWS: NonZeroUsize = NonZeroUsize::new(100).expect("it is not zero");

/// See it work: start a server, publish an example, hand in its samples, show the leaderboard. Then the same with programs
/// that run in containers, where there is a container engine with the example's image.
///
/// Everything is in a temporary folder, and gone afterwards.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gradus demo\n  gradus demo --keep          and try it yourself, until Ctrl-C")]
pub struct Demo {
    /// Keep the server up until Enter or Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Port to listen on [default: a free one].
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
    #[command(flatten)]
    json: Json,
}

impl Demo {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let room = tempfile::tempdir().context("could not make a temporary folder")?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let data = room.path().join("data");
        let options = ServeOptions { data: Some(data), listen: Some(listen), config: None };
        // From here on a signal does not end the program: the folder, with the operator's token in it, must go first.
        let (tell, told) = channel();
        let running = context.host.start(options, tell.clone())?;
        let json = self.json.json;
        let show = Show { context, server: format!("http://{}", running.addr), room: room.path(), json, told };
        let mut shown = show.all(&running);
        if let (Ok(id), true) = (&shown, self.keep) {
            shown = show.how_to_go_on(&running, id).map(|()| String::new());
            if shown.is_ok() {
                keep::wait(tell, &show.told);
            }
        }
        // In any case: what the server has open lies in the folder that goes.
        let stopped = (running.stop)();
        shown?;
        stopped?;
        if !self.keep && !json {
            context.out.line("\nWhat to try next:")?;
            context.out.line("  gradus demo --keep                   the same, and the server stays up")?;
            context.out.line("  gradus challenge new my-challenge    a challenge of your own")?;
            context.out.line("  gradus serve                         a server that keeps what it gets")?;
        }
        Ok(Done::Well)
    }
}

/// What is shown, step by step, or in one document.
struct Show<'a> {
    context: &'a Context<'a>,
    server: String,
    room: &'a Path,
    json: bool,
    /// Hears of signals.
    told: Receiver<()>,
}

impl Show<'_> {
    fn line(&self, text: impl std::fmt::Display) -> anyhow::Result<()> {
        if self.told.try_recv().is_ok() {
            anyhow::bail!("stopped by a signal");
        }
        Ok(if self.json { Ok(()) } else { self.context.out.line(text) }?)
    }

    /// Everything; the challenge's id.
    fn all(&self, running: &Running) -> anyhow::Result<String> {
        let out = &self.context.out;
        self.line(format!("{} {}, on a fresh store", out.bold("Server:"), self.server))?;
        let operator = Client::new(&self.server, Some(super::read_token(&running.operator_token_file)?))?;
        let folder = RESULTS.folder()?;
        let published = self.publish(&operator, &RESULTS, &folder)?;
        let samples = self.submit_all(&operator, &published.challenge, &folder)?;
        let boards = self.boards(&published.challenge)?;
        let programs = self.programs(&operator)?;
        if self.json {
            let token = &running.operator_token_file;
            out.json(&json!({
                "server": self.server, "operator_token_file": token, "published": published, "submissions": samples,
                "leaderboards": boards, "programs": programs,
            }))?;
        }
        Ok(published.challenge)
    }

    /// The same with programs, if they can be run here.
    fn programs(&self, operator: &Client) -> anyhow::Result<Value> {
        self.line("")?;
        let folder = PROGRAMS.folder()?;
        let published = match self.publish(operator, &PROGRAMS, &folder) {
            Ok(published) => published,
            Err(error) => {
                // What is missing on this computer is no failure of the demo.
                let Some(why) = error.downcast_ref::<ClientError>().and_then(cannot_run) else { return Err(error) };
                self.line(format!("Programs in containers are not shown: {}", clean(&why)))?;
                return Ok(json!({ "skipped": why }));
            }
        };
        let samples = self.submit_all(operator, &published.challenge, &folder)?;
        let boards = self.boards(&published.challenge)?;
        Ok(json!({ "published": published, "submissions": samples, "leaderboards": boards }))
    }

    fn publish(&self, operator: &Client, bundle: &Bundle, folder: &Folder) -> anyhow::Result<OperationInfo> {
        let archive = self.room.join("challenge.tar.zst");
        local::pack(folder, &archive)?;
        let mut bar = Progress::bytes(&self.context.out, "publishing");
        let began = Instant::now();
        let sent = operator.publish(bundle.id, &Upload::new(&archive)?, &mut |sent, of| bar.set(sent, of))?;
        drop(bar);
        let ended = finish(operator, sent)?;
        if ended.state != "done" {
            anyhow::bail!("the example was not published: {}", ended.problems.join("; "));
        }
        let (head, took) = (self.context.out.bold("Published:"), began.elapsed().as_millis());
        self.line(format!("{head} {} version {}: its solutions hold ({took} ms)", ended.challenge, ended.version))?;
        Ok(ended)
    }

    /// Hands in each sample, as a participant of its name.
    fn submit_all(&self, operator: &Client, id: &str, folder: &Folder) -> anyhow::Result<Vec<Sample>> {
        let out = &self.context.out;
        let text = folder.get(FILE).map(|file| gradus_core::ports::blobs::read_all(&*file.bytes)).transpose()?;
        let text = String::from_utf8(text.unwrap_or_default())?;
        let manifest =
            manifest::parse(&text).map_err(|problems| anyhow::anyhow!("{} problems in the example", problems.len()))?;
        let phase = super::submit::open_phase(operator, id)?;
        self.line(out.bold("Submissions, each by a participant of its name:"))?;
        let mut samples = Vec::new();
        for solution in &manifest.challenge.solutions {
            let path = Path::new(&solution.path);
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let token = NewToken { role: "participant".into(), subject: name.clone(), challenges: vec![id.to_owned()] };
            let participant = Client::new(&self.server, Some(operator.make_token(&token)?.token))?;
            let mut copy = self.room.join(path.file_name().unwrap_or_default());
            match folder.get(&solution.path) {
                Some(file) => write(&copy, &*file.bytes)?,
                None => {
                    copy.set_extension("tar.zst");
                    local::pack(&folder.at(&solution.path), &copy)?;
                }
            }
            let sample = Sample::hand_in(&participant, name, id, &phase, &Upload::new(&copy)?)?;
            self.line(sample.line(out))?;
            samples.push(sample);
        }
        Ok(samples)
    }

    /// The leaderboards as anybody sees them, without a token.
    fn boards(&self, id: &str) -> anyhow::Result<Vec<Value>> {
        let anybody = Client::new(&self.server, None)?;
        let info = anybody.challenge(id)?;
        let mut boards = Vec::new();
        for name in &info.leaderboards {
            let board: BoardInfo = anybody.leaderboard(id, name, ROWS)?;
            let out = &self.context.out;
            self.line(format!("\n{}", out.bold(format!("Leaderboard `{name}` of {}", clean(&info.title)))))?;
            if !self.json {
                leaderboard::table(&board).print(out)?;
            }
            boards.push(json!({ "id": name, "board": board }));
        }
        Ok(boards)
    }

    fn how_to_go_on(&self, running: &Running, id: &str) -> anyhow::Result<()> {
        let (server, token) = (&self.server, running.operator_token_file.display());
        self.line("\nThe server stays up. In another terminal:")?;
        self.line(format!("  export GRADUS_SERVER={server} GRADUS_TOKEN_FILE={token}"))?;
        self.line(format!("  gradus leaderboard {id}"))?;
        self.line(format!("  gradus status --challenge {id}"))?;
        self.line(format!("  curl {server}/api/v1/challenges/{id}"))?;
        self.line(format!("  gradus submit {id} FILE --wait"))?;
        self.line("\nEnter or Ctrl-C ends it.")
    }
}

/// Why no program can be run, if that is what the server said.
fn cannot_run(error: &ClientError) -> Option<String> {
    let ClientError::Refused { problem, .. } = error else { return None };
    let about = |error: &&String| error.contains(NONE_RUN) || error.contains("has no image");
    problem.errors.iter().find(about).cloned()
}

fn write(path: &Path, bytes: &dyn ReadAt) -> anyhow::Result<()> {
    let all = gradus_core::ports::blobs::read_all(bytes)?;
    std::fs::write(path, all).with_context(|| format!("could not write {}", path.display()))
}

/// Bytes of the program, as a file of a folder.
fn embedded(bytes: &'static [u8]) -> Arc<dyn ReadAt> {
    Arc::new(bytes.to_vec())
}
