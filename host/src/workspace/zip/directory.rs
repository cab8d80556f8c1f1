//! A zip's end record, its directory, and the header before each file. Reads no file's data.

use super::super::refused::{Entry, NAME_MOST, Refused};
use super::super::source::{Meter, part};
use gradus_core::domain::tree::BadPath;
use gradus_core::ports::blobs::ReadAt;
use std::io::Read;

/// Bytes of the end record, without its comment.
const END: usize = 22;
/// Bytes of a directory entry, without its name, extra fields and comment.
const CENTRAL: usize = 46;
/// Bytes of a file's own header, without its name and extra fields.
const LOCAL: usize = 30;
/// In a 32-bit field: the value is in the zip64 fields.
const IN_ZIP64: u64 = 0xffff_ffff;

/// What the directory says of an entry.
#[derive(Debug)]
pub(super) struct Listed {
    /// As it is there.
    pub(super) name: Vec<u8>,
    pub(super) folder: bool,
    pub(super) deflated: bool,
    pub(super) crc: u32,
    /// Bytes of the file.
    pub(super) size: u64,
    /// Bytes of its data in the archive.
    pub(super) packed: u64,
    /// Where its own header begins.
    pub(super) offset: u64,
    flags: u16,
}

pub(super) fn corrupt(why: &'static str) -> Refused {
    Refused::Corrupt { format: "zip", why }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn fill(from: &mut impl Read, buffer: &mut [u8]) -> Result<(), Refused> {
    from.read_exact(buffer).map_err(|error| Refused::from_read(error, "zip"))
}

/// Where the directory lies and how many entries it has.
struct End {
    start: u64,
    end: u64,
    entries: u64,
}

fn end(upload: &dyn ReadAt, meter: &Meter<'_>) -> Result<End, Refused> {
    let len = upload.len();
    let from = len.saturating_sub((END + usize::from(u16::MAX)) as u64);
    let mut tail = Vec::new();
    let read = part(upload, meter, from, len).read_to_end(&mut tail);
    read.map_err(|error| Refused::from_read(error, "zip"))?;
    let ends_there = |at: &usize| {
        let rest = &tail[*at..];
        rest.starts_with(b"PK\x05\x06") && usize::from(u16_at(rest, 20)) == rest.len() - END
    };
    let last = tail.len().checked_sub(END).ok_or(corrupt("it ends too soon"))?;
    let at = (0..=last).rev().find(ends_there);
    let at = at.ok_or(corrupt("its end record is missing, or there is data behind it"))?;
    let (record, position) = (&tail[at..], from + at as u64);
    let mut found = End {
        start: u64::from(u32_at(record, 16)),
        end: u64::from(u32_at(record, 16)) + u64::from(u32_at(record, 12)),
        entries: u64::from(u16_at(record, 10)),
    };
    let mut expected_end = position;
    let alone = u16_at(record, 4) == 0 && u16_at(record, 6) == 0 && u16_at(record, 8) == u16_at(record, 10);
    if let Some(wide_at) = zip64_record(upload, meter, position)? {
        let mut wide = [0; 56];
        fill(&mut part(upload, meter, wide_at, position), &mut wide)?;
        let (size, start) = (u64_at(&wide, 40), u64_at(&wide, 48));
        let narrow = |value: u64, most: u64, wide: u64| value == wide || value == most;
        let agree = narrow(u64::from(u32_at(record, 16)), IN_ZIP64, start)
            && narrow(u64::from(u32_at(record, 12)), IN_ZIP64, size)
            && narrow(found.entries, 0xffff, u64_at(&wide, 32));
        // The record says its own length, without the first 12 bytes; the locator of 20 bytes follows it.
        let record_end = u64_at(&wide, 4).checked_add(12 + 20).and_then(|len| len.checked_add(wide_at));
        if !wide.starts_with(b"PK\x06\x06") || !agree || record_end != Some(position) {
            return Err(corrupt("its two end records disagree"));
        }
        let whole = u32_at(&wide, 16) == 0 && u32_at(&wide, 20) == 0 && u64_at(&wide, 24) == u64_at(&wide, 32);
        let end = start.checked_add(size).ok_or(corrupt("its directory is not where it should be"))?;
        found = End { start, end, entries: if whole { u64_at(&wide, 32) } else { u64::MAX } };
        expected_end = wide_at;
    }
    if !alone || found.entries == u64::MAX {
        return Err(corrupt("it is a part of several"));
    }
    if found.end != expected_end || found.start > found.end {
        return Err(corrupt("its directory is not where it should be"));
    }
    Ok(found)
}

/// Where the zip64 end record is, when a locator stands right before the end record.
fn zip64_record(upload: &dyn ReadAt, meter: &Meter<'_>, end: u64) -> Result<Option<u64>, Refused> {
    let Some(at) = end.checked_sub(20) else { return Ok(None) };
    let mut locator = [0; 20];
    fill(&mut part(upload, meter, at, end), &mut locator)?;
    let wide = u64_at(&locator, 8);
    Ok((locator.starts_with(b"PK\x06\x07") && wide < at).then_some(wide))
}

/// All entries, in the directory's order, and where the directory begins.
pub(super) fn read(upload: &dyn ReadAt, meter: &Meter<'_>) -> Result<(Vec<Listed>, u64), Refused> {
    let end = end(upload, meter)?;
    let most = meter.limits.entries;
    let count = usize::try_from(end.entries).ok().filter(|count| *count <= most);
    // Before a single one is read.
    let count = count.ok_or(Refused::TooManyEntries { most })?;
    let mut from = part(upload, meter, end.start, end.end);
    let mut left = end.end - end.start;
    let mut listed = Vec::new();
    let mut buffer = Vec::new();
    for _ in 0..count {
        let mut fixed = [0; CENTRAL];
        fill(&mut from, &mut fixed)?;
        if !fixed.starts_with(b"PK\x01\x02") {
            return Err(corrupt("its directory cannot be read"));
        }
        let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(u16_at(&fixed, at)));
        buffer.resize(name + extra + comment, 0);
        fill(&mut from, &mut buffer)?;
        left = left.saturating_sub((CENTRAL + buffer.len()) as u64);
        listed.push(central(&fixed, &buffer[..name], &buffer[name..name + extra])?);
    }
    if left != 0 {
        return Err(corrupt("its directory holds more than its end record says"));
    }
    Ok((listed, end.start))
}

