//! The layers of an image that somebody handed in, looked through before a container engine unpacks them.
//!
//! Nothing is taken out of them here. An engine trusts what it loads: a layer of a few bytes can unpack to more than a disk
//! holds, or say that a file has holes and have them filled. So all of a layer is read once, as a tar, and what is read
//! twice differently by two readers is refused.

use super::limits::ArchiveLimits;
use super::refused::{Entry, Refused};
use super::source::{Meter, Metered};
use super::tar::{self, Blocks, Packing};
use gradus_core::domain::digest::Hasher;
use gradus_core::domain::units::Bytes;
use gradus_core::ports::blobs::ReadAt;
use gradus_core::ports::runner::SavedLayer;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read};
use std::time::Duration;

/// Files, folders and links in all layers, at most.
pub const INODES: usize = 1_000_000;
/// What the least of them takes on a disk, in bytes.
const BLOCK: u64 = 4096;
/// How what engines unpack by themselves begins: gzip, bzip2, xz, zstd and its frames that are skipped.
const PACKED: [&[u8]; 20] = [
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
    b"\x50\x2a\x4d\x18",
    b"\x51\x2a\x4d\x18",
    b"\x52\x2a\x4d\x18",
    b"\x53\x2a\x4d\x18",
    b"\x54\x2a\x4d\x18",
    b"\x55\x2a\x4d\x18",
    b"\x56\x2a\x4d\x18",
    b"\x57\x2a\x4d\x18",
    b"\x58\x2a\x4d\x18",
    b"\x59\x2a\x4d\x18",
    b"\x5a\x2a\x4d\x18",
    b"\x5b\x2a\x4d\x18",
    b"\x5c\x2a\x4d\x18",
    b"\x5d\x2a\x4d\x18",
    b"\x5e\x2a\x4d\x18",
    b"\x5f\x2a\x4d\x18",
];
/// Devices that every system has, and that hold nothing: null, zero, full, random, urandom, tty, console, ptmx; and what
/// marks a file that is gone.
const HARMLESS: [(u32, u32); 9] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (0, 0)];

/// How a layer is packed, by its first bytes.
fn packing(layer: &dyn ReadAt) -> io::Result<Packing> {
    let mut head = [0; 4];
    let count = layer.read_at(0, &mut head)?;
    Ok(match &head[..count] {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Packing::Zstd,
        _ => Packing::Plain,
    })
}

/// What layers may hold where they have `most` bytes, unpacked, together; and how long reading them may take.
pub fn limits(most: Bytes, time: Duration) -> ArchiveLimits {
    ArchiveLimits { bytes: most, file: most, entries: INODES, ratio: 1_000, time, links: false }
}

/// What was found in the layers so far.
struct Found<'m> {
    meter: &'m Meter<'m>,
    /// Bytes that a disk needs for them.
    spent: u64,
    /// Files, folders and whatever else.
    inodes: usize,
    /// The folders that there are, named or needed, by a hash of their paths.
    folders: HashSet<u64>,
}

/// Looks through `layers`: the bytes of each, unpacked.
///
/// # Errors
/// They are no layers, other ones than they say, or hold more than `limits` say.
pub fn look(layers: &[SavedLayer], limits: &ArchiveLimits) -> Result<Vec<u64>, Refused> {
    let meter = Meter::new(limits, layers.iter().map(|layer| layer.bytes.len()).sum());
    let mut found = Found { meter: &meter, spent: 0, inodes: 0, folders: HashSet::new() };
    layers.iter().map(|layer| found.look_at(layer)).collect()
}

