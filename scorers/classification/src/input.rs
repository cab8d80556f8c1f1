//! The files: one table of predictions, one of reference data, perhaps a sample submission.
//!
//! Columns are those that the parameters name. What is wrong with the predictions is the participant's to read, line by
//! line; what is wrong with the reference data or the sample is the organizer's. Nothing is measured here.

mod predictions;
mod reference;

use gradus_sdk::table::{Index, Options, Table, TableReader, join, join_by_position, only};
use gradus_sdk::text::quoted;
use gradus_sdk::{Data, Failure, Problem, Problems};

use crate::params::{Probability, Settings};
use predictions::Predictions;
use reference::Reference;

/// Longest id, label or split name, in bytes: more is an essay, and there may be one in every row.
pub const LONGEST_CELL: usize = 256;

/// The rows of each split by name, or all under no name.
pub type Splits = Vec<(Option<String>, Vec<usize>)>;

/// Truth and predictions, row by row in the order of the reference data.
#[derive(Debug)]
pub struct Prepared {
    /// The labels: first those that the task knows, then what else was predicted.
    pub classes: Vec<String>,
    /// For each row, the place of the true label.
    pub truth: Vec<usize>,
    /// For each row, the place of the predicted label; nothing when no metric needs it.
    pub predicted: Option<Vec<usize>>,
    /// For each label that the task knows (or only for the positive one) the probability in each row.
    pub probabilities: Vec<Vec<f64>>,
    /// For each row, what its probabilities sum up to: 1 where the difference is none; nothing with one column.
    pub sums: Vec<f64>,
    /// The rows of each split by name, or all under no name.
    pub splits: Splits,
    /// A word for the participant, on what is allowed and yet looks like a mistake.
    pub remark: Option<String>,
}

impl Prepared {
    /// Reads and checks all files.
    ///
    /// # Errors
    /// What is wrong with the predictions, or else with the challenge.
    pub fn read(data: &Data, settings: &Settings) -> Result<Self, Failure> {
        let sampled = Template::open(data, settings, &Options::default())?.and_then(|template| template.labels);
        let reference = Reference::read(data, settings, sampled)?;
        let options =
            Options::default().columns(&settings.columns).cells(LONGEST_CELL).expecting(reference.table.len());
        let mut problems = Problems::new();
        let given = Predictions::read(data, settings, Some(&reference.labels), &options, &mut problems)?;
        let rows = match (&settings.id, given.id) {
            (Some(_), Some(id)) => join(&Index::new(&reference.table, reference.id), &given.table, id, &mut problems),
            (_, _) => join_by_position(&reference.table, &given.table, &mut problems),
        };
        problems.into_result()?;
        let mut classes = reference.labels;
        let known = classes.len();
        let predicted = given.label.map(|column| {
            let labels = rows.iter().map(|&row| given.table.cell(row, column));
            predictions::numbered(labels, &mut classes)
        });
        let stranger = |label: &usize| *label >= known;
        let remark = match (&predicted, given.label) {
            (Some(predicted), Some(column)) if predicted.iter().all(stranger) => {
                let label = quoted(given.table.cell(0, column));
                Some(format!("no row has a label of the task; {label} is none (labels are compared as text)"))
            }
            (_, _) => None,
        };
        let aligned = |column: Vec<f64>| rows.iter().filter_map(|&row| column.get(row).copied()).collect();
        let probabilities = given.probabilities.into_iter().map(aligned).collect();
        let (truth, sums, splits) = (reference.truth, aligned(given.sums), reference.splits);
        Ok(Self { classes, truth, predicted, probabilities, sums, splits, remark })
    }
}

/// The format check: columns, values, and the ids of the sample submission if there is one.
///
/// # Errors
/// What is wrong with the predictions, or else with the sample or the parameters.
pub fn check(data: &Data, settings: &Settings) -> Result<(), Failure> {
    let mut template = Template::open(data, settings, &Options::at_the_door())?;
    let sampled = template.as_mut().and_then(|template| template.labels.take());
    let labels = settings.labels.clone().or(sampled);
    let wanted = template.map(|template| template.read(settings)).transpose()?.filter(Table::is_whole);
    let options = Options::at_the_door().columns(&settings.columns).cells(LONGEST_CELL);
    let options = wanted.iter().fold(options, |options, wanted| options.expecting(wanted.len()));
    let mut problems = Problems::new();
    let given = Predictions::read(data, settings, labels.as_deref(), &options, &mut problems)?;
    match (wanted, given.id) {
        (Some(wanted), Some(id)) => drop(join(&Index::new(&wanted, 0), &given.table, id, &mut problems)),
        (Some(wanted), None) => drop(join_by_position(&wanted, &given.table, &mut problems)),
        (None, Some(id)) => Index::new(&given.table, id).duplicates(&mut problems),
        (None, None) => {}
    }
    problems.into_result()
}

/// The sample submission: its ids, and the labels that its columns of probabilities name.
struct Template<'d> {
    reader: TableReader<'d>,
    labels: Option<Vec<String>>,
}

impl<'d> Template<'d> {
    fn open(data: &'d Data, settings: &Settings, options: &Options) -> Result<Option<Self>, Failure> {
        if data.template().is_empty() {
            return Ok(None);
        }
        let file = only(data.template()).map_err(wrong_template)?;
        let reader = TableReader::open(file, &options.clone().columns(&settings.columns)).map_err(wrong_template)?;
        let labels = match &settings.probability {
            Some(Probability::PerLabel(prefix)) => Some(predictions::suffixes(reader.header(), prefix, settings)),
            Some(Probability::Positive(_)) | None => None,
        };
        Ok(Some(Self { reader, labels }))
    }

    fn read(self, settings: &Settings) -> Result<Table, Failure> {
        let id = settings.id.as_deref().map(|id| self.reader.column(id)).transpose().map_err(wrong_template)?;
        let mut problems = Problems::new();
        let table = self.reader.read(id.as_slice(), &mut problems);
        if id.is_some() {
            Index::new(&table, 0).duplicates(&mut problems);
        }
        match problems.first() {
            [problem, ..] => Err(wrong_template(problem.clone())),
            [] => Ok(table),
        }
    }
}

fn wrong_template(problem: Problem) -> Failure {
    Failure::challenge(format!("the sample submission (`template`): {problem}"))
}

#[cfg(test)]
mod tests;
