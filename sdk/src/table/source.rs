//! The bytes of a table: unpacked when gzipped, without their byte order mark, counted.
//!
//! Knows how a file that is no text gives itself away. Does not split anything into records.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

use super::{Options, Stop};
use crate::data::{File, Reader};
use crate::problem::Problem;

/// How much is unpacked at a time.
const UNPACKED_CHUNK: usize = 64 << 10;

/// Bytes to read records from.
pub(super) struct Source<'a> {
    input: Box<dyn BufRead + 'a>,
    read: u64,
    most: u64,
    enough: u64,
}

pub(super) fn open<'a>(file: &'a File, options: &Options) -> Result<Source<'a>, Stop> {
    let mut plain = file.reader();
    let packed = plain.fill_buf().is_ok_and(|head| head.starts_with(&[0x1f, 0x8b]));
    let input: Box<dyn BufRead> =
        if packed { Box::new(BufReader::with_capacity(UNPACKED_CHUNK, Members::new(plain))) } else { Box::new(plain) };
    let mut source = Source { input, read: 0, most: options.most_bytes, enough: options.enough_bytes };
    let head = source.peek()?;
    if let Some(what) = no_text(head) {
        return Err(Stop::Problem(Problem::new(what)));
    }
    if head.starts_with(b"\xef\xbb\xbf") {
        source.consume(3);
    }
    Ok(source)
}

/// Gzip data, which may come in members, one after the other.
///
/// To begin one costs as much as to unpack a thousand bytes, and it takes up twenty: a file of empty ones would cost any
/// fuel without ever reaching a bound on bytes.
struct Members<'a> {
    /// Nothing after the last one.
    member: Option<GzDecoder<Reader<'a>>>,
    begun: u64,
    unpacked: u64,
}

impl<'a> Members<'a> {
    /// Members that may be small.
    const SMALL: u64 = 16;
    /// What the others have on average, at least. Those of `bgzip` have 64 KiB.
    const BYTES: u64 = 1 << 10;

    fn new(packed: Reader<'a>) -> Self {
        Self { member: Some(GzDecoder::new(packed)), begun: 1, unpacked: 0 }
    }
}

impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                self.unpacked = self.unpacked.saturating_add(read as u64);
                return Ok(read);
            }
            let Some(mut packed) = self.member.take().map(GzDecoder::into_inner) else { break };
            if packed.fill_buf()?.is_empty() {
                break;
            }
            self.begun += 1;
            if self.begun > Self::SMALL + self.unpacked / Self::BYTES {
                let what = "it has many members and little data; pack it in one";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            self.member = Some(GzDecoder::new(packed));
        }
        Ok(0)
    }
}

/// What a file is that is no text at all.
fn no_text(head: &[u8]) -> Option<&'static str> {
    match head {
        [] => Some("the file is empty"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("the file is UTF-16; save it as UTF-8"),
        [b'P', b'K', 3, 4, ..] => Some("the file is a zip archive or a spreadsheet; save the table as CSV"),
        [b'P', b'A', b'R', b'1', ..] => Some("the file is Parquet; save the table as CSV"),
        [0x1f, 0x8b, ..] => Some("the file is gzipped twice; pack it once"),
        _ => None,
    }
}

/// Whether a table is JSON lines: by its name, else by its first character.
pub(super) fn is_json_lines(path: &str, head: &[u8]) -> bool {
    let path = path.to_ascii_lowercase();
    let name = path.strip_suffix(".gz").unwrap_or(&path);
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("jsonl" | "ndjson" | "json") => true,
        Some("csv" | "tsv" | "tab") => false,
        Some(_) | None => head.trim_ascii_start().first() == Some(&b'{'),
    }
}

impl Source<'_> {
    /// Lowers the bound on all bytes to `most`.
    pub(super) fn bound(&mut self, most: u64) {
        self.most = self.most.min(most);
    }

    /// Of what comes next, the bytes before which a record may begin: at those behind, [`peek`](Self::peek) stops.
    pub(super) fn bound_ahead(&self) -> usize {
        let ahead = (self.enough.saturating_sub(self.read)).min(self.most.saturating_sub(self.read).saturating_add(1));
        usize::try_from(ahead).unwrap_or(usize::MAX)
    }

    /// What comes next; empty at the end.
    pub(super) fn peek(&mut self) -> Result<&[u8], Stop> {
        if self.read > self.most {
            let most = self.most >> 20;
            let what = format!("the table is larger than {most} MiB (unpacked); leave out what is not asked for");
            return Err(Stop::Problem(Problem::new(what)));
        }
        if self.read >= self.enough {
            return Err(Stop::Enough);
        }
        self.input
            .fill_buf()
            .map_err(|error| Stop::Problem(Problem::new(format!("the gzip data cannot be read: {error}"))))
    }

    /// Skips line breaks, and says how many lines that were: a file of nothing else is read fast.
    pub(super) fn skip_blank(&mut self) -> Result<u64, Stop> {
        let mut lines = 0;
        loop {
            let input = self.peek()?;
            let blank = |byte: &&u8| matches!(**byte, b'\n' | b'\r');
            let mut skipped = 0;
            for byte in input.iter().take_while(blank) {
                skipped += 1;
                lines += u64::from(*byte == b'\n');
            }
            let more = skipped > 0 && skipped == input.len();
            self.consume(skipped);
            if !more {
                return Ok(lines);
            }
        }
    }

    pub(super) fn consume(&mut self, amount: usize) {
        self.input.consume(amount);
        self.read = self.read.saturating_add(amount as u64);
    }
}
