//! What an upload becomes: detection, names, the outer folder, what is dropped.

use super::support::*;
use crate::workspace::Entry;
use crate::workspace::limits::ArchiveLimits;
use gradus_core::domain::units::Bytes;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The same files as zip, tar, tar.gz and tar.zst.
fn all_formats(files: &[(&str, &str)]) -> Vec<(&'static str, Vec<u8>)> {
    let items: Vec<_> = files.iter().map(|(name, body)| item(name.as_bytes(), b'0', body.as_bytes())).collect();
    let plain = tar(&items);
    let zipped: Vec<_> = files.iter().map(|(name, body)| Item::deflated(name, body.as_bytes())).collect();
    vec![("p.zip", zip(&zipped)), ("p.tar.gz", gzip(&plain)), ("p.tar.zst", zstd(&plain)), ("p.tar", plain)]
}

#[test]
fn every_format_gives_the_same_tree() {
    let bare = take("x.csv", b"id,y\n").unwrap();
    for (name, bytes) in all_formats(&[("x.csv", "id,y\n")]) {
        assert_eq!(tree(&take(name, &bytes).unwrap()), tree(&bare), "{name}");
        // The name does not matter when the content is clear.
        assert_eq!(tree(&take("upload", &bytes).unwrap()), tree(&bare), "{name}");
    }
    for (name, bytes) in all_formats(&[("b.csv", "b"), ("a/c.csv", "c"), ("a.csv", "")]) {
        let unpacked = take(name, &bytes).unwrap();
        let want = [("a.csv", ""), ("a/c.csv", "c"), ("b.csv", "b")].map(|(p, b)| (p.to_owned(), b.to_owned()));
        assert_eq!(files(&unpacked), want, "{name}");
    }
}

#[test]
fn one_outer_folder_is_stripped_and_what_systems_add_is_dropped() {
    let junk = [("__MACOSX/sub/._a.csv", "?"), (".DS_Store", "?"), ("sub/._a.csv", "?"), ("sub/Thumbs.db", "?")];
    for (name, bytes) in all_formats(&[&junk[..], &[("sub/deep/a.csv", "a"), ("sub/deep/b.csv", "b")]].concat()) {
        assert_eq!(paths(&take(name, &bytes).unwrap()), ["deep/a.csv", "deep/b.csv"], "{name}");
    }
    for (name, bytes) in all_formats(&[&junk[..], &[("sub/deep/a.csv", "a")]].concat()) {
        assert_eq!(paths(&take(name, &bytes).unwrap()), ["a.csv"], "{name}");
    }
    for (name, bytes) in all_formats(&[("sub/a.csv", "a"), ("sub-b/a.csv", "a")]) {
        assert_eq!(paths(&take(name, &bytes).unwrap()), ["sub-b/a.csv", "sub/a.csv"], "{name}");
    }
    for (name, bytes) in all_formats(&junk) {
        assert_eq!(code(name, &bytes), "empty-archive", "{name}");
    }
    for (name, bytes) in all_formats(&[]) {
        assert_eq!(code(name, &bytes), "empty-archive", "{name}");
    }
}

#[test]
fn what_is_no_archive_stays_as_it_is() {
    for (name, bytes) in [
        ("x.csv", b"id,y\n".to_vec()),
        ("x.csv.gz", gzip(b"id,y\n")),
        ("x.csv.zst", zstd(b"id,y\n")),
        ("x.csv.gz", gzip(&[b'0'; 2000])),
        // Damaged, but nobody promised an archive: its reader will say so.
        ("x.csv.gz", gzip(b"id,y\n")[..12].to_vec()),
        ("x.csv", Vec::new()),
        ("x.npz", zip(&[Item::stored("arr_0.npy", b"y")])),
    ] {
        let unpacked = take(name, &bytes).unwrap();
        assert_eq!(paths(&unpacked), [name]);
        assert_eq!(tree(&unpacked).len_bytes(), bytes.len() as u64);
    }
    assert_eq!(paths(&take("C:\\data\\x.csv", b"1").unwrap()), ["x.csv"]);
    assert_eq!(paths(&take("../../x.csv", b"1").unwrap()), ["x.csv"]);
    assert_eq!(code("..", b"1"), "path-climbs");
    assert_eq!(code("", b"1"), "path-empty-name");
    assert_eq!(code("a\nb", b"1"), "path-character");
}

