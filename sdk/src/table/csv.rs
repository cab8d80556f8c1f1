//! Comma- or tab-separated records, by `csv-core`, the parser of the `csv` crate.
//!
//! The crate's reader would hold a record of any length; here the buffers are ours, and so are their bounds. A line
//! without a quote needs no parser: it is split at its delimiters, which takes much less fuel.

use std::ops::Range;

use csv_core::ReadRecordResult;

use super::source::Source;
use super::{Options, RowCount, Stop, Table, TooLong};
use crate::problem::{Problem, Problems};
use crate::text::counted;

/// Records of a file.
pub(super) struct Records<'a> {
    source: Source<'a>,
    /// Made when it is needed: its tables cost as much as a few hundred rows.
    parser: Option<Box<csv_core::Reader>>,
    /// The line that comes next.
    line: u64,
    delimiter: u8,
    /// The fields of the current record, with `gap` bytes between them.
    fields: Vec<u8>,
    /// How many bytes of it the record at hand takes up.
    length: usize,
    /// Where each of them ends.
    ends: Vec<usize>,
    gap: usize,
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

/// Fields in one piece.
struct Record<'r> {
    bytes: &'r [u8],
    /// Where each ends.
    ends: &'r [usize],
    /// Bytes between them.
    gap: usize,
}

impl Record<'_> {
    /// Puts the fields at `places` into `table`, or what is wrong with it into `problems`.
    fn keep_row(&self, width: usize, places: &[usize], lines: (u64, u64), table: &mut Table, problems: &mut Problems) {
        match self.keep(width, places, table) {
            Ok(()) => table.end_row(lines.0),
            Err(bad) => {
                table.drop_row();
                let told = || Problem::new(self.told(bad, width, lines, table)).file(table.path()).line(lines.0);
                problems.push_with(told);
            }
        }
    }

    /// Keeps the fields at `places`.
    fn keep(&self, width: usize, places: &[usize], table: &mut Table) -> Result<(), Bad> {
        if self.ends.len() != width {
            return Err(Bad::Width);
        }
        let text = str::from_utf8(self.bytes).map_err(|_| Bad::Text)?;
        for &place in places {
            // Inside a character there is no field's end, unless the bytes around it were none.
            table.push_cell(text.get(self.span(place)).ok_or(Bad::Text)?).map_err(Bad::Long)?;
        }
        Ok(())
    }

    /// Where a field is; empty past the last.
    fn span(&self, place: usize) -> Range<usize> {
        let start = place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).map(|end| end + self.gap));
        match (start, self.ends.get(place)) {
            (Some(start), Some(&end)) => start..end,
            (_, _) => 0..0,
        }
    }

    /// What is wrong with it, in words. `lines`: on which it begins and ends.
    fn told(&self, bad: Bad, width: usize, lines: (u64, u64), table: &Table) -> String {
        let (count, spans) = (counted(self.ends.len(), "column"), lines.1 - lines.0);
        match bad {
            Bad::Text => "not UTF-8; save the file as UTF-8".to_owned(),
            Bad::Long(cell) => table.told(cell),
            Bad::Width if spans == 0 => format!("{count} instead of {width} (quote a field that holds a separator)"),
            Bad::Width => format!("{count} over {} lines instead of {width} (is a quote not closed?)", spans + 1),
        }
    }
}

/// What keeps a record from being a row.
enum Bad {
    /// It has more fields than the header, or fewer.
    Width,
    /// It is not UTF-8.
    Text,
    /// A field that is asked for is too long.
    Long(TooLong),
}

/// What [`Records::split`] found.
enum Split {
    Record,
    End,
    /// Something for the parser.
    Other,
}

