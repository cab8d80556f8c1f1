//! `gradus challenge`: the folder of a challenge, from its first file to a server.

mod check;
mod new;
pub mod publish;
mod read;

use super::output::{Output, clean, refusal};
use super::{Context, Done, Json};
use clap::Subcommand;
use gradus_core::domain::manifest::Located;
use std::path::Path;

/// Write, try, publish, read and steer challenges.
#[derive(Debug, Subcommand)]
pub enum Challenge {
    New(new::New),
    Check(check::Check),
    Publish(publish::Publish),
    List(read::List),
    Show(read::Show),
    Queue(super::steer::Queue),
    Pause(super::steer::Pause),
    Drain(super::steer::Drain),
    Resume(super::steer::Resume),
    Grant(super::steer::Grant),
    Audit(super::steer::Audit),
    #[command(subcommand)]
    Hook(super::hooks::Hook),
}

impl Challenge {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        match self {
            Self::New(command) => command.run(context),
            Self::Check(command) => command.run(context),
            Self::Publish(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Queue(command) => command.run(context),
            Self::Pause(command) => command.run(context),
            Self::Drain(command) => command.run(context),
            Self::Resume(command) => command.run(context),
            Self::Grant(command) => command.run(context),
            Self::Audit(command) => command.run(context),
            Self::Hook(command) => command.run(context),
        }
    }
}

/// Prints what is wrong with a folder as `file:line: key: what`, with paths that an editor can jump to.
pub fn print_problems(out: &Output, dir: &Path, problems: &[Located]) -> std::io::Result<()> {
    for problem in problems {
        out.line(clean(&dir.join(problem.to_string()).display().to_string()))?;
    }
    out.note(count(problems.len()))
}

/// Tells that a command needs a folder that reads, and what is wrong with this one: as text, or as a document.
pub fn refuse(out: &Output, dir: &Path, problems: &[Located], json: Json) -> std::io::Result<()> {
    if !json.json {
        return print_problems(out, dir, problems);
    }
    let error = format!("{} has {}", dir.display(), count(problems.len()));
    out.json(&refusal(&error, &problems.iter().map(ToString::to_string).collect::<Vec<_>>()))
}

fn count(problems: usize) -> String {
    format!("{problems} {}", if problems == 1 { "problem" } else { "problems" })
}
