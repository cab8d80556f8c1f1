//! Blobs that count what lives, and archives written byte by byte.

use crate::workspace::limits::ArchiveLimits;
use crate::workspace::{Refused, unpack};
use gradus_core::domain::digest::{Digest, Hasher};
use gradus_core::domain::tree::{Tree, TreeFile};
use gradus_core::ports::blobs::{BlobError, Blobs, Part, PendingBlob, ReadAt, Stamp, read_all};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What the blobs were asked for.
#[derive(Default)]
pub struct Counts {
    pub live: AtomicUsize,
    pub most_live: AtomicUsize,
    pub written: AtomicU64,
    pub kept: Mutex<Vec<(Digest, Vec<u8>)>>,
    /// Writes beyond this many bytes fail; 0: none do.
    pub disk: AtomicU64,
}

#[derive(Default, Clone)]
pub struct CountingBlobs(pub Arc<Counts>);

struct Pending {
    bytes: Vec<u8>,
    hasher: Hasher,
    counts: Arc<Counts>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.counts.live.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.counts.written.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        let disk = self.counts.disk.load(Ordering::SeqCst);
        if disk != 0 && written + bytes.len() as u64 > disk {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.hasher.update(bytes);
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ReadAt for Pending {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read_at(offset, buffer)
    }
}

impl PendingBlob for Pending {
    fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    fn keep(self: Box<Self>) -> Result<Digest, BlobError> {
        let digest = self.digest();
        self.counts.kept.lock().unwrap().push((digest, self.bytes.clone()));
        Ok(digest)
    }
}

impl Blobs for CountingBlobs {
    fn create(&self) -> Result<Box<dyn PendingBlob>, BlobError> {
        let live = self.0.live.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_live.fetch_max(live, Ordering::SeqCst);
        Ok(Box::new(Pending { bytes: Vec::new(), hasher: Hasher::default(), counts: Arc::clone(&self.0) }))
    }

    fn open(&self, digest: Digest) -> Result<Arc<dyn ReadAt>, BlobError> {
        let kept = self.0.kept.lock().unwrap();
        let found = kept.iter().find(|(at, _)| *at == digest).ok_or(BlobError::Missing(digest))?;
        Ok(Arc::new(found.1.clone()))
    }

    fn list(&self, _: u8) -> Result<Vec<Digest>, BlobError> {
        Ok(Vec::new())
    }

    fn stamp(&self, _: Digest) -> Result<Option<Stamp>, BlobError> {
        Ok(None)
    }

    fn remove(&self, _: Digest, _: Stamp) -> Result<bool, BlobError> {
        Ok(false)
    }
}

/// An upload that is not held twice.
pub struct Upload<R>(pub R);

impl<R: ReadAt> Write for Upload<R> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: ReadAt> ReadAt for Upload<R> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }
}

impl<R: ReadAt> PendingBlob for Upload<R> {
    fn digest(&self) -> Digest {
        Digest::of(&read_all(&self.0).unwrap())
    }

    fn keep(self: Box<Self>) -> Result<Digest, BlobError> {
        Ok(self.digest())
    }
}

/// Counts the bytes that are read: what a refusal cost, on a slow computer as on a fast one.
pub struct Counted<R>(pub R, pub Arc<AtomicU64>);

impl<R: ReadAt> ReadAt for Counted<R> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read_at(offset, buffer)?;
        self.1.fetch_add(count as u64, Ordering::SeqCst);
        Ok(count)
    }
}

/// The code of the refusal, and how many bytes of the upload it took.
pub fn cost(name: &str, upload: impl ReadAt + 'static, limits: &ArchiveLimits) -> (&'static str, u64) {
    let read = Arc::new(AtomicU64::new(0));
    let counted = Upload(Counted(upload, Arc::clone(&read)));
    let refused = take_within(name, counted, limits, &CountingBlobs::default()).unwrap_err();
    (refused.code(), read.load(Ordering::SeqCst))
}

/// Unpacks with the limits of submissions, and checks that a refusal leaves nothing behind.
pub fn take(name: &str, bytes: &[u8]) -> Result<Vec<Part>, Refused> {
    take_within(name, Upload(bytes.to_vec()), &ArchiveLimits::submission(), &CountingBlobs::default())
}

pub fn take_within(
    name: &str,
    upload: impl PendingBlob + 'static,
    limits: &ArchiveLimits,
    blobs: &CountingBlobs,
) -> Result<Vec<Part>, Refused> {
    let taken = unpack(name, Box::new(upload), blobs, limits);
    if taken.is_err() {
        assert_eq!(blobs.0.live.load(Ordering::SeqCst), 0, "a refused archive leaves nothing behind");
    }
    assert!(blobs.0.kept.lock().unwrap().is_empty(), "unpacking alone keeps nothing");
    taken
}

/// The code of the refusal, or `ok`.
pub fn code(name: &str, bytes: &[u8]) -> &'static str {
    match take(name, bytes) {
        Ok(_) => "ok",
        Err(refused) => refused.code(),
    }
}