impl<'a> Records<'a> {
    /// Reads the header, or takes the names from the options.
    pub(super) fn open(mut source: Source<'a>, path: &str, options: &Options) -> Result<(Vec<String>, Self), Stop> {
        let delimiter = delimiter(path, source.peek()?);
        let mut records = Self {
            source,
            parser: None,
            line: 1,
            delimiter,
            fields: vec![0; 1 << 12],
            length: 0,
            gap: 0,
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
        let record = records.record();
        let mut header = Vec::with_capacity(records.count);
        for place in 0..records.count {
            let name = str::from_utf8(record.bytes.get(record.span(place)).unwrap_or_default())
                .map_err(|_| Stop::Problem(Problem::new("the header is not UTF-8; save the file as UTF-8").line(1)))?;
            header.push(name.trim_ascii().to_owned());
        }
        Ok((header, records))
    }

    /// Where they come from.
    pub(super) fn source(&mut self) -> &mut Source<'a> {
        &mut self.source
    }

    /// Reads all records into `table`, the fields at `places` of each.
    pub(super) fn read(
        mut self,
        places: &[usize],
        mut rows: RowCount,
        table: &mut Table,
        problems: &mut Problems,
    ) -> Result<(), Stop> {
        loop {
            // There may be one already, whose columns had to be counted.
            if !std::mem::take(&mut self.pending) {
                self.take_lines(places, &mut rows, table, problems)?;
                if self.source.peek()?.is_empty() || !self.parse()? {
                    return Ok(());
                }
            }
            let (record, lines) = (self.record(), self.lines);
            rows.add(lines.0)?;
            record.keep_row(self.width, places, lines, table, problems);
        }
    }

    /// Reads the lines that need no parser and are wholly in the buffer, one after the other.
    fn take_lines(
        &mut self,
        places: &[usize],
        rows: &mut RowCount,
        table: &mut Table,
        problems: &mut Problems,
    ) -> Result<(), Stop> {
        let longest = self.longest.max(self.fields.len());
        let Self { source, ends, line: number, delimiter, width, .. } = self;
        loop {
            *number += source.skip_blank()?;
            let bound = source.bound_ahead();
            let input = source.peek()?;
            let mut at = 0;
            let again = loop {
                let rest = input.get(at..).unwrap_or_default();
                // Where it ends, is over a bound, or is blank, it is looked at anew.
                if at >= bound || matches!(rest.first(), None | Some(b'\n' | b'\r')) {
                    break at > 0;
                }
                let Some((delimiters, end)) = scan(rest, *delimiter, ends) else { break false };
                let (Some(line), Some(last)) = (rest.get(..end), ends.get_mut(delimiters)) else { break false };
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                if line.len() > longest {
                    break false;
                }
                *last = line.len();
                rows.add(*number)?;
                let record = Record { bytes: line, ends: ends.get(..=delimiters).unwrap_or_default(), gap: 1 };
                record.keep_row(*width, places, (*number, *number), table, problems);
                *number += 1;
                at += end + 1;
            };
            source.consume(at);
            if !again {
                return Ok(());
            }
        }
    }

