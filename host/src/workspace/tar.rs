//! Reads tar archives, plain or compressed with gzip or zstd, as a stream; each block is looked at here.
//!
//! Decided: the archive must end with an empty block and nothing but empty blocks may follow, since a tar cut short
//! between two entries is a tar of fewer files otherwise. Several gzip members or zstd frames in a row are one stream;
//! anything else behind the last one is refused. Sparse files and multi-volume archives are not read.

mod header;

use super::collect::Collector;
use super::refused::{Entry, NAME_MOST, Refused};
use super::source::{BUFFER, Meter, Metered, part};
use gradus_core::domain::tree::{BadPath, TreePath};
use gradus_core::ports::blobs::ReadAt;
use header::{BLOCK, Block, Extended, Type};
use std::io::{self, BufReader, Read};

/// A long name or a set of extended attributes, at most, in bytes.
const EXTENSION: u64 = 64 << 10;
/// log2 of the zstd window: 8 MiB, which every level below `--ultra` stays within.
const WINDOW_LOG: u32 = 23;

/// How a tar is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    pub(super) fn format(self) -> &'static str {
        match self {
            Self::Plain => "tar",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// The uncompressed stream.
pub(super) fn open<'a>(
    upload: &'a dyn ReadAt,
    packing: Packing,
    meter: &'a Meter<'a>,
) -> Result<Box<dyn Read + 'a>, Refused> {
    let packed = part(upload, meter, 0, upload.len());
    Ok(match packing {
        Packing::Plain => Box::new(packed),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Packing::Zstd => {
            let failed = |error| Refused::from_read(error, packing.format());
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(failed)?;
            decoder.window_log_max(WINDOW_LOG).map_err(failed)?;
            Box::new(decoder)
        }
    })
}

/// Whether the first block is a tar header; old ones without a mark, and an empty archive, only if so `named`.
pub(super) fn looks_like(head: &[u8], named: bool) -> bool {
    let Ok(block) = <&[u8; BLOCK]>::try_from(head) else { return false };
    (named && head.iter().all(|b| *b == 0)) || Block(block).is_header(named)
}

/// Hands all files to `collector`.
pub(super) fn read<'a>(
    upload: &'a dyn ReadAt,
    packing: Packing,
    meter: &'a Meter<'a>,
    collector: &mut Collector<'_>,
) -> Result<(), Refused> {
    let metered = Metered { inner: open(upload, packing, meter)?, meter };
    let mut blocks = Blocks::new(metered, packing.format());
    entries(&mut blocks, meter.limits.entries, |blocks, found| {
        collector.entry()?;
        entry(blocks, &found, meter, collector)
    })
}

/// An entry, with all that was said of it.
pub(super) struct Found {
    kind: Type,
    /// Its name, as it came.
    pub(super) name: Vec<u8>,
    /// Bytes that its header announces.
    pub(super) len: u64,
    /// Whether these are a file's.
    pub(super) has_body: bool,
    /// Whether it claims holes.
    pub(super) sparse: bool,
    /// Whether its header does not say what it is.
    pub(super) of_old: bool,
    /// Whether it is a pipe, a device, or nothing that is known; and which device of characters.
    pub(super) special: Option<Option<(u32, u32)>>,
    /// Where it leads, if it is a symbolic link.
    symlink: Option<Vec<u8>>,
}

/// Reads all entries; `take` reads the body of each, with its padding.
pub(super) fn entries<R: Read>(
    blocks: &mut Blocks<R>,
    most: usize,
    mut take: impl FnMut(&mut Blocks<R>, Found) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let mut extended = Extended::default();
    let mut extensions = 0;
    loop {
        let block = blocks.next()?.ok_or(blocks.corrupt("its end is missing"))?;
        if block.iter().all(|b| *b == 0) {
            if extended.is_pending() {
                return Err(blocks.corrupt("a long name without its file"));
            }
            return blocks.only_zeros();
        }
        let block = Block(&block);
        if !block.is_header(true) {
            return Err(blocks.corrupt("a header's checksum is wrong"));
        }
        let len = block.size().ok_or(blocks.corrupt("a size is no number"))?;
        match block.kind() {
            kind @ (Type::Pax | Type::PaxGlobal | Type::LongName | Type::LongLink) => {
                // A long name and a long target at most, and the archive's own.
                extensions += 1;
                if extensions > most.saturating_mul(2).saturating_add(2) {
                    return Err(Refused::TooManyEntries { most });
                }
                let body = blocks.extension(len)?;
                extended.take(kind, body).map_err(|why| blocks.corrupt(why))?;
            }
            kind @ (Type::File | Type::Folder | Type::Link | Type::Sparse | Type::Special) => {
                let extended = std::mem::take(&mut extended);
                let name = extended.name.unwrap_or_else(|| block.name());
                if extended.size.is_some_and(|size| size != len) {
                    return Err(Refused::Mismatch { entry: Entry::new(&name), what: "its size" });
                }
                let has_body = kind == Type::File;
                let sparse = kind == Type::Sparse || (has_body && extended.sparse);
                let special = (kind == Type::Special).then(|| block.character_device());
                let (of_old, symlink) = (block.of_old(), block.symlink());
                take(blocks, Found { kind, name, len, has_body, sparse, of_old, special, symlink })?;
            }
        }
    }
}

