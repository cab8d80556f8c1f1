//! One run of a scorer to one report. The same function grades on the server, in `challenge check` and in
//! `gradus score`, so that they cannot differ.

use super::folder::Folder;
use crate::domain::challenge::Task;
use crate::domain::digest::Digest;
use crate::domain::metric::Description;
use crate::domain::report::{
    Digests, MAX_SPLITS, Outcome, Problems, REPORT_VERSION, Report, SHOWN_PROBLEMS, SPLIT_NAME, Score, names_a_split,
};
use crate::domain::run_record::RunRecord;
use crate::ports::blobs::ReadAt;
use crate::ports::scorer::{Attached, Ended, InputFile, Listener, Ran, Returned, Run, Scorer, ScorerError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// All that grading needs of a task.
#[derive(Clone)]
pub struct Grader {
    /// The task.
    pub task: Task,
    /// The scorer's component.
    pub component: Digest,
    /// Its bytes.
    pub source: Arc<dyn ReadAt>,
    /// What it said of itself.
    pub description: Description,
    /// The hidden data.
    pub reference: Folder,
    /// The sample submission.
    pub template: Folder,
}

/// A report, and what goes with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Graded {
    /// The report.
    pub report: Report,
    /// The scorer's output, for organizers.
    pub log: Vec<u8>,
    /// The attachments' bytes.
    pub attachments: Vec<Attached>,
}

impl Grader {
    /// What `predictions` are run with. Those that a run left have what is known of it beside them; seed and digest are of
    /// what the program wrote, so that the same predictions get the same scores whichever way they came.
    fn run(&self, predictions: &Folder, record: Option<&RunRecord>, stop: &Arc<AtomicBool>) -> Run {
        let mut inputs = predictions.inputs();
        if let Some(record) = record {
            inputs.push(InputFile { path: RunRecord::METADATA.to_owned(), bytes: Arc::new(record.metadata()) });
            inputs.sort_by(|a, b| a.path.cmp(&b.path));
        }
        Run {
            component: self.component,
            source: Arc::clone(&self.source),
            predictions: inputs,
            template: self.template.inputs(),
            reference: self.reference.inputs(),
            params: self.task.params.clone(),
            seed: predictions.tree().digest(),
            limits: self.task.limits,
            stop: Arc::clone(stop),
        }
    }

    /// The format check at the door: no reference data, small limits.
    ///
    /// # Errors
    /// We could not do our part.
    pub fn validate(&self, scorer: &dyn Scorer, predictions: &Folder) -> Result<Ran<()>, ScorerError> {
        let run = self.run(predictions, None, &Arc::default());
        scorer.validate(&Run { reference: Vec::new(), limits: self.task.limits.at_the_door(), ..run })
    }

    /// Scores what came through the door. `None`: it was stopped.
    ///
    /// # Errors
    /// We could not do our part.
    pub fn grade(
        &self,
        scorer: &dyn Scorer,
        predictions: &Folder,
        stop: &Arc<AtomicBool>,
        listener: &mut dyn Listener,
    ) -> Result<Option<Graded>, ScorerError> {
        let ran = scorer.score(&self.run(predictions, None, stop), listener)?;
        Ok(self.graded(scorer, predictions, ran))
    }

    /// Scores what a run left: it came through no door, so the format check comes first. `None`: it was stopped.
    ///
    /// # Errors
    /// We could not do our part.
    pub fn grade_run(
        &self,
        scorer: &dyn Scorer,
        predictions: &Folder,
        record: &RunRecord,
        stop: &Arc<AtomicBool>,
        listener: &mut dyn Listener,
    ) -> Result<Option<Graded>, ScorerError> {
        let run = self.run(predictions, Some(record), stop);
        let checked = scorer.validate(&Run { reference: Vec::new(), ..run.clone() })?;
        let ended = match checked.ended {
            Ended::Value(()) => {
                let ran = scorer.score(&run, listener)?;
                return Ok(self.graded(scorer, predictions, ran));
            }
            Ended::InvalidSubmission(problems) => Ended::InvalidSubmission(problems),
            Ended::InvalidChallenge(what) => Ended::InvalidChallenge(what),
            Ended::Failed(what) => Ended::Failed(what),
            Ended::Limit { limit, used, allowed } => Ended::Limit { limit, used, allowed },
            Ended::Stopped => Ended::Stopped,
        };
        let Ran { notes, attachments, log, cost, .. } = checked;
        Ok(self.graded(scorer, predictions, Ran { ended, notes, attachments, log, cost }))
    }

