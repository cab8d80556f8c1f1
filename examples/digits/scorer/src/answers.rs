//! Reads a file of ids and digits, and lines the answers up with the images that were asked for.
//!
//! It finds what is wrong with a file and says where. It does not count or score.

use gradus_sdk::table::{self, Index, Options, Table, TableReader};
use gradus_sdk::text::quoted;
use gradus_sdk::{File, Problems};

use crate::digit::Digit;
use crate::settings::Settings;

/// A file of ids and digits.
#[derive(Debug)]
pub struct Answers {
    table: Table,
    /// For each row; `None` where a problem was told.
    digits: Vec<Option<Digit>>,
}

impl Answers {
    /// Reads the one file of a tree. Rows without a digit are told as problems.
    ///
    /// # Errors
    /// What makes it no table with these columns.
    pub fn read(
        files: &[File],
        settings: &Settings,
        options: &Options,
        problems: &mut Problems,
    ) -> Result<Self, Problems> {
        let reader = TableReader::open(table::only(files)?, options)?;
        let (id, digit) = (reader.column(&settings.id)?, reader.column(&settings.digit)?);
        let table = reader.read(&[id, digit], problems);
        let digits = (0..table.len()).map(|row| digit_of(&table, row, problems)).collect();
        Ok(Self { table, digits })
    }

    /// The images that this file asks for. An id that is there twice is told as a problem.
    pub fn ids(&self, problems: &mut Problems) -> Index<'_> {
        let index = Index::new(&self.table, 0);
        index.duplicates(problems);
        index
    }

    /// For each row of `wanted`, the row here with the same id. Missing, repeated and unknown ids are told as problems;
    /// the result is meaningful without problems only.
    pub fn line_up(&self, wanted: &Index<'_>, problems: &mut Problems) -> Vec<usize> {
        table::join(wanted, &self.table, 0, problems)
    }

    /// The digit of a row; `None` past the end or where a problem was told.
    pub fn digit(&self, row: usize) -> Option<Digit> {
        self.digits.get(row).copied().flatten()
    }

    /// Whether every row of the file was read.
    pub fn is_whole(&self) -> bool {
        self.table.is_whole()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

fn digit_of(table: &Table, row: usize, problems: &mut Problems) -> Option<Digit> {
    let text = table.cell(row, 1);
    let digit = Digit::parse(text);
    if digit.is_none() {
        problems.push_with(|| {
            let hint = match text.strip_suffix(".0").filter(|whole| Digit::parse(whole).is_some()) {
                Some(whole) => format!("; write {whole}: the column became decimal numbers on its way"),
                None => "; write one of 0 to 9".to_owned(),
            };
            table.problem(row, format!("{} is not a digit{hint}", quoted(text)))
        });
    }
    digit
}
