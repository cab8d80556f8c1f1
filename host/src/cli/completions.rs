//! `gradus completions`: what a shell needs to complete our commands.

use super::{Cli, Context, Done};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// Print a script that completes commands in your shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus completions bash > ~/.local/share/bash-completion/completions/gradus
  gradus completions zsh > ~/.zfunc/_gradus
  gradus completions fish > ~/.config/fish/completions/gradus.fish")]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "gradus", &mut script);
        context.out.bytes(&script)?;
        Ok(Done::Well)
    }
}
