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
        let mut all = std::mem::take(&mut self.head);
        if self.cut > 0 {
            all.extend_from_slice(format!("\n[… {} bytes were cut here …]\n", self.cut).as_bytes());
        }
        all.extend(self.tail.drain(..));
        self.cut = 0;
        all
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
    fn no_room_at_all_is_no_failure() {
        let mut log = HeadTail::new(0);
        log.write(b"lost");
        assert_eq!(log.take(), "\n[… 4 bytes were cut here …]\n".as_bytes());
    }
}
