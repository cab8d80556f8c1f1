//! `gradus challenge list` and `show`: what is on a server.

use super::super::output::clean;
use super::super::table::Table;
use super::super::{Context, Done, Json, Remote};
use clap::Args;

/// List the challenges on a server that you may see.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// Show a challenge: its phases, metrics, boards and files.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus challenge show breast-cancer")]
pub struct Show {
    /// The challenge.
    challenge: String,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

impl List {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let all = context.client(&self.remote)?.challenges(usize::MAX)?;
        if self.json.json {
            context.out.json(&all)?;
            return Ok(Done::Well);
        }
        let mut table = Table::new(["challenge", "open phase", "visibility", "version>", "title"]);
        for item in all {
            let open = item.open_phase.unwrap_or_else(|| "–".to_owned());
            table.row([item.id, open, item.visibility, item.version.to_string(), item.title]);
        }
        table.print(&context.out)?;
        Ok(Done::Well)
    }
}

impl Show {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let client = context.client(&self.remote)?;
        let info = client.challenge(&self.challenge)?;
        let out = &context.out;
        if self.json.json {
            out.json(&info)?;
            return Ok(Done::Well);
        }
        out.line(format!("{} (version {}, {})", out.bold(clean(&info.title)), info.version, clean(&info.visibility)))?;
        out.line(clean(&info.summary))?;
        if let Some(licence) = &info.licence {
            out.line(format!("Licence of the data: {}", clean(licence)))?;
        }
        let mut phases = Table::new(["phase", "state", "starts", "ends", "metrics"]);
        for phase in &info.phases {
            let ends = phase.ends.map_or_else(|| "–".to_owned(), |at| at.to_string());
            let metrics: Vec<_> = phase.metrics.iter().map(|metric| metric.name.as_str()).collect();
            let (id, state) = (phase.id.clone(), phase.state.clone());
            phases.row([id, state, phase.starts.to_string(), ends, metrics.join(" ")]);
        }
        out.line("")?;
        phases.print(out)?;
        if !info.leaderboards.is_empty() {
            out.line(format!("\nLeaderboards: {}", clean(&info.leaderboards.join(", "))))?;
        }
        if !info.files.is_empty() {
            out.line("")?;
            let mut files = Table::new(["file", "bytes>"]);
            for file in &info.files {
                files.row([file.path.clone(), file.len.to_string()]);
            }
            files.print(out)?;
            out.note(format!("files are at {}/api/v1/challenges/{}/files/…", client.server(), clean(&info.id)))?;
        }
        Ok(Done::Well)
    }
}
