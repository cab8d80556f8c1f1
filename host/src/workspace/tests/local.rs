//! Folders of this computer: what is listed, what is left out, and that a packed one comes back.

use super::support::*;
use crate::workspace::limits::ArchiveLimits;
use crate::workspace::{Refused, folder, pack, single};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use gradus_core::domain::units::Bytes;
use gradus_core::ports::blobs::{ReadAt, read_all};
use std::fs;
use tempfile::TempDir;

fn made(files: &[(&str, &str)]) -> (TempDir, Dir) {
    let temp = tempfile::tempdir().unwrap();
    for (path, body) in files {
        let path = temp.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, body).unwrap();
    }
    let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
    (temp, dir)
}

fn packed(dir: &Dir) -> Result<Vec<u8>, Refused> {
    let files = folder(dir, &ArchiveLimits::challenge())?;
    let mut bytes = Vec::new();
    pack(files.iter().map(|(path, _, source)| (path, &**source)), &mut bytes).unwrap();
    Ok(bytes)
}

fn listed(dir: &Dir) -> Result<Vec<(String, String)>, Refused> {
    let text = |source: &dyn ReadAt| String::from_utf8(read_all(source).unwrap()).unwrap();
    let files = folder(dir, &ArchiveLimits::challenge())?;
    Ok(files.into_iter().map(|(path, _, source)| (path.to_string(), text(&*source))).collect())
}

const CHALLENGE: [(&str, &str); 9] = [
    ("challenge.toml", "name"),
    ("data/reference/x.csv", "1"),
    ("data/target/y.csv", "2"),
    ("scorer/Cargo.toml", "crate"),
    ("scorer/target/debug/big", "?"),
    ("target/CACHEDIR.TAG", "?"),
    (".git/config", "?"),
    (".env", "secret"),
    ("data/Thumbs.db", "?"),
];

#[test]
fn a_packed_folder_comes_back_as_it_was() {
    let (_temp, dir) = made(&CHALLENGE);
    let want = CHALLENGE[..4].iter().map(|(path, body)| ((*path).to_owned(), (*body).to_owned())).collect::<Vec<_>>();
    assert_eq!(listed(&dir).unwrap(), want);
    let bytes = packed(&dir).unwrap();
    assert_eq!(files(&take("c.tar.zst", &bytes).unwrap()), want);
    // The same files, made in another order at another time.
    let mut turned = CHALLENGE;
    turned.reverse();
    let (_other, other) = made(&turned);
    assert_eq!(packed(&other).unwrap(), bytes);
}

#[test]
fn many_files_and_long_names_come_back() {
    let names: Vec<_> = (0..200).map(|n| (format!("{}/{n:03}.csv", "d".repeat(120)), format!("{n}"))).collect();
    let given: Vec<_> = names.iter().map(|(name, body)| (name.as_str(), body.as_str())).collect();
    let (_temp, dir) = made(&given);
    let want: Vec<_> = (0..200).map(|n| (format!("{n:03}.csv"), format!("{n}"))).collect();
    assert_eq!(listed(&dir).unwrap(), want);
    assert_eq!(files(&take("c.tar.zst", &packed(&dir).unwrap()).unwrap()), want);
}

#[test]
fn links_pipes_and_empty_folders_are_refused() {
    let (temp, dir) = made(&[("a.csv", "1")]);
    let both = |want: &str| {
        assert_eq!(listed(&dir).unwrap_err().code(), want);
        assert_eq!(packed(&dir).unwrap_err().code(), want);
    };
    for target in ["/etc/passwd", "a.csv", "..", "nowhere"] {
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(target, &link).unwrap();
        both("link");
        assert_eq!(single(&dir, "link").err().unwrap().code(), "link");
        fs::remove_file(link).unwrap();
    }
    let socket = std::os::unix::net::UnixListener::bind(temp.path().join("socket")).unwrap();
    both("special-file");
    drop(socket);
    fs::remove_file(temp.path().join("socket")).unwrap();
    fs::write(temp.path().join("a\\b"), "").unwrap();
    both("path-character");
    let (_temp, empty) = made(&[]);
    assert_eq!(listed(&empty).unwrap_err().code(), "empty-archive");
    let limits = ArchiveLimits { bytes: Bytes(1), ..ArchiveLimits::challenge() };
    let (_temp, two) = made(&[("a", "1"), ("b", "2")]);
    assert_eq!(folder(&two, &limits).err().unwrap().code(), "too-big");
}

#[test]
fn a_single_file_is_read_within_its_folder_only() {
    let (_temp, dir) = made(&[("a.csv", "12345")]);
    let (path, len, source) = single(&dir, "a.csv").unwrap();
    assert_eq!((path.as_str(), len), ("a.csv", 5));
    let mut buffer = [0; 10];
    assert_eq!(source.read_at(3, &mut buffer).unwrap(), 2);
    assert_eq!(&buffer[..2], b"45");
    assert_eq!(source.read_at(9, &mut buffer).unwrap(), 0);
    assert_eq!(single(&dir, "../a.csv").err().unwrap().code(), "path-climbs");
    assert_eq!(single(&dir, "b.csv").err().unwrap().code(), "file-unreadable");
}