fn central(fixed: &[u8; CENTRAL], name: &[u8], extra: &[u8]) -> Result<Listed, Refused> {
    let entry = || Entry::new(name);
    if name.len() > NAME_MOST {
        return Err(Refused::path(name, BadPath::TooLong));
    }
    let (flags, method) = (u16_at(fixed, 8), u16_at(fixed, 10));
    // Bits 0, 6 and 13: encrypted, strongly so, and with a masked directory. Method 99: AES.
    if flags & (1 | 1 << 6 | 1 << 13) != 0 || method == 99 {
        return Err(Refused::Encrypted { entry: entry() });
    }
    // The upper half holds the Unix mode, where the archive was made on such a system.
    let (mode, dos) = (u32_at(fixed, 38) >> 16, u32_at(fixed, 38) & 0x10 != 0);
    match mode & 0o170_000 {
        0o120_000 => return Err(Refused::Link { entry: entry() }),
        0 | 0o100_000 | 0o040_000 => {}
        _ => return Err(Refused::Special { entry: entry() }),
    }
    // Bit 5: patches.
    if !matches!(method, 0 | 8) || flags & 1 << 5 != 0 {
        return Err(Refused::Method { entry: entry(), method });
    }
    let sizes = [24, 20, 42].map(|at| u64::from(u32_at(fixed, at)));
    let [size, packed, offset] = zip64(extra, sizes).ok_or(corrupt("a size is missing"))?;
    let folder = name.ends_with(b"/");
    if folder && size != 0 {
        return Err(Refused::Mismatch { entry: entry(), what: "a folder with data" });
    }
    if !folder && (mode & 0o170_000 == 0o040_000 || dos && mode == 0) {
        return Err(Refused::Mismatch { entry: entry(), what: "a folder by its attributes, a file by its name" });
    }
    // 0xffff: the number of the volume is in the zip64 fields; of one volume there is only number 0.
    if !matches!(u16_at(fixed, 34), 0 | 0xffff) {
        return Err(corrupt("it is a part of several"));
    }
    let (name, crc, deflated) = (name.to_owned(), u32_at(fixed, 16), method == 8);
    Ok(Listed { name, folder, deflated, crc, size, packed, offset, flags })
}

