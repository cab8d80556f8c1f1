//! JSON lines: one object on each line.
//!
//! A cell is the text of a string, or a number, `true` or `false` as it is written; `null` is empty. Keys that nobody
//! asks for are skipped. Objects and lists are no cells.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::source::Source;
use super::{Options, RowCount, Stop, Table};
use crate::problem::{Problem, Problems};
use crate::text::quoted;

/// Lines of a file.
pub(super) struct Lines<'a> {
    source: Source<'a>,
    line: Vec<u8>,
    number: u64,
    longest: usize,
    /// The first line is read to know its keys, and not yet handed out.
    pending: bool,
}

impl<'a> Lines<'a> {
    /// Reads the keys of the first object.
    pub(super) fn open(source: Source<'a>, options: &Options) -> Result<(Vec<String>, Self), Stop> {
        let (longest, most_columns) = (options.longest_record, options.most_columns);
        let mut lines = Self { source, line: Vec::new(), number: 0, longest, pending: false };
        if !lines.advance()? {
            return Err(Stop::Problem(Problem::new("the file has no rows")));
        }
        let mut header = Vec::new();
        let keys = object(&lines.line, |key, _| {
            header.push(key.to_owned());
            if header.len() > most_columns { Err(format!("more than {most_columns} keys")) } else { Ok(()) }
        });
        keys.map_err(|what| Stop::Problem(Problem::new(what).line(lines.number)))?;
        lines.pending = true;
        Ok((header, lines))
    }

    /// Where they come from.
    pub(super) fn source(&mut self) -> &mut Source<'a> {
        &mut self.source
    }

    /// Reads all lines into `table`, the values of the keys at `places` of each.
    pub(super) fn read(
        mut self,
        places: &[usize],
        header: &[String],
        mut rows: RowCount,
        table: &mut Table,
        problems: &mut Problems,
    ) -> Result<(), Stop> {
        let names: Vec<&str> = places.iter().map(|&place| header.get(place).map_or("", String::as_str)).collect();
        let mut row = Row { names: &names, text: String::new(), values: vec![None; names.len()], next: 0 };
        while self.advance()? {
            rows.add(self.number)?;
            match row.read(&self.line, table) {
                Ok(()) => table.end_row(self.number),
                Err(what) => {
                    table.drop_row();
                    problems.push_with(|| Problem::new(what).file(table.path()).line(self.number));
                }
            }
        }
        Ok(())
    }

    /// Reads the next line that is not blank; false at the end.
    fn advance(&mut self) -> Result<bool, Stop> {
        if std::mem::take(&mut self.pending) {
            return Ok(true);
        }
        loop {
            self.line.clear();
            self.number += 1 + self.source.skip_blank()?;
            let more = self.fill()?;
            if !self.line.trim_ascii().is_empty() {
                return Ok(true);
            }
            if !more {
                return Ok(false);
            }
        }
    }

    /// Reads to the end of a line; false at the end of the file.
    fn fill(&mut self) -> Result<bool, Stop> {
        loop {
            let input = self.source.peek()?;
            let end = input.iter().position(|&byte| byte == b'\n');
            let taken = input.get(..end.unwrap_or(input.len())).unwrap_or_default();
            if self.line.len() + taken.len() > self.longest {
                let message = format!("the line is longer than {} KiB", self.longest >> 10);
                return Err(Stop::Problem(Problem::new(message).line(self.number)));
            }
            self.line.extend_from_slice(taken);
            let (at_end, length) = (input.is_empty(), taken.len());
            self.source.consume(length + usize::from(end.is_some()));
            if end.is_some() || at_end {
                return Ok(!at_end);
            }
        }
    }
}

/// What is wanted of each line.
struct Row<'n> {
    names: &'n [&'n str],
    /// The values of the line at hand, in the line's order.
    text: String,
    /// Where the value for each name is in `text`.
    values: Vec<Option<Range<usize>>>,
    /// The name that is likely to come next: most writers keep an order.
    next: usize,
}

impl Row<'_> {
    fn read(&mut self, line: &[u8], table: &mut Table) -> Result<(), String> {
        self.text.clear();
        self.values.iter_mut().for_each(|value| *value = None);
        object(line, |key, value| {
            let Some(at) = self.find(key) else { return Ok(()) };
            self.next = at + 1;
            match self.values.get_mut(at) {
                Some(Some(_)) => Err(format!("key {} is there twice", quoted(key))),
                Some(empty) => {
                    let start = self.text.len();
                    self.text.push_str(&cell(key, value)?);
                    *empty = Some(start..self.text.len());
                    Ok(())
                }
                None => Ok(()),
            }
        })?;
        for (name, value) in self.names.iter().zip(&self.values) {
            let place = value.clone().ok_or_else(|| format!("no key {}", quoted(name)))?;
            table.push_cell(self.text.get(place).unwrap_or_default()).map_err(|cell| table.told(cell))?;
        }
        Ok(())
    }

    fn find(&self, key: &str) -> Option<usize> {
        let likely = if self.next < self.names.len() { self.next } else { 0 };
        if self.names.get(likely) == Some(&key) {
            return Some(likely);
        }
        self.names.iter().position(|name| *name == key)
    }
}

/// The text of a value.
fn cell<'v>(key: &str, value: &'v RawValue) -> Result<Cow<'v, str>, String> {
    let raw = value.get();
    match raw.as_bytes() {
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => {
            Ok(Cow::Borrowed(raw.get(1..raw.len() - 1).unwrap_or_default()))
        }
        [b'"', ..] => serde_json::from_str(raw).map(Cow::Owned).map_err(|error| error.to_string()),
        [b'{' | b'[', ..] => Err(format!("key {}: a list or an object; a text or a number is needed", quoted(key))),
        b"null" => Ok(Cow::Borrowed("")),
        _ => Ok(Cow::Borrowed(raw)),
    }
}

/// Calls `each` with the keys and values of the object on a line.
fn object(line: &[u8], each: impl FnMut(&str, &RawValue) -> Result<(), String>) -> Result<(), String> {
    let line = str::from_utf8(line).map_err(|_| "not UTF-8; save the file as UTF-8".to_owned())?;
    let mut json = serde_json::Deserializer::from_str(line);
    json.deserialize_map(Each(each)).and_then(|()| json.end()).map_err(|error| {
        let (message, place) = (error.to_string(), error.column());
        let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
        if error.is_data() { what.to_owned() } else { format!("not a JSON object: {what} at column {place}") }
    })
}

struct Each<F>(F);

impl<'de, F: FnMut(&str, &RawValue) -> Result<(), String>> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON object, such as {\"id\": 1, \"label\": \"cat\"}")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<Key<'de>, &RawValue>()? {
            (self.0)(&key.0, value).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// A key, borrowed where it holds no escape.
#[derive(serde::Deserialize)]
struct Key<'k>(#[serde(borrow)] Cow<'k, str>);
