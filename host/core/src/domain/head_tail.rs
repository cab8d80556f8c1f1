//! A stream of bytes under a cap: its beginning and its end are kept, with a line between them that says how much is
//! missing. What it is a stream of, and when it is looked at, is the matter of whoever holds it.

use std::collections::VecDeque;

/// Room for the line that says how much was cut.
pub const MARK: usize = 48;

/// The first and the last bytes of what was written, and how many are missing between them.
#[derive(Debug, Default)]
pub struct HeadTail {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    cut: u64,
    head_cap: usize,
    tail_cap: usize,
}

impl HeadTail {
    /// Keeps about `cap` bytes.
    pub fn new(cap: u64) -> Self {
        let cap = usize::try_from(cap).unwrap_or(usize::MAX);
        Self { head_cap: cap / 2, tail_cap: (cap / 2).saturating_sub(MARK), ..Self::default() }
    }

    /// Takes all of `bytes`, and keeps what is within the cap.
    pub fn write(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(self.head_cap - self.head.len()));
        self.head.extend_from_slice(first);
        let skipped = rest.len().saturating_sub(self.tail_cap);
        self.tail.extend(&rest[skipped..]);
        let over = self.tail.len().saturating_sub(self.tail_cap);
        self.tail.drain(..over);
        self.cut += (skipped + over) as u64;
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
