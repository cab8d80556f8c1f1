//! The organizer's own submissions, held against what they must get.

use super::folder::Folder;
use super::grade::{Graded, Grader, cut};
use crate::domain::challenge::{Challenge, Expected, Solution};
use crate::domain::id::TaskId;
use crate::domain::manifest::{FILE, Located, nearest};
use crate::domain::metric::Description;
use crate::domain::report::{LimitKind, Outcome, Problems, Report};
use crate::ports::scorer::{Ended, Scorer, ScorerError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

/// What a solution got.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// Its path.
    pub path: String,
    /// The outcome's word.
    pub outcome: String,
    /// Scores, by `metric` or `metric@split`.
    pub scores: BTreeMap<String, f64>,
    /// What was found wrong with it.
    pub problems: Problems,
    /// How it differs from what it must get; empty if it does not.
    pub differences: Vec<String>,
}

/// Runs one solution as a participant's submission would be: the format check, then the scorer; and once more, with the
/// `machine` for itself, if it took too long. `machine` is held shared by other runs.
///
/// # Errors
/// We could not do our part.
pub fn try_one(
    scorer: &dyn Scorer,
    graders: &BTreeMap<TaskId, Grader>,
    folder: &Folder,
    solution: &Solution,
    machine: &RwLock<()>,
    stop: &Arc<AtomicBool>,
) -> Result<Tried, ScorerError> {
    let Some(grader) = graders.get(&solution.task) else {
        let what = format!("there is no task `{}`", solution.task);
        return Err(ScorerError { what, source: None });
    };
    let predictions = folder.at(&solution.path);
    let beside = machine.read();
    let (tried, outcome) = run(scorer, grader, &predictions, solution, stop)?;
    drop(beside);
    if !matches!(outcome, Outcome::Limit { limit: LimitKind::Wall, .. }) {
        return Ok(tried);
    }
    let _alone = machine.write();
    Ok(run(scorer, grader, &predictions, solution, stop)?.0)
}

fn run(
    scorer: &dyn Scorer,
    grader: &Grader,
    predictions: &Folder,
    solution: &Solution,
    stop: &Arc<AtomicBool>,
) -> Result<(Tried, Outcome), ScorerError> {
    let checked =
        if stop.load(Ordering::Relaxed) { Ended::Stopped } else { grader.validate(scorer, predictions)?.ended };
    let (outcome, problems, detail, report) = match checked {
        Ended::Value(()) => match grader.grade(scorer, predictions, stop, &mut ())? {
            Some(Graded { report, .. }) => {
                (report.outcome.clone(), report.problems.clone(), report.detail.clone(), Some(report))
            }
            None => (Outcome::Cancelled, Problems::default(), None, None),
        },
        Ended::InvalidSubmission(problems) => (Outcome::InvalidSubmission, cut(problems), None, None),
        Ended::InvalidChallenge(what) => (Outcome::InvalidChallenge, Problems::default(), Some(what), None),
        Ended::Failed(what) => (Outcome::ScorerFailed, Problems::default(), Some(what), None),
        Ended::Limit { limit, used, allowed } => {
            let what = format!("the format check reached its limit: {limit:?}, {used} of {allowed}");
            (Outcome::Limit { limit, used, allowed }, Problems::default(), Some(what), None)
        }
        Ended::Stopped => (Outcome::Cancelled, Problems::default(), None, None),
    };
    let scores = report.as_ref().map(named_scores).unwrap_or_default();
    let mut tried = Tried {
        path: solution.path.clone(),
        outcome: outcome.word().to_owned(),
        scores,
        problems,
        differences: Vec::new(),
    };
    tried.differences = differences(&solution.expected, &tried, &grader.description, detail);
    Ok((tried, outcome))
}

fn named_scores(report: &Report) -> BTreeMap<String, f64> {
    let name = |metric: &str, split: &Option<String>| match split {
        Some(split) => format!("{metric}@{split}"),
        None => metric.to_owned(),
    };
    report.scores.iter().map(|score| (name(&score.metric, &score.split), score.value)).collect()
}

