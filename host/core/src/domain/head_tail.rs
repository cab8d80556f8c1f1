//! A stream of bytes under a cap on bytes and one on lines: its beginning and its end are kept, with a line between them
//! that says how much is missing. What it is a stream of, and when it is looked at, is the matter of whoever holds it.

use std::collections::VecDeque;

/// Room for the line that says how much was cut.
pub const MARK: usize = 48;

/// Lines that are kept of the beginning, and as many of the end: more than anybody reads, and what a page can show.
pub const LINES: usize = 5_000;

/// The first and the last bytes of what was written, and how many are missing between them.
#[derive(Debug, Default)]
pub struct HeadTail {
    head: Vec<u8>,
    /// Whether the beginning is over.
    headed: bool,
    tail: VecDeque<u8>,
    /// Lines that ended in the beginning, and in the end.
    lines: [usize; 2],
    cut: u64,
    head_cap: usize,
    tail_cap: usize,
}

/// The length of the first `count` lines of `bytes`, and how many there are; all of it if there are less.
fn first_lines(bytes: &[u8], count: usize) -> (usize, usize) {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').take(count);
    let (lines, last) = ends.fold((0, 0), |(lines, _), (at, _)| (lines + 1, at + 1));
    (if lines < count { bytes.len() } else { last }, lines)
}

impl HeadTail {
    /// Keeps about `cap` bytes.
    pub fn new(cap: u64) -> Self {
        let cap = usize::try_from(cap).unwrap_or(usize::MAX);
        Self { head_cap: cap / 2, tail_cap: (cap / 2).saturating_sub(MARK), ..Self::default() }
    }

