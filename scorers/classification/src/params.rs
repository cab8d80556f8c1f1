//! The parameters: what `challenge.toml` may say, checked as a whole.
//!
//! | key | meaning | without it |
//! | --- | --- | --- |
//! | `id` | column on which rows are joined | rows are joined by position |
//! | `target` | column of the reference with the true labels | `target` |
//! | `prediction` | column with the predicted labels | `prediction`, if there is no `probability` either |
//! | `probability` | column with the probability of `positive`, or `p_*` for one column per label: these sum up to 1 (±0.001), and the log loss alone divides them by their sum | none |
//! | `positive` | the label that `precision`, `recall`, `f1`, `roc_auc` are about | these are not available |
//! | `labels` | all labels there are; averages run over all of these | those that occur |
//! | `metrics` | what to report, in order | what the columns allow |
//! | `undefined` | a number, or `"invalid"`: see [`Policy`] | each metric's own |
//! | `columns` | names of the columns of predictions without a header | they have one |
//! | `reference_columns` | the same for the reference data | they have one |
//! | `split` | column of the reference that names each row's split | `split`, if there is one |
//!
//! What is wrong with them is the organizer's to read: it names the key.

mod columns;
mod value;

use gradus_sdk::Params;
use gradus_sdk::text::{listed, quoted};

use crate::input::LONGEST_CELL;
use crate::metrics::counts::{Average, Ratio};
use crate::metrics::{Metric, Needs, Policy};
use value::Label;

/// JSON Schema of the parameters.
pub const SCHEMA: &str = include_str!("params/schema.json");

/// The parameters as they are written.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    id: Option<String>,
    target: Option<String>,
    prediction: Option<String>,
    probability: Option<String>,
    positive: Option<Label>,
    labels: Option<Vec<Label>>,
    metrics: Option<Vec<Metric>>,
    undefined: Policy,
    columns: Vec<String>,
    reference_columns: Vec<String>,
    split: Option<String>,
}

/// Where the probabilities are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probability {
    /// One column, for the positive label.
    Positive(String),
    /// One column for each label: this, followed by the label.
    PerLabel(String),
}

/// The parameters, checked. A column is set only if a metric needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Column on which rows are joined.
    pub id: Option<String>,
    /// Column with the true labels.
    pub target: String,
    /// Column with the predicted labels.
    pub prediction: Option<String>,
    /// Columns with the probabilities.
    pub probability: Option<Probability>,
    /// The label that binary metrics are about.
    pub positive: Option<String>,
    /// All labels, if they are declared.
    pub labels: Option<Vec<String>>,
    /// What to report, in order; never empty.
    pub metrics: Vec<Metric>,
    /// What an undefined value is.
    pub undefined: Policy,
    /// Names for predictions without a header.
    pub columns: Vec<String>,
    /// Names for reference data without a header.
    pub reference_columns: Vec<String>,
    /// Column that names the splits.
    pub split: Option<String>,
}

impl Settings {
    /// Reads and checks them.
    ///
    /// # Errors
    /// A sentence that names the key, what is wrong, and what is allowed.
    pub fn read(params: &Params) -> Result<Self, String> {
        let written: Written = params.parse()?;
        let probability = written.probability.map(probability).transpose()?;
        let default = || probability.is_none().then(|| "prediction".to_owned());
        let mut settings = Self {
            id: written.id,
            target: written.target.unwrap_or_else(|| "target".to_owned()),
            prediction: written.prediction.or_else(default),
            probability,
            positive: written.positive.map(|label| label.0),
            labels: written.labels.map(|labels| labels.into_iter().map(|label| label.0).collect()),
            metrics: vec![],
            undefined: written.undefined,
            columns: written.columns,
            reference_columns: written.reference_columns,
            split: written.split,
        };
        settings.check_labels()?;
        settings.metrics = match written.metrics {
            Some(metrics) => settings.checked(metrics)?,
            None => Metric::all().filter(|metric| settings.by_default(*metric)).collect(),
        };
        let needs = |need: fn(Needs) -> bool| settings.metrics.iter().any(|metric| need(metric.needs()));
        let (labels, probabilities) = (needs(|needs| needs.labels), needs(|needs| needs.probabilities));
        settings.prediction = settings.prediction.filter(|_| labels);
        settings.probability = settings.probability.filter(|_| probabilities);
        columns::check(&settings)?;
        Ok(settings)
    }

