//! Metrics that need only counts: how often each label is true, is predicted, and is both.
//!
//! For a label: TP rows where it is both, FP where it is predicted only, FN where it is true only. Sources: scikit-learn's
//! user guide, "Classification metrics"; for the coefficient of Matthews with more than two labels J. Gorodkin,
//! *Comparing two K-category assignments by a K-category correlation coefficient*, Comput. Biol. Chem. 28, 2004.

use gradus_sdk::sum::{mean, sum};

use super::{Policy, Undefined};

/// Rows of a sample, counted by label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    rows: u64,
    labels: Vec<Label>,
    /// Averages run over all labels, not only over those that occur.
    all: bool,
}

/// One label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Label {
    both: u64,
    truth: u64,
    predicted: u64,
}

/// What is averaged over labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ratio {
    /// TP / (TP + FP), from 0 to 1; undefined for a label that is never predicted.
    Precision,
    /// TP / (TP + FN), from 0 to 1; undefined for a label that never is true.
    Recall,
    /// 2 TP / (2 TP + FP + FN), the harmonic mean of the two, from 0 to 1; undefined for a label that is neither.
    F1,
}

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Average {
    /// The mean over labels.
    Macro,
    /// The ratio of sums over labels.
    Micro,
    /// The mean over labels, each weighted by how many rows have it in truth.
    Weighted,
}

impl Counts {
    /// Counts (truth, predicted) of labels numbered below `labels`. `all`: averages run over all of these.
    pub fn new(labels: usize, all: bool, pairs: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut counts = Self { rows: 0, labels: vec![Label::default(); labels], all };
        for (truth, predicted) in pairs {
            counts.rows += 1;
            if let Some(label) = counts.labels.get_mut(truth) {
                label.truth += 1;
                label.both += u64::from(truth == predicted);
            }
            if let Some(label) = counts.labels.get_mut(predicted) {
                label.predicted += 1;
            }
        }
        counts
    }

    /// How many rows have that label in truth.
    pub(super) fn support(&self, label: usize) -> u64 {
        self.labels.get(label).map_or(0, |label| label.truth)
    }

    /// The share of rows whose label is predicted. From 0 to 1.
    ///
    /// # Errors
    /// There are no rows.
    pub fn accuracy(&self) -> Result<f64, Undefined> {
        quotient(self.total(|label| label.both), self.rows, "there are no rows", false)
    }

    /// The mean recall over the labels that are true of a row (scikit-learn: `balanced_accuracy_score`, unadjusted). From
    /// 0 to 1.
    ///
    /// # Errors
    /// There are no rows.
    pub fn balanced_accuracy(&self) -> Result<f64, Undefined> {
        let recalls = self.labels.iter().filter(|label| label.truth > 0);
        let none = Undefined { lacking: "there are no rows", by_predictions: false, usual: None };
        mean(recalls.map(|label| label.both as f64 / label.truth as f64)).ok_or(none)
    }

    /// A ratio for one label.
    ///
    /// # Errors
    /// Its denominator is zero.
    pub fn of(&self, ratio: Ratio, label: usize) -> Result<f64, Undefined> {
        let Label { both, truth, predicted } = self.labels.get(label).copied().unwrap_or_default();
        ratio.of(both, truth, predicted)
    }

    /// A ratio averaged over labels; `policy` holds for each of them.
    ///
    /// # Errors
    /// It is undefined for a label, and `policy` has no value for that.
    pub fn average(&self, ratio: Ratio, average: Average, policy: Policy) -> Result<f64, Undefined> {
        let occurs = |(_, label): &(usize, &Label)| self.all || label.truth + label.predicted > 0;
        let labels = self.labels.iter().enumerate().filter(occurs).map(|(at, label)| (at, label.truth));
        match average {
            Average::Macro | Average::Weighted => {
                averaged(labels, average, |label| policy.settle(self.of(ratio, label)))
            }
            Average::Micro => {
                let total = |count: fn(&Label) -> u64| self.total(count);
                policy.settle(ratio.of(total(|l| l.both), total(|l| l.truth), total(|l| l.predicted)))
            }
        }
    }

    /// The correlation coefficient of Matthews: (c·n − Σ tᵢpᵢ) / √((n² − Σ pᵢ²)(n² − Σ tᵢ²)), with c rows right of n, and
    /// label i true tᵢ and predicted pᵢ times. From −1 to 1; 0 is chance. Counted in whole numbers up to the root.
    ///
    /// # Errors
    /// All rows have one label in truth, or all are predicted the same.
    pub fn mcc(&self) -> Result<f64, Undefined> {
        let wide = |count: fn(&Label) -> (u64, u64)| -> i128 {
            self.labels.iter().map(count).map(|(a, b)| i128::from(a) * i128::from(b)).sum()
        };
        let rows = i128::from(self.rows);
        let cross = i128::from(self.total(|label| label.both)) * rows - wide(|label| (label.truth, label.predicted));
        let predicted = rows * rows - wide(|label| (label.predicted, label.predicted));
        let truth = rows * rows - wide(|label| (label.truth, label.truth));
        if truth == 0 || predicted == 0 {
            let lacking = if truth == 0 { "all true labels are the same" } else { "all predicted labels are the same" };
            return Err(Undefined { lacking, by_predictions: truth != 0, usual: Some(0.0) });
        }
        // The root of a product, as the root of a square is exact: a perfect prediction is exactly 1.
        Ok((cross as f64 / (truth as f64 * predicted as f64).sqrt()).clamp(-1.0, 1.0))
    }

