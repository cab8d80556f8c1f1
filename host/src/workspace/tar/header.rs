//! One header block of a tar, and the headers that extend the next one. Bounds are the caller's: it reads the bytes.

use tar::Header;

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;

/// What an entry is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    File,
    Folder,
    Link,
    Sparse,
    Special,
    Pax,
    PaxGlobal,
    LongName,
    LongLink,
}

/// A header block.
pub(super) struct Block<'b>(pub(super) &'b [u8; BLOCK]);

impl Block<'_> {
    fn header(&self) -> &Header {
        Header::from_byte_slice(self.0)
    }

    /// Whether the checksum holds and, unless `old` ones count, the mark is there.
    pub(super) fn is_header(&self, old: bool) -> bool {
        let sum: u32 = self.0.iter().map(|b| u32::from(*b)).sum();
        let field: u32 = self.0[148..156].iter().map(|b| u32::from(*b)).sum();
        let marked = self.0[257..].starts_with(b"ustar");
        (marked || old) && self.header().cksum().is_ok_and(|given| given == sum - field + 8 * u32::from(b' '))
    }

    /// The length of the body.
    pub(super) fn size(&self) -> Option<u64> {
        self.header().entry_size().ok()
    }

    /// Whether it is of a time before kinds were written down: what it is follows from its name, then.
    pub(super) fn of_old(&self) -> bool {
        self.0[156] == 0
    }

    /// The numbers of a character device.
    pub(super) fn character_device(&self) -> Option<(u32, u32)> {
        let (major, minor) = (self.header().device_major().ok()??, self.header().device_minor().ok()??);
        (self.0[156] == b'3').then_some((major, minor))
    }

    /// Where a symbolic link leads, without extensions.
    pub(super) fn symlink(&self) -> Option<Vec<u8>> {
        (self.0[156] == b'2').then(|| self.header().link_name_bytes().unwrap_or_default().into_owned())
    }

    /// The name without extensions.
    pub(super) fn name(&self) -> Vec<u8> {
        self.header().path_bytes().into_owned()
    }

    pub(super) fn kind(&self) -> Type {
        match self.0[156] {
            b'0' | 0 | b'7' => Type::File,
            b'1' | b'2' => Type::Link,
            b'5' => Type::Folder,
            b'S' => Type::Sparse,
            b'x' => Type::Pax,
            b'g' => Type::PaxGlobal,
            b'L' => Type::LongName,
            b'K' => Type::LongLink,
            _ => Type::Special,
        }
    }
}

/// What was said of the next entry.
#[derive(Debug, Default)]
pub(super) struct Extended {
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) sparse: bool,
    pending: bool,
}

impl Extended {
    /// Whether an entry must follow.
    pub(super) fn is_pending(&self) -> bool {
        self.pending
    }

    /// Takes the body of an extending header. `Err` says what is wrong with it.
    pub(super) fn take(&mut self, kind: Type, body: Vec<u8>) -> Result<(), &'static str> {
        let global = kind == Type::PaxGlobal;
        self.pending |= !global;
        if kind == Type::LongName {
            let end = body.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
            // Two names for one entry: which of them counts is what two readers differ in.
            return self.set_name(&body[..end]);
        }
        if kind == Type::LongLink {
            return Ok(());
        }
        for (key, value) in records(&body).ok_or("an extended header cannot be read")? {
            match key {
                b"path" | b"size" if global => return Err("a global header sets names or sizes"),
                b"path" => self.set_name(value)?,
                b"size" if self.size.is_some() => return Err("an entry with two sizes"),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    self.size = Some(size.ok_or("a size is no number")?);
                }
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn set_name(&mut self, name: &[u8]) -> Result<(), &'static str> {
        match self.name.replace(name.to_owned()) {
            Some(before) if before != name => Err("an entry with two names"),
            _ => Ok(()),
        }
    }
}

/// The records `LENGTH KEY=VALUE\n` of a PAX header.
fn records(mut body: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !body.is_empty() {
        let space = body.iter().take(8).position(|b| *b == b' ')?;
        let len: usize = std::str::from_utf8(&body[..space]).ok()?.parse().ok()?;
        let record = body.get(space + 1..len)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|b| *b == b'=')?;
        records.push((&record[..equals], &record[equals + 1..]));
        body = &body[len..];
    }
    Some(records)
}
