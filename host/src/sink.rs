//! From a thread that writes to a stream that is sent: in pieces, and no faster than they are taken.

use bytes::Bytes;
use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// Bytes that are sent at once.
const PIECE: usize = 256 << 10;
/// Between two looks at whether the last was taken.
const PAUSE: Duration = Duration::from_millis(5);

/// What is written to it, is sent.
pub struct Sink {
    sender: Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
    /// How long a piece waits to be taken; for ever unless said.
    most: Option<Duration>,
}

impl Sink {
    /// One that sends to `sender`. It blocks: not for threads of the runtime.
    pub fn new(sender: Sender<io::Result<Bytes>>) -> Self {
        Self { sender, piece: Vec::with_capacity(PIECE), most: None }
    }

    /// The same; it breaks off when nothing is taken for `most`.
    #[must_use]
    pub fn within(self, most: Duration) -> Self {
        Self { most: Some(most), ..self }
    }

    fn send(&self, piece: Bytes) -> io::Result<()> {
        let Some(most) = self.most else {
            // Nobody listens any more.
            return self.sender.blocking_send(Ok(piece)).map_err(|_| ErrorKind::BrokenPipe.into());
        };
        let end = Instant::now() + most;
        let mut piece = Ok(piece);
        loop {
            match self.sender.try_send(piece) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(_)) => return Err(ErrorKind::BrokenPipe.into()),
                Err(TrySendError::Full(_)) if Instant::now() >= end => return Err(ErrorKind::TimedOut.into()),
                Err(TrySendError::Full(again)) => piece = again,
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// What was sent is not all, and whoever takes it is told.
    pub fn break_off(self, kind: ErrorKind) {
        // Where it is full nobody takes anything: the end of it says as much.
        drop(self.sender.try_send(Err(io::Error::new(kind, "it broke off"))));
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
        self.send(piece.into())
    }
}
