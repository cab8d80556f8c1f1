//! How much an archive or a folder may hold. Depth and length of paths are bounded by
//! [`TreePath`](gradus_core::domain::tree::TreePath) itself.

use gradus_core::domain::units::Bytes;
use std::time::Duration;

/// Expansion below this is never called a bomb: files of a few repeated values compress very well.
pub const RATIO_FREE: u64 = 16 << 20;

/// The bounds of one archive or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// All files together, unpacked.
    pub bytes: Bytes,
    /// One file, unpacked.
    pub file: Bytes,
    /// Entries: files, folders, and what is dropped.
    pub entries: usize,
    /// Unpacked bytes for each packed one, beyond the first [`RATIO_FREE`] bytes.
    pub ratio: u32,
    /// From the first byte to the last.
    pub time: Duration,
    /// Symbolic links in a tar are taken, as files that hold where they lead, and not refused.
    pub links: bool,
}

impl ArchiveLimits {
    /// What a submission may hold where nothing else is configured.
    pub fn submission() -> Self {
        Self {
            bytes: Bytes(256 << 20),
            file: Bytes(256 << 20),
            entries: 10_000,
            ratio: 200,
            time: Duration::from_secs(60),
            links: false,
        }
    }

    /// What a challenge folder may hold where nothing else is configured.
    pub fn challenge() -> Self {
        Self {
            bytes: Bytes(2 << 30),
            file: Bytes(2 << 30),
            entries: 50_000,
            ratio: 200,
            time: Duration::from_secs(600),
            links: false,
        }
    }
}