/// Paths and bodies.
pub fn files(unpacked: &[Part]) -> Vec<(String, String)> {
    let body = |part: &Part| String::from_utf8(read_all(part.bytes()).unwrap()).unwrap();
    unpacked.iter().map(|part| (part.path().to_string(), body(part))).collect()
}

/// What the files are as a tree.
pub fn tree(unpacked: &[Part]) -> Tree {
    let file = |part: &Part| match part {
        Part::Own(path, blob) => TreeFile { path: path.clone(), len: blob.len(), digest: blob.digest() },
        Part::Inside(file, _) => file.clone(),
    };
    Tree::new(unpacked.iter().map(file).collect()).unwrap()
}

pub fn paths(unpacked: &[Part]) -> Vec<String> {
    unpacked.iter().map(|part| part.path().to_string()).collect()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// A tar header with a right checksum.
pub fn header(name: &[u8], kind: u8, size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    seal(&mut block);
    block
}

pub fn seal(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A tar entry: header, body, padding.
pub fn item(name: &[u8], kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, kind, body.len() as u64).to_vec();
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A whole tar of these entries.
pub fn tar(items: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = items.concat();
    bytes.extend_from_slice(&[0; 1024]);
    bytes
}

pub fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut len = rest.len() + 1;
    while len != rest.len() + len.to_string().len() {
        len = rest.len() + len.to_string().len();
    }
    format!("{len}{rest}").into_bytes()
}

/// A zip entry, each field of which can be a lie.
#[derive(Clone)]
pub struct Item {
    pub name: Vec<u8>,
    pub local_name: Vec<u8>,
    pub flags: u16,
    pub method: u16,
    pub local_method: u16,
    pub mode: u32,
    pub crc: u32,
    pub size: u32,
    pub local_size: u32,
    pub packed: u32,
    pub data: Vec<u8>,
    /// Instead of where it is.
    pub offset: Option<u32>,
    pub extra: Vec<u8>,
}

impl Item {
    pub fn stored(name: &str, body: &[u8]) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(body);
        let len = u32::try_from(body.len()).unwrap();
        Self {
            name: name.as_bytes().to_vec(),
            local_name: name.as_bytes().to_vec(),
            flags: 0,
            method: 0,
            local_method: 0,
            mode: 0o100_644,
            crc: crc.sum(),
            size: len,
            local_size: len,
            packed: len,
            data: body.to_vec(),
            offset: None,
            extra: Vec::new(),
        }
    }

    pub fn deflated(name: &str, body: &[u8]) -> Self {
        let data = deflate(body);
        let packed = u32::try_from(data.len()).unwrap();
        Self { method: 8, local_method: 8, packed, data, ..Self::stored(name, body) }
    }

    fn local(&self) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04\x14\0".to_vec();
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend(self.local_method.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend([self.crc, self.packed, self.local_size].map(u32::to_le_bytes).concat());
        bytes.extend((self.local_name.len() as u16).to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(&self.local_name);
        bytes.extend(&self.data);
        bytes
    }

    pub fn central(&self, offset: u32) -> Vec<u8> {
        let mut bytes = b"PK\x01\x02\x14\x03\x14\0".to_vec();
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend(self.method.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend([self.crc, self.packed, self.size].map(u32::to_le_bytes).concat());
        bytes.extend((self.name.len() as u16).to_le_bytes());
        bytes.extend((self.extra.len() as u16).to_le_bytes());
        bytes.extend([0; 6]);
        bytes.extend((self.mode << 16).to_le_bytes());
        bytes.extend(self.offset.unwrap_or(offset).to_le_bytes());
        bytes.extend(&self.name);
        bytes.extend(&self.extra);
        bytes
    }
}

pub fn zip(items: &[Item]) -> Vec<u8> {
    let (mut bytes, mut central) = (Vec::new(), Vec::new());
    for item in items {
        central.extend(item.central(bytes.len() as u32));
        bytes.extend(item.local());
    }
    let at = bytes.len() as u32;
    bytes.extend(&central);
    bytes.extend(end(items.len() as u16, central.len() as u32, at));
    bytes
}

pub fn end(entries: u16, size: u32, at: u32) -> Vec<u8> {
    let mut bytes = b"PK\x05\x06\0\0\0\0".to_vec();
    bytes.extend([entries, entries].map(u16::to_le_bytes).concat());
    bytes.extend([size, at].map(u32::to_le_bytes).concat());
    bytes.extend([0; 2]);
    bytes
}

/// The zip64 end record and its locator.
pub fn end64(entries: u64, size: u64, at: u64) -> Vec<u8> {
    let here = at.wrapping_add(size);
    let mut bytes = b"PK\x06\x06".to_vec();
    bytes.extend(44u64.to_le_bytes());
    bytes.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([entries, entries, size, at].map(u64::to_le_bytes).concat());
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(here.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    bytes
}
