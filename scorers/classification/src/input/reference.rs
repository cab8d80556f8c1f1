//! The reference data: the true label of each row, its split, and the labels that there are.

use std::collections::{BTreeMap, BTreeSet};

use gradus_sdk::table::{Index, Options, Table, TableReader, only};
use gradus_sdk::text::{listed, quoted};
use gradus_sdk::{Data, Failure, Problem, Problems};

use super::predictions::numbered;
use super::{LONGEST_CELL, Splits};
use crate::params::Settings;

/// The column that names splits when the parameters name none.
const SPLIT: &str = "split";

/// More splits than this are a column that is none.
const MOST_SPLITS: usize = 16;

/// Reference data, checked.
pub(super) struct Reference {
    pub(super) table: Table,
    /// Where in `table` the id is; meaningful if rows are joined on one.
    pub(super) id: usize,
    /// The labels that there are: declared, or named by the sample submission, or those that occur, sorted.
    pub(super) labels: Vec<String>,
    /// For each row, the place of its label.
    pub(super) truth: Vec<usize>,
    /// The rows of each split by name, or all under no name.
    pub(super) splits: Splits,
}

impl Reference {
    /// Reads them. `sampled` are the labels that the sample submission has columns for.
    pub(super) fn read(data: &Data, settings: &Settings, sampled: Option<Vec<String>>) -> Result<Self, Failure> {
        let wrong = |problem: &Problem| Failure::challenge(format!("reference data: {problem}"));
        let file = only(data.reference()).map_err(|problem| wrong(&problem))?;
        let options = Options::default().columns(&settings.reference_columns).cells(LONGEST_CELL);
        let reader = TableReader::open(file, &options).map_err(|problem| wrong(&problem))?;
        let taken = [settings.id.as_deref(), Some(settings.target.as_str())];
        let by_default = || reader.header().iter().any(|name| name == SPLIT) && !taken.contains(&Some(SPLIT));
        let split = settings.split.as_deref().or_else(|| by_default().then_some(SPLIT));
        let names = [Some(settings.target.as_str()), settings.id.as_deref(), split];
        let places: Result<Vec<usize>, Problem> = names.iter().flatten().map(|name| reader.column(name)).collect();
        let mut problems = Problems::new();
        let table = reader.read(&places.map_err(|problem| wrong(&problem))?, &mut problems);
        if settings.id.is_some() {
            Index::new(&table, 1).duplicates(&mut problems);
        }
        for row in (0..table.len()).filter(|&row| table.cell(row, 0).is_empty()) {
            problems.push_with(|| table.problem(row, format!("column {} is empty", quoted(&settings.target))));
        }
        if table.is_empty() {
            problems.push(Problem::new("there are no rows").file(table.path()));
        }
        if let Some(problem) = problems.first().first() {
            let more = match problems.total() {
                1 => String::new(),
                total => format!(" (the first of {total} problems)"),
            };
            return Err(Failure::challenge(format!("reference data: {problem}{more}")));
        }
        let (labels, truth) = labels(&table, settings, sampled)?;
        let column = 1 + usize::from(settings.id.is_some());
        let splits = if split.is_some() { splits(&table, column)? } else { vec![(None, (0..table.len()).collect())] };
        Ok(Self { table, id: 1, labels, truth, splits })
    }
}

fn labels(
    table: &Table,
    settings: &Settings,
    sampled: Option<Vec<String>>,
) -> Result<(Vec<String>, Vec<usize>), Failure> {
    let source = if settings.labels.is_some() { "`labels`" } else { "the sample submission's columns" };
    let declared = settings.labels.clone().or(sampled);
    let mut labels = declared.clone().unwrap_or_default();
    let truth = numbered((0..table.len()).map(|row| table.cell(row, 0)), &mut labels);
    if let Some(declared) = &declared
        && let Some(row) = truth.iter().position(|&label| label >= declared.len())
    {
        let (label, names) = (quoted(table.cell(row, 0)), listed(declared.iter().map(String::as_str)));
        let problem = table.problem(row, format!("{label} is not one of {source}: {names}"));
        return Err(Failure::challenge(format!("reference data: {problem}")));
    }
    if let Some(positive) = settings.positive.as_ref().filter(|positive| !labels.contains(positive)) {
        let (positive, names) = (quoted(positive), listed(labels.iter().map(String::as_str)));
        let message =
            format!("params `positive`: no row of the reference data has {positive}; their labels are {names}");
        return Err(Failure::challenge(message));
    }
    Ok((labels, truth))
}

fn splits(table: &Table, column: usize) -> Result<Splits, Failure> {
    let names: BTreeSet<&str> = (0..table.len()).map(|row| table.cell(row, column)).collect();
    let plain = |name: &str| {
        (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    if let Some(row) = (0..table.len()).find(|&row| !plain(table.cell(row, column))) {
        let what = format!("{} names no split; write 1 to 32 of a-z A-Z 0-9 _ -", quoted(table.cell(row, column)));
        return Err(Failure::challenge(format!("reference data: {}", table.problem(row, what))));
    }
    if names.len() > MOST_SPLITS {
        let message =
            format!("reference data: {} splits; at most {MOST_SPLITS}, such as public and private", names.len());
        return Err(Failure::challenge(message));
    }
    let mut rows: BTreeMap<&str, Vec<usize>> = names.into_iter().map(|name| (name, Vec::new())).collect();
    for row in 0..table.len() {
        if let Some(rows) = rows.get_mut(table.cell(row, column)) {
            rows.push(row);
        }
    }
    Ok(rows.into_iter().map(|(name, rows)| (Some(name.to_owned()), rows)).collect())
}
