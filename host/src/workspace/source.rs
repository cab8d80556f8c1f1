//! The upload as a stream, and the meter that every byte passes: size, ratio, time. Knows no format.

use super::limits::{ArchiveLimits, RATIO_FREE};
use super::refused::{Entry, Refused};
use gradus_core::ports::blobs::ReadAt;
use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::time::Instant;

/// Bytes of every buffer.
pub(super) const BUFFER: usize = 64 << 10;

/// What was used of the limits so far.
pub(super) struct Meter<'l> {
    pub(super) limits: &'l ArchiveLimits,
    /// Bytes of the upload.
    packed: u64,
    since: Instant,
    /// Bytes that came out of the decoders: files and, of a tar, its headers too.
    expanded: Cell<u64>,
    /// Bytes in files, as their headers announced them.
    announced: Cell<u64>,
}

impl<'l> Meter<'l> {
    pub(super) fn new(limits: &'l ArchiveLimits, packed: u64) -> Self {
        Self { limits, packed, since: Instant::now(), expanded: Cell::new(0), announced: Cell::new(0) }
    }

    pub(super) fn in_time(&self) -> Result<(), Refused> {
        let most = self.limits.time;
        if self.since.elapsed() > most { Err(Refused::TookTooLong { most }) } else { Ok(()) }
    }

    /// A header says that a file of `len` bytes follows: refused before a byte of it is read.
    pub(super) fn announce(&self, name: &str, len: u64) -> Result<(), Refused> {
        if len > self.limits.file.0 {
            return Err(Refused::FileTooBig { entry: Entry::new(name.as_bytes()), most: self.limits.file });
        }
        self.announced.set(self.announced.get().saturating_add(len));
        if self.announced.get() > self.limits.bytes.0 {
            return Err(Refused::TooBig { most: self.limits.bytes });
        }
        self.ratio(self.announced.get())
    }

    fn ratio(&self, bytes: u64) -> Result<(), Refused> {
        let most = self.packed.saturating_mul(u64::from(self.limits.ratio)).saturating_add(RATIO_FREE);
        if bytes > most { Err(Refused::Ratio { most: self.limits.ratio }) } else { Ok(()) }
    }

    /// `count` bytes came out of a decoder, whatever the headers say.
    fn expanded(&self, count: usize) -> Result<(), Refused> {
        self.expanded.set(self.expanded.get().saturating_add(count as u64));
        // A tar spends up to two blocks on an entry, two more on a long name, and pads its end.
        let headers = (self.limits.entries as u64).saturating_mul(4 * 512).saturating_add(1 << 20);
        if self.expanded.get() > self.limits.bytes.0.saturating_add(headers) {
            return Err(Refused::TooBig { most: self.limits.bytes });
        }
        self.ratio(self.expanded.get())?;
        self.in_time()
    }
}

/// A part of the upload, from its start to its end. Buffered, since it is read in small pieces too.
pub(super) type Part<'a> = BufReader<Source<'a>>;

/// The bytes from `at` to `end` of the upload, as a stream that stops when the time is up.
pub(super) fn part<'a>(upload: &'a dyn ReadAt, meter: &'a Meter<'a>, at: u64, end: u64) -> Part<'a> {
    // What a header points at may lie behind the end: that is a short read of theirs, not a failed one of ours.
    let end = end.min(upload.len());
    let len = usize::try_from(end.saturating_sub(at)).unwrap_or(BUFFER).clamp(1, BUFFER);
    BufReader::with_capacity(len, Source { upload, meter, at, end })
}

pub(super) struct Source<'a> {
    upload: &'a dyn ReadAt,
    meter: &'a Meter<'a>,
    at: u64,
    end: u64,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.meter.in_time().map_err(io::Error::other)?;
        let most = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.upload.read_at(self.at, &mut buffer[..most]);
        let count = match count {
            Ok(0) => return Err(io::Error::other(Refused::Upload(io::ErrorKind::UnexpectedEof.into()))),
            Ok(count) => count,
            Err(error) => return Err(io::Error::other(Refused::Upload(error))),
        };
        self.at += count as u64;
        Ok(count)
    }
}

/// What comes out of a decoder, metered.
pub(super) struct Metered<'m, R> {
    pub(super) inner: R,
    pub(super) meter: &'m Meter<'m>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.meter.expanded(count).map_err(io::Error::other)?;
        Ok(count)
    }
}
