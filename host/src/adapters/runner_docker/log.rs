//! Standard output and error of a container: read as fast as they come, kept up to a cap, never a reason to fail.

use bollard::container::{AttachContainerResults, LogOutput};
use futures_util::StreamExt as _;
use gradus_core::domain::printed::Printed;
use gradus_core::domain::run_record::Stream;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long the streams have to end after the container has.
const PATIENCE: Duration = Duration::from_secs(2);

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
            while let Some(Ok(piece)) = attached.output.next().await {
                match piece {
                    LogOutput::StdOut { message } | LogOutput::Console { message } => {
                        to.write(Stream::Stdout, &message)
                    }
                    LogOutput::StdErr { message } => to.write(Stream::Stderr, &message),
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
        (self.kept.since(Stream::Stdout, 0).0, self.kept.since(Stream::Stderr, 0).0)
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
