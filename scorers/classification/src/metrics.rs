//! The metrics: their names, what each needs, and what is done where a formula divides by zero.
//!
//! Formulas are in the modules, one for each family. They work on counts and columns; none reads a file.

pub mod auc;
pub mod counts;
pub mod log_loss;

use gradus_sdk::{Failure, Problem};
use serde::de::{Deserialize, Deserializer, Error};

use crate::input::Prepared;
use crate::params::{Probability, Settings};
use counts::{Average, Counts, Ratio};

/// A metric that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// [`Counts::accuracy`].
    Accuracy,
    /// [`Counts::balanced_accuracy`].
    BalancedAccuracy,
    /// Precision, recall or F1 of the positive label: [`Counts::of`].
    Binary(Ratio),
    /// Precision, recall or F1 averaged over labels: [`Counts::average`].
    Averaged(Ratio, Average),
    /// [`Counts::mcc`].
    Mcc,
    /// [`auc::auc`] of the positive label against the rest.
    RocAuc,
    /// The mean of [`auc::auc`] of each label against the rest: plain, or weighted by how frequent the label is.
    RocAucOvr(Average),
    /// [`log_loss`].
    LogLoss,
}

/// All of them with name and title, in the order in which they are reported when none is named.
const ALL: [(Metric, &str, &str); 19] = [
    (Metric::Accuracy, "accuracy", "Accuracy"),
    (Metric::BalancedAccuracy, "balanced_accuracy", "Balanced accuracy"),
    (Metric::Binary(Ratio::Precision), "precision", "Precision"),
    (Metric::Averaged(Ratio::Precision, Average::Macro), "precision_macro", "Precision (macro)"),
    (Metric::Averaged(Ratio::Precision, Average::Micro), "precision_micro", "Precision (micro)"),
    (Metric::Averaged(Ratio::Precision, Average::Weighted), "precision_weighted", "Precision (weighted)"),
    (Metric::Binary(Ratio::Recall), "recall", "Recall"),
    (Metric::Averaged(Ratio::Recall, Average::Macro), "recall_macro", "Recall (macro)"),
    (Metric::Averaged(Ratio::Recall, Average::Micro), "recall_micro", "Recall (micro)"),
    (Metric::Averaged(Ratio::Recall, Average::Weighted), "recall_weighted", "Recall (weighted)"),
    (Metric::Binary(Ratio::F1), "f1", "F1"),
    (Metric::Averaged(Ratio::F1, Average::Macro), "f1_macro", "F1 (macro)"),
    (Metric::Averaged(Ratio::F1, Average::Micro), "f1_micro", "F1 (micro)"),
    (Metric::Averaged(Ratio::F1, Average::Weighted), "f1_weighted", "F1 (weighted)"),
    (Metric::Mcc, "mcc", "Matthews correlation"),
    (Metric::RocAuc, "roc_auc", "ROC AUC"),
    (Metric::RocAucOvr(Average::Macro), "roc_auc_ovr", "ROC AUC (one vs rest)"),
    (Metric::RocAucOvr(Average::Weighted), "roc_auc_ovr_weighted", "ROC AUC (one vs rest, weighted)"),
    (Metric::LogLoss, "log_loss", "Log loss"),
];

/// The names, for the message on one that is none.
static NAMES: [&str; ALL.len()] = {
    let mut names = [""; ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        names[at] = ALL[at].1;
        at += 1;
    }
    names
};

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        let found = ALL.iter().find(|(_, known, _)| *known == name).map(|(metric, _, _)| *metric);
        found.ok_or_else(|| D::Error::unknown_variant(&name, &NAMES))
    }
}

/// What a metric needs of the parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// A column of labels.
    pub labels: bool,
    /// Probabilities.
    pub probabilities: bool,
    /// Probabilities of every label.
    pub all_probabilities: bool,
    /// The label that it is about.
    pub positive: bool,
}

impl Metric {
    /// All of them, in the order in which they are reported when none is named.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.iter().map(|(metric, _, _)| *metric)
    }

    /// Its name, in parameters and reports.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(metric, _, _)| *metric == self).map_or("", |(_, name, _)| name)
    }

    /// How it is shown: to four decimal places; only of the log loss is less better.
    pub fn describe(self) -> gradus_sdk::Metric {
        let title = ALL.iter().find(|(metric, _, _)| *metric == self).map_or("", |(_, _, title)| title);
        let shown = if self == Self::LogLoss { gradus_sdk::Metric::lower } else { gradus_sdk::Metric::higher };
        shown(self.name().to_owned()).title(title)
    }

    /// What it needs of the parameters.
    pub fn needs(self) -> Needs {
        let labels = Needs { labels: true, ..Needs::default() };
        let probabilities = Needs { probabilities: true, ..Needs::default() };
        match self {
            Self::Accuracy | Self::BalancedAccuracy | Self::Averaged(..) | Self::Mcc => labels,
            Self::Binary(_) => Needs { positive: true, ..labels },
            Self::RocAuc => Needs { positive: true, ..probabilities },
            Self::RocAucOvr(_) => Needs { all_probabilities: true, ..probabilities },
            Self::LogLoss => probabilities,
        }
    }

    /// Its value over a sample.
    ///
    /// # Errors
    /// It is undefined there, and `policy` has no value for that.
    pub fn measure(self, sample: &Sample<'_>, policy: Policy) -> Result<f64, Undefined> {
        let counts = &sample.counts;
        match self {
            Self::Accuracy => policy.settle(counts.accuracy()),
            Self::BalancedAccuracy => policy.settle(counts.balanced_accuracy()),
            Self::Binary(ratio) => policy.settle(counts.of(ratio, sample.positive)),
            Self::Averaged(ratio, average) => counts.average(ratio, average, policy),
            Self::Mcc => policy.settle(counts.mcc()),
            Self::RocAuc => policy.settle(sample.auc()),
            Self::RocAucOvr(average) => sample.auc_one_vs_rest(average, policy),
            Self::LogLoss => policy.settle(sample.log_loss()),
        }
    }
}