    /// The report on a run of the scorer. `None`: it was stopped.
    fn graded(&self, scorer: &dyn Scorer, predictions: &Folder, ran: Ran<Returned>) -> Option<Graded> {
        let mut report = Report {
            report: REPORT_VERSION,
            outcome: Outcome::Scored,
            fault: None,
            detail: None,
            scores: Vec::new(),
            cases: Vec::new(),
            problems: Problems::default(),
            notes: ran.notes,
            attachments: ran.attachments.iter().map(|attached| attached.about.clone()).collect(),
            digests: Digests {
                predictions: predictions.tree().digest(),
                reference: self.reference.tree().digest(),
                scorer: self.component,
                params: Digest::of(self.task.params.as_bytes()),
            },
            engine: scorer.engine(),
            cost: ran.cost,
        };
        match ran.ended {
            Ended::Stopped => return None,
            Ended::Value(returned) => match tally(&self.description, returned) {
                Ok(returned) => {
                    report.scores = returned.scores;
                    report.cases = returned.cases;
                }
                Err(what) => {
                    report.outcome = Outcome::ScorerFailed;
                    report.detail = Some(what);
                }
            },
            Ended::InvalidSubmission(problems) => {
                report.outcome = Outcome::InvalidSubmission;
                report.problems = cut(problems);
            }
            Ended::InvalidChallenge(what) => {
                report.outcome = Outcome::InvalidChallenge;
                report.detail = Some(what);
            }
            Ended::Failed(what) => {
                report.outcome = Outcome::ScorerFailed;
                report.detail = Some(what);
            }
            Ended::Limit { limit, used, allowed } => report.outcome = Outcome::Limit { limit, used, allowed },
        }
        report.fault = report.outcome.fault();
        Some(Graded { report, log: ran.log, attachments: ran.attachments })
    }
}

/// Problems as they are shown: the first, and never fewer in total than shown.
pub fn cut(mut problems: Problems) -> Problems {
    problems.total = problems.total.max(problems.first.len() as u64).max(1);
    problems.first.truncate(SHOWN_PROBLEMS);
    problems
}

/// Holds what the guest returned against what it described: each metric once, or once for each split; no other. Scores
/// come out in the order of the description, then of the splits' names.
///
/// No limit of a run bounds the time that this takes, so a report of any content costs about what reading it did.
fn tally(description: &Description, returned: Returned) -> Result<Returned, String> {
    let Returned { scores, cases } = returned;
    let places: BTreeMap<&str, usize> =
        description.metrics.iter().enumerate().map(|(at, metric)| (metric.name.as_str(), at)).collect();
    let mut splits = BTreeSet::new();
    let mut found = BTreeMap::new();
    for score in &scores {
        let Some(&at) = places.get(score.metric.as_str()) else {
            return Err(format!("it returned `{}`, a metric that it does not describe", shown(&score.metric)));
        };
        if !score.value.is_finite() {
            return Err(format!("`{}` is {}; a score is a finite number", score.metric, score.value));
        }
        if let Some(split) = score.split.as_deref().filter(|split| !names_a_split(split)) {
            return Err(format!("`{}` names no split; write {SPLIT_NAME}", shown(split)));
        }
        splits.insert(score.split.as_deref());
        if splits.len() > MAX_SPLITS {
            return Err(format!("it returned scores of more than {MAX_SPLITS} splits, which is the most"));
        }
        if found.insert((at, score.split.as_deref()), score).is_some() {
            return Err(format!("it returned `{}` twice{}", score.metric, on(score.split.as_deref())));
        }
    }
    if splits.len() > 1 && splits.contains(&None) {
        return Err("it returned scores with a split beside scores without one".to_owned());
    }
    for (at, metric) in description.metrics.iter().enumerate() {
        if let Some(split) = splits.iter().find(|split| !found.contains_key(&(at, **split))) {
            return Err(format!("it describes `{}` and returned no score for it{}", metric.name, on(*split)));
        }
    }
    // By the description's order and then by split, as the keys are.
    let ordered: Vec<Score> = found.into_values().cloned().collect();
    if ordered.is_empty() {
        return Err("it returned no scores".to_owned());
    }
    let finite = |score: &Score| score.value.is_finite();
    let mut ids = BTreeSet::new();
    for case in &cases {
        if !ids.insert(&case.id) {
            return Err(format!("the case `{}` is there twice", shown(&case.id)));
        }
        if !case.scores.iter().all(finite) {
            return Err(format!("a score of the case `{}` is not a finite number", shown(&case.id)));
        }
    }
    Ok(Returned { scores: ordered, cases })
}

