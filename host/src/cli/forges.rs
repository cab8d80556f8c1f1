//! `gradus admin source`: the forges that tell of pushed tags.

use super::table::Table;
use super::{Context, Done, Json, Remote};
use crate::http::dto::{NewSourceInfo, PushInfo, SourceInfo};
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use std::io::Read as _;
use std::path::PathBuf;

/// Bytes of a file with a secret, at most.
const MAX_SECRET: u64 = 4_096;

/// Let forges tell of pushed tags, by hooks. What they tell is kept; it is not graded yet.
#[derive(Debug, Subcommand)]
pub enum Source {
    Add(Add),
    List(List),
    Remove(Remove),
    Pushes(Pushes),
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
  gradus admin source add uni --kind gitlab --base https://gitlab.example.org > hook.secret
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

/// Show what a forge told, newest first.
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
        }
    }
}

fn secret(file: &std::path::Path) -> anyhow::Result<String> {
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
        let secret = self.secret_file.as_deref().map(secret).transpose()?;
        let kind = match self.kind {
            Kind::Gitlab => "gitlab",
            Kind::Gitea => "gitea",
            Kind::Github => "github",
            Kind::Plain => "plain",
        };
        let kind = kind.to_owned();
        let new = NewSourceInfo { name: self.name, kind, base: self.base, by_token: self.by_token, secret };
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
            let mut table = Table::new(["name", "kind", "proof", "base", "hooks go to"]);
            for SourceInfo { name, kind, proof, base, hook, .. } in all {
                table.row([name, kind, proof, base, hook]);
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
            let mut table = Table::new(["when", "project", "tag", "what", "by"]);
            for PushInfo { at, project, tag, object, commit, pusher, .. } in all {
                let at = at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
                let what = commit.or(object).map_or_else(|| "deleted".to_owned(), |id| id.chars().take(12).collect());
                table.row([at, project, tag, what, pusher.unwrap_or_default()]);
            }
            table.print(&context.out)?;
        }
        Ok(Done::Well)
    }
}
