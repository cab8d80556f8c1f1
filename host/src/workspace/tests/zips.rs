//! Zip archives that are refused, and the odd ones that are not.

use super::support::*;
use crate::workspace::limits::ArchiveLimits;

fn one(change: impl Fn(&mut Item)) -> Vec<u8> {
    let mut item = Item::deflated("x.csv", b"id,y\n1,2\n");
    change(&mut item);
    zip(&[item])
}

#[test]
fn a_right_one_is_taken() {
    assert_eq!(paths(&take("p.zip", &one(|_| {})).unwrap()), ["x.csv"]);
    let flat = zip(&[Item::stored("a.csv", b"1"), Item::stored("d/", b""), Item::stored("d/ä.csv", b"2")]);
    assert_eq!(paths(&take("p.zip", &flat).unwrap()), ["a.csv", "d/ä.csv"]);
    // Streamed by its writer: the sizes follow the data.
    let streamed = one(|item| {
        item.flags |= 8;
        item.local_size = 0;
        item.data.extend([0; 16]);
    });
    assert_eq!(paths(&take("p.zip", &streamed).unwrap()), ["x.csv"]);
    // As Python's `zipfile` and `zip -r x.zip ./` write the folder that they were given.
    let top = zip(&[Item::stored("./", b""), Item::stored("./a.csv", b"1"), Item::stored("././b.csv", b"1")]);
    assert_eq!(paths(&take("p.zip", &top).unwrap()), ["a.csv", "b.csv"]);
    let case = zip(&[Item::stored("A.csv", b"1"), Item::stored("a.csv", b"2")]);
    assert_eq!(paths(&take("p.zip", &case).unwrap()), ["A.csv", "a.csv"]);
}

#[test]
fn hostile_names_are_refused() {
    for (name, want) in [
        (&b"/etc/passwd"[..], "path-absolute"),
        (b"C:\\x.csv", "path-absolute"),
        (b"../x.csv", "path-climbs"),
        (b"a/../../x.csv", "path-climbs"),
        (b"../", "path-climbs"),
        (b"/", "path-absolute"),
        (b"a//b", "path-empty-name"),
        (b"", "path-empty-name"),
        (b".", "path-empty-name"),
        (b"a\\b.csv", "path-character"),
        (b"a\0b.csv", "path-character"),
        (b"caf\xe9.csv", "name-not-utf8"),
        (&[b'x'; 600], "path-too-long"),
        (&[b'x'; 60_000], "path-too-long"),
        (&b"d/".repeat(17), "path-too-long"),
    ] {
        let bytes = zip(&[Item { name: name.into(), local_name: name.into(), ..Item::stored("", b"") }]);
        assert_eq!(code("p.zip", &bytes), want, "{:?}", String::from_utf8_lossy(name));
    }
}

#[test]
fn what_is_no_plain_file_is_refused() {
    assert_eq!(code("p.zip", &one(|item| item.mode = 0o120_777)), "link");
    for mode in [0o010_644, 0o020_644, 0o060_644, 0o140_644] {
        assert_eq!(code("p.zip", &one(|item| item.mode = mode)), "special-file");
    }
    assert_eq!(code("p.zip", &one(|item| item.mode = 0o040_755)), "archive-mismatch");
    for flag in [1, 1 << 6, 1 << 13] {
        assert_eq!(code("p.zip", &one(|item| item.flags |= flag)), "encrypted");
    }
    assert_eq!(code("p.zip", &one(|item| item.method = 99)), "encrypted");
    for method in [1, 9, 12, 14, 93, 95] {
        assert_eq!(code("p.zip", &one(|item| item.method = method)), "compression-method");
    }
    assert_eq!(code("p.zip", &zip(&[Item::stored("d/", b"data")])), "archive-mismatch");
}

#[test]
fn two_of_a_name_are_refused() {
    let pair = |a: &str, b: &str| code("p.zip", &zip(&[Item::stored(a, b""), Item::stored(b, b"")]));
    assert_eq!(pair("a", "a"), "duplicate-name");
    assert_eq!(pair("a", "./a"), "duplicate-name");
    assert_eq!(pair("a", "a/"), "file-and-folder");
    assert_eq!(pair("a/b", "a"), "file-and-folder");
    assert_eq!(pair("a/b/", "a"), "file-and-folder");
    assert_eq!(pair("a", "a-b"), "ok");
}

#[test]
fn headers_that_disagree_are_refused() {
    for change in [
        (|item| item.local_name = b"y.csv".to_vec()) as fn(&mut Item),
        |item| item.local_name = b"x.csvx".to_vec(),
        |item| item.local_method = 0,
        |item| item.local_size += 1,
        |item| item.size += 1,
        |item| (item.size, item.local_size) = (4, 4),
        |item| (item.size, item.local_size) = (400, 400),
        |item| item.crc ^= 1,
        |item| item.packed += 1,
        |item| item.packed -= 1,
        |item| item.offset = Some(7),
        |item| {
            item.data.push(0);
            item.packed += 1;
        },
        |item| item.data[3] ^= 0x55,
    ] {
        let refused = take("p.zip", &one(change)).unwrap_err();
        assert!(matches!(refused.code(), "archive-mismatch" | "corrupt-archive"), "{refused}");
    }
    let beyond = one(|item| item.offset = Some(u32::MAX - 1));
    assert_eq!(code("p.zip", &beyond), "archive-mismatch");
}

