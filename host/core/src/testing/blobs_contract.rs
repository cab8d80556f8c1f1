//! What every [`Blobs`] does. Each property gets fresh blobs.

#![allow(clippy::unwrap_used, reason = "a contract is a test: what it does not expect ends it")]

use crate::domain::digest::Digest;
use crate::ports::blobs::{BlobError, Blobs, read_all};
use std::io::Write as _;

/// Checks all of it; `make` gives blobs that hold nothing.
///
/// # Panics
/// A property does not hold.
pub fn all(make: &dyn Fn() -> Box<dyn Blobs>) {
    for property in [
        what_was_written_is_read_back,
        a_pending_blob_is_read_before_it_is_kept,
        what_is_not_kept_is_not_there,
        the_same_bytes_are_kept_once_and_any_number_of_times,
        the_empty_blob_is_a_blob,
        reads_end_where_the_bytes_do,
        threads_keep_and_read_at_once,
        all_are_listed,
        what_is_removed_is_gone_unless_somebody_kept_it_again,
    ] {
        property(&*make());
    }
}

fn keep(blobs: &dyn Blobs, bytes: &[u8]) -> Digest {
    let mut pending = blobs.create().unwrap();
    pending.write_all(bytes).unwrap();
    pending.keep().unwrap()
}

/// Bytes that differ from place to place.
fn bytes(len: usize) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Each is listed once, in its part; what is not kept is not.
pub fn all_are_listed(blobs: &dyn Blobs) {
    let all = |blobs: &dyn Blobs| (0..=255).flat_map(|first| blobs.list(first).unwrap()).collect::<Vec<_>>();
    assert_eq!(all(blobs), []);
    let mut kept: Vec<_> = (0..300_u32).map(|n| keep(blobs, &n.to_be_bytes())).collect();
    keep(blobs, &0_u32.to_be_bytes());
    let _pending = blobs.create().unwrap();
    kept.sort();
    assert_eq!(all(blobs), kept);
}

/// What is removed is not there any more, but for who has it open; it can be kept anew. What was kept again since it was looked
/// at stays.
pub fn what_is_removed_is_gone_unless_somebody_kept_it_again(blobs: &dyn Blobs) {
    let digest = keep(blobs, b"garbage");
    let other = keep(blobs, b"other");
    let stamp = blobs.stamp(digest).unwrap().unwrap();
    assert_eq!(blobs.stamp(digest).unwrap(), Some(stamp));
    // Longer than the smallest step of a file system's clock.
    std::thread::sleep(std::time::Duration::from_millis(30));
    assert_eq!(keep(blobs, b"garbage"), digest);
    assert!(!blobs.remove(digest, stamp).unwrap());
    let open = blobs.open(digest).unwrap();
    let stamp = blobs.stamp(digest).unwrap().unwrap();
    assert!(blobs.remove(digest, stamp).unwrap());
    assert_eq!(read_all(&*open).unwrap(), b"garbage");
    assert!(matches!(blobs.open(digest), Err(BlobError::Missing(_))));
    assert_eq!(blobs.stamp(digest).unwrap(), None);
    assert!(!blobs.remove(digest, stamp).unwrap());
    assert_eq!(read_all(&*blobs.open(other).unwrap()).unwrap(), b"other");
    assert_eq!(keep(blobs, b"garbage"), digest);
    assert_eq!(read_all(&*blobs.open(digest).unwrap()).unwrap(), b"garbage");
}

/// A kept blob has the digest of its bytes, and is those bytes.
pub fn what_was_written_is_read_back(blobs: &dyn Blobs) {
    for len in [1, 4_096, 1_000_003] {
        let bytes = bytes(len);
        let mut pending = blobs.create().unwrap();
        for piece in bytes.chunks(70_001) {
            pending.write_all(piece).unwrap();
        }
        assert_eq!(pending.keep().unwrap(), Digest::of(&bytes));
        let kept = blobs.open(Digest::of(&bytes)).unwrap();
        assert_eq!(kept.len(), len as u64);
        assert!(read_all(&*kept).unwrap() == bytes, "{len} bytes");
    }
}

/// What is on its way can be read, and its digest asked for, between writes.
pub fn a_pending_blob_is_read_before_it_is_kept(blobs: &dyn Blobs) {
    let mut pending = blobs.create().unwrap();
    assert_eq!((pending.len(), pending.digest()), (0, Digest::of(b"")));
    pending.write_all(b"one ").unwrap();
    assert_eq!((pending.len(), pending.digest()), (4, Digest::of(b"one ")));
    let mut start = [0; 3];
    assert_eq!(pending.read_at(0, &mut start).unwrap(), 3);
    assert_eq!(&start, b"one");
    pending.write_all(b"two").unwrap();
    assert_eq!(read_all(&*pending).unwrap(), b"one two");
    assert_eq!(pending.keep().unwrap(), Digest::of(b"one two"));
}

/// A pending blob that is dropped leaves nothing.
pub fn what_is_not_kept_is_not_there(blobs: &dyn Blobs) {
    let mut pending = blobs.create().unwrap();
    pending.write_all(b"gone").unwrap();
    drop(pending);
    let digest = Digest::of(b"gone");
    assert!(matches!(blobs.open(digest), Err(BlobError::Missing(missing)) if missing == digest));
}

/// Keeping the same bytes again is no error, and an open one stays readable meanwhile.
pub fn the_same_bytes_are_kept_once_and_any_number_of_times(blobs: &dyn Blobs) {
    let first = keep(blobs, b"same");
    let open = blobs.open(first).unwrap();
    assert_eq!(keep(blobs, b"same"), first);
    assert_eq!(read_all(&*open).unwrap(), b"same");
    assert_eq!(read_all(&*blobs.open(first).unwrap()).unwrap(), b"same");
}

/// No bytes have a digest too.
pub fn the_empty_blob_is_a_blob(blobs: &dyn Blobs) {
    let digest = keep(blobs, b"");
    assert_eq!(digest, Digest::of(b""));
    let kept = blobs.open(digest).unwrap();
    assert!(kept.is_empty());
    assert_eq!(kept.read_at(0, &mut [0; 8]).unwrap(), 0);
}

/// A read gives as much as fits and is there, and nothing beyond the end.
pub fn reads_end_where_the_bytes_do(blobs: &dyn Blobs) {
    let kept = blobs.open(keep(blobs, b"0123456789")).unwrap();
    let mut buffer = [b'-'; 4];
    assert_eq!(kept.read_at(8, &mut buffer).unwrap(), 2);
    assert_eq!(&buffer, b"89--");
    assert_eq!(kept.read_at(10, &mut buffer).unwrap(), 0);
    assert_eq!(kept.read_at(11, &mut buffer).unwrap(), 0);
    assert_eq!(kept.read_at(3, &mut buffer).unwrap(), 4);
    assert_eq!(&buffer, b"3456");
}

/// Threads that keep the same and other bytes at once do not disturb each other.
pub fn threads_keep_and_read_at_once(blobs: &dyn Blobs) {
    std::thread::scope(|scope| {
        for thread in 0..8_usize {
            scope.spawn(move || {
                for round in 0..8 {
                    let own = format!("{thread} {round}");
                    for text in ["shared", &own, &format!("shared {round}")] {
                        let digest = keep(blobs, text.as_bytes());
                        assert_eq!(read_all(&*blobs.open(digest).unwrap()).unwrap(), text.as_bytes());
                    }
                }
            });
        }
    });
}
