//! `gradus challenge check`: the folder, its scorers, and its solutions against what they must get.

use super::super::table::number;
use super::super::{Context, Done, Json, local};
use super::print_problems;
use clap::Args;
use gradus_core::app::publish::Inspected;
use gradus_core::app::solutions::{Bench, Tried, unknown_splits};
use gradus_core::domain::challenge::{Challenge, Solution};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::sync::atomic::Ordering;

/// Check a challenge's folder, run its solutions, and compare what they get with what they must get.
///
/// A scorer that is a crate is built first, in its own `target` folder.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  gradus challenge check my-challenge\n\nExit codes: 0 all holds, 1 something does not."
)]
pub struct Check {
    /// The folder with challenge.toml.
    dir: PathBuf,
    #[command(flatten)]
    json: Json,
}

impl Check {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let local = local::load(context, &self.dir, true)?;
        let checked = check(context, &local, &self.dir, self.json.json, || Ok(()))?;
        if self.json.json {
            context.out.json(&checked.document)?;
        } else if let Some(challenge) = &checked.challenge {
            let out = &context.out;
            let all = challenge.solutions.len();
            if checked.ok && checked.untried > 0 {
                let tried = all.saturating_sub(checked.untried);
                let what = if tried == 0 {
                    "nothing was tried".to_owned()
                } else {
                    format!("the {tried} that were tried hold")
                };
                out.note(format!("{}: {what}, {} of {all} were not", challenge.id, checked.untried))?;
            } else if checked.ok {
                let dir = self.dir.display();
                // Images, runtimes, GPUs and how much a run may have are the server's matter.
                let programs = challenge.tasks.iter().any(|task| task.run.is_some());
                let more =
                    if programs { ", which says whether it has and allows what the programs ask for" } else { "" };
                out.note(format!(
                    "{}: all holds; `gradus challenge publish {dir}` takes it to a server{more}",
                    challenge.id
                ))?;
            } else {
                let count = checked.failed;
                let failed = (count > 0).then(|| format!("{count} of {all} solutions do not get what they must"));
                let problems = (checked.problems > 0).then(|| super::count(checked.problems));
                let both: Vec<_> = failed.into_iter().chain(problems).collect();
                out.note(format!("{}: {}", challenge.id, both.join(", and ")))?;
            }
        }
        Ok(Done::well(checked.ok && checked.untried == 0))
    }
}

/// What a check found.
pub struct Checked {
    /// The challenge, if it reads.
    pub challenge: Option<Challenge>,
    /// Whether all that was tried holds.
    pub ok: bool,
    /// Solutions that could not be tried here.
    untried: usize,
    /// Solutions that do not get what they must.
    failed: usize,
    /// Problems besides.
    problems: usize,
    /// All of it, as JSON.
    pub document: Value,
}

/// Checks a folder. Prints problems and a line for each solution, unless `quiet`. `then` comes before the solutions are run,
/// which may take long.
pub fn check(
    context: &Context,
    local: &local::Local,
    dir: &Path,
    quiet: bool,
    then: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Checked> {
    let out = &context.out;
    let Inspected { challenge, graders, launchers } = match local::look(context, local)? {
        Ok(inspected) => inspected,
        Err(problems) => {
            if !quiet {
                print_problems(out, dir, &problems)?;
            }
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            let document = json!({ "ok": false, "challenge": null, "problems": problems, "solutions": [] });
            return Ok(Checked {
                challenge: None,
                ok: false,
                failed: 0,
                untried: 0,
                problems: problems.len(),
                document,
            });
        }
    };
    then()?;
    if challenge.solutions.is_empty() && !quiet {
        out.note(
            "there are no [[solutions]]: nothing shows that the scorer does what it should; add a good and a bad one",
        )?;
    }
    let width = challenge.solutions.iter().map(|solution| solution.path.chars().count()).max().unwrap_or(0);
    let mut printed = Ok(());
    // Nothing else runs in this process.
    let machine = RwLock::default();
    let bench = Bench {
        server: false,
        scorer: &*local.scorer,
        containers: local.containers.as_ref().map_err(String::as_str),
        graders: &graders,
        launchers: &launchers,
        folder: &local.folder,
        machine: &machine,
        ids: &local::run_id,
        room: &|_| None,
        stop: &local.stop,
    };
    let tried = bench.try_all(&challenge, |tried| {
        if !quiet && printed.is_ok() && !local.stop.load(Ordering::Relaxed) {
            let solution = challenge.solutions.iter().find(|solution| solution.path == tried.path);
            let grader = solution.and_then(|solution: &Solution| graders.get(&solution.task));
            let places =
                |metric: &str| grader.and_then(|grader| grader.description.metric(metric)).map_or(4, |m| m.precision);
            let (mark, got) = if tried.untried.is_some() {
                (out.fair("–"), "not tried: a program that cannot be run here".to_owned())
            } else if tried.differences.is_empty() {
                (out.good("✓"), got(tried, places))
            } else {
                let scores =
                    if tried.scores.is_empty() { String::new() } else { format!("; all: {}", got(tried, places)) };
                (out.bad("✗"), tried.differences.join("; ") + &scores)
            };
            printed = out.line(format!("{mark} {:<width$}  {}", tried.path, super::clean(&got)));
        }
    })?;
    printed?;
    if local.stop.load(Ordering::Relaxed) {
        anyhow::bail!("it was stopped");
    }
    let untried = tried.iter().filter(|tried| tried.untried.is_some()).count();
    if let Some(why) = tried.iter().find_map(|tried| tried.untried.as_ref())
        && !quiet
    {
        let (noun, were) =
            if untried == 1 { ("solution is a program", "was") } else { ("solutions are programs", "were") };
        out.note(super::clean(&format!("{untried} {noun} and {were} not tried: {why}")))?;
    }
    let failed = tried.iter().filter(|tried| !tried.differences.is_empty()).count();
    let problems: Vec<_> = unknown_splits(&challenge, &tried).iter().map(ToString::to_string).collect();
    for problem in problems.iter().filter(|_| !quiet) {
        out.line(super::clean(problem))?;
    }
    let ok = failed == 0 && problems.is_empty();
    let solutions: Vec<_> = tried.iter().map(document).collect();
    let document =
        json!({ "ok": ok && untried == 0, "challenge": challenge.id, "problems": problems, "solutions": solutions });
    Ok(Checked { challenge: Some(challenge), ok, failed, untried, problems: problems.len(), document })
}

/// What a solution got, in a few words.
fn got(tried: &Tried, places: impl Fn(&str) -> u8) -> String {
    if !tried.scores.is_empty() {
        let score = |(name, value): (&String, &f64)| {
            let metric = name.split_once('@').map_or(name.as_str(), |(metric, _)| metric);
            format!("{name} {}", number(Some(*value), places(metric)))
        };
        return tried.scores.iter().map(score).collect::<Vec<_>>().join("  ");
    }
    match tried.problems.first.first() {
        Some(first) => {
            let more = tried.problems.total.saturating_sub(1);
            let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
            format!("{}: {}{more}", tried.outcome, super::super::report::line(first))
        }
        None => tried.outcome.clone(),
    }
}

fn document(tried: &Tried) -> Value {
    let Tried { path, outcome, scores, problems, differences, untried } = tried;
    json!({
        "path": path, "ok": differences.is_empty() && untried.is_none(), "outcome": outcome, "scores": scores, "problems": problems,
        "differences": differences, "untried": untried,
    })
}
