//! Standard output and error of a container: read as they come, kept up to a cap, never a reason to fail.

use bollard::container::{AttachContainerResults, LogOutput};
use futures_util::StreamExt as _;
use gradus_core::domain::printed::Printed;
use gradus_core::domain::run_record::Stream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long the streams have to end after the container has.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes that are read as fast as they come; all that follows is read at [`RATE`]. The program waits meanwhile, as it would
/// for a slow terminal: a flood costs it its own time, and not the machine's.
const BURST: u64 = 64 << 20;
/// Bytes a second.
const RATE: u64 = 32 << 20;

/// When the next piece is to be read.
#[derive(Debug)]
struct Pace {
    since: Instant,
    read: u64,
}

impl Pace {
    /// How long to wait after `bytes` more.
    fn after(&mut self, bytes: usize) -> Duration {
        self.read += bytes as u64;
        let due = Duration::from_millis(self.read.saturating_sub(BURST) * 1000 / RATE);
        due.saturating_sub(self.since.elapsed())
    }
}

/// Both streams of a container.
#[derive(Debug)]
pub(super) struct Logs {
    kept: Arc<Printed>,
    reader: JoinHandle<()>,
}

impl Logs {
    /// Reads them into `kept` from now on.
    pub(super) fn read(mut attached: AttachContainerResults, kept: Arc<Printed>) -> Self {
        let to = Arc::clone(&kept);
        let reader = tokio::spawn(async move {
            // A broken stream ends like a finished one: what came is kept.
            let mut pace = Pace { since: Instant::now(), read: 0 };
            while let Some(Ok(piece)) = attached.output.next().await {
                let (stream, message) = match piece {
                    LogOutput::StdOut { message } | LogOutput::Console { message } => (Stream::Stdout, message),
                    LogOutput::StdErr { message } => (Stream::Stderr, message),
                    LogOutput::StdIn { .. } => continue,
                };
                to.write(stream, &message);
                let pause = pace.after(message.len());
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
        });
        Self { kept, reader }
    }

    /// What was kept of standard output and of standard error.
    pub(super) async fn finish(mut self) -> (Vec<u8>, Vec<u8>) {
        // Late or panicked: what came is kept.
        let _ = tokio::time::timeout(PATIENCE, &mut self.reader).await;
        (self.kept.since(Stream::Stdout, 0).0, self.kept.since(Stream::Stderr, 0).0)
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_waits_and_a_shower_does_not() {
        let mut pace = Pace { since: Instant::now(), read: 0 };
        assert_eq!(pace.after(BURST as usize), Duration::ZERO);
        let pause = pace.after(RATE as usize);
        assert!(pause > Duration::from_millis(900) && pause <= Duration::from_secs(1), "{pause:?}");
    }
}
