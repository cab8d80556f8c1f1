//! Tar archives that are refused, and the odd ones that are not.

use super::support::*;
use crate::workspace::limits::ArchiveLimits;
use gradus_core::ports::blobs::ReadAt;
use std::io;

fn file(name: &str, body: &str) -> Vec<u8> {
    item(name.as_bytes(), b'0', body.as_bytes())
}

fn long(name: &[u8]) -> Vec<u8> {
    item(b"././@LongLink", b'L', &[name, b"\0"].concat())
}

#[test]
fn what_usual_tools_write_is_taken() {
    let name = format!("{}/x.csv", "d".repeat(150));
    for items in [
        vec![item(b"./", b'5', b""), file("./x.csv", "1")],
        vec![item(b".", b'5', b""), file("x.csv", "1")],
        vec![item(b"d", b'5', b""), item(b"d/", b'5', b""), file("d/x.csv", "1")],
        vec![long(name.as_bytes()), file("short", "1")],
        vec![item(b"PaxHeaders/x", b'x', &pax("path", &name)), file("short", "1")],
        vec![item(b"g", b'g', &pax("comment", "0123")), file("x.csv", "1")],
        vec![item(b"x.csv", 0, b"1")],
        vec![item(b"PaxHeaders/x", b'x', &pax("size", "1")), file("x.csv", "1")],
    ] {
        let unpacked = take("p.tar", &tar(&items)).unwrap();
        assert_eq!(files(&unpacked), [("x.csv".to_owned(), "1".to_owned())]);
    }
    let mut prefixed = header(b"x.csv", b'0', 0);
    prefixed[345..348].copy_from_slice(b"a/b");
    seal(&mut prefixed);
    let items = [prefixed.to_vec(), file("y.csv", "")];
    assert_eq!(paths(&take("p.tar", &tar(&items)).unwrap()), ["a/b/x.csv", "y.csv"]);
    // Older than the mark that content is known by: the name decides.
    let mut old = header(b"x.csv", b'0', 0);
    old[257..265].fill(0);
    seal(&mut old);
    assert_eq!(paths(&take("p.tar", &tar(&[old.to_vec()])).unwrap()), ["x.csv"]);
    assert_eq!(paths(&take("p.bin", &tar(&[old.to_vec()])).unwrap()), ["p.bin"]);
}

#[test]
fn hostile_names_are_refused() {
    let whole = "x".repeat(600);
    for (name, want) in [
        (&b"/etc/passwd"[..], "path-absolute"),
        (b"../x.csv", "path-climbs"),
        (b"./../x.csv", "path-climbs"),
        (b".//x.csv", "path-absolute"),
        (b"a/../../x.csv", "path-climbs"),
        (b"a//b", "path-empty-name"),
        (b"a/./b", "path-empty-name"),
        (b"a\\b.csv", "path-character"),
        (b"a\nb.csv", "path-character"),
        (b"a\0b.csv", "path-character"),
        (b"caf\xe9.csv", "name-not-utf8"),
        (whole.as_bytes(), "path-too-long"),
        (&b"d/".repeat(17), "path-too-long"),
    ] {
        assert_eq!(code("p.tar", &tar(&[long(name), file("x", "")])), want, "{:?}", String::from_utf8_lossy(name));
        if let Ok(text) = std::str::from_utf8(name) {
            let items = [item(b"p", b'x', &pax("path", text)), file("x", "")];
            assert_eq!(code("p.tar", &tar(&items)), want, "{text:?}");
        }
    }
    assert_eq!(code("p.tar", &tar(&[file("../x.csv", "")])), "path-climbs");
    assert_eq!(code("p.tar", &tar(&[file("", "")])), "path-empty-name");
    assert_eq!(code("p.tar", &tar(&[item(b"../d/", b'5', b"")])), "path-climbs");
}

#[test]
fn what_is_no_plain_file_is_refused() {
    for (kind, want) in [
        (b'1', "link"),
        (b'2', "link"),
        (b'3', "special-file"),
        (b'4', "special-file"),
        (b'6', "special-file"),
        (b'V', "special-file"),
        (b'M', "special-file"),
        (b'S', "sparse-file"),
    ] {
        assert_eq!(code("p.tar", &tar(&[item(b"x", kind, b"")])), want, "{}", char::from(kind));
        // A name of what is dropped does not let it through.
        assert_eq!(code("p.tar", &tar(&[item(b"__MACOSX/x", kind, b"")])), want, "{}", char::from(kind));
    }
    let sparse = [item(b"p", b'x', &pax("GNU.sparse.major", "1")), file("x", "")];
    assert_eq!(code("p.tar", &tar(&sparse)), "sparse-file");
    assert_eq!(code("p.tar", &tar(&[item(b"d", b'5', b"data")])), "archive-mismatch");
}

#[test]
fn two_of_a_name_are_refused() {
    let pair = |a: Vec<u8>, b: Vec<u8>| code("p.tar.gz", &gzip(&tar(&[a, b])));
    assert_eq!(pair(file("a", "1"), file("a", "2")), "duplicate-name");
    assert_eq!(pair(file("a", "1"), file("./a", "1")), "duplicate-name");
    assert_eq!(pair(file("a", "1"), file("a/b", "1")), "file-and-folder");
    assert_eq!(pair(file("a", "1"), item(b"a", b'5', b"")), "file-and-folder");
}

