//! `gradus challenge hook`: whom a server tells what becomes of submissions.

use super::table::Table;
use super::{Context, Done, Json, Remote};
use crate::http::dto::{HookInfo, NewHook};
use clap::{Args, Subcommand};

/// Tell other servers what becomes of submissions, by signed web hooks.
#[derive(Debug, Subcommand)]
pub enum Hook {
    Add(Add),
    List(List),
    Remove(Remove),
    Test(Test),
}

/// Tell an address from now on what becomes of submissions. Prints the secret that letters are signed with.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  gradus challenge hook add breast-cancer https://example.org/hook > hook.secret

Letters are signed as Standard Webhooks (www.standardwebhooks.com) has it; libraries for it check them.")]
pub struct Add {
    /// The challenge.
    challenge: String,
    /// Where letters go.
    url: String,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// Show the web hooks of a challenge, and how their letters fare.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus challenge hook list breast-cancer")]
pub struct List {
    /// The challenge.
    challenge: String,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// Remove a web hook: what waits for it is not sent.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus challenge hook remove breast-cancer 01JDQ4W8K3M5T7V9X1Z2B4C6D8")]
pub struct Remove {
    #[command(flatten)]
    which: Which,
}

/// Send a web hook a letter that says nothing, to see whether it arrives.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus challenge hook test breast-cancer 01JDQ4W8K3M5T7V9X1Z2B4C6D8")]
pub struct Test {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
struct Which {
    /// The challenge.
    challenge: String,
    /// Its id, as `list` shows it.
    id: String,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

impl Hook {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        match self {
            Self::Add(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::Remove(command) => command.run(context),
            Self::Test(command) => command.run(context),
        }
    }
}

impl Add {
    fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let made = context.client(&self.remote)?.make_hook(&self.challenge, &NewHook { url: self.url })?;
        if self.json.json {
            context.out.json(&made)?;
        } else {
            // The secret alone, so that it can go to a file.
            context.out.line(&made.secret)?;
            context.out.note(format!("web hook {} to {}; its secret is not shown again", made.id, made.url))?;
        }
        Ok(Done::Well)
    }
}

impl List {
    fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let all = context.client(&self.remote)?.hooks(&self.challenge)?;
        if self.json.json {
            context.out.json(&all)?;
        } else if all.is_empty() {
            context.out.note(format!("`{}` has no web hook", self.challenge))?;
        } else {
            let mut table = Table::new(["id", "waiting>", "given up>", "url", "last trouble"]);
            for HookInfo { id, url, waiting, given_up, error, .. } in all {
                table.row([id, waiting.to_string(), given_up.to_string(), url, error.unwrap_or_default()]);
            }
            table.print(&context.out)?;
        }
        Ok(Done::Well)
    }
}

impl Remove {
    fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let Which { challenge, id, json, remote } = self.which;
        context.client(&remote)?.remove_hook(&challenge, &id)?;
        if json.json {
            context.out.json(&serde_json::json!({ "removed": id }))?;
        } else {
            context.out.note(format!("{id} is removed"))?;
        }
        Ok(Done::Well)
    }
}

impl Test {
    fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let Which { challenge, id, json, remote } = self.which;
        let letter = context.client(&remote)?.try_hook(&challenge, &id)?;
        if json.json {
            context.out.json(&letter)?;
        } else {
            context.out.note(format!(
                "{} is on its way; `gradus challenge hook list {challenge}` shows whether it waits",
                letter.id
            ))?;
        }
        Ok(Done::Well)
    }
}
