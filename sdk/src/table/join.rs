//! Lining two tables up: on an id, or by position.
//!
//! By sorting and not by hashing: files mostly come sorted, which is then one pass, and no input makes it slow.

use std::cmp::Ordering;

use super::Table;
use crate::problem::{Problem, Problems};
use crate::text::{counted, quoted};

/// No row.
const NONE: u32 = u32::MAX;

/// The rows of a table by the text of one column.
#[derive(Debug)]
pub struct Index<'t> {
    table: &'t Table,
    column: usize,
    /// Rows by id, then by place. Shorter ids come first, as then 1, 2, … 10 are in order already.
    order: Vec<u32>,
}

impl<'t> Index<'t> {
    /// Indexes a table by the column that was the `column`th asked for.
    pub fn new(table: &'t Table, column: usize) -> Self {
        let mut order: Vec<u32> = (0..u32::try_from(table.len()).unwrap_or(NONE)).collect();
        let id = |row: u32| table.cell(row as usize, column);
        order.sort_unstable_by(|&a, &b| compare(id(a), id(b)).then(a.cmp(&b)));
        Self { table, column, order }
    }

    fn id(&self, row: u32) -> &'t str {
        self.table.cell(row as usize, self.column)
    }

    /// The first row with that id.
    pub fn find(&self, id: &str) -> Option<usize> {
        let at = self.order.partition_point(|&row| compare(self.id(row), id) == Ordering::Less);
        self.order.get(at).copied().filter(|&row| self.id(row) == id).map(|row| row as usize)
    }

    /// Tells the rows whose id an earlier row has, by line.
    pub fn duplicates(&self, problems: &mut Problems) {
        let mut pairs = Vec::new();
        let mut first = NONE;
        for &row in &self.order {
            if first != NONE && self.id(first) == self.id(row) { pairs.push((row, first)) } else { first = row }
        }
        pairs.sort_unstable();
        for (row, first) in pairs {
            duplicate(self.table, row as usize, first as usize, self.id(row), problems);
        }
    }
}

fn compare(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

fn duplicate(table: &Table, row: usize, first: usize, id: &str, problems: &mut Problems) {
    problems
        .push_with(|| table.problem(row, format!("id {} is there already, on line {}", quoted(id), table.line(first))));
}

/// For each row of `wanted`, the row of `given` with the same id: exactly one each, or problems. `columns` are the places
/// of the id in `wanted` and in `given`, among the columns that were asked for.
///
/// Ids of `wanted` must not repeat; check that first, with [`Index::duplicates`]. While rows of `given` are unread or
/// unreadable, missing ones are not told, as they may be among those. The result is meaningful only without problems.
pub fn join(wanted: &Index<'_>, given: &Table, column: usize, problems: &mut Problems) -> Vec<usize> {
    let mut rows = vec![NONE; wanted.table.len()];
    // Mostly both files have one order, so the next row is looked at before the index is.
    let mut next = 0;
    for row in 0..given.len() {
        let id = given.cell(row, column);
        let likely = next < wanted.table.len() && wanted.table.cell(next, wanted.column) == id;
        let Some(at) = (if likely { Some(next) } else { wanted.find(id) }) else {
            problems.push_with(|| given.problem(row, format!("id {} is not one of the task's", quoted(id))));
            continue;
        };
        next = at + 1;
        match rows.get_mut(at) {
            Some(free) if *free == NONE => *free = u32::try_from(row).unwrap_or(NONE),
            Some(taken) => duplicate(given, row, *taken as usize, id, problems),
            None => {}
        }
    }
    if given.is_whole() {
        for (row, _) in rows.iter().enumerate().filter(|(_, found)| **found == NONE) {
            let id = wanted.table.cell(row, wanted.column);
            problems.push_with(|| Problem::new(format!("no row for id {}", quoted(id))).file(given.path()));
        }
    }
    rows.into_iter().map(|row| row as usize).collect()
}

/// For each row of `wanted`, the row of `given` at the same place: as many each, or a problem.
pub fn join_by_position(wanted: &Table, given: &Table, problems: &mut Problems) -> Vec<usize> {
    let (rows, needed) = (given.len(), wanted.len());
    if rows > needed || (rows < needed && given.is_whole()) {
        problems.push_with(|| {
            Problem::new(format!("{} instead of {needed}, in the task's order", counted(rows, "row")))
                .file(given.path())
        });
    }
    (0..needed).collect()
}
