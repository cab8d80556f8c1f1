//! Tables: CSV (comma or tab, RFC 4180), JSON lines, plain or gzipped, UTF-8 with or without a byte order mark.
//!
//! [`TableReader::open`] looks at the head of a file, [`TableReader::read`] keeps the columns that the scorer asks for,
//! [`join`](fn@join) lines two tables up on an id. Every row that is not what it should be is a problem with its line.
//! The bytes may come from an adversary: each bound of [`Options`] is answered by a sentence, none by running out of
//! memory, and nothing here panics. Text stays text: what a cell means is the scorer's to say, with [`Table::numbers`]
//! for numbers.
//!
//! ```
//! use gradus_sdk::{File, Problems, table::{Options, TableReader}};
//!
//! let file = File::memory("p.csv", "id,label,note\n7,cat,\n8,dog,sure\n");
//! let reader = TableReader::open(&file, &Options::default()).unwrap();
//! let (id, label) = (reader.column("id").unwrap(), reader.column("label").unwrap());
//! let mut problems = Problems::new();
//! let table = reader.read(&[id, label], &mut problems);
//! assert_eq!((table.len(), table.cell(1, 0), table.cell(1, 1), table.line(1)), (2, "8", "dog", 3));
//! assert!(problems.is_empty());
//! ```

mod csv;
mod join;
mod json;
mod number;
mod source;

use crate::data::File;
use crate::problem::{Problem, Problems};
use crate::text::{counted, listed, nearest, quoted};

pub use join::{Index, join, join_by_position};

/// Rows that are read beyond those that are expected: as many as there are problems shown.
const SPARE_ROWS: usize = crate::problem::SHOWN;
/// What a row takes that is expected: for each cell that is kept, and for all others together. Bytes.
const CELL_BYTES: usize = 64;
const ROW_BYTES: usize = 1 << 10;
/// Bytes that cost little to read, however few rows are expected.
const FEW_BYTES: u64 = 16 << 20;

/// How a table is written, and how much of it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Names of the columns of a CSV file without a header; empty when it has one. JSON lines name their own.
    pub columns: Vec<String>,
    /// Longest record, in bytes.
    pub longest_record: usize,
    /// Most columns.
    pub most_columns: usize,
    /// Most bytes, after unpacking. More is a problem.
    pub most_bytes: u64,
    /// Most cells that are kept: rows times the columns asked for. More is a problem.
    pub most_cells: usize,
    /// Longest cell that is kept, in bytes. A longer one is a problem of its row.
    pub longest_cell: usize,
    /// How many rows the task has, where that is known: see [`Options::expecting`].
    pub expected_rows: Option<usize>,
    /// After this many bytes the rest is left unread, and [`Table::is_whole`] is false.
    pub enough_bytes: u64,
    /// The same after this many cells that are kept.
    pub enough_cells: usize,
    /// The same after this many rows.
    pub enough_rows: usize,
}

impl Default for Options {
    /// With a header; records to 1 MiB, 65 536 columns, 128 MiB in all, 16 million cells: what fits into 512 MiB.
    fn default() -> Self {
        Self {
            columns: vec![],
            longest_record: 1 << 20,
            most_columns: 1 << 16,
            most_bytes: 128 << 20,
            most_cells: 16_000_000,
            longest_cell: usize::MAX,
            expected_rows: None,
            enough_bytes: u64::MAX,
            enough_cells: usize::MAX,
            enough_rows: usize::MAX,
        }
    }
}

impl Options {
    /// Bounds for the format check at the door, which has little fuel: the first 4 MiB, 110 000 rows and 600 000 cells
    /// are looked at, the rest when the submission is scored. Reading two such tables and joining them stayed
    /// below 0.8 G fuel with the worst contents tried.
    pub fn at_the_door() -> Self {
        Self { enough_bytes: 4 << 20, enough_cells: 600_000, enough_rows: 110_000, ..Self::default() }
    }

    /// Bounds for predictions of a task of so many rows. What a participant adds to those is then the participant's
    /// problem, before it has used up the fuel and the memory that the organizer reckoned with. Twenty rows more are
    /// read, so that the first of what is wrong with them is told; the next one ends the reading, and so do more bytes
    /// than so many rows take (with 1 KiB of columns that nobody asks for in each, and 16 MiB in any case).
    #[must_use]
    pub fn expecting(mut self, rows: usize) -> Self {
        self.expected_rows = Some(rows);
        self
    }

    /// Bounds each cell that is kept, in bytes: what an id or a label may have, and no one's essay.
    #[must_use]
    pub fn cells(mut self, longest: usize) -> Self {
        self.longest_cell = longest;
        self
    }

