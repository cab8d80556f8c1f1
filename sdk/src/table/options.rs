//! How a table is written, and the bounds under which it is read.
//!
//! Says how much that is, and why; the readers hold to it.

/// Rows that are read beyond twice those that are expected, which doubles of all ids are.
const SPARE_ROWS: usize = 1000;
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
    /// After this many bytes the rest is left unread, and [`Table::is_whole`](super::Table::is_whole) is false.
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
    /// problem, before it has used up the fuel and the memory that the organizer reckoned with. As many again and a
    /// thousand more are read, so that what is wrong with them is told and counted; the next row ends the reading, and so
    /// do more bytes than so many rows take (with 1 KiB of columns that nobody asks for in each, and 16 MiB in any case).
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
    pub(super) fn bytes_for(&self, columns: usize) -> u64 {
        let row = columns.saturating_mul(CELL_BYTES).saturating_add(ROW_BYTES);
        let bytes = |expected: usize| most_rows(expected).saturating_mul(row) as u64;
        self.expected_rows.map_or(self.most_bytes, |expected| bytes(expected).max(FEW_BYTES).min(self.most_bytes))
    }

    /// Names the columns of a file without a header.
    #[must_use]
    pub fn columns(mut self, names: &[String]) -> Self {
        self.columns = names.to_vec();
        self
    }
}

/// Most rows of a table of which `expected` are.
pub(super) fn most_rows(expected: usize) -> usize {
    expected.saturating_mul(2).saturating_add(SPARE_ROWS)
}
