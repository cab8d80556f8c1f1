//! `gradus cancel`: calls a submission off.

use super::{Context, Done, Json, Remote};
use clap::Args;

/// Call a submission off that has not ended.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus cancel 01JDQ4W8K3M5T7V9X1Z2B4C6D8")]
pub struct Cancel {
    /// The submission.
    id: String,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

impl Cancel {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let info = context.client(&self.remote)?.cancel(&self.id)?;
        if self.json.json {
            context.out.json(&info)?;
        } else {
            context.out.line(format!("{}: {}", info.id, info.state))?;
        }
        Ok(Done::Well)
    }
}
