//! `gradus demo`: the whole line in one command, on a fresh store and over HTTP.

mod bundle;

use super::challenge::publish::finish;
use super::output::clean;
use super::progress::Progress;
use super::{Context, Done, Running, ServeOptions, leaderboard, local};
use crate::client::{Client, ClientError, Key, Upload};
use crate::http::dto::{AboutInfo, NewToken, SubmissionInfo};
use anyhow::Context as _;
use clap::Args;
use gradus_core::app::folder::Folder;
use gradus_core::domain::manifest::{self, FILE};
use gradus_core::ports::blobs::ReadAt;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Rows of a leaderboard that are shown: more than there are samples.
const ROWS: NonZeroUsize = NonZeroUsize::new(100).expect("it is not zero");

/// See it work: start a server, publish an example, hand in its samples, show the leaderboard.
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
}

impl Demo {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let room = tempfile::tempdir().context("could not make a temporary folder")?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let data = room.path().join("data");
        let options = ServeOptions { data: Some(data), listen: Some(listen), config: None };
        let running = context.host.start(options)?;
        let shown = show(context, &running, room.path(), self.keep);
        // In any case: what the server has open lies in the folder that goes.
        let stopped = (running.stop)();
        shown?;
        stopped?;
        Ok(Done::Well)
    }
}

fn show(context: &Context, running: &Running, room: &Path, keep: bool) -> anyhow::Result<()> {
    let out = &context.out;
    let server = format!("http://{}", running.addr);
    out.line(format!("{} {server}, on a fresh store", out.bold("Server:")))?;
    let operator = Client::new(&server, Some(super::read_token(&running.operator_token_file)?))?;
    let folder = bundle::folder()?;
    let id = publish(context, &operator, &folder, room)?;
    submit_all(context, &operator, &server, &id, &folder, room)?;
    let info = operator.challenge(&id)?;
    for board in &info.leaderboards {
        out.line(format!("\n{}", out.bold(format!("Leaderboard `{board}` of {}", clean(&info.title)))))?;
        // As anybody sees it, without a token.
        leaderboard::table(&Client::new(&server, None)?.leaderboard(&id, board, ROWS)?).print(out)?;
    }
    if keep {
        let token = running.operator_token_file.display();
        out.line("\nThe server stays up. In another terminal:")?;
        out.line(format!("  export GRADUS_SERVER={server} GRADUS_TOKEN_FILE={token}"))?;
        out.line(format!("  gradus leaderboard {id}"))?;
        out.line(format!("  gradus status --challenge {id}"))?;
        out.line(format!("  curl {server}/api/v1/challenges/{id}"))?;
        out.line(format!("  gradus submit {id} FILE --wait"))?;
        out.line("\nEnter ends it.")?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).context("could not wait for Enter")?;
        return Ok(());
    }
    out.line("\nWhat to try next:")?;
    out.line("  gradus demo --keep                   the same, and the server stays up")?;
    out.line("  gradus challenge new my-challenge    a challenge of your own")?;
    out.line("  gradus serve                         a server that keeps what it gets")?;
    Ok(())
}

fn publish(context: &Context, operator: &Client, folder: &Folder, room: &Path) -> anyhow::Result<String> {
    let archive = room.join("challenge.tar.zst");
    local::pack(folder, &archive)?;
    let mut bar = Progress::bytes(&context.out, "publishing");
    let began = Instant::now();
    let sent = operator.publish(bundle::ID, &Upload::new(&archive)?, &mut |sent, of| bar.set(sent, of))?;
    drop(bar);
    let ended = finish(operator, sent)?;
    if ended.state != "done" {
        anyhow::bail!("the example was not published: {}", ended.problems.join("; "));
    }
    let took = began.elapsed().as_millis();
    context.out.line(format!(
        "{} {} version {}: its solutions hold ({took} ms)",
        context.out.bold("Published:"),
        ended.challenge,
        ended.version
    ))?;
    Ok(ended.challenge)
}

/// Hands in each sample, as a participant of its name.
fn submit_all(
    context: &Context,
    operator: &Client,
    server: &str,
    id: &str,
    folder: &Folder,
    room: &Path,
) -> anyhow::Result<()> {
    let out = &context.out;
    let text = folder.get(FILE).map(|file| gradus_core::ports::blobs::read_all(&*file.bytes)).transpose()?;
    let text = String::from_utf8(text.unwrap_or_default())?;
    let manifest =
        manifest::parse(&text).map_err(|problems| anyhow::anyhow!("{} problems in the example", problems.len()))?;
    let phase = super::submit::open_phase(operator, id)?;
    out.line(out.bold("Submissions, each by a participant of its name:"))?;
    for solution in &manifest.challenge.solutions {
        let Some(file) = folder.get(&solution.path) else { continue };
        let path = Path::new(&solution.path);
        let subject = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let token = NewToken { role: "participant".into(), subject: subject.clone(), challenges: vec![id.to_owned()] };
        let participant = Client::new(server, Some(operator.make_token(&token)?.token))?;
        let copy = room.join(path.file_name().unwrap_or_default());
        write(&copy, &*file.bytes)?;
        let began = Instant::now();
        let key = Key(format!("demo-{subject}"));
        let sent = participant.submit(id, &phase, &Upload::new(&copy)?, &AboutInfo::default(), &key, &mut |_, _| {});
        let got = match sent {
            Ok(info) => ended(&participant, &info)?,
            Err(ClientError::Refused { problem, .. }) if problem.problems.is_some() => {
                let problems = problem.problems.unwrap_or_default();
                let first = problems.first.first().map(super::report::line).unwrap_or_default();
                out.fair(format!("refused, {} problem(s): {}", problems.total, clean(&first)))
            }
            Err(error) => return Err(error.into()),
        };
        out.line(format!("  {subject:<24} {got} ({} ms)", began.elapsed().as_millis()))?;
    }
    Ok(())
}

/// How a submission ended.
fn ended(client: &Client, info: &SubmissionInfo) -> anyhow::Result<String> {
    for seen in client.events(&info.id) {
        seen?;
    }
    let info = client.submission(&info.id)?;
    if info.state != "scored" {
        return Ok(format!("{} {}", info.state, info.outcome.unwrap_or_default()));
    }
    let report = super::report::Report::read(&client.report(&info.id)?)?;
    let score = |score: &gradus_core::domain::report::Score| format!("{} {}", score.metric, score.value);
    Ok(format!("scored: {}", report.scores.iter().map(score).collect::<Vec<_>>().join(", ")))
}

fn write(path: &Path, bytes: &dyn ReadAt) -> anyhow::Result<()> {
    let all = gradus_core::ports::blobs::read_all(bytes)?;
    std::fs::write(path, all).with_context(|| format!("could not write {}", path.display()))
}

/// Bytes of the program, as a file of a folder.
fn embedded(bytes: &'static [u8]) -> Arc<dyn ReadAt> {
    Arc::new(bytes.to_vec())
}
