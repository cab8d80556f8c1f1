//! What ends a run from outside while it goes: time, CPU time, a full output place, a stop. By polling, since not all of
//! these can be waited for; the kernel itself holds memory, processes and the size of places.

use super::engine::trouble;
use super::folder::Folder;
use super::group::Group;
use gradus_core::ports::runner::{Run, RunnerError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Between two looks: a limit is passed by no more than this and the time that killing takes.
const PERIOD: Duration = Duration::from_millis(50);

/// Why a run is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was told to, or nobody waits for it any more.
    Stopped,
    /// The program beside it failed, or the first one ended.
    Beside,
    /// Wall time.
    Wall,
    /// CPU time.
    Cpu,
    /// The output place held more than it may, whatever is there at the end.
    Full {
        /// Bytes.
        bytes: u64,
        /// Files and folders.
        files: u64,
    },
}

/// What is watched.
pub(super) struct Watch<'w> {
    pub(super) run: &'w Run,
    /// Set when nobody waits for the run any more.
    pub(super) gone: &'w AtomicBool,
    pub(super) folder: &'w Folder,
    pub(super) group: &'w Arc<Group>,
    pub(super) since: Instant,
    /// Bytes of the disk that stay free.
    pub(super) reserve: u64,
}

/// Returns when the run has to end.
pub(super) async fn watch(on: Watch<'_>) -> Result<Verdict, RunnerError> {
    let limits = &on.run.limits;
    loop {
        if on.run.stop.load(SeqCst) || on.gone.load(SeqCst) {
            return Ok(Verdict::Stopped);
        }
        if on.since.elapsed() >= limits.wall.duration() {
            return Ok(Verdict::Wall);
        }
        let cpu = on.group.cpu_micros().map_err(trouble("the run's CPU time could not be read"))?;
        if cpu / 1_000 >= limits.cpu.0 {
            return Ok(Verdict::Cpu);
        }
        let (bytes, files) = on.folder.used().map_err(trouble("the output place could not be looked at"))?;
        if bytes > limits.output.0 || files > u64::from(limits.files) {
            return Ok(Verdict::Full { bytes, files });
        }
        if on.folder.in_file && on.folder.free().map_err(trouble("the disk could not be looked at"))? < on.reserve {
            let what = "the disk is nearly full, and what the run writes would fill it".to_owned();
            return Err(RunnerError { what, source: None });
        }
        let left = limits.wall.duration().saturating_sub(on.since.elapsed());
        tokio::time::sleep(left.min(PERIOD)).await;
    }
}