/// Which split, in words.
fn on(split: Option<&str>) -> String {
    split.map_or_else(String::new, |split| format!(" on split `{split}`"))
}

/// A name that a guest chose, as far as a line of text has room for it.
fn shown(name: &str) -> String {
    let mut text: String = name.escape_debug().take(100).collect();
    if text.len() < name.len() && text.chars().count() == 100 {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::metric::{Direction, Metric};

    fn description(names: &[&str]) -> Description {
        let metric = |name: &&str| Metric {
            name: (*name).into(),
            title: (*name).into(),
            direction: Direction::Higher,
            unit: None,
            precision: 4,
        };
        Description {
            name: "s".into(),
            version: "1".into(),
            summary: String::new(),
            metrics: names.iter().map(metric).collect(),
            params_schema: "{}".into(),
        }
    }

    fn score(metric: &str, split: Option<&str>, value: f64) -> Score {
        Score { metric: metric.into(), split: split.map(Into::into), value }
    }

    fn tallied(names: &[&str], scores: Vec<Score>) -> Result<Vec<Score>, String> {
        tally(&description(names), Returned { scores, cases: vec![] }).map(|returned| returned.scores)
    }

    #[test]
    fn each_described_metric_once_for_each_split() {
        let (a, b) = (|split| score("a", split, 1.0), |split| score("b", split, 2.0));
        assert_eq!(tallied(&["a", "b"], vec![b(None), a(None)]), Ok(vec![a(None), b(None)]));
        let (x, y) = (Some("x"), Some("y"));
        assert_eq!(tallied(&["a", "b"], vec![b(y), b(x), a(y), a(x)]), Ok(vec![a(x), a(y), b(x), b(y)]));
        for (names, scores, word) in [
            (vec!["a"], vec![a(None), b(None)], "does not describe"),
            (vec!["a", "b"], vec![a(None)], "no score for it"),
            (vec!["a", "b"], vec![a(x), b(x), a(y)], "on split `y`"),
            (vec!["a"], vec![a(None), a(None)], "twice"),
            (vec!["a"], vec![a(None), a(x)], "beside"),
            (vec!["a"], vec![score("a", None, f64::NAN)], "finite"),
            (vec!["a"], vec![], "no scores"),
        ] {
            let error = tallied(&names, scores).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn splits_have_plain_names_and_are_few() {
        for bad in ["", "a@b", "a\"b", "a b", "a\nb", "ü", &"x".repeat(65)] {
            let error = tallied(&["a"], vec![score("a", Some(bad), 1.0)]).unwrap_err();
            assert!(error.contains("names no split") && !error.contains('\n') && error.len() < 300, "{error}");
        }
        let many = |most: usize| (0..most).map(|n| score("a", Some(&format!("s{n}")), 1.0)).collect::<Vec<_>>();
        assert_eq!(tallied(&["a"], many(MAX_SPLITS)).unwrap().len(), MAX_SPLITS);
        // Nothing outside bounds this loop, so it may not be one over all pairs.
        let error = tallied(&["a"], many(100_000)).unwrap_err();
        assert!(error.contains("more than 32 splits"), "{error}");
        let (names, split): (Vec<String>, _) = ((0..256).map(|n| format!("m{n}")).collect(), Some("x"));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let again: Vec<Score> = (0..400).flat_map(|_| names.iter().map(|name| score(name, split, 1.0))).collect();
        assert!(tallied(&names, again).unwrap_err().contains("twice on split `x`"));
    }

    #[test]
    fn problems_are_cut_and_counted() {
        let many = Problems { first: vec![Problems::one("x").first[0].clone(); 30], total: 7 };
        let cut = cut(many);
        assert_eq!((cut.first.len(), cut.total), (SHOWN_PROBLEMS, 30));
    }
}