    /// Most bytes of a table of which `columns` are kept.
    fn bytes_for(&self, columns: usize) -> u64 {
        let row = columns.saturating_mul(CELL_BYTES).saturating_add(ROW_BYTES);
        let rows = |rows: usize| rows.saturating_add(SPARE_ROWS).saturating_mul(row) as u64;
        self.expected_rows.map_or(self.most_bytes, |expected| rows(expected).max(FEW_BYTES).min(self.most_bytes))
    }

    /// Names the columns of a file without a header.
    #[must_use]
    pub fn columns(mut self, names: &[String]) -> Self {
        self.columns = names.to_vec();
        self
    }
}

/// The only file of a tree.
///
/// # Errors
/// A problem that names the files, if there is not exactly one.
pub fn only(files: &[File]) -> Result<&File, Problem> {
    match files {
        [file] => Ok(file),
        [] => Err(Problem::new("no file; one table is needed")),
        more => {
            let names = listed(more.iter().map(File::path));
            Err(Problem::new(format!("{} files ({names}); one table is needed", more.len())))
        }
    }
}

/// A table whose header is known and whose rows are still unread.
pub struct TableReader<'a> {
    file: &'a File,
    header: Vec<String>,
    options: Options,
    rows: Rows<'a>,
}

enum Rows<'a> {
    Csv(Box<csv::Records<'a>>),
    Json(json::Lines<'a>),
}

/// Rows that were read, good or bad, against their bounds.
struct RowCount {
    seen: usize,
    most: usize,
    expected: Option<usize>,
    enough: usize,
}

impl RowCount {
    /// Counts a row that begins on `line`.
    fn add(&mut self, line: u64) -> Result<(), Stop> {
        if self.seen >= self.enough {
            return Err(Stop::Enough);
        }
        if let Some(expected) = self.expected.filter(|expected| self.seen >= expected.saturating_add(SPARE_ROWS)) {
            let (seen, expected) = (counted(self.seen, "row"), counted(expected, "row"));
            let message = format!("more than {seen}, and the task has {expected}; from here on nothing was read");
            return Err(Stop::Problem(Problem::new(message).line(line)));
        }
        if self.seen >= self.most {
            let message = format!("more than {} cannot be scored", counted(self.most, "row"));
            return Err(Stop::Problem(Problem::new(message).line(line)));
        }
        self.seen += 1;
        Ok(())
    }
}

/// Why reading stops before the end.
enum Stop {
    /// Something that makes the rest unreadable.
    Problem(Problem),
    /// [`Options::enough_bytes`] were read.
    Enough,
}

impl<'a> TableReader<'a> {
    /// Opens a table and reads its header.
    ///
    /// # Errors
    /// The problem that makes it no table: empty, not UTF-8, an archive, …
    pub fn open(file: &'a File, options: &Options) -> Result<Self, Problem> {
        Self::open_inner(file, options).map_err(|stop| match stop {
            Stop::Problem(problem) => problem.file(file.path()),
            Stop::Enough => Problem::new("the first record is too long").file(file.path()),
        })
    }

    fn open_inner(file: &'a File, options: &Options) -> Result<Self, Stop> {
        let mut source = source::open(file, options)?;
        let head = source.peek()?;
        let (header, rows) = if source::is_json_lines(file.path(), head) {
            let (header, lines) = json::Lines::open(source, options)?;
            (header, Rows::Json(lines))
        } else {
            let (header, records) = csv::Records::open(source, file.path(), options)?;
            (header, Rows::Csv(Box::new(records)))
        };
        Ok(Self { file, header, options: options.clone(), rows })
    }

    /// The names of the columns, in order.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Where the column of that name is.
    ///
    /// # Errors
    /// It is missing (with the nearest name, and those that are there), or there twice.
    pub fn column(&self, name: &str) -> Result<usize, Problem> {
        let problem = |message: String| Problem::new(message).file(self.file.path()).line(1);
        let mut places = (0..).zip(&self.header).filter(|(_, column)| *column == name).map(|(place, _)| place);
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            (Some(_), Some(_)) => Err(problem(format!("column {} is there twice", quoted(name)))),
            (None, _) => {
                let names = || self.header.iter().map(String::as_str);
                let near = nearest(name, names()).map(|near| format!(" (did you mean {}?)", quoted(near)));
                let hint = if self.header.len() == 1 && names().all(|only| only.contains(';')) {
                    " (separate columns with commas or tabs, not semicolons)"
                } else {
                    ""
                };
                let (name, near, there) = (quoted(name), near.unwrap_or_default(), listed(names()));
                Err(problem(format!("no column {name}{near}; the columns are {there}{hint}")))
            }
        }
    }

    /// Reads the rows, keeping the columns at `places`. Rows that cannot be read are left out and told as problems.
    pub fn read(self, places: &[usize], problems: &mut Problems) -> Table {
        let mut table = Table {
            path: self.file.path().to_owned(),
            names: places.iter().map(|&place| self.header.get(place).cloned().unwrap_or_default()).collect(),
            text: String::new(),
            bounds: vec![0],
            lines: Vec::new(),
            whole: true,
            longest_cell: self.options.longest_cell,
        };
        let (columns, bounds) = (places.len().max(1), &self.options);
        let enough = bounds.enough_rows.min(bounds.enough_cells / columns);
        let rows = RowCount { seen: 0, most: bounds.most_cells / columns, expected: bounds.expected_rows, enough };
        let most_bytes = bounds.bytes_for(places.len());
        let end = match self.rows {
            Rows::Csv(mut records) => {
                records.source().bound(most_bytes);
                records.read(places, rows, &mut table, problems)
            }
            Rows::Json(mut lines) => {
                lines.source().bound(most_bytes);
                lines.read(places, &self.header, rows, &mut table, problems)
            }
        };
        match end {
            Ok(()) => {}
            Err(Stop::Enough) => table.whole = false,
            Err(Stop::Problem(problem)) => {
                table.whole = false;
                problems.push(problem.file(self.file.path()));
            }
        }
        table
    }
}

