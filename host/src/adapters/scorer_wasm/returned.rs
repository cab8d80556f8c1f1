//! What a guest returned, in the domain's words and within the limits.
//!
//! Whether the scores are those that the description promised is the core's to say.

use super::bindings::gradus::scoring::types;
use super::feedback::audience;
use super::outcome::cut;
use gradus_core::domain::limits::{Limits, MAX_CASES};
use gradus_core::domain::metric::{Description, Direction, Metric};
use gradus_core::domain::report::{Case, LimitKind, Problem, Problems, SHOWN_PROBLEMS, Score};
use gradus_core::ports::scorer::{Ended, Returned};
use std::io;

/// A description as the domain has it.
pub(super) fn description(given: types::Description) -> Description {
    let metric = |metric: types::Metric| Metric {
        name: metric.name,
        title: metric.title,
        direction: match metric.direction {
            types::Direction::HigherIsBetter => Direction::Higher,
            types::Direction::LowerIsBetter => Direction::Lower,
        },
        unit: metric.unit,
        precision: metric.precision,
    };
    Description {
        name: given.name,
        version: given.version,
        summary: given.summary,
        metrics: given.metrics.into_iter().map(metric).collect(),
        params_schema: given.params_schema,
    }
}

/// A failure that the guest named.
pub(super) fn failure<T>(failure: types::Failure) -> Ended<T> {
    match failure {
        types::Failure::InvalidSubmission(problems) => Ended::InvalidSubmission(cut_problems(problems)),
        types::Failure::InvalidChallenge(text) => Ended::InvalidChallenge(cut(text)),
    }
}

/// A report, or why it is none.
pub(super) fn report(given: types::Report, limits: &Limits) -> Ended<Returned> {
    if given.cases.len() > MAX_CASES {
        let (used, allowed) = (given.cases.len() as u64, MAX_CASES as u64);
        return Ended::Limit { limit: LimitKind::Output, used, allowed };
    }
    let returned = Returned { scores: scores(given.scores), cases: given.cases.into_iter().map(case).collect() };
    if let Some(score) = returned.scores.iter().find(|score| !score.value.is_finite()) {
        return Ended::Failed(not_finite(score, None));
    }
    for case in &returned.cases {
        if let Some(score) = case.scores.iter().find(|score| !score.value.is_finite()) {
            return Ended::Failed(not_finite(score, Some(&case.id)));
        }
    }
    let used = json_len(&returned.scores) + json_len(&returned.cases);
    if used > limits.report.0 {
        return Ended::Limit { limit: LimitKind::Output, used, allowed: limits.report.0 };
    }
    Ended::Value(returned)
}

fn not_finite(score: &Score, case: Option<&str>) -> String {
    let of = score.split.as_deref().map_or(String::new(), |split| format!(" of split `{split}`"));
    let of = case.map_or(of, |case| format!(" of case `{case}`"));
    let (metric, value) = (&score.metric, score.value);
    cut(format!(
        "the score `{metric}`{of} is {value}; a score must be finite: decide what an undefined value counts as"
    ))
}

fn scores(given: Vec<types::Score>) -> Vec<Score> {
    let score = |score: types::Score| Score { metric: score.metric, split: score.split, value: score.value };
    given.into_iter().map(score).collect()
}

fn case(given: types::Case) -> Case {
    Case {
        id: given.id,
        group: given.group,
        scores: scores(given.scores),
        passed: given.passed,
        message: given.message,
        audience: audience(given.audience),
    }
}

/// The first problems, none of them longer than a text may be.
fn cut_problems(given: types::Problems) -> Problems {
    let total = given.total.max(given.first.len() as u64);
    let problem = |problem: types::Problem| Problem {
        file: problem.file.map(cut),
        line: problem.line,
        message: cut(problem.message),
    };
    Problems { first: given.first.into_iter().take(SHOWN_PROBLEMS).map(problem).collect(), total }
}

/// How long `value` is as JSON.
fn json_len(value: &impl serde::Serialize) -> u64 {
    struct Count(u64);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).expect("text keys and finite numbers, and counting cannot fail");
    count.0
}
