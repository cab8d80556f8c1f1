//! Stock scorer `classification`: how well labels, or probabilities of labels, were predicted.
//!
//! The parameters are described in [`params`], the files in [`input`], the metrics, with formula, source and range, in
//! [`metrics`]. What a metric is where its formula divides by zero is the parameter `undefined`; see
//! [`metrics::Policy`]. Labels are compared as text. With a `split` column in the reference data each metric is reported
//! once for each split, and not over all. The confusion matrix is attached for organizers.
//!
//! It does not round, does not rank and does not guess: labels are never made from probabilities.

mod confusion;
pub mod input;
pub mod metrics;
pub mod params;

use gradus_sdk::{Audience, Data, Description, Failure, Feedback, Params, Report, Scorer};

use input::Prepared;
use metrics::Sample;
use params::Settings;

/// The scorer.
#[derive(Debug)]
pub struct Classification;

impl Scorer for Classification {
    fn describe(params: &Params) -> Result<Description, String> {
        let settings = Settings::read(params)?;
        let summary = "Metrics of classification, from labels or probabilities in a table.";
        let description = Description::new("classification", env!("CARGO_PKG_VERSION"), summary).schema(params::SCHEMA);
        Ok(settings.metrics.iter().fold(description, |description, metric| description.metric(metric.describe())))
    }

    fn validate(data: &Data, _: &mut Feedback) -> Result<(), Failure> {
        let settings = Settings::read(data.params()).map_err(Failure::challenge)?;
        input::check(data, &settings)
    }

    fn score(data: &Data, feedback: &mut Feedback) -> Result<Report, Failure> {
        let settings = Settings::read(data.params()).map_err(Failure::challenge)?;
        let prepared = Prepared::read(data, &settings)?;
        if let Some(remark) = &prepared.remark {
            feedback.note(Audience::Participant, remark);
        }
        let mut values = vec![Vec::new(); settings.metrics.len()];
        for (split, rows) in &prepared.splits {
            let sample = Sample::new(&prepared, rows, &settings);
            for (metric, values) in settings.metrics.iter().zip(&mut values) {
                let value = metric.measure(&sample, settings.undefined);
                let value = value.map_err(|undefined| {
                    if let Some(split) = split {
                        // The participant is not told: which rows are in which split is a secret.
                        let what = format!("`{}` is undefined in split `{split}`", metric.name());
                        feedback.note(Audience::Organizer, format!("{what}: {}", undefined.lacking));
                    }
                    undefined.failure(*metric)
                });
                values.push((split, value?));
            }
            attach_confusion(&prepared, rows, split.as_deref(), feedback);
        }
        let mut report = Report::new();
        for (metric, values) in settings.metrics.iter().zip(values) {
            for (split, value) in values {
                report = match split {
                    Some(split) => report.split_score(metric.name(), split.as_str(), value),
                    None => report.score(metric.name(), value),
                };
            }
        }
        Ok(report)
    }
}

gradus_sdk::export!(Classification);

/// Attaches the confusion matrix, where labels were predicted. An attachment that the host has no room for does not
/// cost the score.
fn attach_confusion(prepared: &Prepared, rows: &[usize], split: Option<&str>, feedback: &mut Feedback) {
    let Some(predicted) = &prepared.predicted else { return };
    let name = split.map_or("confusion.csv".to_owned(), |split| format!("confusion-{split}.csv"));
    let attached = confusion::csv(&prepared.classes, &prepared.truth, predicted, rows)
        .and_then(|csv| feedback.attach(Audience::Organizer, &name, "text/csv", csv.as_bytes()));
    if let Err(why) = attached {
        feedback.note(Audience::Organizer, format!("no {name}: {why}"));
    }
}
