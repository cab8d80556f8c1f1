//! Lining two tables up: on an id, or by position.
//!
//! Ids are hashed with a seed that is made of all of them: the fuel is the same in every run, and who wants ids that
//! collide would have to know the seed before choosing them. The order of a `HashMap` never shows.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

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
    /// No id repeats: each is greater than the one before it.
    ascends: bool,
    /// Made when it is needed: mostly both tables have one order.
    rows: OnceLock<Rows<'t>>,
}

/// The rows by their ids.
#[derive(Debug)]
struct Rows<'t> {
    first: HashMap<&'t str, u32, Seed>,
    /// Rows whose id an earlier row has, with that one.
    repeated: Vec<(u32, u32)>,
}

/// A seed for [`Folded`].
#[derive(Debug)]
struct Seed(u64);

impl BuildHasher for Seed {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded(self.0)
    }
}

/// The binary digits of π: a multiplier without a pattern.
const PI: u128 = 0x243f_6a88_85a3_08d3;

/// A hash by multiplication, the halves of the product folded into one another, as in `foldhash`:
/// cheaper than the standard one.
struct Folded(u64);

impl Folded {
    fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * PI;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        let tail = rest.iter().fold(bytes.len() as u64, |tail, byte| tail << 8 | u64::from(*byte));
        self.add(tail);
    }

    // What ends a text, so that it is no other's beginning: `write` has the length.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl<'t> Index<'t> {
    /// Indexes a table by the column that was the `column`th asked for.
    pub fn new(table: &'t Table, column: usize) -> Self {
        Self { table, column, ascends: ascends(table, column), rows: OnceLock::new() }
    }

    fn rows(&self) -> &Rows<'t> {
        self.rows.get_or_init(|| Rows::new(self.table, self.column))
    }

    /// The first row with that id.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.rows().first.get(id).map(|&row| row as usize)
    }

    /// Tells the rows whose id an earlier row has, by line.
    pub fn duplicates(&self, problems: &mut Problems) {
        if self.ascends {
            return;
        }
        for &(row, first) in &self.rows().repeated {
            let id = self.table.cell(row as usize, self.column);
            duplicate(self.table, row as usize, first as usize, id, problems);
        }
    }
}

/// Whether each id is greater than the one before it: as text, or as `r9` comes before `r10`.
fn ascends(table: &Table, column: usize) -> bool {
    let (mut by_text, mut by_length) = (true, true);
    let mut before = table.cell(0, column);
    for row in 1..table.len() {
        let id = table.cell(row, column);
        let greater = id.cmp(before);
        by_text &= greater == Ordering::Greater;
        by_length &= id.len().cmp(&before.len()).then(greater) == Ordering::Greater;
        if !by_text && !by_length {
            return false;
        }
        before = id;
    }
    true
}

impl<'t> Rows<'t> {
    fn new(table: &'t Table, column: usize) -> Self {
        let mut seed = Folded(PI as u64);
        seed.write(table.text.as_bytes());
        let mut first = HashMap::with_capacity_and_hasher(table.len(), Seed(seed.finish()));
        let mut repeated = Vec::new();
        for row in 0..u32::try_from(table.len()).unwrap_or(NONE) {
            match first.entry(table.cell(row as usize, column)) {
                Entry::Occupied(first) => repeated.push((row, *first.get())),
                Entry::Vacant(free) => {
                    free.insert(row);
                }
            }
        }
        Self { first, repeated }
    }
}

fn duplicate(table: &Table, row: usize, first: usize, id: &str, problems: &mut Problems) {
    problems
        .push_with(|| table.problem(row, format!("id {} is there already, on line {}", quoted(id), table.line(first))));
}

/// For each row of `wanted`, the row of `given` with the same id: exactly one each, or problems. `columns` are the places
/// of the id in `wanted` and in `given`, among the columns that were asked for.
///
/// Ids of `wanted` must not repeat; check that first, with [`Index::duplicates`]. While rows of `given` are unread or
/// unreadable, missing ones are not told, as they may be among those. Those that are told come in the order of their
/// text, which says nothing of `wanted`. The result is meaningful only without problems.
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
        // By their text: the order of `wanted` may be the reference data's, and say how those are sorted.
        let missing = rows.iter().enumerate().filter(|(_, found)| **found == NONE);
        let mut missing: Vec<&str> = missing.map(|(row, _)| wanted.table.cell(row, wanted.column)).collect();
        missing.sort_unstable();
        for id in missing {
            problems.push_with(|| Problem::new(format!("no row for id {}", quoted(id))).file(given.path()));
        }
    }
    rows.into_iter().map(|row| row as usize).collect()
}

/// For each row of `wanted`, the row of `given` at the same place: as many each, or a problem.
pub fn join_by_position(wanted: &Table, given: &Table, problems: &mut Problems) -> Vec<usize> {
    let (rows, needed) = (given.len(), wanted.len());
    let wrong = |count: String| Problem::new(format!("{count} instead of {needed}, in the task's order"));
    if given.is_whole() && rows != needed {
        problems.push_with(|| wrong(counted(rows, "row")).file(given.path()));
    } else if rows > needed && problems.is_empty() {
        // There is more that was not read. Had that been a problem, it would be told.
        problems.push_with(|| wrong(format!("more than {}", counted(needed, "row"))).file(given.path()));
    }
    (0..needed).collect()
}