/// The values, each from the zip64 extra field where its own field says so; `None` when it should be there and is not.
fn zip64<const N: usize>(mut extra: &[u8], mut values: [u64; N]) -> Option<[u64; N]> {
    if !values.contains(&IN_ZIP64) {
        return Some(values);
    }
    loop {
        let (id, len) = (extra.get(..2)?, extra.get(2..4)?);
        let body = extra.get(4..4 + usize::from(u16_at(len, 0)))?;
        if u16_at(id, 0) == 1 {
            let mut wide = body.chunks_exact(8);
            for value in values.iter_mut().filter(|value| **value == IN_ZIP64) {
                *value = u64_at(wide.next()?, 0);
            }
            return Some(values);
        }
        extra = &extra[4 + body.len()..];
    }
}

impl Listed {
    fn mismatch(&self, what: &'static str) -> Refused {
        Refused::Mismatch { entry: Entry::new(&self.name), what }
    }
}

/// Compares a file's own header with the directory, and says where its data begin. `end` is where they must end.
pub(super) fn local(upload: &dyn ReadAt, meter: &Meter<'_>, listed: &Listed, end: u64) -> Result<u64, Refused> {
    let after = listed.offset.checked_add(LOCAL as u64).filter(|after| *after <= end);
    let after = after.ok_or_else(|| listed.mismatch("it overlaps what follows it"))?;
    let mut fixed = [0; LOCAL];
    fill(&mut part(upload, meter, listed.offset, after), &mut fixed)?;
    if !fixed.starts_with(b"PK\x03\x04") {
        return Err(listed.mismatch("its header is not where the directory says"));
    }
    let [name_len, extra_len] = [26, 28].map(|at| usize::from(u16_at(&fixed, at)));
    let mut rest = vec![0; name_len + extra_len];
    let start = after + rest.len() as u64;
    fill(&mut part(upload, meter, after, start.min(end)), &mut rest)?;
    let (name, extra) = rest.split_at(name_len);
    if name != listed.name {
        return Err(listed.mismatch("its name"));
    }
    let flags = u16_at(&fixed, 6);
    // Bit 0: encrypted; bit 3: the sizes follow the data.
    if (flags ^ listed.flags) & (1 | 1 << 3) != 0 || (u16_at(&fixed, 8) == 8) != listed.deflated {
        return Err(listed.mismatch("its compression"));
    }
    let sizes = [22, 18].map(|at| u64::from(u32_at(&fixed, at)));
    let [size, packed] = zip64(extra, sizes).ok_or(corrupt("a size is missing"))?;
    let later = flags & 1 << 3 != 0;
    let agrees = |here: u64, there: u64| here == there || (later && here == 0);
    if !agrees(size, listed.size) || !agrees(packed, listed.packed) {
        return Err(listed.mismatch("its size"));
    }
    if !agrees(u64::from(u32_at(&fixed, 14)), u64::from(listed.crc)) {
        return Err(listed.mismatch("its checksum"));
    }
    match start.checked_add(listed.packed) {
        Some(data) if data <= end => Ok(start),
        _ => Err(listed.mismatch("it overlaps what follows it")),
    }
}
