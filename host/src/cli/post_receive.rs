//! `gradus post-receive`: what a git server without a forge runs after a push, to tell of tags.

use super::forges::read_secret;
use super::{Context, Done, usage};
use crate::client::Client;
use crate::http::dto::StandingInfo;
use anyhow::{Context as _, bail};
use clap::Args;
use gradus_core::domain::forge::MAX_TAGS;
use gradus_core::domain::hook::Secret;
use gradus_core::domain::units::Millis;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Bytes of what git says, at most.
const MAX_INPUT: u64 = 4 << 20;
/// How often it is tried, and the pause in between.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// How soon it is looked how tags stand, at first.
const LOOK: Duration = Duration::from_millis(100);
/// Tags that are named.
const NAMED: usize = 5;

/// Tell a Gradus server of pushed tags: for a `post-receive` hook of a git server without a forge.
///
/// It runs in the repository, and reads what git writes on standard input. What it prints, who pushed sees. The server fetches
/// the tags itself, from below the base that `gradus admin source add --kind plain` was given.
#[derive(Debug, Args)]
#[command(after_help = "\
A whole hook, hooks/post-receive of each repository below /srv/git:
  #!/bin/sh
  exec gradus post-receive git --server https://gradus.example.org \\
      --secret-file /etc/gradus/hook.secret --root /srv/git")]
pub struct PostReceive {
    /// The forge's name on the server.
    source: String,
    /// Address of the server.
    #[arg(long, value_name = "URL", env = "GRADUS_SERVER", default_value = crate::client::DEFAULT_SERVER)]
    server: String,
    /// The file with the secret that `gradus admin source add` printed.
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    /// The folder that repositories lie below: their paths from there on are their names.
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Wait so long for the tags to be graded, to say how they stand.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    wait: Millis,
    /// Who pushed [default: GL_USER or REMOTE_USER, as the git server sets them; else people are told apart by repository].
    #[arg(long, value_name = "NAME")]
    pusher: Option<String>,
}

#[derive(Serialize)]
struct Told<'a> {
    project: String,
    pusher: Option<&'a str>,
    updates: &'a [Update],
}

#[derive(Serialize)]
struct Update {
    r#ref: String,
    before: String,
    after: String,
}

