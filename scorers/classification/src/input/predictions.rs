//! The table of predictions: its columns and what may be in them.

use std::collections::BTreeMap;

use gradus_sdk::table::{Options, Table, TableReader, only};
use gradus_sdk::text::{listed, nearest, quoted};
use gradus_sdk::{Data, Failure, Problem, Problems};

use crate::params::{Probability, Settings};

/// How far from 1 the probabilities of a row may sum up to: a few of them, rounded to three decimal places, pass.
const SUM_TOLERANCE: f64 = 1e-3;

/// Beyond this distance the sum is not that of probabilities: √ε of 64-bit floats, from where on scikit-learn warns.
const SUM_EXACT: f64 = 1.490_116_119_384_765_6e-8;

/// Predictions, checked but not joined.
pub(super) struct Predictions {
    /// The columns that are needed, in this order: id, label.
    pub(super) table: Table,
    /// Where in `table` the id is, if rows are joined on one.
    pub(super) id: Option<usize>,
    /// Where in `table` the label is, if a metric needs it.
    pub(super) label: Option<usize>,
    /// The columns of probabilities: in the order of the labels where those are known.
    pub(super) probabilities: Vec<Vec<f64>>,
    /// What the probabilities of each row sum up to, where there is a column for each label.
    pub(super) sums: Vec<f64>,
}

impl Predictions {
    /// Reads them. `labels` are those that the task knows, if it does.
    ///
    /// # Errors
    /// What keeps the rows from being read at all; what is wrong with rows goes to `problems`.
    pub(super) fn read(
        data: &Data,
        settings: &Settings,
        labels: Option<&[String]>,
        options: &Options,
        problems: &mut Problems,
    ) -> Result<Self, Failure> {
        let reader = TableReader::open(only(data.predictions())?, options)?;
        let mut places = Vec::new();
        let mut missing = Problems::new();
        let mut want = |name: &str| match reader.column(name) {
            Ok(place) => {
                places.push(place);
                Some(places.len() - 1)
            }
            Err(problem) => {
                missing.push(problem);
                None
            }
        };
        let id = settings.id.as_deref().and_then(&mut want);
        let label = settings.prediction.as_deref().and_then(&mut want);
        let names = probability_columns(settings, labels, reader.header());
        let probabilities: Vec<_> = names.iter().filter_map(|name| want(name)).collect();
        if let (Some(Probability::PerLabel(prefix)), Some(labels)) = (&settings.probability, labels) {
            for label in suffixes(reader.header(), prefix, settings).iter().filter(|label| !labels.contains(label)) {
                let (column, label) = (quoted(&format!("{prefix}{label}")), quoted(label));
                let message = format!("column {column}: there is no label {label}");
                missing.push(Problem::new(message).file(only(data.predictions())?.path()).line(1));
            }
        }
        if matches!(settings.probability, Some(Probability::PerLabel(_))) && names.len() < 2 {
            let message = format!(
                "no columns of probabilities; name them {} and so on",
                quoted(&format!("{}a", prefix_of(settings)))
            );
            missing.push(Problem::new(message).file(only(data.predictions())?.path()).line(1));
        }
        missing.into_result()?;
        let table = reader.read(&places, problems);
        if let Some(label) = label {
            check_labels(&table, label, settings, problems);
        }
        let columns: Vec<_> = probabilities.iter().map(|&at| table.numbers(at, 0.0..=1.0, problems)).collect();
        let sums = match settings.probability {
            Some(Probability::PerLabel(_)) => sums(&table, &columns, problems),
            Some(Probability::Positive(_)) | None => vec![],
        };
        Ok(Self { table, id, label, probabilities: columns, sums })
    }
}

fn prefix_of(settings: &Settings) -> &str {
    match &settings.probability {
        Some(Probability::PerLabel(prefix)) => prefix,
        Some(Probability::Positive(_)) | None => "",
    }
}

/// The names of the columns of probabilities: of the labels that are known, or else of those in the header.
fn probability_columns(settings: &Settings, labels: Option<&[String]>, header: &[String]) -> Vec<String> {
    match &settings.probability {
        None => vec![],
        Some(Probability::Positive(name)) => vec![name.clone()],
        Some(Probability::PerLabel(prefix)) => {
            let found = suffixes(header, prefix, settings);
            labels.unwrap_or(&found).iter().map(|label| format!("{prefix}{label}")).collect()
        }
    }
}

/// What follows `prefix` in the columns that begin with it and are for nothing else, in their order.
pub(super) fn suffixes(header: &[String], prefix: &str, settings: &Settings) -> Vec<String> {
    header
        .iter()
        .filter(|name| !settings.names_another(name))
        .filter_map(|name| name.strip_prefix(prefix))
        .filter(|rest| !rest.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Every label says something, and is a declared one where labels are declared.
fn check_labels(table: &Table, column: usize, settings: &Settings, problems: &mut Problems) {
    let declared = settings.labels.as_deref();
    for row in 0..table.len() {
        let label = table.cell(row, column);
        match declared {
            Some(labels) if !labels.iter().any(|known| known == label) => problems.push_with(|| {
                let names = || labels.iter().map(String::as_str);
                let near = nearest(label, names()).map(|near| format!(" (did you mean {}?)", quoted(near)));
                let (label, near, names) = (quoted(label), near.unwrap_or_default(), listed(names()));
                table.problem(row, format!("{label} is no label{near}; the labels are {names}"))
            }),
            None if label.is_empty() => problems.push_with(|| {
                let column = quoted(settings.prediction.as_deref().unwrap_or_default());
                table.problem(row, format!("column {column} is empty; a label is needed"))
            }),
            Some(_) | None => {}
        }
    }
}

/// What the probabilities of each row sum up to, which must be about 1; exactly 1 where only rounding tells it from that.
fn sums(table: &Table, columns: &[Vec<f64>], problems: &mut Problems) -> Vec<f64> {
    let sum = |row: usize| {
        let sum = gradus_sdk::sum(columns.iter().filter_map(|column| column.get(row).copied()));
        let off = (sum - 1.0).abs();
        // 0.333 + 0.333 + 0.333 is further from 1 by a rounding.
        if off > SUM_TOLERANCE + SUM_EXACT {
            let message = || format!("the probabilities sum up to {sum:.4}; they must sum up to 1 (±{SUM_TOLERANCE})");
            problems.push_with(|| table.problem(row, message()));
        }
        if off > SUM_EXACT { sum } else { 1.0 }
    };
    (0..table.len()).map(sum).collect()
}

/// The place of each label in `classes`; those that are not there yet are added, in the order of their text.
pub(super) fn numbered<'t>(labels: impl Iterator<Item = &'t str> + Clone, classes: &mut Vec<String>) -> Vec<usize> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for label in labels.clone() {
        places.entry(label).or_insert(usize::MAX);
    }
    let known: BTreeMap<&str, usize> = classes.iter().enumerate().map(|(at, label)| (label.as_str(), at)).collect();
    let mut new = Vec::new();
    for (label, place) in &mut places {
        *place = known.get(label).copied().unwrap_or_else(|| {
            new.push((*label).to_owned());
            known.len() + new.len() - 1
        });
    }
    let numbered = labels.map(|label| places.get(label).copied().unwrap_or(usize::MAX)).collect();
    classes.append(&mut new);
    numbered
}