/// Some columns of a table, as text.
#[derive(Debug)]
pub struct Table {
    path: String,
    names: Vec<String>,
    /// All cells, row by row, without anything between them.
    text: String,
    /// Where each cell begins in `text`, and where the last one ends.
    bounds: Vec<u32>,
    /// The line on which each row begins.
    lines: Vec<u32>,
    whole: bool,
    longest_cell: usize,
}

impl Table {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether every row of the file is here: none was unreadable and none was left unread.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The path of the file that it was read from.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The line on which a row begins, from 1; 0 past the end.
    pub fn line(&self, row: usize) -> u64 {
        self.lines.get(row).map_or(0, |&line| u64::from(line))
    }

    /// The text of a cell; `column` counts the columns that were asked for. Empty outside the table.
    pub fn cell(&self, row: usize, column: usize) -> &str {
        if column >= self.names.len() {
            return "";
        }
        let at = row.wrapping_mul(self.names.len()).wrapping_add(column);
        match self.bounds.get(at..).and_then(<[u32]>::first_chunk) {
            Some(&[start, end]) if row < self.len() => self.text.get(start as usize..end as usize).unwrap_or_default(),
            Some(_) | None => "",
        }
    }

    /// A problem on the line of a row.
    pub fn problem(&self, row: usize, message: impl Into<String>) -> Problem {
        Problem::new(message).file(self.path.as_str()).line(self.line(row))
    }

    /// A column as numbers. A cell that is no finite number, or is not in `range`, is a problem and reads as NaN. Digits
    /// after the 19th significant one do not count, and 64 characters are the most.
    pub fn numbers(&self, column: usize, range: std::ops::RangeInclusive<f64>, problems: &mut Problems) -> Vec<f64> {
        let number = |row| {
            let text = self.cell(row, column);
            let found = number::number(text, &range);
            found.unwrap_or_else(|what| {
                let name = self.names.get(column).map_or("", String::as_str);
                problems.push_with(|| self.problem(row, format!("column {}: {} {what}", quoted(name), quoted(text))));
                f64::NAN
            })
        };
        (0..self.len()).map(number).collect()
    }

    /// Ends a row that began on `line`, whose cells were pushed.
    fn end_row(&mut self, line: u64) {
        self.lines.push(u32::try_from(line).unwrap_or(u32::MAX));
    }

    /// Pushes the next cell of the row at hand.
    fn push_cell(&mut self, text: &str) -> Result<(), TooLong> {
        if text.len() > self.longest_cell {
            // The cells of a row that is not ended come after those of the rows that are.
            let column = self.bounds.len().saturating_sub(1).checked_rem(self.names.len()).unwrap_or(0);
            return Err(TooLong { column, bytes: text.len() });
        }
        self.text.push_str(text);
        self.bounds.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        Ok(())
    }

    /// A cell that is too long, in words.
    fn told(&self, TooLong { column, bytes }: TooLong) -> String {
        let (name, most) = (self.names.get(column).map_or("", String::as_str), self.longest_cell);
        format!("column {}: {}, and {most} are the most", quoted(name), counted(bytes, "byte"))
    }

    /// Takes back the cells of a row that was not ended.
    fn drop_row(&mut self) {
        self.bounds.truncate(self.lines.len().saturating_mul(self.names.len()).saturating_add(1));
        self.text.truncate(self.bounds.last().map_or(0, |&end| end as usize));
        self.whole = false;
    }
}

/// A cell that is longer than it may be.
#[derive(Debug, Clone, Copy)]
struct TooLong {
    /// Its place among those that were asked for.
    column: usize,
    bytes: usize,
}

#[cfg(test)]
mod tests;
