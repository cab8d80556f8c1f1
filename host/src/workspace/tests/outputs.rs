//! Outputs as folders that somebody hostile filled; no container is needed for that.

use crate::workspace::outputs::{NotTaken, collect};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use gradus_core::domain::units::Bytes;
use gradus_core::ports::blobs::read_all;
use gradus_core::ports::runner::Flaw;
use gradus_core::testing::memory_blobs::MemoryBlobs;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

fn taken(path: &Path) -> Result<Vec<(String, Vec<u8>)>, NotTaken> {
    let dir = Dir::open_ambient_dir(path, ambient_authority()).unwrap();
    let parts = collect(&dir, Bytes(4 << 20), 100, &MemoryBlobs::default())?;
    Ok(parts.iter().map(|part| (part.path().to_string(), read_all(part.bytes()).unwrap())).collect())
}

fn flaw(fill: impl FnOnce(&Path)) -> (Flaw, String) {
    let temp = tempfile::tempdir().unwrap();
    fill(temp.path());
    match taken(temp.path()) {
        Err(NotTaken::Bad(bad)) => (bad.flaw, bad.at),
        other => panic!("{other:?}"),
    }
}

fn deep(at: &Path, depth: usize) {
    fs::create_dir_all(at.join(vec!["d"; depth].join("/"))).unwrap();
}

#[test]
fn plain_files_are_taken_as_they_are() {
    let temp = tempfile::tempdir().unwrap();
    assert_eq!(taken(temp.path()).unwrap(), []);
    // A single outer folder stays, as does an empty file; a folder without files is none.
    fs::create_dir_all(temp.path().join("outer/empty")).unwrap();
    fs::write(temp.path().join("outer/b"), "").unwrap();
    fs::write(temp.path().join("outer/.a"), "hidden").unwrap();
    let expected = [("outer/.a".to_owned(), b"hidden".to_vec()), ("outer/b".to_owned(), Vec::new())];
    assert_eq!(taken(temp.path()).unwrap(), expected);
    deep(temp.path(), 15);
    assert_eq!(taken(temp.path()).unwrap(), expected);
}

#[test]
fn links_are_not_followed() {
    assert_eq!(flaw(|at| symlink("/etc/passwd", at.join("x")).unwrap()), (Flaw::Link, "x".to_owned()));
    assert_eq!(flaw(|at| symlink("/", at.join("x")).unwrap()), (Flaw::Link, "x".to_owned()));
    let hard = |at: &Path| {
        fs::write(at.join("a"), "x").unwrap();
        fs::hard_link(at.join("a"), at.join("b")).unwrap();
    };
    assert_eq!(flaw(hard), (Flaw::HardLink, "a".to_owned()));
}

#[test]
fn nothing_but_files_is_opened() {
    let pipe = |at: &Path| mknodat(CWD, at.join("x"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert_eq!(flaw(pipe), (Flaw::Special, "x".to_owned()));
    assert_eq!(flaw(|at| drop(UnixListener::bind(at.join("x")).unwrap())), (Flaw::Special, "x".to_owned()));
}

#[test]
fn sizes_and_counts_are_bounded() {
    let sized = |len: u64| move |at: &Path| fs::File::create(at.join("x")).unwrap().set_len(len).unwrap();
    assert_eq!(flaw(sized(2 << 20)), (Flaw::Sparse, "x".to_owned()));
    assert_eq!(flaw(sized(1 << 40)), (Flaw::TooBig, "x".to_owned()));
    let two = |at: &Path| ["a", "b"].iter().for_each(|name| fs::write(at.join(name), vec![b'x'; 3 << 20]).unwrap());
    assert_eq!(flaw(two), (Flaw::TooBig, "b".to_owned()));
    let many = |at: &Path| (0..101).for_each(|n| fs::create_dir(at.join(n.to_string())).unwrap());
    assert_eq!(flaw(many).0, Flaw::TooMany);
    assert_eq!(flaw(|at| deep(at, 17)).0, Flaw::Path);
}

#[test]
fn names_are_text_that_can_be_shown() {
    let named = |name: &'static [u8]| move |at: &Path| fs::write(at.join(OsStr::from_bytes(name)), "").unwrap();
    assert_eq!(flaw(named(b"a\xffb")), (Flaw::NotUtf8, "a\u{fffd}b".to_owned()));
    assert_eq!(flaw(named(b"a\x1bb")), (Flaw::Name, "a\u{fffd}b".to_owned()));
    assert_eq!(flaw(named(b"a\\b")), (Flaw::Name, "a\\b".to_owned()));
}