    /// Takes all of `bytes`, and keeps what is within the caps.
    pub fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if !self.headed {
            let within = &bytes[..bytes.len().min(self.head_cap - self.head.len())];
            let (taken, lines) = first_lines(within, LINES - self.lines[0]);
            self.head.extend_from_slice(&within[..taken]);
            self.lines[0] += lines;
            self.headed = taken < bytes.len();
            rest = &bytes[taken..];
        }
        let skipped = rest.len().saturating_sub(self.tail_cap);
        let kept = &rest[skipped..];
        self.tail.extend(kept);
        self.lines[1] += kept.iter().filter(|byte| **byte == b'\n').count();
        let over = self.tail.len().saturating_sub(self.tail_cap);
        self.lines[1] -= self.tail.drain(..over).filter(|byte| *byte == b'\n').count();
        self.cut += (skipped + over) as u64;
        while self.lines[1] > LINES {
            let Some(end) = self.tail.iter().position(|byte| *byte == b'\n') else { break };
            self.tail.drain(..=end);
            self.lines[1] -= 1;
            self.cut += end as u64 + 1;
        }
    }

    /// What was kept; nothing is left of it here.
    pub fn take(&mut self) -> Vec<u8> {
        let all = self.since(0).0;
        *self = Self { head_cap: self.head_cap, tail_cap: self.tail_cap, ..Self::default() };
        all
    }

    /// What is kept of all that was written after the first `at` bytes, and how many were written by now: where to go on
    /// from.
    pub fn since(&self, at: u64) -> (Vec<u8>, u64) {
        let (mut all, mut at) = self.piece(at, usize::MAX);
        loop {
            let (more, next) = self.piece(at, usize::MAX);
            if more.is_empty() {
                return (all, next);
            }
            all.extend(more);
            at = next;
        }
    }

    /// The same in pieces: about `most` bytes of it, and where the next one begins. Empty when there is no more.
    pub fn piece(&self, at: u64, most: usize) -> (Vec<u8>, u64) {
        let index = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let (head, tail) = (self.head.len() as u64, self.head.len() as u64 + self.cut);
        if at < head {
            let from = index(at);
            let piece = self.head[from..self.head.len().min(from.saturating_add(most))].to_vec();
            let next = at + piece.len() as u64;
            return (piece, next);
        }
        let mut piece = Vec::new();
        if at < tail {
            piece.extend_from_slice(format!("\n[… {} bytes were cut here …]\n", tail - at).as_bytes());
        }
        let from = at.max(tail).min(tail + self.tail.len() as u64);
        let kept = self.tail.iter().skip(index(from - tail)).take(most);
        let before = piece.len();
        piece.extend(kept);
        let next = from + (piece.len() - before) as u64;
        (piece, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_whole() {
        let mut log = HeadTail::new(1000);
        log.write(b"one\n");
        log.write(b"two\n");
        assert_eq!(log.take(), b"one\ntwo\n");
    }

    #[test]
    fn the_beginning_and_the_end_are_kept() {
        for chunk in [1, 7, 100_000] {
            let mut log = HeadTail::new(1000);
            let mut all = b"first line\n".to_vec();
            all.extend(std::iter::repeat_n(b'x', 50_000));
            all.extend(b"\nlast line");
            all.chunks(chunk).for_each(|bytes| log.write(bytes));
            let log = String::from_utf8(log.take()).unwrap();
            assert!(log.starts_with("first line\nxxx") && log.ends_with("xxx\nlast line"), "{log}");
            let cut = all.len() - 500 - (500 - MARK);
            assert!(log.contains(&format!("\n[… {cut} bytes were cut here …]\n")), "{log}");
            assert!(log.len() <= 1000);
        }
    }

    #[test]
    fn the_first_and_the_last_lines_are_kept() {
        let all: String = (0..LINES * 3).map(|number| format!("{number}\n")).collect();
        for chunk in [1, 13, 4_096, all.len()] {
            let mut log = HeadTail::new(1 << 20);
            all.as_bytes().chunks(chunk).for_each(|bytes| log.write(bytes));
            let log = String::from_utf8(log.take()).unwrap();
            let lines: Vec<_> = log.lines().collect();
            // What is cut begins and ends with a line's end: the mark has an empty line before it.
            assert_eq!(lines.len(), 2 * LINES + 2, "{chunk}");
            assert_eq!((lines[LINES - 1], lines[LINES], lines[LINES + 2]), ("4999", "", "10000"), "{chunk}");
            assert_eq!(
                (lines[LINES + 1], lines[2 * LINES + 1]),
                ("[… 25000 bytes were cut here …]", "14999"),
                "{chunk}"
            );
        }
    }

    #[test]
    fn as_many_lines_as_are_kept_are_whole() {
        let all = "\n".repeat(2 * LINES) + "end";
        let mut log = HeadTail::new(1 << 20);
        log.write(all.as_bytes());
        assert_eq!(log.take(), all.as_bytes());
    }

    #[test]
    fn it_is_followed_piece_by_piece() {
        let mut log = HeadTail::new(100);
        log.write(b"one ");
        let (first, at) = log.since(0);
        log.write(b"two ");
        let (second, at) = log.since(at);
        assert_eq!((&first[..], &second[..], at), (&b"one "[..], &b"two "[..], 8));
        log.write(&[b'x'; 100]);
        log.write(b"end");
        let (third, at) = log.since(at);
        let (third, cut) = (String::from_utf8(third).unwrap(), 111 - 50 - 2);
        assert_eq!(third, format!("{}\n[… {cut} bytes were cut here …]\nnd", "x".repeat(42)));
        assert_eq!(log.since(at), (Vec::new(), 111));
        log.write(&[b'y'; 100]);
        let (fourth, at) = log.since(at);
        assert_eq!(String::from_utf8(fourth).unwrap(), "\n[… 98 bytes were cut here …]\nyy");
        assert_eq!((log.since(at).0, at), (Vec::new(), 211));
        assert_eq!(log.since(1_000), (Vec::new(), 211));
    }

    #[test]
    fn no_room_at_all_is_no_failure() {
        let mut log = HeadTail::new(0);
        log.write(b"lost");
        assert_eq!(log.take(), "\n[… 4 bytes were cut here …]\n".as_bytes());
    }
}