fn entry(
    blocks: &mut Blocks<impl Read>,
    found: &Found,
    meter: &Meter<'_>,
    collector: &mut Collector<'_>,
) -> Result<(), Refused> {
    let Found { kind, name, len, sparse, symlink, .. } = found;
    let (kind, len) = (*kind, *len);
    let entry = || Entry::new(name);
    if let Some(target) = symlink.as_ref().filter(|_| meter.limits.links && len == 0)
        && let (Some(path), false) = path(name)?
    {
        // A file that holds where it leads; whoever knows what it is for, follows it.
        collector.file(path, &mut &target[..], blocks.format)?;
        return Ok(());
    }
    match kind {
        Type::Link => return Err(Refused::Link { entry: entry() }),
        Type::Special => return Err(Refused::Special { entry: entry() }),
        Type::Sparse => return Err(Refused::Sparse { entry: entry() }),
        Type::File if *sparse => return Err(Refused::Sparse { entry: entry() }),
        Type::File | Type::Folder | Type::Pax | Type::PaxGlobal | Type::LongName | Type::LongLink => {}
    }
    let (path, slash) = path(name)?;
    if kind == Type::Folder || slash {
        if len != 0 {
            return Err(Refused::Mismatch { entry: entry(), what: "a folder with data" });
        }
        if let Some(path) = path {
            collector.folder(path);
        }
        return Ok(());
    }
    let path = path.ok_or_else(|| Refused::path(name, BadPath::Empty))?;
    meter.announce(path.as_str(), len)?;
    let format = blocks.format;
    let taken = collector.file(path, &mut (&mut blocks.inner).take(len), format)?;
    if taken != len {
        return Err(blocks.corrupt("it ends inside a file"));
    }
    blocks.padding(len)
}

/// The path of an entry, and whether it ends like a folder's. `./x` is `x`, as `tar -C folder .` writes it; `None` is
/// the top itself.
fn path(name: &[u8]) -> Result<(Option<TreePath>, bool), Refused> {
    let text = std::str::from_utf8(name).map_err(|_| Refused::NameEncoding { entry: Entry::new(name) })?;
    if text.len() > NAME_MOST {
        return Err(Refused::path(name, BadPath::TooLong));
    }
    let (mut text, mut slash) = (text, false);
    while let Some(rest) = text.strip_prefix("./") {
        text = rest;
        slash = rest.is_empty();
    }
    if let Some(rest) = text.strip_suffix('/').filter(|rest| !rest.is_empty()) {
        text = rest;
        slash = true;
    }
    if (text.is_empty() && slash) || text == "." {
        return Ok((None, slash));
    }
    text.parse().map(|path| (Some(path), slash)).map_err(|why| Refused::path(name, why))
}

/// The stream in blocks.
pub(super) struct Blocks<R> {
    inner: BufReader<R>,
    format: &'static str,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(inner: R, format: &'static str) -> Self {
        Self { inner: BufReader::with_capacity(BUFFER, inner), format }
    }

    pub(super) fn into_inner(self) -> R {
        self.inner.into_inner()
    }

    /// Reads over a body and its padding.
    pub(super) fn skip(&mut self, len: u64) -> Result<(), Refused> {
        let skipped = io::copy(&mut (&mut self.inner).take(len), &mut io::sink());
        if skipped.map_err(|error| Refused::from_read(error, self.format))? != len {
            return Err(self.corrupt("it ends inside a file"));
        }
        self.padding(len)
    }

    fn corrupt(&self, why: &'static str) -> Refused {
        Refused::Corrupt { format: self.format, why }
    }

    /// The next block; `None` at the end.
    fn next(&mut self) -> Result<Option<[u8; BLOCK]>, Refused> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.corrupt("it ends inside a block")),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Refused::from_read(error, self.format)),
            }
        }
        Ok(Some(block))
    }

    /// The body of a header that extends the next one.
    fn extension(&mut self, len: u64) -> Result<Vec<u8>, Refused> {
        if len > EXTENSION {
            return Err(self.corrupt("a long name or extended header is longer than 64 KiB"));
        }
        let mut body = Vec::new();
        let read = (&mut self.inner).take(len).read_to_end(&mut body);
        read.map_err(|error| Refused::from_read(error, self.format))?;
        if body.len() as u64 != len {
            return Err(self.corrupt("it ends inside a header"));
        }
        self.padding(len)?;
        Ok(body)
    }

    /// The rest of the last block of a body.
    fn padding(&mut self, len: u64) -> Result<(), Refused> {
        let mut rest = [0; BLOCK];
        let rest = &mut rest[..((BLOCK as u64 - len % BLOCK as u64) % BLOCK as u64) as usize];
        self.inner.read_exact(rest).map_err(|error| Refused::from_read(error, self.format))
    }

    /// Reads to the end, so that the checksums of gzip and zstd are looked at too.
    fn only_zeros(&mut self) -> Result<(), Refused> {
        while let Some(block) = self.next()? {
            if block.iter().any(|b| *b != 0) {
                return Err(self.corrupt("there is data behind its end"));
            }
        }
        Ok(())
    }
}
