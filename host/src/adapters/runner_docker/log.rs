//! Standard output and error of a container: read as fast as they come, kept up to a cap, never a reason to fail.

use bollard::container::{AttachContainerResults, LogOutput};
use futures_util::StreamExt as _;
use gradus_core::domain::head_tail::HeadTail;
use gradus_core::domain::units::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long the streams have to end after the container has.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Kept {
    out: HeadTail,
    err: HeadTail,
}

/// Both streams of a container.
#[derive(Debug)]
pub(super) struct Logs {
    kept: Arc<Mutex<Kept>>,
    reader: JoinHandle<()>,
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Logs {
    /// Reads them from now on; each stream gets half of `cap`.
    pub(super) fn read(mut attached: AttachContainerResults, cap: Bytes) -> Self {
        let half = cap.0 / 2;
        let kept = Arc::new(Mutex::new(Kept { out: HeadTail::new(half), err: HeadTail::new(half) }));
        let to = Arc::clone(&kept);
        let reader = tokio::spawn(async move {
            // A broken stream ends like a finished one: what came is kept.
            while let Some(Ok(piece)) = attached.output.next().await {
                match piece {
                    LogOutput::StdOut { message } | LogOutput::Console { message } => lock(&to).out.write(&message),
                    LogOutput::StdErr { message } => lock(&to).err.write(&message),
                    LogOutput::StdIn { .. } => {}
                }
            }
        });
        Self { kept, reader }
    }

    /// What was kept of standard output and of standard error.
    pub(super) async fn finish(mut self) -> (Vec<u8>, Vec<u8>) {
        // Late or panicked: what came is kept.
        let _ = tokio::time::timeout(PATIENCE, &mut self.reader).await;
        let mut kept = lock(&self.kept);
        (kept.out.take(), kept.err.take())
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
