//! `gradus submit`: hands in, and waits for the score if asked.

use super::output::clean;
use super::progress::Progress;
use super::report::{Report, precisions};
use super::{Context, Done, Json, Remote, local, usage};
use crate::client::{Client, Key, Upload};
use crate::http::dto::{AboutInfo, SubmissionInfo};
use crate::workspace::{self, limits::ArchiveLimits};
use anyhow::Context as _;
use clap::Args;
use gradus_core::domain::event::EventKind;
use gradus_core::domain::run::ImageRef;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Hand in predictions, a program or an image: a file, an archive, or a folder.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus submit breast-cancer predictions.csv --wait
  gradus submit breast-cancer predictions.csv --check         the format check only: stores and charges nothing
  gradus submit breast-cancer predictions.zip --phase final --method-name 'random forest'
  gradus submit digits-code --image images.example.org/teams/anna/reader@sha256:...

With --wait the exit code is 0 when it was scored, and 1 when it ended without a score.")]
pub struct Submit {
    /// The challenge.
    challenge: String,
    /// What is handed in.
    #[arg(required_unless_present = "image")]
    file: Option<PathBuf>,
    /// In place of a file: an image that lies where the server lets you push, by its digest.
    #[arg(long, value_name = "NAME@DIGEST", conflicts_with = "file")]
    image: Option<String>,
    /// The phase [default: the open one].
    #[arg(long)]
    phase: Option<String>,
    /// Ask for the format check only.
    #[arg(long, conflicts_with = "wait")]
    check: bool,
    /// Wait for the score.
    #[arg(long)]
    wait: bool,
    /// What you want to say about it.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Name of the method.
    #[arg(long, value_name = "TEXT")]
    method_name: Option<String>,
    /// What the method does.
    #[arg(long, value_name = "TEXT")]
    method_description: Option<String>,
    /// Where the project is.
    #[arg(long, value_name = "URL")]
    project_url: Option<String>,
    /// Where the publication is.
    #[arg(long, value_name = "URL")]
    publication_url: Option<String>,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

impl Submit {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        if let Some(file) = self.file.as_ref().filter(|file| !file.exists()) {
            return Err(usage(format!("there is no file {}", file.display())));
        }
        if let Some(image) =
            self.image.as_ref().filter(|image| !(image.contains('@') && image.parse::<ImageRef>().is_ok()))
        {
            return Err(usage(format!(
                "`--image {image}` names no image by its digest: write registry/name@sha256:…, as `docker push` printed it"
            )));
        }
        let client = context.client(&self.remote)?;
        let phase = match &self.phase {
            Some(phase) => phase.clone(),
            None => open_phase(&client, &self.challenge)?,
        };
        // Held until it is sent.
        let room = tempfile::tempdir().context("could not make a temporary folder")?;
        let file = match (&self.file, &self.image) {
            (Some(file), _) => upload(file, room.path())?,
            (None, image) => named(image.as_deref().unwrap_or_default(), room.path())?,
        };
        let mut bar = Progress::bytes(&context.out, "sending");
        let mut told = |sent, of| bar.set(sent, of);
        if self.check {
            let checked = client.check(&self.challenge, &phase, &file, &mut told)?;
            drop(bar);
            if self.json.json {
                context.out.json(&checked)?;
            } else {
                context.out.line(context.out.good("the format is valid; nothing was stored"))?;
            }
            return Ok(Done::Well);
        }
        let about = AboutInfo {
            description: self.description,
            method_name: self.method_name,
            method_description: self.method_description,
            project_url: self.project_url,
            publication_url: self.publication_url,
        };
        let info = client.submit(&self.challenge, &phase, &file, &about, &key()?, &mut told)?;
        drop(bar);
        if info.repeated {
            context
                .out
                .note("you have handed in the same files before: this is that submission, and it counts once")?;
        }
        if self.wait {
            return wait(context, &client, info, self.json.json);
        }
        if self.json.json {
            context.out.json(&info)?;
        } else {
            context.out.line(&info.id)?;
            context.out.note(format!(
                "handed in to {} / {}; `gradus status {}` shows how it stands",
                info.challenge, info.phase, info.id
            ))?;
        }
        Ok(Done::Well)
    }
}

