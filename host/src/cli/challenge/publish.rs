//! `gradus challenge publish`: checks here, sends, and waits until the version is live or refused.

use super::super::output::clean;
use super::super::progress::Progress;
use super::super::{Context, Done, Json, Remote, local};
use super::{check, refuse};
use crate::client::{Client, Upload};
use crate::http::dto::OperationInfo;
use anyhow::{Context as _, bail};
use clap::Args;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Publish a challenge's folder as the next version.
///
/// It is checked on this computer first, then by the server, which runs the solutions, too. A published version never
/// changes; a change is a new version. Submissions are graded by the version that was live when they arrived.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus challenge publish my-challenge
  gradus challenge publish my-challenge --no-check --server https://gradus.example.org")]
pub struct Publish {
    /// The folder with challenge.toml.
    dir: PathBuf,
    /// Leave the check to the server.
    #[arg(long)]
    no_check: bool,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

impl Publish {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let client = context.client(&self.remote)?;
        let local = local::load(context, &self.dir, !self.no_check)?;
        let id = if self.no_check {
            match local::look(context, &local)? {
                Ok(inspected) => inspected.challenge.id,
                Err(problems) => {
                    refuse(&context.out, &self.dir, &problems, self.json)?;
                    return Ok(Done::Failed);
                }
            }
        } else {
            match check::check(context, &local, &self.dir, self.json.json, || may_publish(&client))? {
                check::Checked { challenge: Some(challenge), ok: true, .. } => challenge.id,
                check::Checked { mut document, .. } => {
                    if self.json.json {
                        document["error"] = "the check failed; nothing was sent".into();
                        context.out.json(&document)?;
                    }
                    context.out.note("nothing was sent; `gradus challenge check` shows the same")?;
                    return Ok(Done::Failed);
                }
            }
        };
        // No run of ours is left to be cleared up: from here on a signal ends it.
        local.stop.store(true, Ordering::Relaxed);
        let room = tempfile::tempdir().context("could not make a temporary folder")?;
        let archive = room.path().join("challenge.tar.zst");
        local::pack(&local.folder, &archive)?;
        let mut bar = Progress::bytes(&context.out, "sending");
        let sent = client.publish(id.as_str(), &Upload::new(&archive)?, &mut |sent, of| bar.set(sent, of))?;
        drop(bar);
        context.out.note(format!("sent as version {}; the server runs the solutions", sent.version))?;
        let ended = finish(&client, sent)?;
        let live = ended.state == "done";
        if self.json.json {
            context.out.json(&ended)?;
        } else if live {
            let text = format!("{} version {} is live on {}", ended.challenge, ended.version, client.server());
            context.out.line(context.out.good(text))?;
        } else {
            for problem in &ended.problems {
                context.out.line(clean(problem))?;
            }
            context.out.line(context.out.bad(format!("version {} did not go live; nothing changed", ended.version)))?;
        }
        Ok(Done::well(live))
    }
}

/// Refuses a token that the server would refuse.
fn may_publish(client: &Client) -> anyhow::Result<()> {
    let me = client.me()?;
    if me.role == "participant" {
        let (who, server) = (clean(&me.subject), client.server());
        bail!("this is the token of {who}, who is a participant on {server}; publishing needs an organizer's");
    }
    Ok(())
}

/// Waits until an operation has ended.
pub fn finish(client: &Client, mut operation: OperationInfo) -> anyhow::Result<OperationInfo> {
    let mut pause = FIRST_PAUSE;
    while operation.state == "running" {
        sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        operation = client.operation(&operation.id)?;
    }
    Ok(operation)
}
