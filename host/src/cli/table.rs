//! Columns that line up. Cells are made safe for a terminal.

use super::output::{Output, clean};
use std::io;

/// Rows under a heading.
pub struct Table {
    head: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these headings; those that end in `>` stand over numbers, which line up at the right.
    pub fn new<'a>(head: impl IntoIterator<Item = &'a str>) -> Self {
        let (head, right) =
            head.into_iter().map(|name| (clean(name.trim_end_matches('>')), name.ends_with('>'))).unzip();
        Self { head, right, rows: Vec::new() }
    }

    /// One more row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| clean(&cell)).collect());
    }

    /// The lines: the heading, then the rows.
    pub fn lines(&self) -> Vec<String> {
        let width = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).chain(self.head.get(at));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let line = |cells: &Vec<String>| {
            let columns = cells.iter().zip(&widths).zip(&self.right);
            let cells = columns.map(
                |((cell, &width), &right)| if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") },
            );
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        std::iter::once(&self.head).chain(&self.rows).map(line).collect()
    }

    /// Prints it.
    pub fn print(&self, out: &Output) -> io::Result<()> {
        for (at, line) in self.lines().into_iter().enumerate() {
            out.line(if at == 0 { out.bold(line) } else { line })?;
        }
        Ok(())
    }
}

/// A number with so many decimal places.
pub fn number(value: Option<f64>, precision: u8) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{:.*}", usize::from(precision), value + 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_stay_on_their_line() {
        let mut table = Table::new(["name", "value>", "note"]);
        table.row(["ä".into(), "1.5".into(), "a\nb".into()]);
        table.row(["longer".into(), number(None, 2), String::new()]);
        assert_eq!(table.lines(), ["name    value  note", "ä         1.5  a b", "longer      –"]);
        assert_eq!((number(Some(0.99315), 3), number(Some(-0.0), 1)), ("0.993".into(), "0.0".into()));
    }
}
