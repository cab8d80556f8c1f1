//! `gradus admin`: tokens, queues, the log of what was done, backups.

use super::table::Table;
use super::{Context, Done, Json, Remote};
use crate::http::dto::NewToken;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

/// Manage a server: its tokens, its queues, its backups.
#[derive(Debug, Subcommand)]
pub enum Admin {
    #[command(subcommand)]
    Token(Token),
    #[command(subcommand)]
    Source(super::forges::Source),
    Queue(super::steer::Queues),
    Audit(super::steer::ServerAudit),
    Backup(super::backup::Backup),
    Restore(super::backup::Restore),
    Check(super::backup::Check),
}

/// Make, list and revoke tokens.
#[derive(Debug, Subcommand)]
pub enum Token {
    New(New),
    List(List),
    Revoke(Revoke),
}

/// What a token lets its bearer do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Everything.
    Operator,
    /// Publish challenges and see all of them.
    Organizer,
    /// Hand in.
    Participant,
}

/// Make a token. Its text is printed this once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus admin token new --role participant anna
  gradus admin token new --role organizer --challenge breast-cancer ben > ben.token")]
pub struct New {
    /// The person or team that it stands for: `a-z`, `0-9` and `-`.
    subject: String,
    /// What it lets its bearer do.
    #[arg(long)]
    role: Role,
    /// Valid for this challenge only; may be given several times.
    #[arg(long, value_name = "CHALLENGE")]
    challenge: Vec<String>,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// List all tokens, without their secrets.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// Revoke a token: it is refused from now on.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus admin token revoke 01JDQ4W8K3M5T7V9X1Z2B4C6D8")]
pub struct Revoke {
    /// Its id, as `list` shows it; not its text.
    id: String,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

impl Admin {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        match self {
            Self::Token(Token::New(new)) => new.run(context),
            Self::Token(Token::List(list)) => list.run(context),
            Self::Token(Token::Revoke(revoke)) => revoke.run(context),
            Self::Source(source) => source.run(context),
            Self::Queue(queue) => queue.run(context),
            Self::Audit(audit) => audit.run(context),
            Self::Backup(backup) => backup.run(context),
            Self::Restore(restore) => restore.run(context),
            Self::Check(check) => check.run(context),
        }
    }
}

impl New {
    fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let role = match self.role {
            Role::Operator => "operator",
            Role::Organizer => "organizer",
            Role::Participant => "participant",
        };
        let token = NewToken { role: role.to_owned(), subject: self.subject, challenges: self.challenge };
        let made = context.client(&self.remote)?.make_token(&token)?;
        if self.json.json {
            context.out.json(&made)?;
        } else {
            // The token alone, so that it can go to a file.
            context.out.line(&made.token)?;
            context
                .out
                .note(format!("{} token {} for {}; it is not shown again", role, made.info.id, made.info.subject))?;
        }
        Ok(Done::Well)
    }
}

impl List {
    fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let all = context.client(&self.remote)?.tokens(usize::MAX)?;
        if self.json.json {
            context.out.json(&all)?;
            return Ok(Done::Well);
        }
        let mut table = Table::new(["token", "role", "for", "challenges", "made", "revoked"]);
        for token in all {
            let challenges = if token.challenges.is_empty() { "all".to_owned() } else { token.challenges.join(" ") };
            let revoked = token.revoked_at.map_or_else(String::new, |at| at.to_string());
            table.row([token.id, token.role, token.subject, challenges, token.created_at.to_string(), revoked]);
        }
        table.print(&context.out)?;
        Ok(Done::Well)
    }
}

impl Revoke {
    fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        if self.id.starts_with("gradus_") {
            // It is a secret that has now been in an argument.
            return Err(super::usage("give the token's id, not its text: `gradus admin token list` shows it"));
        }
        context.client(&self.remote)?.revoke_token(&self.id)?;
        if self.json.json {
            context.out.json(&json!({ "id": self.id, "revoked": true }))?;
        } else {
            context.out.line(format!("{} is revoked", self.id))?;
        }
        Ok(Done::Well)
    }
}
