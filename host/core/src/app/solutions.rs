//! The organizer's own submissions, held against what they must get.

use super::folder::Folder;
use super::grade::{Graded, Grader, cut};
use super::launch::{Containers, LaunchError, Launched, Launcher, Lent, lane, named_image, wait};
use crate::domain::challenge::{Challenge, Expected, Solution};
use crate::domain::id::{RunId, TaskId};
use crate::domain::manifest::{FILE, Located, nearest};
use crate::domain::metric::Description;
use crate::domain::queue::Room;
use crate::domain::report::{LimitKind, Outcome, Problem, Problems, Report};
use crate::domain::run_record::RunRecord;
use crate::domain::submission::Lane;
use crate::ports::runner::RunnerError;
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
    /// Why it was not tried: it is a program, and none can be run here.
    pub untried: Option<String>,
}

/// What solutions are tried with.
pub struct Bench<'a> {
    /// What runs scorers.
    pub scorer: &'a dyn Scorer,
    /// What runs programs, or why nothing does.
    pub containers: Result<&'a Containers, &'a str>,
    /// Whether this is where participants' submissions run: what may not be named here may not be named at all.
    pub server: bool,
    /// What grades each task.
    pub graders: &'a BTreeMap<TaskId, Grader>,
    /// What runs programs of each task that takes some.
    pub launchers: &'a BTreeMap<TaskId, Result<Launcher, String>>,
    /// The challenge's files.
    pub folder: &'a Folder,
    /// Held shared by runs of a scorer, and alone by one that has to have the machine for itself.
    pub machine: &'a RwLock<()>,
    /// Names a run.
    pub ids: &'a dyn Fn() -> RunId,
    /// Waits for room for a run; it is free again when what this gives is dropped.
    pub room: &'a dyn Fn(Room) -> Option<Lent<'a>>,
    /// Set from outside to stop.
    pub stop: &'a Arc<AtomicBool>,
}

/// Why a solution could not be tried: our doing.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The scorer's engine.
    #[error(transparent)]
    Scorer(#[from] ScorerError),
    /// The container engine.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// Something of a task's that is not there.
    #[error("{0}")]
    Missing(String),
}

impl From<LaunchError> for TrialError {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::Missing(text) | LaunchError::Busy(text) | LaunchError::NotStarted(text) => Self::Missing(text),
            LaunchError::Runner(error) => Self::Runner(error),
        }
    }
}

/// What came of one, before it is held against what it must get.
struct Came {
    outcome: Outcome,
    problems: Problems,
    /// More words, for the organizer.
    detail: Option<String>,
    report: Option<Report>,
}

impl Came {
    fn of(outcome: Outcome) -> Self {
        Self { outcome, problems: Problems::default(), detail: None, report: None }
    }

    fn graded(graded: Option<Graded>) -> Self {
        let Some(Graded { report, .. }) = graded else { return Self::of(Outcome::Cancelled) };
        let (outcome, problems, detail) = (report.outcome.clone(), report.problems.clone(), report.detail.clone());
        Self { outcome, problems, detail, report: Some(report) }
    }

    fn invalid(problems: Problems) -> Self {
        Self { problems: cut(problems), ..Self::of(Outcome::InvalidSubmission) }
    }

    fn failed(outcome: Outcome, what: String) -> Self {
        Self { detail: Some(what), ..Self::of(outcome) }
    }
}

/// What there is of a solution when its scorer would begin.
enum Ready {
    /// It ended before.
    Over(Box<Came>),
    /// It cannot be tried here, for this reason.
    Not(String),
    /// Predictions.
    Results(Folder),
    /// What a program left.
    Left(Folder, Box<RunRecord>),
}

