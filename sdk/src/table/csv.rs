//! Comma- or tab-separated records, by `csv-core`, the parser of the `csv` crate.
//!
//! The crate's reader would hold a record of any length; here the buffers are ours, and so are their bounds.

use csv_core::ReadRecordResult;

use super::source::Source;
use super::{Options, Stop, Table};
use crate::problem::{Problem, Problems};
use crate::text::counted;

/// Records of a file.
pub(super) struct Records<'a> {
    source: Source<'a>,
    parser: csv_core::Reader,
    /// The fields of the current record, without anything between them.
    fields: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    count: usize,
    /// How many fields each record must have.
    width: usize,
    /// Line on which the current record begins, and on which it ends.
    lines: (u64, u64),
    longest: usize,
    most_columns: usize,
    /// A record read to count its columns, and not yet handed out.
    pending: bool,
}

impl<'a> Records<'a> {
    /// Reads the header, or takes the names from the options.
    pub(super) fn open(mut source: Source<'a>, path: &str, options: &Options) -> Result<(Vec<String>, Self), Stop> {
        let delimiter = delimiter(path, source.peek()?);
        let mut records = Self {
            source,
            parser: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            fields: vec![0; 1 << 12],
            ends: vec![0; 1 << 6],
            count: 0,
            width: options.columns.len(),
            lines: (0, 0),
            longest: options.longest_record,
            most_columns: options.most_columns,
            pending: false,
        };
        if !records.advance()? {
            return Err(Stop::Problem(Problem::new("the file has no rows")));
        }
        if !options.columns.is_empty() {
            records.pending = true;
            return Ok((options.columns.clone(), records));
        }
        records.width = records.count;
        let mut header = Vec::with_capacity(records.count);
        for place in 0..records.count {
            let name = str::from_utf8(records.field(place))
                .map_err(|_| Stop::Problem(Problem::new("the header is not UTF-8; save the file as UTF-8").line(1)))?;
            header.push(name.trim_ascii().to_owned());
        }
        Ok((header, records))
    }

    /// Reads all records into `table`, the fields at `places` of each.
    pub(super) fn read(
        mut self,
        places: &[usize],
        most_rows: usize,
        table: &mut Table,
        problems: &mut Problems,
    ) -> Result<(), Stop> {
        while self.advance()? {
            if table.len() >= most_rows {
                let message = format!("more than {} cannot be scored", counted(most_rows, "row"));
                return Err(Stop::Problem(Problem::new(message).line(self.lines.0)));
            }
            match self.keep(places, table) {
                Ok(()) => table.end_row(self.lines.0),
                Err(what) => {
                    table.drop_row();
                    let line = self.lines.0;
                    problems.push_with(|| Problem::new(what()).file(table.path()).line(line));
                }
            }
        }
        Ok(())
    }

    /// Keeps the fields of the current record, or says what is wrong with it, when asked.
    fn keep(&self, places: &[usize], table: &mut Table) -> Result<(), impl FnOnce() -> String + use<>> {
        let (count, width, spans) = (self.count, self.width, self.lines.1 - self.lines.0);
        if count == width {
            let bad = places.iter().find(|&&place| match str::from_utf8(self.field(place)) {
                Ok(text) => {
                    table.push_cell(text);
                    false
                }
                Err(_) => true,
            });
            if bad.is_none() {
                return Ok(());
            }
        }
        Err(move || match (count == width, spans) {
            (true, _) => "not UTF-8; save the file as UTF-8".to_owned(),
            (false, 0) => {
                format!("{} instead of {width} (quote a field that holds a separator)", counted(count, "column"))
            }
            (false, _) => {
                format!(
                    "{} over {} lines instead of {width} (is a quote not closed?)",
                    counted(count, "column"),
                    spans + 1
                )
            }
        })
    }

    fn field(&self, place: usize) -> &[u8] {
        let start = place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        match (start, self.ends.get(place)) {
            (Some(start), Some(&end)) if place < self.count => self.fields.get(start..end).unwrap_or_default(),
            (_, _) => &[],
        }
    }

    /// Reads the next record; false at the end.
    fn advance(&mut self) -> Result<bool, Stop> {
        if std::mem::take(&mut self.pending) {
            return Ok(true);
        }
        let (mut length, mut count, before) = (0, 0, self.parser.line());
        loop {
            let input = self.source.peek()?;
            let (fields, ends) = (self.fields.get_mut(length..), self.ends.get_mut(count..));
            let (result, taken, written, ended) =
                self.parser.read_record(input, fields.unwrap_or_default(), ends.unwrap_or_default());
            let newline = taken.checked_sub(1).and_then(|last| input.get(last)) == Some(&b'\n');
            self.source.consume(taken);
            length += written;
            count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.grow_fields(before)?,
                ReadRecordResult::OutputEndsFull => self.grow_ends(before)?,
                ReadRecordResult::End => return Ok(false),
                ReadRecordResult::Record => {
                    self.count = count;
                    let last = self.parser.line() - u64::from(newline);
                    // Blank lines before it were skipped, so the record's own line breaks say where it began.
                    let fields = self.fields.get(..length).unwrap_or_default();
                    let breaks = if last > before { fields.iter().filter(|&&byte| byte == b'\n').count() } else { 0 };
                    self.lines = (last.saturating_sub(breaks as u64), last);
                    return Ok(true);
                }
            }
        }
    }

    fn grow_fields(&mut self, line: u64) -> Result<(), Stop> {
        if self.fields.len() >= self.longest {
            let message = format!("the record is longer than {} KiB (is a quote not closed?)", self.longest >> 10);
            return Err(Stop::Problem(Problem::new(message).line(line)));
        }
        self.fields.resize((self.fields.len() * 2).min(self.longest), 0);
        Ok(())
    }

    fn grow_ends(&mut self, line: u64) -> Result<(), Stop> {
        if self.ends.len() >= self.most_columns {
            let message = format!("more than {} columns", self.most_columns);
            return Err(Stop::Problem(Problem::new(message).line(line)));
        }
        self.ends.resize((self.ends.len() * 2).min(self.most_columns), 0);
        Ok(())
    }
}

/// Comma or tab: by the file's name, else by what the first line holds more of.
fn delimiter(path: &str, head: &[u8]) -> u8 {
    let path = path.to_ascii_lowercase();
    let name = path.strip_suffix(".gz").unwrap_or(&path);
    if name.ends_with(".tsv") || name.ends_with(".tab") {
        return b'\t';
    }
    let (mut commas, mut tabs, mut inside) = (0_u32, 0_u32, false);
    for byte in head.iter().take(1 << 16) {
        match byte {
            b'"' => inside = !inside,
            b'\n' | b'\r' if !inside => break,
            b',' if !inside => commas += 1,
            b'\t' if !inside => tabs += 1,
            _ => {}
        }
    }
    if tabs > commas { b'\t' } else { b',' }
}