impl Found<'_> {
    fn look_at(&mut self, layer: &SavedLayer) -> Result<u64, Refused> {
        let (bytes, meter) = (&*layer.bytes, self.meter);
        let packing = packing(bytes).map_err(Refused::Upload)?;
        let stream = tar::open(bytes, packing, meter)?;
        let counted =
            Counted { inner: Metered { inner: stream, meter }, count: 0, hasher: Hasher::default(), head: None };
        let mut blocks = Blocks::new(counted, packing.format());
        // Nothing follows that could be taken for something: all of it was read.
        let read = tar::entries(&mut blocks, meter.limits.entries, |blocks, entry| self.entry(blocks, &entry));
        let Counted { count, hasher, head, .. } = blocks.into_inner();
        // Before its entries are believed: an engine would unpack it once more, and find others.
        if PACKED.iter().any(|magic| head.as_ref().is_some_and(|head| head.starts_with(magic))) {
            return Err(Refused::Corrupt { format: packing.format(), why: "what is packed in it is packed again" });
        }
        read?;
        // An engine that has what it says it is would not look at what it is.
        if hasher.finish() != layer.digest {
            return Err(Refused::Corrupt { format: packing.format(), why: "its bytes are not those of its digest" });
        }
        Ok(count)
    }

    fn entry(&mut self, blocks: &mut Blocks<impl Read>, found: &tar::Found) -> Result<(), Refused> {
        let entry = || Entry::new(&found.name);
        if found.sparse {
            return Err(Refused::Sparse { entry: entry() });
        }
        // A pipe or a device of the machine's, where an engine looks for a file: it would wait for it, or use it.
        if found.special.is_some_and(|device| device.is_none_or(|numbers| !HARMLESS.contains(&numbers))) {
            return Err(Refused::Special { entry: entry() });
        }
        // Some readers take the bytes that follow for its body, and others for the next entry.
        if found.len > 0 && (!found.has_body || found.of_old) {
            return Err(Refused::Mismatch { entry: entry(), what: "data of what may be a link or a folder" });
        }
        self.count(&found.name, found.len)?;
        if !found.has_body {
            return Ok(());
        }
        self.meter.announce(&String::from_utf8_lossy(&found.name), found.len)?;
        blocks.skip(found.len)
    }

    /// Counts an entry, and the folders that have to be there for it.
    fn count(&mut self, name: &[u8], len: u64) -> Result<(), Refused> {
        let most = self.meter.limits.bytes;
        self.inodes += 1;
        self.spent = self.spent.saturating_add(len.next_multiple_of(BLOCK)).saturating_add(BLOCK);
        let slashes: Vec<usize> =
            name.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).collect();
        for at in slashes.into_iter().rev() {
            let mut hasher = DefaultHasher::new();
            name[..at].hash(&mut hasher);
            // Those above it are there as well.
            if !self.folders.insert(hasher.finish()) {
                break;
            }
            self.inodes += 1;
            self.spent = self.spent.saturating_add(BLOCK);
            if self.inodes > INODES {
                break;
            }
        }
        if self.inodes > INODES {
            return Err(Refused::TooManyEntries { most: INODES });
        }
        if self.spent > most.0 { Err(Refused::TooBig { most }) } else { Ok(()) }
    }
}