#[test]
fn a_name_that_promises_an_archive_is_held_to_it() {
    for name in ["x.zip", "x.ZIP", "x.tar", "x.tgz", "x.tar.zst"] {
        assert_eq!(code(name, b"id,y\n"), "not-an-archive", "{name}");
    }
    assert_eq!(code("x.tar.gz", &gzip(b"id,y\n")), "not-an-archive");
    for name in ["x.7z", "x.rar", "x.tar.xz", "x.tar.bz2", "x.tar.Z"] {
        assert_eq!(code(name, b"whatever"), "unsupported-archive", "{name}");
    }
}

#[test]
fn an_archive_in_an_archive_stays_a_file() {
    let inner = tar(&[item(b"x.csv", b'0', b"1")]);
    let outer = zip(&[Item::stored("inner.tar", &inner), Item::stored("y.csv", b"2")]);
    assert_eq!(paths(&take("o.zip", &outer).unwrap()), ["inner.tar", "y.csv"]);
}

#[test]
fn many_files_hold_few_blobs_open_and_are_whole() {
    let names: Vec<_> = (0..100).map(|n| (format!("f{n:03}.csv"), format!("body {n}"))).collect();
    let given: Vec<_> = names.iter().map(|(name, body)| (name.as_str(), body.as_str())).collect();
    for (name, bytes) in all_formats(&given) {
        let blobs = CountingBlobs::default();
        let unpacked = take_within(name, Upload(bytes), &ArchiveLimits::submission(), &blobs).unwrap();
        assert_eq!(files(&unpacked), names, "{name}");
        assert!(blobs.0.most_live.load(Ordering::SeqCst) <= 33);
        drop(unpacked);
        assert_eq!(blobs.0.live.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn limits_are_those_given() {
    let limits = |bytes, file, entries| ArchiveLimits {
        bytes: Bytes(bytes),
        file: Bytes(file),
        entries,
        ..ArchiveLimits::submission()
    };
    for (name, bytes) in all_formats(&[("a", "1234"), ("b", "12345"), ("c", "123")]) {
        let code = |limits: ArchiveLimits| {
            let taken = take_within(name, Upload(bytes.clone()), &limits, &CountingBlobs::default());
            taken.map_or_else(|refused| refused.code(), |_| "ok")
        };
        assert_eq!(code(limits(12, 5, 3)), "ok", "{name}");
        assert_eq!(code(limits(11, 5, 3)), "too-big", "{name}");
        assert_eq!(code(limits(12, 4, 3)), "file-too-big", "{name}");
        assert_eq!(code(limits(12, 5, 2)), "too-many-entries", "{name}");
        assert_eq!(code(ArchiveLimits { time: Duration::ZERO, ..limits(12, 5, 3) }), "took-too-long", "{name}");
    }
    let bare = take_within("x.csv", Upload(vec![0; 5]), &limits(12, 4, 3), &CountingBlobs::default());
    assert_eq!(bare.unwrap_err().code(), "file-too-big");
}

#[test]
fn a_full_disk_is_not_the_participants_fault() {
    for (name, bytes) in all_formats(&[("a", "1234"), ("b", "12345")]) {
        let blobs = CountingBlobs::default();
        blobs.0.disk.store(6, Ordering::SeqCst);
        let refused = take_within(name, Upload(bytes), &ArchiveLimits::submission(), &blobs).unwrap_err();
        assert!(refused.is_ours() && refused.code() == "disk", "{name}: {refused}");
    }
}

#[test]
fn names_are_shown_safely() {
    assert_eq!(Entry::new(b"a\x1b[31m\n`b\xff").to_string(), "a\u{fffd}[31m\u{fffd}\u{fffd}b\u{fffd}");
    assert_eq!(Entry::new("\u{202e}gpj.exe".as_bytes()).to_string(), "\u{fffd}gpj.exe");
    for name in ["x".repeat(5000), "ä".repeat(101), "x".repeat(101)] {
        let shown = Entry::new(name.as_bytes()).to_string();
        assert_eq!(shown.chars().count(), 100);
        assert!(shown.ends_with('…'));
    }
    assert_eq!(Entry::new("ä".repeat(100).as_bytes()).to_string().chars().count(), 100);
}
