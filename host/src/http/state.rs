//! What the handlers share.

use super::counted::Counted;
use super::desk::Desk;
use super::dto::ReadyInfo;
use super::pace::Pace;
use super::problem::Problem;
use super::reserving::Reserving;
use crate::live::Hub;
use crate::worker::Workers;
use crate::workspace::limits::ArchiveLimits;
use gradus_core::app::App;
use gradus_core::domain::id::EntrantId;
use gradus_core::domain::units::Bytes;
use gradus_core::ports::store::Snapshot;
use metrics_exporter_prometheus::PrometheusHandle;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Limits of the door.
#[derive(Debug, Clone)]
pub struct DoorLimits {
    /// A submission's body, at most.
    pub submission: Bytes,
    /// The body of a submission that may be an image, at most.
    pub image: Bytes,
    /// A challenge's body, at most.
    pub challenge: Bytes,
    /// A body may pause for so long.
    pub idle: Duration,
    /// A body may take so long in all.
    pub total: Duration,
    /// What a submission's archive may hold.
    pub submission_archive: ArchiveLimits,
    /// What the archive of a submission that may be an image may hold.
    pub image_archive: ArchiveLimits,
    /// What a challenge's archive may hold.
    pub challenge_archive: ArchiveLimits,
    /// Free space below which nothing is taken in.
    pub free: Bytes,
}

/// What the handlers share.
pub struct Shared {
    /// The use cases.
    pub app: Arc<App>,
    /// Wake-ups.
    pub hub: Arc<Hub>,
    /// The workers: publications go to them.
    pub workers: Arc<Workers>,
    /// Limits of the door.
    pub limits: DoorLimits,
    /// Where submissions are unpacked, checked and taken in.
    pub door: Desk,
    /// Where publications are looked over, one at a time: they may take minutes, and must not hold the checks up.
    pub publishing: Desk,
    /// The blobs, for what comes in: the reserve of the disk is not for it.
    pub intake: Reserving,
    /// Bodies that are being taken in.
    pub uploads: Arc<Counted<EntrantId>>,
    /// Streams of events that are open.
    pub streams: Arc<Counted<EntrantId>>,
    /// How often all may ask.
    pub pace: Pace,
    /// All rows, for backups.
    pub rows: Arc<dyn Snapshot>,
    /// Held by the backup that is being made.
    pub backups: Arc<tokio::sync::Mutex<()>>,
    /// The last answer of the readiness check.
    pub ready: Mutex<Option<(Instant, ReadyInfo)>>,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// The data folder, for the disk check.
    pub data: PathBuf,
}

/// Cheap to clone.
pub type Api = Arc<Shared>;

/// Runs `work` on a thread that may block: reads and writes of rows and files. Scorers run at a [`Desk`].
///
/// # Errors
/// What `work` says; a panic in it is ours.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Problem::internal(&error)))
}
