//! The layers of an image that somebody handed in, looked through before a container engine unpacks them.
//!
//! Nothing is taken out of them here. An engine trusts what it loads: a layer of a few bytes can unpack to more than a disk
//! holds, or say that a file has holes and have them filled. So all of a layer is read once, as a tar, and what is read
//! twice differently by two readers is refused.

use super::limits::ArchiveLimits;
use super::refused::{Entry, Refused};
use super::source::{Meter, Metered};
use super::tar::{self, Blocks, Packing};
use gradus_core::ports::blobs::ReadAt;
use std::io::{self, Read};
use std::sync::Arc;

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

/// What layers may hold where they have `most` bytes, unpacked, together.
pub fn limits(most: gradus_core::domain::units::Bytes) -> ArchiveLimits {
    ArchiveLimits {
        bytes: most,
        file: most,
        entries: 1_000_000,
        ratio: 1_000,
        time: std::time::Duration::from_secs(600),
    }
}

/// Looks through `layers`: the bytes of each, unpacked.
///
/// # Errors
/// They are no layers, or hold more than `limits` say.
pub fn look(layers: &[Arc<dyn ReadAt>], limits: &ArchiveLimits) -> Result<Vec<u64>, Refused> {
    let meter = Meter::new(limits, layers.iter().map(|layer| layer.len()).sum());
    let mut entries = 0;
    let mut total = 0_u64;
    let mut lens = Vec::with_capacity(layers.len());
    for layer in layers {
        let len = look_at(&**layer, &meter, &mut entries)?;
        total = total.saturating_add(len);
        // With what lies between the files, and as it will be on its way to the engine.
        if total > limits.bytes.0 {
            return Err(Refused::TooBig { most: limits.bytes });
        }
        lens.push(len);
    }
    Ok(lens)
}

fn look_at(layer: &dyn ReadAt, meter: &Meter<'_>, entries: &mut usize) -> Result<u64, Refused> {
    let packing = packing(layer).map_err(Refused::Upload)?;
    let counted = Counted { inner: Metered { inner: tar::open(layer, packing, meter)?, meter }, count: 0 };
    let mut blocks = Blocks::new(counted, packing.format());
    tar::entries(&mut blocks, meter.limits.entries, |blocks, found| {
        *entries += 1;
        if *entries > meter.limits.entries {
            return Err(Refused::TooManyEntries { most: meter.limits.entries });
        }
        let entry = || Entry::new(&found.name);
        if found.sparse {
            return Err(Refused::Sparse { entry: entry() });
        }
        if found.has_body {
            meter.announce(&String::from_utf8_lossy(&found.name), found.len)?;
            return blocks.skip(found.len);
        }
        // Some readers take the bytes that follow for its body, and others for the next entry.
        if found.len == 0 {
            Ok(())
        } else {
            Err(Refused::Mismatch { entry: entry(), what: "a link or folder with data" })
        }
    })?;
    Ok(blocks.into_inner().count)
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

/// Counts what passes.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tar::{Builder, EntryType, Header};
    use gradus_core::domain::units::Bytes;
    use std::io::Write as _;

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
        builder.append_data(&mut header(EntryType::Char, 0), "null", io::empty()).unwrap();
        builder.append_data(&mut header(EntryType::Regular, 0), "etc/.wh.gone", io::empty()).unwrap();
        builder.append_data(&mut header(EntryType::Regular, 3), long, &b"abc"[..]).unwrap();
        more(&mut builder);
        builder.into_inner().unwrap()
    }

    fn looked(layers: &[Vec<u8>], most: u64) -> Result<Vec<u64>, Refused> {
        let layers: Vec<Arc<dyn ReadAt>> = layers.iter().map(|bytes| Arc::new(bytes.clone()) as _).collect();
        look(&layers, &limits(Bytes(most)))
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
        assert_eq!(looked(&layers, 1 << 20).unwrap(), [len, len, len, 1024]);
        let opened: Arc<dyn ReadAt> = Arc::new(gzip(&plain));
        let mut read = Vec::new();
        open(&*opened, &limits(Bytes(1 << 20)), |stream| stream.read_to_end(&mut read).map(drop)).unwrap();
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
        assert!(matches!(looked(&[layer(sparse)], 1 << 20), Err(Refused::Sparse { .. })));
        let pax = |builder: &mut Builder<Vec<u8>>| {
            builder.append_pax_extensions([("GNU.sparse.major", &b"1"[..])]).unwrap();
            builder.append_data(&mut header(EntryType::Regular, 0), "holes", io::empty()).unwrap();
        };
        assert!(matches!(looked(&[layer(pax)], 1 << 20), Err(Refused::Sparse { .. })));
        let big = |builder: &mut Builder<Vec<u8>>| {
            builder
                .append_data(&mut header(EntryType::Regular, 40 << 20), "big", io::repeat(0).take(40 << 20))
                .unwrap();
        };
        let bomb = gzip(&layer(big));
        assert!(bomb.len() < 1 << 20);
        assert!(matches!(looked(std::slice::from_ref(&bomb), 30 << 20), Err(Refused::FileTooBig { .. })));
        assert!(looked(std::slice::from_ref(&bomb), 50 << 20).is_ok());
        assert!(matches!(looked(&[bomb.clone(), bomb], 50 << 20), Err(Refused::TooBig { .. })), "together");
    }

    #[test]
    fn what_two_readers_read_differently_is_refused() {
        let link = |builder: &mut Builder<Vec<u8>>| {
            let mut header = header(EntryType::Symlink, 512);
            header.set_path("link").unwrap();
            header.set_cksum();
            builder.append(&header, &[0; 512][..]).unwrap();
        };
        assert!(matches!(looked(&[layer(link)], 1 << 20), Err(Refused::Mismatch { .. })));
        let mut cut = layer(|_| {});
        cut.truncate(1536);
        assert!(matches!(looked(&[cut], 1 << 20), Err(Refused::Corrupt { .. })));
        assert!(matches!(looked(&[b"no tar".to_vec()], 1 << 20), Err(Refused::Corrupt { .. })));
        let mut behind = layer(|_| {});
        behind.extend([1; 512]);
        assert!(matches!(looked(&[behind], 1 << 20), Err(Refused::Corrupt { .. })));
    }
}
