//! `gradus login`: stores a token for a server. It is read from standard input, never from an argument.

use super::{Context, Done, Json, Remote, usage};
use crate::client::Client;
use anyhow::Context as _;
use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

/// A token is far shorter; bytes.
const MOST: u64 = 4096;

/// Store a token for a server, for the commands that talk to it.
///
/// The token is asked for, or read from standard input; it is kept in your configuration folder, readable by you only.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus login --server https://gradus.example.org
  gradus login < gradus-data/operator.token
  gradus login --forget")]
pub struct Login {
    /// Forget the token instead.
    #[arg(long)]
    forget: bool,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    remote: Remote,
}

impl Login {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let path = context.environment.logins().ok_or_else(|| {
            usage("there is no configuration folder to store a token in: set XDG_CONFIG_HOME or HOME, or use GRADUS_TOKEN_FILE")
        })?;
        let mut logins = context.logins()?;
        let server = context.server(&self.remote, &logins);
        let server = Client::new(&server, None).map_err(|error| usage(error.to_string()))?.server();
        if self.forget {
            let known = logins.remove(&server);
            logins.save(&path)?;
            if self.json.json {
                context.out.json(&json!({ "server": server, "forgotten": known }))?;
            } else {
                let what = if known { "forgot the token for" } else { "there was no token for" };
                context.out.line(format!("{what} {server}"))?;
            }
            return Ok(Done::Well);
        }
        let named = self.remote.token_file.as_ref();
        let token = match named {
            Some(file) => super::read_token(file)?,
            None => ask(context, &server)?,
        };
        let client = Client::new(&server, Some(token.clone()))?;
        if client.is_readable_on_the_way() {
            context.out.note(format!(
                "warning: what goes to {server} is not encrypted: others on the way can read the token"
            ))?;
        }
        let me = client.me()?;
        logins.insert(&server, &token);
        logins.save(&path)?;
        if self.json.json {
            context.out.json(&json!({ "server": server, "token": me }))?;
        } else {
            let whence = named.map_or_else(String::new, |file| format!(", with the token in {}", file.display()));
            context.out.line(format!("logged in to {server} as {} ({}){whence}", me.subject, me.role))?;
        }
        Ok(Done::Well)
    }
}

fn ask(context: &Context, server: &str) -> anyhow::Result<String> {
    let stdin = io::stdin();
    let terminal = stdin.is_terminal();
    if terminal {
        context.out.note(format!("Token for {server} (it is not shown):"))?;
    }
    let echo = terminal.then(|| Silent::new().context("could not turn the terminal's echo off")).transpose()?;
    let mut text = String::new();
    stdin.lock().take(MOST).read_line(&mut text).context("could not read the token")?;
    drop(echo);
    let token = text.trim();
    let fine = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if fine { Ok(token.to_owned()) } else { Err(usage("there was no token on standard input")) }
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Silent(rustix::termios::Termios);

impl Silent {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // Nothing can be done where it fails, and the shell sets it again.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