fn differences(expected: &Expected, tried: &Tried, description: &Description, detail: Option<String>) -> Vec<String> {
    let why = || {
        let first = tried.problems.first.first().map(|problem| problem.message.clone());
        detail.clone().or(first).map_or_else(String::new, |why| format!(" ({why})"))
    };
    match expected {
        Expected::Outcome { word, problems } => {
            let mut found = Vec::new();
            if *word != tried.outcome {
                found.push(format!("it is `{}`{}, expected `{word}`", tried.outcome, why()));
            }
            if let Some(total) = problems
                && *total != tried.problems.total
            {
                found.push(format!("it has {} problems{}, expected {total}", tried.problems.total, why()));
            }
            found
        }
        Expected::Scores(scores) if tried.outcome == "scored" => {
            let compare = |(name, wanted): (&String, &f64)| {
                let metric = name.split_once('@').map_or(name.as_str(), |(metric, _)| metric);
                let precision = description.metric(metric).map_or(12, |metric| metric.precision);
                match tried.scores.get(name) {
                    Some(got) if near(*got, *wanted, precision) => None,
                    Some(got) => Some(format!("{name} is {got}, expected {wanted} to {precision} decimal places")),
                    None => {
                        let known: Vec<_> = tried.scores.keys().map(String::as_str).collect();
                        Some(format!("there is no {name}; it got {}", known.join(", ")))
                    }
                }
            };
            scores.iter().filter_map(compare).collect()
        }
        Expected::Scores(_) => vec![format!("it is `{}`{}, expected scores", tried.outcome, why())],
    }
}

/// Whether two values are shown alike: they differ by half of the last shown place at most.
fn near(got: f64, wanted: f64, precision: u8) -> bool {
    (got - wanted).abs() <= 0.5 * 10f64.powi(-i32::from(precision)) * (1.0 + 1e-9)
}

/// Leaderboards that go by a split which no solution got a score on: a board that would stay empty.
pub fn unknown_splits(challenge: &Challenge, all: &[Tried]) -> Vec<Located> {
    let mut wrong = Vec::new();
    for board in &challenge.leaderboards {
        let phase = challenge.phases.iter().find(|phase| board.phases.contains(&phase.id));
        let Some(task) = phase.map(|phase| &phase.task) else { continue };
        let of_task = |tried: &&Tried| challenge.solutions.iter().any(|s| s.path == tried.path && s.task == *task);
        let names = all.iter().filter(of_task).flat_map(|tried| tried.scores.keys());
        let splits: BTreeSet<Option<&str>> = names.map(|name| name.split_once('@').map(|(_, split)| split)).collect();
        if splits.is_empty() || splits.contains(&board.split.as_deref()) {
            continue;
        }
        let known: Vec<_> = splits.into_iter().flatten().collect();
        let message = match &board.split {
            Some(split) if known.is_empty() => format!("the scorer reports no splits, and so no `{split}`; remove it"),
            Some(split) => {
                let near = nearest(split, known.iter().copied()).map(|near| format!(" (did you mean `{near}`?)"));
                let (near, known) = (near.unwrap_or_default(), known.join(", "));
                format!("the scorer reports no split `{split}`{near}; it reports: {known}")
            }
            None => format!("is missing: the scorer reports the splits {}; name one", known.join(", ")),
        };
        let key = format!("leaderboards.{}.split", board.id);
        wrong.push(Located { file: FILE.into(), line: 0, key, message });
    }
    wrong
}

/// Runs all solutions; each with what it got. Once `stop` is set, those that are left come out as cancelled.
///
/// # Errors
/// We could not do our part.
pub fn try_all(
    scorer: &dyn Scorer,
    challenge: &Challenge,
    graders: &BTreeMap<TaskId, Grader>,
    folder: &Folder,
    machine: &RwLock<()>,
    stop: &Arc<AtomicBool>,
    mut each: impl FnMut(&Tried),
) -> Result<Vec<Tried>, ScorerError> {
    let mut all = Vec::with_capacity(challenge.solutions.len());
    for solution in &challenge.solutions {
        let tried = try_one(scorer, graders, folder, solution, machine, stop)?;
        each(&tried);
        all.push(tried);
    }
    Ok(all)
}
