//! What a program has printed so far, while it runs: written by whoever runs it, read by whoever follows it.

use super::head_tail::HeadTail;
use super::run_record::Stream;
use super::units::Bytes;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Both streams of a run, each with its beginning and its end.
#[derive(Debug, Default)]
pub struct Printed {
    stdout: Mutex<HeadTail>,
    stderr: Mutex<HeadTail>,
}

impl Printed {
    /// Keeps about `cap` of both together.
    pub fn new(cap: Bytes) -> Self {
        let half = || Mutex::new(HeadTail::new(cap.0 / 2));
        Self { stdout: half(), stderr: half() }
    }

    fn stream(&self, stream: Stream) -> MutexGuard<'_, HeadTail> {
        let stream = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The program wrote `bytes`.
    pub fn write(&self, stream: Stream, bytes: &[u8]) {
        self.stream(stream).write(bytes);
    }

    /// About `most` bytes of what is kept after the first `at`, and where the next piece begins; empty when there is no more
    /// yet.
    pub fn piece(&self, stream: Stream, at: u64, most: usize) -> (Vec<u8>, u64) {
        self.stream(stream).piece(at, most)
    }

    /// What is kept of all after the first `at` bytes, and where to go on from.
    pub fn since(&self, stream: Stream, at: u64) -> (Vec<u8>, u64) {
        self.stream(stream).since(at)
    }
}
