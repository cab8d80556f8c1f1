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
    order: Vec<(Key, u32)>,
}

impl<'t> Index<'t> {
    /// Indexes a table by the column that was the `column`th asked for.
    pub fn new(table: &'t Table, column: usize) -> Self {
        let id = |row: u32| table.cell(row as usize, column);
        let rows = 0..u32::try_from(table.len()).unwrap_or(NONE);
        let mut order: Vec<(Key, u32)> = rows.map(|row| (key(id(row)), row)).collect();
        order.sort_unstable_by(|a, b| compare(a.0, || id(a.1), b.0, || id(b.1)).then(a.1.cmp(&b.1)));
        Self { table, column, order }
    }

    fn id(&self, row: u32) -> &'t str {
        self.table.cell(row as usize, self.column)
    }

    /// The first row with that id.
    pub fn find(&self, id: &str) -> Option<usize> {
        let wanted = key(id);
        let before = |&(key, row): &(Key, u32)| compare(key, || self.id(row), wanted, || id) == Ordering::Less;
        let found = self.order.get(self.order.partition_point(before));
        found.filter(|(_, row)| self.id(*row) == id).map(|(_, row)| *row as usize)
    }

    /// Tells the rows whose id an earlier row has, by line.
    pub fn duplicates(&self, problems: &mut Problems) {
        let mut pairs = Vec::new();
        let mut first = None;
        for &(key, row) in &self.order {
            match first {
                Some((same, first)) if same == key && self.id(first) == self.id(row) => pairs.push((row, first)),
                Some(_) | None => first = Some((key, row)),
            }
        }
        pairs.sort_unstable();
        for (row, first) in pairs {
            duplicate(self.table, row as usize, first as usize, self.id(row), problems);
        }
    }
}

/// The length of an id, to 255, and its first 15 bytes: most comparisons need no more.
type Key = (u64, u64);

fn key(id: &str) -> Key {
    let mut key = [0; 16];
    for (place, byte) in key.iter_mut().skip(1).zip(id.bytes()) {
        *place = byte;
    }
    let key = u128::from_be_bytes(key) | u128::from(u8::try_from(id.len()).unwrap_or(u8::MAX)) << 120;
    ((key >> 64) as u64, key as u64)
}

/// Compares ids by length, then by bytes; `key_a` and `key_b` are their keys.
fn compare<'t>(key_a: Key, a: impl Fn() -> &'t str, key_b: Key, b: impl Fn() -> &'t str) -> Ordering {
    key_a.cmp(&key_b).then_with(|| {
        // Ids of up to 15 bytes are their keys.
        if key_a.0 >> 56 <= 15 {
            return Ordering::Equal;
        }
        let (a, b) = (a(), b());
        a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
    })
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
