//! Archives that are damaged or meant to harm: each gets its own answer, and nothing of it stays.

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use gradus_e2e::{Kept, Server, example, zip};
use std::io::Write as _;

fn good() -> Vec<u8> {
    std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the example has a good sample")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).expect("memory takes all");
    packed.finish().expect("memory takes all")
}

/// One entry of a tar, whose name is written past all checks.
fn entry(name: &str, kind: tar::EntryType, body: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(body.len() as u64);
    header.set_mode(0o644);
    if kind.is_symlink() || kind.is_hard_link() {
        header.as_old_mut().linkname[..11].copy_from_slice(b"/etc/passwd");
    }
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn tar(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, body) in entries {
        bytes.extend_from_slice(&entry(name, *kind, body));
    }
    bytes.extend([0; 1024]);
    bytes
}

/// A zip of one entry that unpacks to `len` zeros, and says that it unpacks to `says`.
fn zip_bomb(len: usize, says: u32) -> Vec<u8> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&vec![0; len]).expect("memory takes all");
    let mut bytes = zip(&[("a.csv", &packed.finish().expect("memory takes all"))]);
    let directory = bytes.windows(4).rposition(|four| four == b"PK\x01\x02").expect("a zip has a directory");
    for (method, size) in [(8, 22), (directory + 10, directory + 24)] {
        bytes[method] = 8;
        bytes[size..size + 4].copy_from_slice(&says.to_le_bytes());
    }
    bytes
}

/// A zip whose one entry is a symbolic link.
fn zip_link() -> Vec<u8> {
    let mut bytes = zip(&[("a.csv", b"/etc/passwd")]);
    let directory = bytes.windows(4).rposition(|four| four == b"PK\x01\x02").expect("a zip has a directory");
    bytes[directory + 38..directory + 42].copy_from_slice(&(0o120_777_u32 << 16).to_le_bytes());
    bytes
}

/// 10^6 empty files: the same ten thousand and one, a hundred times.
fn a_million() -> Vec<u8> {
    let names: Vec<_> = (0..10_001).map(|number| format!("f{number}.csv")).collect();
    let mut some = Vec::new();
    for name in &names {
        some.extend_from_slice(&entry(name, tar::EntryType::Regular, b""));
    }
    gzip(&some).repeat(100)
}

/// As many entries as a zip can have without extensions.
fn sixty_thousand() -> Vec<u8> {
    let names: Vec<_> = (0..60_000).map(|number| format!("f{number}.csv")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    zip(&files)
}

#[test]
fn hostile_and_damaged_archives_leave_nothing() {
    use tar::EntryType::{Directory, Fifo, Link, Regular, Symlink};
    let (good, server) = (good(), Server::start());
    server.publish_example("breast-cancer");
    let anna = server.participant("anna");
    let packed = gzip(&tar(&[("good.csv", Regular, &good)]));
    let zipped = zip(&[("good.csv", &good)]);
    let tar_bomb = gzip(&tar(&[("a.csv", Regular, &vec![0; 100 << 20])]));
    let cases: Vec<(&str, &str, Vec<u8>, &str, &str)> = vec![
        ("zip cut short", "a.zip", zipped[..zipped.len() - 30].to_vec(), "corrupt-archive", "cut short"),
        ("zip cut in half", "a.zip", zipped[..zipped.len() / 2].to_vec(), "corrupt-archive", "upload the whole file"),
        ("tar.gz cut short", "a.tar.gz", packed[..packed.len() / 2].to_vec(), "corrupt-archive", "ends too soon"),
        ("tar cut short", "a.tar", tar(&[("a.csv", Regular, &good)])[..900].to_vec(), "corrupt-archive", "cut short"),
        ("text called zip", "a.zip", good.clone(), "not-an-archive", "pack it again, or rename it"),
        ("unknown kind", "a.7z", b"7z\xbc\xaf\x27\x1c".to_vec(), "unsupported-archive", "use zip, tar.gz or tar.zst"),
        ("empty zip", "a.zip", zip(&[]), "empty-archive", "no file in it"),
        ("empty tar", "a.tar", tar(&[("folder/", Directory, b"")]), "empty-archive", "no file in it"),
        ("zip bomb", "a.zip", zip_bomb(100 << 20, 100 << 20), "expands-too-much", "200 times"),
        ("zip bomb that lies", "a.zip", zip_bomb(100 << 20, 1000), "archive-mismatch", "`a.csv`"),
        ("tar bomb", "a.tar.gz", tar_bomb, "expands-too-much", "200 times"),
        ("too big", "a.zip", zip_bomb(1000, 300 << 20), "file-too-big", "bigger than 256 MiB"),
        ("a million entries", "a.tar.gz", a_million(), "too-many-entries", "more than 10000"),
        ("60000 entries", "a.zip", sixty_thousand(), "too-many-entries", "more than 10000"),
        ("zip ../", "a.zip", zip(&[("../good.csv", &good)]), "path-climbs", "`../good.csv`"),
        ("zip a/../../", "a.zip", zip(&[("a/../../b.csv", &good)]), "path-climbs", "`a/../../b.csv`"),
        ("tar ../", "a.tar", tar(&[("../good.csv", Regular, &good)]), "path-climbs", "`../good.csv`"),
        ("zip absolute", "a.zip", zip(&[("/etc/cron.d/x", &good)]), "path-absolute", "`/etc/cron.d/x`"),
        ("tar absolute", "a.tar", tar(&[("/etc/cron.d/x", Regular, &good)]), "path-absolute", "`/etc/cron.d/x`"),
        ("zip link", "a.zip", zip_link(), "link", "put the file itself in its place"),
        ("tar link", "a.tar", tar(&[("a.csv", Symlink, b"")]), "link", "put the file itself in its place"),
        ("tar hard link", "a.tar.gz", gzip(&tar(&[("a.csv", Link, b"")])), "link", "`a.csv` is a link"),
        ("tar pipe", "a.tar", tar(&[("a.csv", Fifo, b"")]), "special-file", "no regular file"),
        ("zip twice", "a.zip", zip(&[("a.csv", &good), ("a.csv", &good)]), "duplicate-name", "`a.csv` is there twice"),
        (
            "tar twice",
            "a.tar",
            tar(&[("a.csv", Regular, &good), ("a.csv", Regular, &good)]),
            "duplicate-name",
            "leave one out",
        ),
        (
            "file and folder",
            "a.zip",
            zip(&[("a", &good), ("a/b.csv", &good)]),
            "file-and-folder",
            "both a file and a folder",
        ),
    ];
    let before = Kept::now(&server, &anna, "breast-cancer");
    for (what, name, bytes, code, detail) in &cases {
        let answer = anna.submit("breast-cancer", "dev", name, bytes);
        answer.refuses(what, 422, code, detail);
        answer.refuses(what, 422, code, "nothing was stored, your quota is untouched");
        before.is_all(&server, &anna, "breast-cancer", what);
        let checked = anna.post(&format!("/api/v1/challenges/breast-cancer/phases/dev/check?filename={name}"), bytes);
        checked.refuses(what, 422, code, detail);
    }
    before.is_all(&server, &anna, "breast-cancer", "the format check");
    // After all that, the door still opens.
    assert_eq!(anna.submit("breast-cancer", "dev", "a.tar.gz", &packed).status, 202);
}
