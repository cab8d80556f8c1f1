//! All rows as bytes, for a backup, and back again into an empty store.
//!
//! A first line with the format; then a frame for each row: the number of its table's name's bytes, the name, then key and
//! row, each behind its length; then a frame without a name, and how many rows there were. Numbers are big-endian. That the
//! bytes are those that were written, whoever keeps them sees to.

use super::draft::Draft;
use super::opening::{FORMAT, OLDEST};
use super::tables::{Table, Trees};
use gradus_core::ports::store::{Result, StoreError};
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write};

const HEAD: &str = "gradus rows ";
/// A key or a row, at most; bytes.
const MAX_LEN: u32 = 64 << 20;
/// Rows that one transaction puts back, and their bytes, at most.
const BATCH: (usize, usize) = (1_000, 8 << 20);

fn failed(what: &str) -> impl FnOnce(io::Error) -> StoreError + '_ {
    move |source| StoreError::Backup { what: what.to_owned(), source: Some(source.into()) }
}

/// Writes all rows; how many.
pub fn write(trees: &Trees, to: Box<dyn Write + Send>) -> Result<u64> {
    let not_written = || failed("the rows could not be written to the backup");
    let mut to = BufWriter::with_capacity(1 << 20, to);
    writeln!(to, "{HEAD}{FORMAT}").map_err(not_written())?;
    let mut count = 0;
    for table in Table::ALL {
        for row in trees.after(table, b"", None) {
            let (key, row) = row?;
            frame(&mut to, table.name(), &key, &row).map_err(not_written())?;
            count += 1;
        }
    }
    let mut end = || {
        to.write_all(&[0])?;
        to.write_all(&u64::to_be_bytes(count))?;
        to.flush()
    };
    end().map_err(not_written())?;
    Ok(count)
}

fn frame(to: &mut impl Write, name: &str, key: &[u8], row: &[u8]) -> io::Result<()> {
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).map(u32::to_be_bytes).map_err(io::Error::other);
    to.write_all(&[u8::try_from(name.len()).map_err(io::Error::other)?])?;
    to.write_all(name.as_bytes())?;
    for part in [key, row] {
        to.write_all(&len(part)?)?;
        to.write_all(part)?;
    }
    Ok(())
}

/// What a frame holds.
enum Frame {
    Row(Table, Vec<u8>, Vec<u8>),
    /// The number of rows before it.
    End(u64),
}

/// Puts rows that [`write()`] wrote into the trees of an empty store; how many. They are not durable yet.
pub fn read(trees: &Trees, from: &mut dyn Read) -> Result<u64> {
    let not_read = || failed("the rows of the backup could not be read: it is not whole; use another");
    let mut from = BufReader::with_capacity(1 << 20, from);
    head(&mut from)?;
    let mut count = 0;
    loop {
        let mut draft = Draft::new(trees);
        let (mut rows, mut bytes) = (0, 0);
        while rows < BATCH.0 && bytes < BATCH.1 {
            match next(&mut from).map_err(not_read())? {
                Frame::Row(table, key, row) => {
                    bytes += key.len() + row.len();
                    rows += 1;
                    draft.put_encoded(table, key, row);
                }
                Frame::End(said) => {
                    count += rows as u64;
                    commit(draft)?;
                    let what = || format!("the backup says that it has {said} rows, and has {count}: use another");
                    return if said == count {
                        Ok(count)
                    } else {
                        Err(StoreError::Backup { what: what(), source: None })
                    };
                }
            }
        }
        count += rows as u64;
        commit(draft)?;
    }
}

fn commit(draft: Draft<'_>) -> Result<()> {
    draft.commit().map(drop).map_err(|source| StoreError::Write(source.into()))
}

fn head(from: &mut impl BufRead) -> Result<()> {
    let mut line = Vec::new();
    let read = from.take(32).read_until(b'\n', &mut line);
    read.map_err(failed("the rows of the backup could not be read"))?;
    let format =
        std::str::from_utf8(line.trim_ascii_end()).ok().and_then(|line| line.strip_prefix(HEAD)?.parse::<u32>().ok());
    let what = match format {
        // With its rows comes their format, and opening brings them to ours.
        Some(OLDEST..=FORMAT) => return Ok(()),
        Some(other) => format!(
            "the backup is in format {other}, and this gradus reads formats {OLDEST} to {FORMAT}: restore it with the gradus \
             that made it"
        ),
        None => "the rows of the backup are none of gradus's".to_owned(),
    };
    Err(StoreError::Backup { what, source: None })
}

fn next(from: &mut impl Read) -> io::Result<Frame> {
    let wrong = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_owned());
    let mut len = [0];
    from.read_exact(&mut len)?;
    if len == [0] {
        let mut count = [0; 8];
        from.read_exact(&mut count)?;
        return Ok(Frame::End(u64::from_be_bytes(count)));
    }
    let mut name = vec![0; usize::from(len[0])];
    from.read_exact(&mut name)?;
    let table = Table::ALL.into_iter().find(|table| table.name().as_bytes() == name);
    let table = table.ok_or_else(|| wrong("there is no such table"))?;
    let mut part = || {
        let mut len = [0; 4];
        from.read_exact(&mut len)?;
        let len = u32::from_be_bytes(len);
        if len > MAX_LEN {
            return Err(wrong("a row is too long"));
        }
        let mut bytes = vec![0; len as usize];
        from.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    Ok(Frame::Row(table, part()?, part()?))
}
