//! `gradus admin source`: the forges that tell of pushed tags.

use super::table::Table;
use super::{Context, Done, Json, Remote};
use crate::http::dto::{ForgeUserInfo, NewSourceInfo, PushInfo, SourceInfo};
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use std::io::Read as _;
use std::path::PathBuf;

/// Bytes of a file with a secret, at most.
const MAX_SECRET: u64 = 4_096;

/// Let forges tell of pushed tags, by hooks: those that a challenge takes are submissions.
#[derive(Debug, Subcommand)]
pub enum Source {
    Add(Add),
    List(List),
    Remove(Remove),
    Pushes(Pushes),
    Users(Users),
    Link(Link),
}

/// What a forge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// GitLab: hooks of the instance, of groups and of projects.
    Gitlab,
    /// Gitea, Forgejo or Gogs.
    Gitea,
    /// GitHub.
    Github,
    /// A git server without a forge.
    Plain,
}

/// Let a forge tell of pushed tags from now on. Prints the secret that it proves its hooks with.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus admin source add uni --kind gitlab --base https://gitlab.example.org \\
      --forge-token-file read-repository.token > hook.secret
  gradus admin source add code --kind gitea --base https://git.example.org --secret-file hook.secret")]
pub struct Add {
    /// Its name, of `a-z`, `0-9` and `-`: the end of the hooks' address.
    name: String,
    /// What it is.
    #[arg(long)]
    kind: Kind,
    /// What the addresses of its repositories begin with.
    #[arg(long, value_name = "URL")]
    base: String,
    /// Its hooks send the secret instead of signing with it: GitLab before version 19.
    #[arg(long)]
    by_token: bool,
    /// A file with the secret, if the forge has one already; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// A file with the token that its repositories are fetched with, if not everybody may; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    forge_token_file: Option<PathBuf>,
    /// The name that goes with the token, where it matters.
    #[arg(long, value_name = "NAME", requires = "forge_token_file")]
    forge_user: Option<String>,
    /// It may be at an address of a private network, or of this machine.
    #[arg(long)]
    private: bool,
    /// Tell it to send the hooks of all its projects here: GitLab, with a token of an administrator. The server's
    /// configuration says where it is reached: its `url`.
    #[arg(long, requires = "forge_token_file")]
    register: bool,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// Show the forges that may tell of tags.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus admin source list")]
pub struct List {
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// Hear a forge no more. What it told stays.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus admin source remove uni")]
pub struct Remove {
    /// Its name.
    name: String,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// Show who of a forge is known here.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus admin source users uni")]
pub struct Users {
    /// The forge's name.
    name: String,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// Make somebody of a forge an entrant who is here already: what they push from now on is that one's.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus admin source link uni 42 anna")]
pub struct Link {
    /// The forge's name.
    name: String,
    /// What the forge knows them by: a number, or their name where there is none.
    user: String,
    /// The entrant: the name on their tokens here.
    entrant: String,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

/// Show what a forge told, newest first, and what became of it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gradus admin source pushes uni --limit 10")]
pub struct Pushes {
    /// Its name.
    name: String,
    /// Lines, at most.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

impl Source {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        match self {
            Self::Add(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::Remove(command) => command.run(context),
            Self::Pushes(command) => command.run(context),
            Self::Users(command) => command.run(context),
            Self::Link(command) => command.run(context),
        }
    }
}

/// The one line of a file; `-` is standard input.
pub(super) fn read_secret(file: &std::path::Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if file == std::path::Path::new("-") {
        std::io::stdin().take(MAX_SECRET).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_SECRET).read_to_string(&mut text))
    };
    read.with_context(|| format!("the secret cannot be read from {}", file.display()))?;
    Ok(text.trim().to_owned())
}

impl Add {
    fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let token = self.forge_token_file.as_deref().map(read_secret).transpose()?;
        let secret = self.secret_file.as_deref().map(read_secret).transpose()?;
        let kind = match self.kind {
            Kind::Gitlab => "gitlab",
            Kind::Gitea => "gitea",
            Kind::Github => "github",
            Kind::Plain => "plain",
        };
        let kind = kind.to_owned();
        let new = NewSourceInfo {
            name: self.name,
            kind,
            base: self.base,
            by_token: self.by_token,
            secret,
            token,
            user: self.forge_user,
            private: self.private,
            register: self.register,
        };
        let made = context.client(&self.remote)?.make_source(&new)?;
        if self.json.json {
            context.out.json(&made)?;
            return Ok(Done::Well);
        }
        if let Some(secret) = &made.secret {
            // The secret alone, so that it can go to a file.
            context.out.line(secret)?;
        }
        let SourceInfo { name, hook, .. } = made.info;
        let note = if made.secret.is_some() { "; its secret is not shown again" } else { "" };
        context.out.note(format!("{name} may send its hooks to {hook} of this server{note}"))?;
        Ok(Done::Well)
    }
}

impl List {
    fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let all = context.client(&self.remote)?.sources()?;
        if self.json.json {
            context.out.json(&all)?;
        } else if all.is_empty() {
            context.out.note("no forge may tell of tags; `gradus admin source add` makes one")?;
        } else {
            let mut table = Table::new(["name", "kind", "proof", "base", "hooks go to", "trouble"]);
            for SourceInfo { name, kind, proof, base, hook, trouble, .. } in all {
                table.row([name, kind, proof, base, hook, trouble.unwrap_or_default()]);
            }
            table.print(&context.out)?;
        }
        Ok(Done::Well)
    }
}

impl Remove {
    fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        context.client(&self.remote)?.remove_source(&self.name)?;
        if self.json.json {
            context.out.json(&serde_json::json!({ "removed": self.name }))?;
        } else {
            context.out.note(format!("{} is heard no more", self.name))?;
        }
        Ok(Done::Well)
    }
}

impl Pushes {
    fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let all = context.client(&self.remote)?.pushes(&self.name, self.limit)?;
        if self.json.json {
            context.out.json(&all)?;
        } else if all.is_empty() {
            context.out.note(format!("{} has told of no tag", self.name))?;
        } else {
            let mut table = Table::new(["when", "project", "tag", "what", "by", "became"]);
            for PushInfo { at, project, tag, object, commit, pusher, state, submission, reason, trouble, .. } in all {
                let reason = trouble.or(reason);
                let became = match (submission, reason) {
                    (Some(submission), _) => format!("{state}: {submission}"),
                    (None, Some(reason)) => format!("{state}: {reason}"),
                    (None, None) => state,
                };
                let at = at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
                let what = commit.or(object).map_or_else(|| "deleted".to_owned(), |id| id.chars().take(12).collect());
                table.row([at, project, tag, what, pusher.unwrap_or_default(), became]);
            }
            table.print(&context.out)?;
        }
        Ok(Done::Well)
    }
}

impl Users {
    fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let all = context.client(&self.remote)?.forge_users(&self.name)?;
        if self.json.json {
            context.out.json(&all)?;
        } else if all.is_empty() {
            context.out.note(format!("nobody of {} is known yet", self.name))?;
        } else {
            let mut table = Table::new(["id", "called", "entrant", "since"]);
            for ForgeUserInfo { id, name, entrant, since } in all {
                table.row([id, name.unwrap_or_default(), entrant, since.strftime("%Y-%m-%d").to_string()]);
            }
            table.print(&context.out)?;
        }
        Ok(Done::Well)
    }
}

impl Link {
    fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let user = context.client(&self.remote)?.link_user(&self.name, &self.user, &self.entrant)?;
        if self.json.json {
            context.out.json(&user)?;
        } else {
            context.out.note(format!("{} of {} is {} from now on", user.id, self.name, user.entrant))?;
        }
        Ok(Done::Well)
    }
}