    /// The current one.
    fn record(&self) -> Record<'_> {
        let bytes = self.fields.get(..self.length).unwrap_or_default();
        Record { bytes, ends: self.ends.get(..self.count).unwrap_or_default(), gap: self.gap }
    }

    /// Reads the first record; false if there is none.
    fn advance(&mut self) -> Result<bool, Stop> {
        match self.split()? {
            Split::Record => Ok(true),
            Split::End => Ok(false),
            Split::Other => self.parse(),
        }
    }

    /// Reads the next record if that is a line without quotes, wholly in the buffer.
    fn split(&mut self) -> Result<Split, Stop> {
        self.line += self.source.skip_blank()?;
        let input = self.source.peek()?;
        if input.is_empty() {
            return Ok(Split::End);
        }
        let Some((delimiters, end)) = scan(input, self.delimiter, &mut self.ends) else { return Ok(Split::Other) };
        let line = input.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (Some(fields), Some(last)) = (self.fields.get_mut(..line.len()), self.ends.get_mut(delimiters)) else {
            return Ok(Split::Other);
        };
        fields.copy_from_slice(line);
        *last = line.len();
        (self.length, self.count, self.gap, self.lines) = (line.len(), delimiters + 1, 1, (self.line, self.line));
        self.source.consume(end + 1);
        self.line += 1;
        Ok(Split::Record)
    }

    /// Reads the next record, whatever it is; false at the end.
    fn parse(&mut self) -> Result<bool, Stop> {
        let before = self.line;
        let parser = self.parser.get_or_insert_with(|| {
            let mut parser = Box::new(csv_core::ReaderBuilder::new().delimiter(self.delimiter).build());
            // It takes a byte order mark at its start for one of the file; this is past the start.
            parser.read_record(b"\n", &mut [], &mut []);
            parser
        });
        parser.set_line(before);
        let (mut length, mut count) = (0, 0);
        loop {
            let input = self.source.peek()?;
            let (fields, ends) = (self.fields.get_mut(length..), self.ends.get_mut(count..));
            let (result, taken, written, ended) =
                parser.read_record(input, fields.unwrap_or_default(), ends.unwrap_or_default());
            let newline = taken.checked_sub(1).and_then(|last| input.get(last)) == Some(&b'\n');
            self.source.consume(taken);
            length += written;
            count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => grow_fields(&mut self.fields, self.longest, before)?,
                ReadRecordResult::OutputEndsFull => grow_ends(&mut self.ends, self.most_columns, before)?,
                ReadRecordResult::End => return Ok(false),
                ReadRecordResult::Record => {
                    (self.length, self.count, self.gap, self.line) = (length, count, 0, parser.line());
                    let last = parser.line() - u64::from(newline);
                    // Blank lines before it were skipped, so the record's own line breaks say where it began.
                    let fields = self.fields.get(..length).unwrap_or_default();
                    let breaks = if last > before { fields.iter().filter(|&&byte| byte == b'\n').count() } else { 0 };
                    self.lines = (last.saturating_sub(breaks as u64), last);
                    return Ok(true);
                }
            }
        }
    }
}

fn grow_fields(fields: &mut Vec<u8>, longest: usize, line: u64) -> Result<(), Stop> {
    if fields.len() >= longest {
        let message = format!("the record is longer than {} KiB (is a quote not closed?)", longest >> 10);
        return Err(Stop::Problem(Problem::new(message).line(line)));
    }
    fields.resize((fields.len() * 2).min(longest), 0);
    Ok(())
}

fn grow_ends(ends: &mut Vec<usize>, most: usize, line: u64) -> Result<(), Stop> {
    if ends.len() >= most {
        return Err(Stop::Problem(Problem::new(format!("more than {most} columns")).line(line)));
    }
    ends.resize((ends.len() * 2).min(most), 0);
    Ok(())
}

/// Finds the delimiters of a line, written to `ends`, and its end: how many, and where. Nothing when the line needs the
/// parser: for a quote or a lone carriage return, because its end is not in `input`, or for too many delimiters.
fn scan(input: &[u8], delimiter: u8, ends: &mut [usize]) -> Option<(usize, usize)> {
    let (words, rest) = input.as_chunks::<8>();
    let mut last = [0xff; 8];
    last.get_mut(..rest.len())?.copy_from_slice(rest);
    let mut count = 0;
    for (word, bytes) in words.iter().chain([&last]).enumerate() {
        let mut low = low_bytes(u64::from_le_bytes(*bytes));
        while low != 0 {
            let at = word * 8 + (low.trailing_zeros() / 8) as usize;
            low &= low - 1;
            match input.get(at)? {
                b'\n' => return Some((count, at)),
                b'"' => return None,
                b'\r' if input.get(at + 1) != Some(&b'\n') => return None,
                byte if *byte == delimiter => {
                    *ends.get_mut(count)? = at;
                    count += 1;
                }
                _ => {}
            }
        }
    }
    None
}

/// The top bit of each byte that is no greater than a comma: all that can matter to a line are among those.
fn low_bytes(word: u64) -> u64 {
    const SEVEN_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    const UP_TO_TOP: u64 = 0x0101_0101_0101_0101 * (0x7f - b',' as u64);
    !(((word & SEVEN_BITS) + UP_TO_TOP) | word) & !SEVEN_BITS
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
