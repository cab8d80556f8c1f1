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
mod options;
mod source;

use crate::data::File;
use crate::problem::{Problem, Problems};
use crate::text::{counted, listed, nearest, quoted};
use options::most_rows;

pub use join::{Index, join, join_by_position};
pub use options::Options;

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
        if let Some(expected) = self.expected.filter(|expected| self.seen >= most_rows(*expected)) {
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
