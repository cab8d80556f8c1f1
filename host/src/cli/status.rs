//! `gradus status`: how a submission stands.

use super::report::{Report, precisions};
use super::table::Table;
use super::{Context, Done, Json, Remote};
use crate::client::Client;
use crate::http::dto::{RunInfo, SubmissionInfo};
use clap::Args;
use gradus_core::domain::units::{Bytes, Millis};

/// Show how a submission stands, or list those to a challenge.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus status 01JDQ4W8K3M5T7V9X1Z2B4C6D8
  gradus status --challenge breast-cancer --limit 5")]
pub struct Status {
    /// The submission.
    #[arg(required_unless_present = "challenge")]
    id: Option<String>,
    /// List the submissions to this challenge that you may see, newest first.
    #[arg(long, value_name = "CHALLENGE", conflicts_with = "id")]
    challenge: Option<String>,
    /// Submissions in a list, at most.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

impl Status {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let client = context.client(&self.remote)?;
        if let Some(challenge) = &self.challenge {
            let all = client.submissions(challenge, self.limit)?;
            if self.json.json {
                context.out.json(&all)?;
            } else {
                list(&all).print(&context.out)?;
            }
            return Ok(Done::Well);
        }
        let id = self.id.unwrap_or_default();
        let info = client.submission(&id)?;
        if self.json.json {
            context.out.json(&info)?;
        } else {
            show(context, &info)?;
            show_report(context, &client, &info)?;
        }
        Ok(Done::Well)
    }
}

fn list(all: &[SubmissionInfo]) -> Table {
    let mut table = Table::new(["submission", "phase", "entrant", "state", "outcome", "submitted", "file"]);
    for info in all {
        let at = info.submitted_at.strftime("%Y-%m-%d %H:%M UTC").to_string();
        let outcome = info.outcome.clone().unwrap_or_default();
        let SubmissionInfo { id, phase, entrant, state, file, .. } = info.clone();
        table.row([id, phase, entrant, state, outcome, at, file.path]);
    }
    table
}

/// The lines on a submission.
pub fn show(context: &Context, info: &SubmissionInfo) -> anyhow::Result<()> {
    let reason = info.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    let mut table = Table::new(["submission", info.id.as_str()]);
    table.row(["challenge".into(), format!("{} version {}, phase {}", info.challenge, info.version, info.phase)]);
    table.row(["entrant".into(), info.entrant.clone()]);
    table.row(["submitted".into(), info.submitted_at.to_string()]);
    table.row(["file".into(), format!("{} ({} bytes)", info.file.path, info.file.len)]);
    table.row(["state".into(), format!("{}{reason}", info.state)]);
    if let Some(run) = &info.run {
        table.row(["run".into(), ran(run)]);
    }
    if let Some(charged) = info.charged {
        table.row(["quota".into(), if charged { "counted".into() } else { "not counted".into() }]);
    }
    table.print(&context.out)?;
    Ok(())
}

/// What a run came to, in a line.
fn ran(run: &RunInfo) -> String {
    let end = match (run.exit_code, run.signal) {
        (Some(code), _) => format!("exit code {code}, "),
        (None, Some(signal)) => format!("signal {signal}, "),
        (None, None) => String::new(),
    };
    let (wall, cpu) = (Millis(run.wall_ms), Millis(run.cpu_ms));
    let killed =
        if run.oom_kills > 0 && run.exit_code.is_some() { "; a process was killed for want of memory" } else { "" };
    let loosened = [("runtime", &run.runtime), ("network", &run.network)];
    let loosened =
        loosened.map(|(what, name)| name.as_ref().map_or_else(String::new, |name| format!("; {what} {name}")));
    format!(
        "{end}{wall} of {}, {cpu} CPU, {} of {} memory{killed}{}",
        Millis(run.allowed.wall_ms),
        Bytes(run.peak_memory),
        Bytes(run.allowed.memory),
        loosened.concat()
    )
}

/// The report of a submission, if there is one.
pub fn show_report(context: &Context, client: &Client, info: &SubmissionInfo) -> anyhow::Result<()> {
    if info.report.is_none() {
        return Ok(());
    }
    let report = Report::read(&client.report(&info.id)?)?;
    report.print(&context.out, &precisions(client.challenge(&info.challenge), &info.phase))?;
    Ok(())
}