#[test]
fn headers_that_lie_are_refused() {
    let mut sealed_wrong = file("x", "1");
    sealed_wrong[0] = b'y';
    for items in [
        vec![file("a", "1"), sealed_wrong],
        vec![item(b"p", b'x', b"9999 path=x\n"), file("x", "")],
        vec![item(b"p", b'x', b"3 a"), file("x", "")],
        vec![item(b"p", b'x', b"0 path=x\n"), file("x", "")],
        vec![item(b"p", b'x', &pax("size", "-1")), file("x", "")],
        vec![item(b"g", b'g', &pax("path", "y")), file("x", "")],
        vec![long(b"a"), long(b"b"), file("x", "")],
        vec![long(b"a"), item(b"p", b'x', &pax("path", "b")), file("x", "")],
        vec![item(b"p", b'x', &[pax("size", "1"), pax("size", "1")].concat()), file("x", "1")],
        vec![file("x", ""), long(b"a")],
        vec![item(b"l", b'L', &[b'x'; 70_000]), file("x", "")],
    ] {
        assert_eq!(code("p.tar", &tar(&items)), "corrupt-archive");
    }
    let size = [item(b"p", b'x', &pax("size", "512")), file("x", "1")];
    assert_eq!(code("p.tar", &tar(&size)), "archive-mismatch");
    // More than there is; negative; far too much.
    assert_eq!(code("p.tar", &tar(&[header(b"x", b'0', 5000).to_vec()])), "corrupt-archive");
    let mut huge = header(b"x", b'0', 0);
    huge[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    seal(&mut huge);
    assert_eq!(code("p.tar", &tar(&[huge.to_vec()])), "file-too-big");
    huge[124..136].fill(0xff);
    seal(&mut huge);
    assert!(matches!(code("p.tar", &tar(&[huge.to_vec()])), "file-too-big" | "corrupt-archive"));
}

#[test]
fn the_end_must_be_the_end() {
    let good = file("x", "1");
    assert_eq!(code("p.tar", &good), "corrupt-archive");
    assert_eq!(code("p.tar", &[&good[..], &[0; 512]].concat()), "ok");
    assert_eq!(code("p.tar", &[&good[..], &[0; 10_240]].concat()), "ok");
    assert_eq!(code("p.tar", &[&good[..], &[0; 1024], &good].concat()), "corrupt-archive");
    assert_eq!(code("p.tar", &[&good[..], &[0; 1024], b"\0"].concat()), "corrupt-archive");
}

#[test]
fn compressed_streams_may_have_parts_but_no_rest() {
    let whole = tar(&[file("x", "1"), file("y", "2")]);
    let (a, b) = whole.split_at(700);
    assert_eq!(code("p.tgz", &[gzip(a), gzip(b), gzip(b"")].concat()), "ok");
    assert_eq!(code("p.tzst", &[zstd(a), zstd(b)].concat()), "ok");
    assert_eq!(code("p.tzst", &[&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..], &zstd(&whole)].concat()), "ok");
    for rest in [&b"x"[..], b"\0\0\0\0", b"garbage behind the end", &[0x1f, 0x8b]] {
        assert_eq!(code("p.tgz", &[&gzip(&whole)[..], rest].concat()), "corrupt-archive");
        assert_eq!(code("p.tzst", &[&zstd(&whole)[..], rest].concat()), "corrupt-archive");
    }
    let mut sum = gzip(&whole);
    let at = sum.len() - 6;
    sum[at] ^= 1;
    assert_eq!(code("p.tgz", &sum), "corrupt-archive");
}

#[test]
fn a_zstd_window_is_bounded() {
    // A frame of a 1 GiB window (exponent 20), without a content size, and one raw block.
    let frame = |window: u8| {
        let body = tar(&[file("x", "1")]);
        let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0, window];
        bytes.extend(&((body.len() as u32) << 3 | 1).to_le_bytes()[..3]);
        bytes.extend(body);
        bytes
    };
    assert_eq!(code("p.tar.zst", &frame(13 << 3)), "ok");
    assert_eq!(code("p.tar.zst", &frame(20 << 3)), "zstd-window");
}

/// A header again and again, without holding it so often.
struct Endless {
    block: [u8; 512],
    len: u64,
}

impl ReadAt for Endless {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min((self.len - offset) as usize);
        for (at, byte) in buffer[..count].iter_mut().enumerate() {
            *byte = self.block[(offset as usize + at) % 512];
        }
        Ok(count)
    }
}

#[test]
fn a_million_entries_are_refused_while_they_come() {
    for kind in [b'0', b'5', b'L', b'x', b'g'] {
        let name = if kind == b'5' { &b"./"[..] } else { b"x" };
        let upload = Endless { block: header(name, kind, 0), len: 512 * 1_000_000 };
        let (code, read) = cost("p.tar", upload, &ArchiveLimits::submission());
        assert_eq!(code, "too-many-entries", "{}", char::from(kind));
        assert!(read < 12 << 20, "{}: {read} bytes were read", char::from(kind));
    }
}