/// What the parameter `undefined` says of a value whose formula divides by zero.
///
/// | | precision, recall, F1, MCC | ROC AUC |
/// | --- | --- | --- |
/// | not set | 0, as in scikit-learn | the challenge is invalid |
/// | a number | that number | that number |
/// | `"invalid"` | the submission is invalid; if the reference alone is the cause, the challenge is | the challenge is invalid |
///
/// In an average over labels it holds for each label. Accuracy, balanced accuracy and log loss are always defined.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Policy {
    /// Each metric's own value.
    #[default]
    Usual,
    /// This value.
    Value(f64),
    /// No value: nothing is scored.
    Invalid,
}

/// A value whose formula divides by zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Undefined {
    /// What is lacking.
    pub lacking: &'static str,
    /// Whether the predictions could have made it defined.
    pub by_predictions: bool,
    /// The value that it has by default.
    pub usual: Option<f64>,
}

impl Policy {
    /// The value, or what stands for it.
    ///
    /// # Errors
    /// Nothing stands for it.
    pub fn settle(self, value: Result<f64, Undefined>) -> Result<f64, Undefined> {
        value.or_else(|undefined| match self {
            Self::Usual => undefined.usual.ok_or(undefined),
            Self::Value(value) => Ok(value),
            Self::Invalid => Err(undefined),
        })
    }
}

impl Undefined {
    /// Whose fault it is that there is no value, in words that name no split.
    pub fn failure(&self, metric: Metric) -> Failure {
        let what = format!("`{}` is undefined: {}", metric.name(), self.lacking);
        if self.by_predictions {
            Failure::submission(Problem::new(what))
        } else {
            Failure::challenge(format!("{what}; set `undefined` to a number, or change the reference data"))
        }
    }
}

/// Some rows, ready to be measured.
#[derive(Debug)]
pub struct Sample<'p> {
    prepared: &'p Prepared,
    rows: &'p [usize],
    counts: Counts,
    /// The positive label's place among the labels.
    positive: usize,
    one_column: bool,
}

impl<'p> Sample<'p> {
    /// Gathers what the metrics need of `rows`.
    pub fn new(prepared: &'p Prepared, rows: &'p [usize], settings: &Settings) -> Self {
        let of = |column: &[usize], row: usize| column.get(row).copied().unwrap_or(usize::MAX);
        let predicted = prepared.predicted.as_deref();
        let pairs = rows.iter().map(|&row| {
            let truth = of(&prepared.truth, row);
            (truth, predicted.map_or(truth, |predicted| of(predicted, row)))
        });
        let counts = Counts::new(prepared.classes.len(), settings.labels.is_some(), pairs);
        let is_positive = |label: &String| Some(label) == settings.positive.as_ref();
        let positive = prepared.classes.iter().position(is_positive).unwrap_or(usize::MAX);
        let one_column = matches!(settings.probability, Some(Probability::Positive(_)));
        Self { prepared, rows, counts, positive, one_column }
    }

    /// For each row, whether its label is `class`, and the probability in `column`.
    fn scored(&self, class: usize, column: usize) -> impl Iterator<Item = (bool, f64)> {
        let column = self.prepared.probabilities.get(column).map_or(&[][..], Vec::as_slice);
        let value = move |row: &usize| Some((self.prepared.truth.get(*row)? == &class, *column.get(*row)?));
        self.rows.iter().filter_map(value)
    }

    fn auc(&self) -> Result<f64, Undefined> {
        auc::auc(self.scored(self.positive, if self.one_column { 0 } else { self.positive }))
    }

    /// The mean over labels of the AUC of each against the rest (scikit-learn: `multi_class="ovr"`). Weighted, a label
    /// that no row has weighs nothing.
    fn auc_one_vs_rest(&self, average: Average, policy: Policy) -> Result<f64, Undefined> {
        let one = |class: usize| policy.settle(auc::auc(self.scored(class, class)));
        counts::averaged(
            (0..self.prepared.probabilities.len()).map(|class| (class, self.counts.support(class))),
            average,
            one,
        )
    }

    fn log_loss(&self) -> Result<f64, Undefined> {
        let given_to_truth = |row: &usize| {
            let truth = *self.prepared.truth.get(*row)?;
            let at = |column: usize| self.prepared.probabilities.get(column)?.get(*row).copied();
            match (self.one_column, truth == self.positive) {
                (true, true) => at(0),
                (true, false) => at(0).map(|positive| 1.0 - positive),
                (false, _) => Some(at(truth)? / self.prepared.sums.get(*row)?),
            }
        };
        log_loss::log_loss(self.rows.iter().filter_map(given_to_truth))
    }
}
