//! Standard output and error of a guest: one stream, of which the beginning and the end are kept.
//!
//! It takes everything at once and never fails, as a full pipe would make a guest's `println!` trap.

use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Room for the line that says how much was cut.
const MARK: usize = 48;

/// The first and the last bytes of what was written, and how many are missing between them.
#[derive(Debug, Default)]
struct HeadTail {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    cut: u64,
    head_cap: usize,
    tail_cap: usize,
}

impl HeadTail {
    fn write(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(self.head_cap - self.head.len()));
        self.head.extend_from_slice(first);
        let skipped = rest.len().saturating_sub(self.tail_cap);
        self.tail.extend(&rest[skipped..]);
        let over = self.tail.len().saturating_sub(self.tail_cap);
        self.tail.drain(..over);
        self.cut += (skipped + over) as u64;
    }

    fn take(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.head);
        if self.cut > 0 {
            all.extend_from_slice(format!("\n[… {} bytes were cut here …]\n", self.cut).as_bytes());
        }
        all.extend(self.tail.drain(..));
        all
    }
}

/// Where both streams of a guest go.
#[derive(Debug, Clone)]
pub(super) struct LogSink(Arc<Mutex<HeadTail>>);

impl LogSink {
    /// Keeps about `cap` bytes.
    pub(super) fn new(cap: u64) -> Self {
        let cap = usize::try_from(cap).unwrap_or(usize::MAX);
        let tail_cap = (cap / 2).saturating_sub(MARK);
        Self(Arc::new(Mutex::new(HeadTail { head_cap: cap / 2, tail_cap, ..HeadTail::default() })))
    }

    /// What was written.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn push(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes);
    }
}

impl IsTerminal for LogSink {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogSink {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogSink {
    async fn ready(&mut self) {}
}

impl OutputStream for LogSink {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

impl AsyncWrite for LogSink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_whole() {
        let sink = LogSink::new(1000);
        sink.push(b"one\n");
        sink.push(b"two\n");
        assert_eq!(sink.take(), b"one\ntwo\n");
    }

    #[test]
    fn the_beginning_and_the_end_are_kept() {
        for chunk in [1, 7, 100_000] {
            let sink = LogSink::new(1000);
            let mut all = b"first line\n".to_vec();
            all.extend(std::iter::repeat_n(b'x', 50_000));
            all.extend(b"\nlast line");
            all.chunks(chunk).for_each(|bytes| sink.push(bytes));
            let log = String::from_utf8(sink.take()).unwrap();
            assert!(log.starts_with("first line\nxxx") && log.ends_with("xxx\nlast line"), "{log}");
            let cut = all.len() - 500 - (500 - MARK);
            assert!(log.contains(&format!("\n[… {cut} bytes were cut here …]\n")), "{log}");
            assert!(log.len() <= 1000);
        }
    }

    #[test]
    fn no_room_at_all_is_no_failure() {
        let sink = LogSink::new(0);
        sink.push(b"lost");
        assert_eq!(sink.take(), "\n[… 4 bytes were cut here …]\n".as_bytes());
    }
}