impl Bench<'_> {
    /// Runs all solutions of `challenge`; each with what it got. Once `stop` is set, those that are left come out as
    /// cancelled.
    ///
    /// # Errors
    /// We could not do our part.
    pub fn try_all(&self, challenge: &Challenge, mut each: impl FnMut(&Tried)) -> Result<Vec<Tried>, TrialError> {
        let mut all = Vec::with_capacity(challenge.solutions.len());
        for solution in &challenge.solutions {
            let tried = self.try_one(solution)?;
            each(&tried);
            all.push(tried);
        }
        Ok(all)
    }

    /// Runs one solution as a participant's submission would be: its program if it is one, the format check, then the
    /// scorer; and the scorer once more, with the machine for itself, if it took too long.
    fn try_one(&self, solution: &Solution) -> Result<Tried, TrialError> {
        let Some(grader) = self.graders.get(&solution.task) else {
            let what = format!("there is no task `{}`", solution.task);
            return Err(ScorerError { what, source: None }.into());
        };
        let mut untried = None;
        let came = match self.ready(grader, solution)? {
            Ready::Over(came) => *came,
            Ready::Not(why) => {
                untried = Some(why);
                Came::of(Outcome::Platform)
            }
            ready @ (Ready::Results(_) | Ready::Left(..)) => {
                let beside = self.machine.read();
                let came = self.grade(grader, &ready)?;
                drop(beside);
                if matches!(came.outcome, Outcome::Limit { limit: LimitKind::Wall, .. }) {
                    let _alone = self.machine.write();
                    self.grade(grader, &ready)?
                } else {
                    came
                }
            }
        };
        let Came { outcome, problems, detail, report } = came;
        let mut tried = Tried {
            path: solution.path.clone(),
            outcome: outcome.word().to_owned(),
            scores: report.as_ref().map(named_scores).unwrap_or_default(),
            problems,
            differences: Vec::new(),
            untried,
        };
        if tried.untried.is_some() {
            tried.outcome = "untried".to_owned();
        } else {
            tried.differences = differences(&solution.expected, &tried, &grader.description, detail);
        }
        Ok(tried)
    }

    /// Runs it, if it is a program.
    fn ready(&self, grader: &Grader, solution: &Solution) -> Result<Ready, TrialError> {
        if self.stop.load(Ordering::Relaxed) {
            return Ok(Ready::Over(Came::of(Outcome::Cancelled).into()));
        }
        let files = self.folder.at(&solution.path);
        let lane = match lane(&grader.task, &files) {
            Err(problems) => return Ok(Ready::Over(Came::invalid(of_solution(problems, &files)).into())),
            Ok(Lane::Results) => return Ok(Ready::Results(files)),
            Ok(lane @ (Lane::Code | Lane::Git | Lane::Image)) => lane,
        };
        let (containers, launcher) = match (self.containers, self.launchers.get(&solution.task)) {
            (Ok(containers), Some(Ok(launcher))) => (containers, launcher),
            (Err(why), _) => return Ok(Ready::Not(why.to_owned())),
            (Ok(_), Some(Err(why))) => return Ok(Ready::Not(why.clone())),
            (Ok(_), None) => return Ok(Ready::Not(format!("task `{}` has no image", solution.task))),
        };
        if lane == Lane::Image
            && let Ok(Some(image)) = named_image(&files)
            && let Err(bad) = wait(containers.runner.may_name(&image, &launcher.challenge))?
        {
            let failed = || Came::failed(Outcome::RunFailed { code: bad.code.word().to_owned() }, bad.text.clone());
            return Ok(if self.server { Ready::Over(failed().into()) } else { Ready::Not(bad.text) });
        }
        let lent = (self.room)(launcher.run.room());
        let launched =
            launcher.launch(&*containers.runner, (self.ids)(), (lane, &files), &launcher.printed(), self.stop);
        drop(lent);
        let launched = match launched {
            // It is tried when it can be.
            Err(LaunchError::Busy(why)) => return Ok(Ready::Not(why)),
            launched => launched?,
        };
        let Some(Launched { record, left, stderr, ingestion, .. }) = launched else {
            return Ok(Ready::Over(Came::of(Outcome::Cancelled).into()));
        };
        Ok(match (record.failed.clone(), left) {
            (None, Some(left)) => Ready::Left(left.folder().clone(), Box::new(record)),
            (Some(failed), _) => Ready::Over(
                Came::failed(failed.outcome, failed.text + &last_words(&stderr) + &last_words(&ingestion)).into(),
            ),
            (None, None) => Ready::Over(Came::failed(Outcome::Platform, "the run left nothing".to_owned()).into()),
        })
    }

    fn grade(&self, grader: &Grader, ready: &Ready) -> Result<Came, ScorerError> {
        let predictions = match ready {
            Ready::Left(files, record) => {
                let graded = grader.grade_run(self.scorer, files, record, self.stop, &mut ())?;
                return Ok(Came::graded(graded));
            }
            Ready::Results(predictions) => predictions,
            Ready::Over(_) | Ready::Not(_) => return Ok(Came::of(Outcome::Cancelled)),
        };
        Ok(match grader.validate(self.scorer, predictions)?.ended {
            Ended::Value(()) => Came::graded(grader.grade(self.scorer, predictions, self.stop, &mut ())?),
            Ended::InvalidSubmission(problems) => Came::invalid(problems),
            Ended::InvalidChallenge(what) => Came::failed(Outcome::InvalidChallenge, what),
            Ended::Failed(what) => Came::failed(Outcome::ScorerFailed, what),
            Ended::Limit { limit, used, allowed } => {
                let what = format!("the format check reached its limit: {limit:?}, {used} of {allowed}");
                Came::failed(Outcome::Limit { limit, used, allowed }, what)
            }
            Ended::Stopped => Came::of(Outcome::Cancelled),
        })
    }
}

/// The last line that a program printed, as far as it may be shown in a line: what says why it failed, most times.
fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let shown: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
    if shown.is_empty() { shown } else { format!(": {shown}") }
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

/// Of a participant an archive is unpacked; a solution is what lies in the folder.
fn of_solution(mut problems: Problems, files: &Folder) -> Problems {
    let packed = |path: &str| [".tar", ".tar.gz", ".tgz", ".zip"].iter().any(|end| path.ends_with(end));
    if let [only] = files.files()
        && packed(only.about.path.as_str())
    {
        let message =
            "a solution that is an archive is a folder with what is in it: unpack it, and name the folder in `path`";
        problems.first.insert(0, Problem { file: None, line: None, message: message.to_owned() });
        problems.total += 1;
    }
    problems
}
