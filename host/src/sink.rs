//! From a thread that writes to a stream that is sent: in pieces, and no faster than they are taken.

use bytes::Bytes;
use std::io::{self, ErrorKind, Write};
use tokio::sync::mpsc::Sender;

/// Bytes that are sent at once.
const PIECE: usize = 256 << 10;

/// What is written to it, is sent.
pub struct Sink {
    sender: Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Sink {
    /// One that sends to `sender`. It blocks: not for threads of the runtime.
    pub fn new(sender: Sender<io::Result<Bytes>>) -> Self {
        Self { sender, piece: Vec::with_capacity(PIECE) }
    }

    /// What was sent is not all, and whoever takes it is told.
    pub fn break_off(&self, kind: ErrorKind) {
        drop(self.sender.blocking_send(Err(io::Error::new(kind, "it broke off"))));
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        // Nobody listens any more.
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| ErrorKind::BrokenPipe.into())
    }
}
