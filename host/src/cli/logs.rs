//! `gradus logs`: what happened to a submission, what its program printed, and what its scorer said.

use super::output::{clean, clean_lines};
use super::report::Report;
use super::{Context, Done, Json, Remote};
use crate::client::{Client, Seen};
use clap::Args;
use gradus_core::domain::event::EventKind;
use gradus_core::domain::job::State;

/// Show what happened to a submission, what its program printed, and what its scorer said to you.
///
/// What a program printed is shown to participants if the task says so. Organizers get all of it, and the scorer's own
/// output.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus logs 01JDQ4W8K3M5T7V9X1Z2B4C6D8
  gradus logs -f 01JDQ4W8K3M5T7V9X1Z2B4C6D8         follow it to its end")]
pub struct Logs {
    /// The submission.
    id: String,
    /// Follow it until it ends.
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

impl Logs {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let client = context.client(&self.remote)?;
        let info = client.submission(&self.id)?;
        let ended = |state: &str| matches!(state, "scored" | "failed" | "cancelled");
        if !self.follow && !ended(&info.state) {
            if self.json.json {
                context.out.json(&info)?;
            } else {
                context.out.line(format!("{} is {}", info.id, clean(&info.state)))?;
                context.out.note("it has not ended; `-f` follows it")?;
            }
            return Ok(Done::Well);
        }
        let mut printed = Printed::default();
        for seen in client.events(&self.id) {
            let seen = seen?;
            if self.json.json {
                context.out.line(&seen.raw)?;
            } else if let Some(EventKind::Log { stream, to, text }) = &seen.kind {
                printed.show(context, stream, *to, text)?;
            } else {
                if matches!(seen.kind, Some(EventKind::State { state: State::Running, .. })) {
                    // Another attempt begins anew.
                    printed = Printed::default();
                }
                context.out.line(line(&seen))?;
            }
        }
        if !self.json.json && !printed.any() {
            for (stream, what) in [("stdout", "the program's output:"), ("stderr", "the program's error output:")] {
                show_log(context, &client, &self.id, stream, what)?;
            }
        }
        if !self.json.json {
            show_log(context, &client, &self.id, "ingestion", "the ingestion program's output:")?;
            show_notes(context, &client, &self.id)?;
            show_log(context, &client, &self.id, "scorer", "the scorer's output:")?;
        }
        Ok(Done::Well)
    }
}

/// What a program printed was shown as it came, up to there.
#[derive(Default)]
struct Printed {
    stdout: u64,
    stderr: u64,
}

impl Printed {
    fn any(&self) -> bool {
        self.stdout + self.stderr > 0
    }

    /// Shows a piece, unless it was shown before the connection broke.
    fn show(&mut self, context: &Context, stream: &str, to: u64, text: &str) -> anyhow::Result<()> {
        let seen = if stream == "stdout" { &mut self.stdout } else { &mut self.stderr };
        if to > *seen {
            *seen = to;
            print_log(context, text.as_bytes())?;
        }
        Ok(())
    }
}

/// An event as a line.
fn line(seen: &Seen) -> String {
    let Some(kind) = &seen.kind else { return clean(&seen.raw.to_string()) };
    let what = match kind {
        EventKind::State { state, reason: None } => state.word().to_owned(),
        EventKind::State { state, reason: Some(reason) } => format!("{} ({reason})", state.word()),
        EventKind::Place(place) => super::status::place(&(*place).into()),
        EventKind::Progress { done, total } => format!("scorer: {done} of {total}"),
        EventKind::Log { stream, text, .. } => format!("{stream}: {text}"),
        EventKind::Report { outcome } => format!("report: {outcome}"),
    };
    let at = seen.raw.get("at").and_then(serde_json::Value::as_str).unwrap_or("…");
    clean(&format!("{at}  {what}"))
}

/// What the scorer said to the bearer.
fn show_notes(context: &Context, client: &Client, id: &str) -> anyhow::Result<()> {
    let bytes = match client.report(id) {
        Ok(bytes) => bytes,
        // One that was cancelled before it ran has none.
        Err(error) if error.status() == Some(404) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let report = Report::read(&bytes)?;
    for text in report.message.iter().chain(&report.detail).chain(report.notes.iter().map(|note| &note.text)) {
        context.out.line(clean_lines(text))?;
    }
    Ok(super::report::print_problems(&context.out, &report.problems)?)
}

/// An output, for those who may see it.
fn show_log(context: &Context, client: &Client, id: &str, stream: &str, what: &str) -> anyhow::Result<()> {
    let mut log = Vec::new();
    match client.log(id, stream, &mut log) {
        Ok(_) if log.is_empty() => Ok(()),
        Ok(_) => {
            // Beside it, so that what follows is told from events, in a file, too.
            context.out.line(what)?;
            print_log(context, &log)
        }
        Err(error) if matches!(error.status(), Some(403 | 404)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A guest's output: as it is where a program reads it, harmless where a terminal does.
pub fn print_log(context: &Context, log: &[u8]) -> anyhow::Result<()> {
    if context.out.shown {
        context.out.line(clean_lines(String::from_utf8_lossy(log).trim_end()))?;
    } else {
        context.out.bytes(log)?;
    }
    Ok(())
}
