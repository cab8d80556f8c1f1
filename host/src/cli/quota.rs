//! `gradus quota`: how many submissions are left.

use super::table::Table;
use super::{Context, Done, Json, Remote};
use clap::Args;

/// Show how many submissions you have left.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus quota breast-cancer")]
pub struct Quota {
    /// The challenge.
    challenge: String,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

impl Quota {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let quota = context.client(&self.remote)?.quota(&self.challenge)?;
        if self.json.json {
            context.out.json(&quota)?;
            return Ok(Done::Well);
        }
        let mut table = Table::new(["phase", "per", "limit>", "used>", "left>", "more at"]);
        for phase in quota.phases {
            if phase.rules.is_empty() {
                let none = ["no limit", "", "", "", ""].map(ToOwned::to_owned);
                table.row(std::iter::once(phase.phase.clone()).chain(none));
            }
            for rule in phase.rules {
                let per = rule.zone.map_or(rule.per.clone(), |zone| format!("{} ({zone})", rule.per));
                let at = rule.resets_at.map_or_else(String::new, |at| at.to_string());
                let numbers = [u64::from(rule.limit), rule.used, rule.remaining].map(|n| n.to_string());
                let [limit, used, left] = numbers;
                table.row([phase.phase.clone(), per, limit, used, left, at]);
            }
            if phase.extra > 0 {
                let beyond = "beyond these, by the organizers".to_owned();
                table.row([phase.phase, beyond, String::new(), String::new(), phase.extra.to_string(), String::new()]);
            }
        }
        table.print(&context.out)?;
        Ok(Done::Well)
    }
}
