//! What organizers and operators do while a challenge runs: queues, exceptions from quotas, the log.

use super::output::Output;
use super::table::Table;
use super::{Context, Done, Json, Remote};
use crate::http::dto::{DeedInfo, NewGrant, NewQueueState, QueueInfo, WaitReason};
use clap::Args;

/// Begin nothing of a challenge any more: what is handed in waits. What runs goes on.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  gradus challenge pause breast-cancer --why 'the reference data are being corrected'"
)]
pub struct Pause {
    #[command(flatten)]
    hold: HoldArgs,
}

/// Take nothing in any more, and let the queue of a challenge run empty.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus challenge drain breast-cancer --why 'a new version comes at noon'")]
pub struct Drain {
    #[command(flatten)]
    hold: HoldArgs,
}

/// Open the queue of a challenge again that was paused or drained.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus challenge resume breast-cancer")]
pub struct Resume {
    #[command(flatten)]
    hold: HoldArgs,
}

#[derive(Debug, Args)]
struct HoldArgs {
    /// The challenge.
    challenge: String,
    /// Why: participants read it, and it is logged.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// Show how the queue of a challenge stands.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus challenge queue breast-cancer")]
pub struct Queue {
    /// The challenge.
    challenge: String,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// Let an entrant hand in more often than the rules of a phase allow.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  gradus challenge grant breast-cancer anna --extra 2 --why 'her connection broke twice'")]
pub struct Grant {
    /// The challenge.
    challenge: String,
    /// Who gets them: a person or a team.
    entrant: String,
    /// How many more.
    #[arg(long, value_name = "N")]
    extra: u32,
    /// Why: it is logged.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// The phase; the one that is open unless named.
    #[arg(long)]
    phase: Option<String>,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// Show what was done to a challenge with rights that participants do not have: by whom, when and why.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus challenge audit breast-cancer")]
pub struct Audit {
    /// The challenge.
    challenge: String,
    #[command(flatten)]
    page: AuditArgs,
}

#[derive(Debug, Args)]
struct AuditArgs {
    /// Lines, at most; the newest come first.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// Show what runs and waits, challenge by challenge.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus admin queue")]
pub struct Queues {
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// Show what was done on the server with rights that participants do not have: by whom, when and why.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus admin audit --limit 10")]
pub struct ServerAudit {
    #[command(flatten)]
    page: AuditArgs,
}

impl HoldArgs {
    fn set(self, context: &mut Context, state: &str) -> anyhow::Result<Done> {
        let new = NewQueueState { state: state.to_owned(), why: self.why };
        let info = context.client(&self.remote)?.set_queue(&self.challenge, &new)?;
        if self.json.json {
            context.out.json(&info)?;
        } else {
            context.out.line(told(&info))?;
        }
        Ok(Done::Well)
    }
}

/// How a queue stands, in a line.
fn told(info: &QueueInfo) -> String {
    let what = match info.state.as_str() {
        "paused" => "paused: nothing begins, and what is handed in waits",
        "draining" => "draining: nothing is taken in, and what waits begins",
        _ => "open",
    };
    format!("{}: {what}; {} running, {} waiting", info.challenge, info.running, info.waiting)
}

impl Pause {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        self.hold.set(context, "paused")
    }
}

impl Drain {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        self.hold.set(context, "draining")
    }
}

impl Resume {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        self.hold.set(context, "open")
    }
}

impl Queue {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let info = context.client(&self.remote)?.queue(&self.challenge)?;
        if self.json.json {
            context.out.json(&info)?;
        } else {
            show(vec![info], &context.out)?;
        }
        Ok(Done::Well)
    }
}

impl Queues {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let all = context.client(&self.remote)?.queues()?;
        if self.json.json {
            context.out.json(&all)?;
        } else if all.is_empty() {
            context.out.note("nothing runs or waits, and no queue is held")?;
        } else {
            show(all, &context.out)?;
        }
        Ok(Done::Well)
    }
}

/// How queues stand; and below, what some wait for that is not their turn.
fn show(all: Vec<QueueInfo>, out: &Output) -> anyhow::Result<()> {
    let mut reasons = Table::new(["challenge", "submissions>", "wait for"]);
    let mut any = false;
    for info in &all {
        for WaitReason { count, why } in &info.reasons {
            any = true;
            reasons.row([info.challenge.clone(), count.to_string(), why.clone()]);
        }
    }
    table(all).print(out)?;
    if any {
        out.line("")?;
        reasons.print(out)?;
    }
    Ok(())
}

fn table(all: Vec<QueueInfo>) -> Table {
    let mut table = Table::new(["challenge", "running>", "waiting>", "of entrants>", "delayed>", "for GPUs>", "queue"]);
    for info in all {
        let since = info.since.map_or_else(String::new, |since| format!(" since {since}"));
        let why = info.why.map_or_else(String::new, |why| format!(": {why}"));
        let numbers = [info.running, info.waiting, info.entrants, info.delayed, info.parked];
        let numbers = numbers.map(|number| number.to_string());
        let [running, waiting, entrants, delayed, parked] = numbers;
        table.row([info.challenge, running, waiting, entrants, delayed, parked, info.state + &since + &why]);
    }
    table
}

impl Grant {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let client = context.client(&self.remote)?;
        let phase = match self.phase {
            Some(phase) => phase,
            None => super::submit::open_phase(&client, &self.challenge)?,
        };
        let new = NewGrant { phase, entrant: self.entrant, extra: self.extra, why: self.why };
        let info = client.grant(&self.challenge, &new)?;
        if self.json.json {
            context.out.json(&info)?;
        } else {
            context.out.line(format!(
                "{} may hand in {} more times in {} than the rules allow",
                info.entrant, info.extra, info.phase
            ))?;
        }
        Ok(Done::Well)
    }
}

impl Audit {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        self.page.show(context, Some(&self.challenge))
    }
}

impl ServerAudit {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        self.page.show(context, None)
    }
}

impl AuditArgs {
    fn show(self, context: &mut Context, challenge: Option<&str>) -> anyhow::Result<Done> {
        let all = context.client(&self.remote)?.audit(challenge, self.limit)?;
        if self.json.json {
            context.out.json(&all)?;
            return Ok(Done::Well);
        }
        let mut table = Table::new(["when", "who", "what", "about", "why"]);
        for DeedInfo { at, by, act, why, about, .. } in all {
            let about: Vec<_> = about.iter().map(|(name, of)| format!("{name} {of}")).collect();
            let at = at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
            table.row([at, by, act, about.join(", "), why.unwrap_or_default()]);
        }
        table.print(&context.out)?;
        Ok(Done::Well)
    }
}