    fn total(&self, count: fn(&Label) -> u64) -> u64 {
        self.labels.iter().map(count).sum()
    }
}

impl Ratio {
    fn of(self, both: u64, truth: u64, predicted: u64) -> Result<f64, Undefined> {
        match self {
            Self::Precision => quotient(both, predicted, "no row is predicted to have the label", true),
            Self::Recall => quotient(both, truth, "no row of the reference has the label", false),
            Self::F1 => quotient(2 * both, truth + predicted, "no row has the label, in truth or as predicted", false),
        }
    }
}

fn quotient(part: u64, whole: u64, lacking: &'static str, by_predictions: bool) -> Result<f64, Undefined> {
    if whole == 0 {
        return Err(Undefined { lacking, by_predictions, usual: Some(0.0) });
    }
    Ok(part as f64 / whole as f64)
}

/// The mean of `value` over (label, rows with that label in truth). Weighted, labels that no row has in truth are left
/// out, as they weigh nothing.
pub(super) fn averaged(
    labels: impl Iterator<Item = (usize, u64)>,
    average: Average,
    value: impl Fn(usize) -> Result<f64, Undefined>,
) -> Result<f64, Undefined> {
    let weight = |rows: u64| if average == Average::Weighted { rows } else { 1 };
    let mut weights = 0_u64;
    let mut terms = Vec::new();
    for (label, rows) in labels.filter(|(_, rows)| weight(*rows) > 0) {
        weights += weight(rows);
        terms.push(weight(rows) as f64 * value(label)?);
    }
    if weights == 0 {
        return Err(Undefined { lacking: "there are no rows", by_predictions: false, usual: Some(0.0) });
    }
    Ok(sum(terms) / weights as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(usize, usize)]) -> Counts {
        Counts::new(3, false, pairs.iter().copied())
    }

    #[test]
    fn by_hand() {
        // Label 0: 2 true, 1 right, 2 predicted. Label 1: 2 true, 1 right, 2 predicted. Label 2 does not occur.
        let counts = counts(&[(0, 0), (0, 1), (1, 1), (1, 0)]);
        assert_eq!((counts.accuracy(), counts.balanced_accuracy()), (Ok(0.5), Ok(0.5)));
        assert_eq!(counts.of(Ratio::F1, 0), Ok(0.5));
        assert_eq!(counts.mcc(), Ok(0.0));
        assert_eq!(counts.average(Ratio::F1, Average::Macro, Policy::Usual), Ok(0.5));
    }

    #[test]
    fn one_label_only() {
        let counts = counts(&[(1, 1), (1, 1)]);
        assert_eq!((counts.accuracy(), counts.balanced_accuracy()), (Ok(1.0), Ok(1.0)));
        let undefined = counts.mcc().unwrap_err();
        assert_eq!((undefined.by_predictions, undefined.usual), (false, Some(0.0)));
        assert_eq!(counts.average(Ratio::Recall, Average::Weighted, Policy::Invalid), Ok(1.0));
    }

    #[test]
    fn what_is_undefined_follows_the_policy() {
        // Label 1 is never predicted.
        let counts = counts(&[(0, 0), (1, 0)]);
        let undefined = counts.of(Ratio::Precision, 1).unwrap_err();
        assert!(undefined.by_predictions);
        assert!(counts.mcc().unwrap_err().by_predictions);
        let precision = |policy| counts.average(Ratio::Precision, Average::Macro, policy);
        assert_eq!(precision(Policy::Usual), Ok(0.25));
        assert_eq!(precision(Policy::Value(1.0)), Ok(0.75));
        assert_eq!(precision(Policy::Invalid), Err(undefined));
        assert!(!counts.of(Ratio::Recall, 2).unwrap_err().by_predictions);
    }

    #[test]
    fn declared_labels_are_averaged_even_if_absent() {
        let pairs = [(0, 0), (1, 1)];
        let all = Counts::new(4, true, pairs.into_iter());
        assert_eq!(all.average(Ratio::F1, Average::Macro, Policy::Usual), Ok(0.5));
    }

    #[test]
    fn large_counts_do_not_overflow() {
        let label = Label { both: 1 << 40, truth: 1 << 41, predicted: 1 << 41 };
        let counts = Counts { rows: 1 << 42, labels: vec![label; 2], all: false };
        assert_eq!(counts.mcc(), Ok(0.0));
    }
}