/// Lines of `before after ref`, those of tags.
fn updates(text: &str) -> anyhow::Result<Vec<Update>> {
    let mut all = Vec::new();
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(before), Some(after), Some(reference)) = (words.next(), words.next(), words.next()) else {
            bail!("standard input has no lines `before after ref`, as git writes them to a post-receive hook");
        };
        if reference.starts_with("refs/tags/") {
            let [before, after, r#ref] = [before, after, reference].map(ToOwned::to_owned);
            all.push(Update { r#ref, before, after });
        }
    }
    Ok(all)
}

/// Where the repository is below `root`.
fn project(root: &Path, here: &Path) -> anyhow::Result<String> {
    let real = |path: &Path| path.canonicalize().with_context(|| format!("{} cannot be found", path.display()));
    let (root, here) = (real(root)?, real(here)?);
    let below = here.strip_prefix(&root).ok().filter(|below| !below.as_os_str().is_empty());
    let below = below.with_context(|| format!("{} does not lie below {}", here.display(), root.display()))?;
    Ok(below.to_str().context("the repository's path is not UTF-8")?.to_owned())
}

impl PostReceive {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let mut text = String::new();
        std::io::stdin().take(MAX_INPUT).read_to_string(&mut text).context("standard input cannot be read")?;
        let updates = updates(&text)?;
        if updates.is_empty() {
            return Ok(Done::Well);
        }
        let secret = Secret(read_secret(&self.secret_file)?);
        let project = project(&self.root, &std::env::current_dir().context("there is no current folder")?)?;
        let known = context.environment.pusher.clone();
        let pusher = self.pusher.as_deref().or(known.as_deref());
        let client = Client::new(&self.server, None).map_err(|error| usage(error.to_string()))?;
        let mut bodies = Vec::new();
        for updates in updates.chunks(MAX_TAGS) {
            let told = Told { project: project.clone(), pusher, updates };
            let body = serde_json::to_string(&told).context("names always have a JSON form")?;
            tell(&client, &self.source, &secret, &body)?;
            let there = |update: &&Update| !update.after.bytes().all(|byte| byte == b'0');
            bodies.push((body, updates.iter().filter(there).count()));
        }
        let names: Vec<_> = updates.iter().map(|update| update.r#ref.trim_start_matches("refs/tags/")).collect();
        let (first, rest) = names.split_at(names.len().min(NAMED));
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        context.out.note(format!("gradus: {} heard of {}{more}", client.server(), first.join(", ")))?;
        let end = Instant::now() + self.wait.duration();
        bodies.iter().try_for_each(|body| self.show(context, &client, &secret, body, end))?;
        Ok(Done::Well)
    }

    /// Says of each tag how it stands, as soon as that is known, until `end`.
    fn show(
        &self,
        context: &Context<'_>,
        client: &Client,
        secret: &Secret,
        (body, count): &(String, usize),
        end: Instant,
    ) -> anyhow::Result<()> {
        let (mut said, mut pause, mut all) = (BTreeSet::new(), LOOK, Vec::new());
        let over =
            |one: &StandingInfo| one.state == "passed" || matches!(one.standing.as_deref(), Some("success" | "failed"));
        while Instant::now() < end {
            // The push went well whatever comes of this.
            all = match client.standings(&self.source, &proof(secret, body)?, body) {
                Ok(all) => all,
                Err(_) => return Ok(()),
            };
            for StandingInfo { tag, state, standing, text, submission, notes } in all.iter().filter(|one| over(one)) {
                if !said.insert(tag.clone()) {
                    continue;
                }
                let id = submission.as_ref().map_or_else(String::new, |id| format!(" ({id})"));
                let told = match (standing.as_deref(), text) {
                    (Some("success"), Some(text)) => format!("{tag} was graded: {text}{id}"),
                    (_, Some(text)) => format!("{tag} could not be graded: {text}{id}"),
                    (_, None) if state == "passed" => {
                        format!("{tag} is no submission: no challenge takes such tags of this project")
                    }
                    (_, None) => format!("{tag}: {state}{id}"),
                };
                context.out.note(format!("gradus: {told}"))?;
                notes.iter().try_for_each(|note| context.out.note(format!("gradus:   {note}")))?;
            }
            if all.iter().all(over) {
                break;
            }
            sleep(pause);
            pause = (pause * 2).min(PAUSE);
        }
        for StandingInfo { tag, text, submission, .. } in all.iter().filter(|one| !over(one)) {
            let why = text.as_deref().unwrap_or("it is graded when its turn comes");
            let id = submission.as_ref().map_or_else(String::new, |id| format!(" ({id})"));
            context.out.note(format!("gradus: {tag} waits: {why}{id}"))?;
        }
        if let more @ 1.. = count.saturating_sub(all.len()) {
            context.out.note(format!("gradus: how {more} more stand is not said here; the operator can see it"))?;
        }
        Ok(())
    }
}

/// What proves a body now.
fn proof(secret: &Secret, body: &str) -> anyhow::Result<[(&'static str, String); 3]> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("this machine's clock is before 1970")?;
    // What is told twice is known: any id will do.
    let (id, seconds) = (format!("msg_{}", now.as_nanos()), now.as_secs());
    let code = secret.code(&format!("{id}.{seconds}.{body}"));
    let code = code.context("the secret is none: take what `gradus admin source add` printed")?;
    Ok([("webhook-id", id), ("webhook-timestamp", seconds.to_string()), ("webhook-signature", format!("v1,{code}"))])
}

fn tell(client: &Client, source: &str, secret: &Secret, body: &str) -> anyhow::Result<()> {
    let mut tries = 1;
    loop {
        match client.tell(source, &proof(secret, body)?, body) {
            Ok(()) => return Ok(()),
            Err(error) if error.is_passing() && tries < TRIES => sleep(PAUSE),
            Err(error) => {
                let what = "gradus was not told of the tags; the push itself went well: push them again under other names, \
                            or ask the operator";
                return Err(error).context(what);
            }
        }
        tries += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_from_what_git_writes() {
        let text = "00 11 refs/heads/main\n00 22 refs/tags/v1\n22 00 refs/tags/a b\n";
        let read = updates(text).unwrap();
        let all: Vec<_> = read.iter().map(|update| (update.r#ref.as_str(), update.after.as_str())).collect();
        assert_eq!(all, [("refs/tags/v1", "22"), ("refs/tags/a b", "00")]);
        assert!(updates("nothing").is_err() && updates("").unwrap().is_empty());
    }

    #[test]
    fn a_repository_is_named_from_the_root_on() {
        let home = tempfile::tempdir().unwrap();
        let here = home.path().join("course/anna.git");
        std::fs::create_dir_all(&here).unwrap();
        assert_eq!(project(home.path(), &here).unwrap(), "course/anna.git");
        assert!(project(&here, home.path()).is_err() && project(&here, &here).is_err());
    }
}