#[test]
fn entries_that_share_their_data_are_refused() {
    let body = vec![0; 1 << 20];
    let first = Item::deflated("a", &body);
    let same = zip(&[first.clone(), Item { offset: Some(0), data: Vec::new(), ..first.clone() }]);
    assert_eq!(code("p.zip", &same), "archive-mismatch");
    // The first file's data reach to where the second one is said to be, behind the end of the archive.
    let beyond = Item { packed: 5000, ..Item::stored("a", b"1") };
    let beyond = zip(&[beyond, Item { offset: Some(9000), ..Item::stored("b", b"1") }]);
    assert_eq!(code("p.zip", &beyond), "archive-mismatch");
    // The second file's header lies in the first one's data.
    let inner = zip(&[Item::stored("b", b"1")]);
    let outer = Item::stored("a", &inner);
    let quoted = zip(&[outer, Item { offset: Some(31), data: Vec::new(), ..Item::stored("b", b"1") }]);
    assert_eq!(code("p.zip", &quoted), "archive-mismatch");
}

#[test]
fn the_end_must_be_the_end() {
    let good = one(|_| {});
    assert_eq!(code("p.zip", &[&good[..], b"x"].concat()), "corrupt-archive");
    assert_eq!(code("p.zip", &[&good[..], &good[..]].concat()), "corrupt-archive");
    let mut commented = good.clone();
    let at = commented.len() - 2;
    commented[at] = 5;
    assert_eq!(code("p.zip", &[&commented[..], b"hello"].concat()), "ok");
    assert_eq!(code("p.zip", &[&commented[..], b"hell"].concat()), "corrupt-archive");
    // One byte is missing, or one too many, before the directory.
    let at = good.len() - 22;
    assert_eq!(code("p.zip", &[&good[..at], b"x", &good[at..]].concat()), "corrupt-archive");
    let count = |count: u8| {
        let mut bytes = good.clone();
        (bytes[at + 8], bytes[at + 10]) = (count, count);
        code("p.zip", &bytes)
    };
    assert_eq!((count(0), count(1), count(2)), ("corrupt-archive", "ok", "corrupt-archive"));
    let mut volume = good.clone();
    volume[at + 4] = 1;
    assert_eq!(code("p.zip", &volume), "corrupt-archive");
}

/// A zip64 archive of one stored file; `fields` are its size, the size of its data, and its place.
fn build64(entries: u64, size_off: u64, fields: [u64; 3]) -> Vec<u8> {
    let item = Item::stored("x.csv", b"1");
    // The size of the file, the size of its data and its place are all in the extra field.
    let mut extra = vec![1, 0, 24, 0];
    extra.extend(fields.map(u64::to_le_bytes).concat());
    let wide = Item { size: u32::MAX, packed: u32::MAX, offset: Some(u32::MAX), extra, ..item.clone() };
    let mut bytes = zip(std::slice::from_ref(&item));
    let at = bytes.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    bytes.truncate(at);
    let central = wide.central(0);
    bytes.extend(&central);
    bytes.extend(end64(entries, (central.len() as u64).wrapping_add(size_off), at as u64));
    bytes.extend(end(u16::MAX, u32::MAX, u32::MAX));
    bytes
}

#[test]
fn zip64_is_read_and_its_lies_are_not() {
    let build = |entries: u64, size_off: u64, lie: u64| build64(entries, size_off, [1 + lie, 1, 0]);
    assert_eq!(paths(&take("p.zip", &build(1, 0, 0)).unwrap()), ["x.csv"]);
    assert_eq!(code("p.zip", &build(2, 0, 0)), "corrupt-archive");
    assert_eq!(code("p.zip", &build(u64::MAX, 0, 0)), "corrupt-archive");
    assert_eq!(code("p.zip", &build(u64::MAX - 1, 0, 0)), "too-many-entries");
    assert_eq!(code("p.zip", &build(1, u64::MAX - 200, 0)), "corrupt-archive");
    assert_eq!(code("p.zip", &build(1, 0, 5)), "archive-mismatch");
    assert_eq!(code("p.zip", &build(1, 0, u64::MAX - 1)), "file-too-big");
    for lie in [2, u64::MAX - 40, u64::MAX - 1, u64::MAX] {
        assert_eq!(code("p.zip", &build64(1, 0, [1, lie, 0])), "archive-mismatch", "{lie}");
        assert!(matches!(code("p.zip", &build64(1, 0, [1, 1, lie])), "archive-mismatch" | "corrupt-archive"), "{lie}");
    }
}

#[test]
fn a_million_entries_are_refused_at_once() {
    let central = Item::stored("name", b"").central(0).repeat(1_000_000);
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.extend(&central);
    bytes.extend(end64(1_000_000, central.len() as u64, 4));
    let honest = [&bytes[..], &end(u16::MAX, u32::MAX, u32::MAX)].concat();
    let mut lying = b"PK\x03\x04".to_vec();
    lying.extend(&central);
    lying.extend(end(10_000, central.len() as u32, 4));
    let (code, read) = cost("p.zip", honest, &ArchiveLimits::submission());
    assert!(code == "too-many-entries" && read < 300_000, "{code}: {read} bytes were read");
    let (code, read) = cost("p.zip", lying, &ArchiveLimits::submission());
    assert!(code == "corrupt-archive" && read < 1_000_000, "{code}: {read} bytes were read");
}