/// A key that nobody else has.
fn key() -> anyhow::Result<Key> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("this computer gives no random numbers: {error}"))?;
    Ok(Key(hex::encode(bytes)))
}

/// The phase that is open.
pub fn open_phase(client: &Client, challenge: &str) -> anyhow::Result<String> {
    let phases = client.challenge(challenge)?.phases;
    let mut open = phases.iter().filter(|phase| phase.state == "open");
    match (open.next(), open.next()) {
        (Some(phase), None) => Ok(phase.id.clone()),
        (Some(_), Some(_)) => Err(usage("several phases are open; name one with `--phase`")),
        (None, _) => {
            let say = |phase: &crate::http::dto::PhaseInfo| match phase.state.as_str() {
                "upcoming" => format!("{} starts at {}", phase.id, phase.starts),
                _ => phase.ends.map_or_else(|| phase.id.clone(), |ends| format!("{} ended at {ends}", phase.id)),
            };
            let known: Vec<_> = phases.iter().map(say).collect();
            anyhow::bail!("no phase of `{challenge}` is open: {}", known.join(", "))
        }
    }
}

/// What is sent for `path`: a folder goes as an archive that is made in `room`.
pub fn upload(path: &Path, room: &Path) -> anyhow::Result<Upload> {
    if !path.is_dir() {
        return Ok(Upload::new(path)?);
    }
    let folder = local::digested(workspace::folder(&local::open(path)?, &ArchiveLimits::submission())?)?;
    let name =
        path.canonicalize()?.file_name().map_or_else(|| "folder".into(), |name| name.to_string_lossy().into_owned());
    let archive = room.join("submission.tar.zst");
    local::pack(&folder, &archive)?;
    Ok(Upload { path: archive, name: format!("{name}.tar.zst") })
}

/// What is sent for an image that is named: the file that names it, made in `room`.
fn named(image: &str, room: &Path) -> anyhow::Result<Upload> {
    let path = room.join("metadata");
    let line = serde_json::to_string(image).context("the name has no text")?;
    std::fs::write(&path, format!("image: {line}\n")).context("could not write a temporary file")?;
    Ok(Upload::new(&path)?)
}

/// Follows a submission to its end, and shows what it got.
fn wait(context: &Context, client: &Client, info: SubmissionInfo, json: bool) -> anyhow::Result<Done> {
    context.out.note(format!("handed in as {}", info.id))?;
    let mut bar = Progress::steps(&context.out, "scoring");
    // What waits is tried again and again, and mostly for the same reason.
    let mut told = String::new();
    for seen in client.events(&info.id) {
        match seen?.kind {
            Some(EventKind::Progress { done, total }) => bar.set(done, total),
            Some(EventKind::State { reason: Some(reason), .. }) if reason != told => {
                context.out.note(clean(&reason))?;
                told = reason;
            }
            // Whose turn it is next, is soon told more.
            Some(EventKind::Place(place)) if place.ahead > 0 => {
                context.out.note(super::status::place(&place.into()))?
            }
            _ => {}
        }
    }
    drop(bar);
    let info = client.submission(&info.id)?;
    let report = info.report.is_some().then(|| client.report(&info.id)).transpose()?;
    if json {
        let report: Option<Value> = report.as_deref().map(serde_json::from_slice).transpose()?;
        context.out.json(&json!({ "submission": info, "report": report }))?;
    } else if let Some(report) = report {
        Report::read(&report)?.print(&context.out, &precisions(client.challenge(&info.challenge), &info.phase))?;
    } else {
        let why = info.run.as_ref().and_then(|run| run.failure.clone());
        context.out.line(clean(&why.map_or_else(|| info.state.clone(), |why| format!("{}: {why}", info.state))))?;
        if info.run.is_some() {
            context
                .out
                .note(format!("`gradus logs {}` shows what it printed, if the task lets you see it", info.id))?;
        }
    }
    Ok(Done::well(info.state == "scored"))
}
