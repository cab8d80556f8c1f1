//! Bombs, archives cut at every byte, and bytes of any kind.

use super::support::*;
use crate::workspace::limits::{ArchiveLimits, RATIO_FREE};
use proptest::prelude::*;
use std::sync::atomic::Ordering;
use std::time::Instant;

fn small() -> Vec<(&'static str, Vec<u8>)> {
    let plain = tar(&[item(b"a.csv", b'0', b"id,y\n1,2\n"), item(b"d/b.csv", b'0', b"2"), item(b"e", b'0', b"")]);
    let zip = zip(&[Item::deflated("a.csv", b"id,y\n1,2\n"), Item::stored("d/b.csv", b"2"), Item::stored("e", b"")]);
    vec![("p.zip", zip), ("p.tar.gz", gzip(&plain)), ("p.tar.zst", zstd(&plain)), ("p.tar", plain)]
}

#[test]
fn cut_anywhere_it_is_refused() {
    for (name, bytes) in small() {
        let whole = take(name, &bytes).unwrap();
        for cut in 0..bytes.len() {
            match take(name, &bytes[..cut]) {
                // Of the empty blocks at the end of a tar, one is enough.
                Ok(taken) => assert!(name == "p.tar" && tree(&taken) == tree(&whole), "{name} cut at {cut}"),
                Err(refused) => assert!(!refused.is_ours(), "{name} cut at {cut}: {refused}"),
            }
        }
    }
}

#[test]
fn a_changed_byte_never_panics_and_checksums_see_it() {
    for (name, bytes) in small() {
        let whole = take(name, &bytes).unwrap();
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                // The bodies of a plain tar have no checksum; a changed name is another name.
                match take(name, &changed) {
                    Ok(taken) if name == "p.zip" || name == "p.tar.gz" => {
                        assert_eq!(tree(&taken).digest(), tree(&whole).digest(), "{name} changed at {at}");
                    }
                    Ok(_) => {}
                    Err(refused) => assert!(!refused.is_ours(), "{name} changed at {at}: {refused}"),
                }
            }
        }
    }
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let limits = ArchiveLimits::submission();
    let zeros = vec![0; 200 << 20];
    let item_of = |size: u64| [&header(b"x", b'0', size)[..], &zeros[..size as usize]].concat();
    let within = |name: &str, bytes: Vec<u8>, most: u64| {
        let (blobs, start) = (CountingBlobs::default(), Instant::now());
        let code = take_within(name, Upload(bytes), &limits, &blobs).unwrap_err().code();
        let written = blobs.0.written.load(Ordering::SeqCst);
        assert!(written <= most, "{name}: {written} bytes were written");
        assert!(start.elapsed().as_secs() < 60, "{name}: {:?}", start.elapsed());
        code
    };
    // The sizes are told: not a byte is written.
    assert_eq!(within("p.zip", zip(&[Item::deflated("x", &zeros)]), 0), "expands-too-much");
    assert_eq!(within("p.tar.gz", gzip(&item_of(200 << 20)), 0), "expands-too-much");
    assert_eq!(within("p.tar.zst", zstd(&item_of(200 << 20)), 0), "expands-too-much");
    // The sizes are lies.
    let lie = Item { size: 1000, local_size: 1000, ..Item::deflated("x", &zeros) };
    assert_eq!(within("p.zip", zip(&[lie]), 1001), "archive-mismatch");
    // 10 MB that become 10 GB: nothing but zeros behind the end of a small archive.
    let member = gzip(&zeros[..16 << 20]);
    let mut bomb = gzip(&tar(&[item(b"x", b'0', b"1")]));
    while bomb.len() < 10 << 20 {
        bomb.extend(&member);
    }
    assert_eq!(within("p.tar.gz", bomb, 1), "too-big");
    // Many files that are each in order.
    let many: Vec<_> = (0..40).map(|n| Item::deflated(&format!("f{n}"), &zeros[..8 << 20])).collect();
    assert_eq!(within("p.zip", zip(&many), 0), "expands-too-much");
    // Constant predictions compress as well as a bomb does, and are none.
    let constant = Item::deflated("x.csv", &zeros[..RATIO_FREE as usize]);
    assert_eq!(code("p.zip", &zip(&[constant])), "ok");
}

#[test]
fn empty_gzip_members_do_not_stop_the_clock() {
    let mut bytes = gzip(&tar(&[item(b"x", b'0', b"1")]));
    bytes.extend(gzip(b"").repeat(1_000_000));
    let limits = ArchiveLimits { time: std::time::Duration::from_millis(1), ..ArchiveLimits::submission() };
    let len = bytes.len() as u64;
    let (code, read) = cost("p.tar.gz", bytes, &limits);
    assert!(code == "took-too-long" && read < len / 2, "{code}: {read} of {len} bytes were read");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_file_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        name in prop::sample::select(vec!["x", "x.zip", "x.tar", "x.tar.gz", "x.tar.zst", "x.csv.gz"]),
        magic in prop::sample::select(vec![&b""[..], b"PK\x03\x04", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"]),
    ) {
        match take(name, &[magic, &bytes].concat()) {
            Ok(taken) => prop_assert!(!taken.is_empty()),
            Err(refused) => prop_assert!(!refused.is_ours()),
        }
    }

    #[test]
    fn a_zip_with_changed_bytes_is_in_order_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let (name, mut bytes) = small().swap_remove(0);
        for (at, byte) in changes {
            *at.get_mut(&mut bytes) = byte;
        }
        if let Err(refused) = take(name, &bytes) {
            prop_assert!(!refused.is_ours());
        }
    }

    #[test]
    fn tar_headers_of_any_bytes_are_in_order_or_refused(
        at in 0usize..512,
        bytes in prop::collection::vec(any::<u8>(), 1..40),
        kind in prop::sample::select(vec![b'0', b'5', b'x', b'g', b'L', b'S']),
    ) {
        let mut block = header(b"x", kind, 12);
        let end = 512.min(at + bytes.len());
        block[at..end].copy_from_slice(&bytes[..end - at]);
        seal(&mut block);
        let mut body = b"12 path=abc\n".to_vec();
        body.resize(512, 0);
        let whole = tar(&[block.to_vec(), body, item(b"y", b'0', b"1")]);
        if let Err(refused) = take("p.tar", &whole) {
            prop_assert!(!refused.is_ours());
        }
    }
}