/// The unpacked bytes of a layer that was looked through.
///
/// # Errors
/// It cannot be read.
pub fn open(
    layer: &dyn ReadAt,
    limits: &ArchiveLimits,
    read: impl FnOnce(&mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let meter = Meter::new(limits, layer.len());
    let mut stream = tar::open(layer, packing(layer)?, &meter).map_err(io::Error::other)?;
    read(&mut stream)
}

/// Counts and hashes what passes, and remembers how it begins.
struct Counted<R> {
    inner: R,
    count: u64,
    hasher: Hasher,
    head: Option<Vec<u8>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let read = &buffer[..count];
        self.count += count as u64;
        self.hasher.update(read);
        let head = self.head.get_or_insert_with(Vec::new);
        head.extend_from_slice(&read[..count.min(8_usize.saturating_sub(head.len()))]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tar::{Builder, EntryType, Header};
    use std::io::Write as _;
    use std::sync::Arc;

    fn header(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header
    }

    /// A layer with what real ones have: folders, links, a device, a whiteout, a long name.
    fn layer(more: impl FnOnce(&mut Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        let long = "x/".repeat(120) + "y";
        builder.append_data(&mut header(EntryType::Directory, 0), "bin/", io::empty()).unwrap();
        builder.append_data(&mut header(EntryType::Regular, 700), "bin/run", &[1; 700][..]).unwrap();
        builder.append_link(&mut header(EntryType::Symlink, 0), "sh", "bin/run").unwrap();
        builder.append_link(&mut header(EntryType::Link, 0), "again", "bin/run").unwrap();
        let mut null = header(EntryType::Char, 0);
        null.set_device_major(1).unwrap();
        null.set_device_minor(3).unwrap();
        builder.append_data(&mut null, "null", io::empty()).unwrap();
        builder.append_data(&mut header(EntryType::Regular, 0), "etc/.wh.gone", io::empty()).unwrap();
        builder.append_data(&mut header(EntryType::Regular, 3), long, &b"abc"[..]).unwrap();
        more(&mut builder);
        builder.into_inner().unwrap()
    }

    const MINUTE: Duration = Duration::from_secs(60);

    /// `plain`: what they unpack to.
    fn looked_as(layers: &[Vec<u8>], plain: &[Vec<u8>], most: u64) -> Result<Vec<u64>, Refused> {
        let saved = layers.iter().zip(plain).map(|(bytes, plain)| {
            let digest = gradus_core::domain::digest::Digest::of(plain);
            SavedLayer { bytes: Arc::new(bytes.clone()), digest }
        });
        look(&saved.collect::<Vec<_>>(), &limits(Bytes(most), MINUTE))
    }

    fn looked(layers: &[Vec<u8>], most: u64) -> Result<Vec<u64>, Refused> {
        looked_as(layers, layers, most)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn real_layers_pass_however_they_are_packed() {
        let plain = layer(|_| {});
        let len = plain.len() as u64;
        let layers = [plain.clone(), gzip(&plain), zstd::encode_all(&plain[..], 1).unwrap(), vec![0; 1024]];
        let all = [plain.clone(), plain.clone(), plain.clone(), vec![0; 1024]];
        assert_eq!(looked_as(&layers, &all, 8 << 20).unwrap(), [len, len, len, 1024]);
        let opened: Arc<dyn ReadAt> = Arc::new(gzip(&plain));
        let mut read = Vec::new();
        open(&*opened, &limits(Bytes(1 << 20), MINUTE), |stream| stream.read_to_end(&mut read).map(drop)).unwrap();
        assert!(read == plain);
    }

    #[test]
    fn what_would_flood_a_disk_is_refused() {
        let sparse = |builder: &mut Builder<Vec<u8>>| {
            let mut header = Header::new_gnu();
            header.set_path("holes").unwrap();
            header.set_entry_type(EntryType::GNUSparse);
            header.set_size(0);
            header.as_gnu_mut().unwrap().set_real_size(1 << 40);
            header.set_cksum();
            builder.append(&header, io::empty()).unwrap();
        };
        assert!(matches!(looked(&[layer(sparse)], 8 << 20), Err(Refused::Sparse { .. })));
        let pax = |builder: &mut Builder<Vec<u8>>| {
            builder.append_pax_extensions([("GNU.sparse.major", &b"1"[..])]).unwrap();
            builder.append_data(&mut header(EntryType::Regular, 0), "holes", io::empty()).unwrap();
        };
        assert!(matches!(looked(&[layer(pax)], 8 << 20), Err(Refused::Sparse { .. })));
        let big = |builder: &mut Builder<Vec<u8>>| {
            builder
                .append_data(&mut header(EntryType::Regular, 40 << 20), "big", io::repeat(0).take(40 << 20))
                .unwrap();
        };
        let plain = layer(big);
        let bomb = gzip(&plain);
        assert!(bomb.len() < 1 << 20);
        assert!(matches!(
            looked_as(std::slice::from_ref(&bomb), std::slice::from_ref(&plain), 30 << 20),
            Err(Refused::TooBig { .. })
        ));
        assert!(looked_as(std::slice::from_ref(&bomb), std::slice::from_ref(&plain), 50 << 20).is_ok());
        assert!(
            matches!(looked_as(&[bomb.clone(), bomb], &[plain.clone(), plain], 50 << 20), Err(Refused::TooBig { .. })),
            "together"
        );
    }

    #[test]
    fn what_an_engine_would_wait_for_or_use_is_refused() {
        for (kind, numbers) in [(EntryType::Fifo, (0, 0)), (EntryType::Block, (8, 0)), (EntryType::Char, (10, 130))] {
            let special = |builder: &mut Builder<Vec<u8>>| {
                let mut header = header(kind, 0);
                header.set_device_major(numbers.0).unwrap();
                header.set_device_minor(numbers.1).unwrap();
                builder.append_data(&mut header, "etc/passwd", io::empty()).unwrap();
            };
            assert!(matches!(looked(&[layer(special)], 8 << 20), Err(Refused::Special { .. })), "{kind:?}");
        }
    }

    #[test]
    fn folders_that_are_only_named_on_the_way_count() {
        let deep = |builder: &mut Builder<Vec<u8>>| {
            for n in 0..20 {
                let path = format!("{n}/{}x", "d/".repeat(1_000));
                builder.append_data(&mut header(EntryType::Regular, 0), path, io::empty()).unwrap();
            }
        };
        let layer = layer(deep);
        assert!(layer.len() < 100 << 10);
        assert!(matches!(looked(std::slice::from_ref(&layer), 50 << 20), Err(Refused::TooBig { .. })));
        assert!(looked(&[layer], 100 << 20).is_ok());
    }

    #[test]
    fn what_two_readers_read_differently_is_refused() {
        let link = |builder: &mut Builder<Vec<u8>>| {
            let mut header = header(EntryType::Symlink, 512);
            header.set_path("link").unwrap();
            header.set_cksum();
            builder.append(&header, &[0; 512][..]).unwrap();
        };
        assert!(matches!(looked(&[layer(link)], 8 << 20), Err(Refused::Mismatch { .. })));
        let mut cut = layer(|_| {});
        cut.truncate(1536);
        assert!(matches!(looked(&[cut], 8 << 20), Err(Refused::Corrupt { .. })));
        assert!(matches!(looked(&[b"no tar".to_vec()], 8 << 20), Err(Refused::Corrupt { .. })));
        // What is old and named like a folder has no body for some.
        let old = |builder: &mut Builder<Vec<u8>>| {
            let mut header = header(EntryType::Regular, 512);
            header.set_path("folder/").unwrap();
            header.as_mut_bytes()[156] = 0;
            header.set_cksum();
            builder.append(&header, &[0; 512][..]).unwrap();
        };
        assert!(matches!(looked(&[layer(old)], 8 << 20), Err(Refused::Mismatch { .. })));
        // An engine unpacks what is packed twice: a tar that is a gzip as well has other files for it.
        let mut packed = layer(|_| {});
        packed[..4].copy_from_slice(&[0x1f, 0x8b, 8, 4]);
        let sum: u32 = packed[..512]
            .iter()
            .enumerate()
            .map(|(at, b)| if (148..156).contains(&at) { 32 } else { u32::from(*b) })
            .sum();
        packed[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        for outer in [packed.clone(), gzip(&packed)] {
            let refused = looked_as(std::slice::from_ref(&outer), std::slice::from_ref(&packed), 8 << 20);
            // Alone it is read as the gzip that it is not.
            assert!(matches!(refused, Err(Refused::Corrupt { .. })), "{refused:?}");
        }
        // What an engine has by that name would be taken instead.
        let other = looked_as(&[layer(|_| {})], &[vec![0; 1024]], 8 << 20);
        assert!(matches!(other, Err(Refused::Corrupt { why: "its bytes are not those of its digest", .. })));
        let mut behind = layer(|_| {});
        behind.extend([1; 512]);
        assert!(matches!(looked(&[behind], 8 << 20), Err(Refused::Corrupt { .. })));
    }
}