    /// Whether a column of predictions is for an id or a label, and so for no probability.
    pub fn names_another(&self, column: &str) -> bool {
        [&self.id, &self.prediction].into_iter().flatten().any(|name| name == column)
    }

    fn check_labels(&self) -> Result<(), String> {
        if let Some(labels) = &self.labels {
            if labels.len() < 2 {
                return Err("params `labels`: name two labels at least".to_owned());
            }
            if let Some(long) = labels.iter().find(|label| label.len() > LONGEST_CELL) {
                let (label, bytes) = (quoted(long), long.len());
                return Err(format!("params `labels`: {label} has {bytes} bytes, and {LONGEST_CELL} are the most"));
            }
            if let Some((_, twice)) =
                labels.iter().enumerate().find(|(at, label)| labels.iter().take(*at).any(|l| l == *label))
            {
                return Err(format!("params `labels`: {} is there twice", quoted(twice)));
            }
            if let Some(positive) = self.positive.as_ref().filter(|positive| !labels.contains(positive)) {
                let (positive, labels) = (quoted(positive), listed(labels.iter().map(String::as_str)));
                return Err(format!("params `positive`: {positive} is not one of `labels`: {labels}"));
            }
        }
        if self.positive.is_none() && matches!(self.probability, Some(Probability::Positive(_))) {
            let what = "one column holds the probability of one label: name that in `positive`, or write `p_*` for one \
                        column per label";
            return Err(format!("params `probability`: {what}"));
        }
        Ok(())
    }

    fn checked(&self, metrics: Vec<Metric>) -> Result<Vec<Metric>, String> {
        if metrics.is_empty() {
            return Err("params `metrics`: name one at least, or leave the key out".to_owned());
        }
        for (at, metric) in metrics.iter().enumerate() {
            if metrics.iter().take(at).any(|earlier| earlier == metric) {
                return Err(format!("params `metrics`: `{}` is there twice", metric.name()));
            }
            self.can(*metric).map_err(|key| format!("params `metrics`: `{}` needs {key}", metric.name()))?;
        }
        Ok(metrics)
    }

    /// Whether a metric can be measured, or the key that it lacks.
    fn can(&self, metric: Metric) -> Result<(), &'static str> {
        let needs = metric.needs();
        if needs.labels && self.prediction.is_none() {
            return Err("`prediction`, a column of labels");
        }
        if needs.probabilities && self.probability.is_none() {
            return Err("`probability`, a column or a `p_*`");
        }
        if needs.all_probabilities && !matches!(self.probability, Some(Probability::PerLabel(_))) {
            return Err("`probability` with one column per label, such as `p_*`");
        }
        if needs.positive && self.positive.is_none() {
            return Err("`positive`, the label that it is about");
        }
        Ok(())
    }

    /// Whether a metric is reported when none is named: the usual ones that can be measured.
    fn by_default(&self, metric: Metric) -> bool {
        let two = self.positive.is_some();
        let usual = match metric {
            Metric::Accuracy | Metric::BalancedAccuracy | Metric::Mcc | Metric::LogLoss => true,
            Metric::Binary(_) | Metric::RocAuc => two,
            Metric::Averaged(ratio, average) => !two && ratio == Ratio::F1 && average == Average::Macro,
            Metric::RocAucOvr(average) => !two && average == Average::Macro,
        };
        usual && self.can(metric).is_ok()
    }
}

fn probability(pattern: String) -> Result<Probability, String> {
    match pattern.split_once('*') {
        None if !pattern.is_empty() => Ok(Probability::Positive(pattern)),
        Some((prefix, "")) if !prefix.is_empty() => Ok(Probability::PerLabel(prefix.to_owned())),
        Some(_) | None => {
            let what = "write a column's name, or a beginning and `*`, such as `p_*`";
            Err(format!("params `probability`: {} is neither; {what}", quoted(&pattern)))
        }
    }
}

#[cfg(test)]
mod tests;
