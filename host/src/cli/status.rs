//! `gradus status`: how a submission stands.

use super::report::{Report, precisions};
use super::table::Table;
use super::{Context, Done, Json, Remote};
use crate::client::Client;
use crate::http::dto::{PlaceInfo, PushedInfo, RunInfo, SpanInfo, SubmissionInfo};
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
    match &info.pushed {
        Some(PushedInfo { source, project, tag, commit, .. }) => {
            let commit = commit.get(..12).unwrap_or(commit);
            table.row(["tag".into(), format!("{tag} of {project} at {source} (commit {commit})")]);
        }
        None => table.row(["file".into(), format!("{} ({} bytes)", info.file.path, info.file.len)]),
    }
    table.row(["state".into(), format!("{}{reason}", info.state)]);
    if let Some(waits) = &info.place {
        table.row(["place".into(), place(waits)]);
    }
    if let Some(run) = &info.run {
        table.row(["run".into(), ran(run)]);
    }
    if let Some(charged) = info.charged {
        table.row(["quota".into(), if charged { "counted".into() } else { "not counted".into() }]);
    }
    table.print(&context.out)?;
    Ok(())
}

/// Where a submission stands, in a line.
pub fn place(place: &PlaceInfo) -> String {
    let ahead = match place.ahead {
        0 => "it is next".to_owned(),
        1 => "1 begins before it".to_owned(),
        ahead => format!("{ahead} begin before it"),
    };
    let span = |SpanInfo { least_ms, most_ms }: SpanInfo| match (seconds(least_ms), seconds(most_ms)) {
        (least, most) if least == most => format!("in about {most}"),
        (least, most) => format!("in {least} to {most}"),
    };
    let starts = place.starts_in.filter(|_| place.ahead > 0).map(|starts| format!("; it starts {}", span(starts)));
    let ends = place.ends_in.map(|ends| format!("; it ends {}", span(ends)));
    [Some(ahead), starts, ends].into_iter().flatten().collect()
}

/// As long as people say it.
fn seconds(ms: u64) -> String {
    match ms.div_ceil(1_000) {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7_200 => format!("{} min", s.div_ceil(60)),
        s => format!("{} h", s.div_ceil(3_600)),
    }
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
