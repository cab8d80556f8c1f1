//! Why an archive or folder is refused, in words for the person who sent it, each with a stable code.

use gradus_core::domain::tree::{BadPath, MAX_DEPTH, MAX_PATH};
use gradus_core::domain::units::Bytes;
use gradus_core::ports::blobs::BlobError;
use std::fmt;
use std::io;
use std::time::Duration;

/// Characters of an entry's name that are shown.
const SHOWN: usize = 100;

/// An entry's name, safe to show: no control or text-direction characters, not valid text replaced, 100 characters at
/// most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry(String);

impl Entry {
    /// What is shown of a name as it came.
    pub fn new(name: &[u8]) -> Self {
        // A character has at most 4 bytes: more would be cut off anyway.
        let name = &name[..name.len().min(4 * SHOWN + 4)];
        let safe = |c: char| match c {
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '`' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        };
        let mut shown: String = String::from_utf8_lossy(name).chars().map(safe).collect();
        if let Some((at, _)) = shown.char_indices().nth(SHOWN) {
            let cut = shown[..at].char_indices().next_back().map_or(0, |(last, _)| last);
            shown.truncate(cut);
            shown.push('…');
        }
        Self(shown)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an archive or folder is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Its bytes are not what its format says.
    #[error("the {format} archive is damaged or cut short: {why}; pack it again and upload the whole file")]
    Corrupt {
        /// `zip`, `tar`, …
        format: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// The two headers of a zip entry, or a header and its data, disagree.
    #[error("`{entry}` is described differently in two places of the archive: {what}; pack it again")]
    Mismatch {
        /// Which.
        entry: Entry,
        /// What differs.
        what: &'static str,
    },
    /// The name promises an archive, the content is none.
    #[error("`{name}` is named like an archive, but is no zip, tar, tar.gz or tar.zst; pack it again, or rename it")]
    NotArchive {
        /// The upload's name.
        name: Entry,
    },
    /// An archive of a kind that is not read.
    #[error("`{name}` is an archive of a kind that is not supported; use zip, tar.gz or tar.zst")]
    UnsupportedArchive {
        /// The upload's name.
        name: Entry,
    },
    /// A name that is not text.
    #[error("the name `{entry}` is not UTF-8; rename the file and pack again")]
    NameEncoding {
        /// Which.
        entry: Entry,
    },
    /// A name that is no path inside the archive.
    #[error("`{entry}`: {why}")]
    Path {
        /// Which.
        entry: Entry,
        /// Why.
        why: BadPath,
    },
    /// A symbolic or hard link.
    #[error("`{entry}` is a link; put the file itself in its place")]
    Link {
        /// Which.
        entry: Entry,
    },
    /// A pipe, socket, device, or part of a volume.
    #[error("`{entry}` is no regular file; leave it out")]
    Special {
        /// Which.
        entry: Entry,
    },
    /// A sparse file.
    #[error("`{entry}` is stored as a sparse file; pack it without `--sparse`")]
    Sparse {
        /// Which.
        entry: Entry,
    },
    /// The same path twice.
    #[error("`{entry}` is there twice; leave one out")]
    Duplicate {
        /// Which.
        entry: Entry,
    },
    /// One path for a file and a folder.
    #[error("`{entry}` is both a file and a folder; rename one")]
    FileAndFolder {
        /// Which.
        entry: Entry,
    },
    /// More entries than allowed.
    #[error("there are more than {most} files and folders")]
    TooManyEntries {
        /// How many are allowed.
        most: usize,
    },
    /// More bytes than allowed.
    #[error("the files hold more than {most} together")]
    TooBig {
        /// How many are allowed.
        most: Bytes,
    },
    /// A file with more bytes than allowed.
    #[error("`{entry}` is bigger than {most}")]
    FileTooBig {
        /// Which.
        entry: Entry,
        /// How many are allowed.
        most: Bytes,
    },
    /// It expands as only bombs do.
    #[error("the archive expands to more than {most} times its size")]
    Ratio {
        /// How often is allowed.
        most: u32,
    },
    /// Encrypted.
    #[error("`{entry}` is encrypted; pack it without a password")]
    Encrypted {
        /// Which.
        entry: Entry,
    },
    /// A zip compression that is not read.
    #[error("`{entry}` is compressed with zip method {method}, which is not supported; use deflate, the usual one")]
    Method {
        /// Which.
        entry: Entry,
        /// Its number in zip's list.
        method: u16,
    },
    /// A zstd window that needs too much memory.
    #[error("the zstd archive needs too much memory to unpack; compress it without `--ultra` or `--long`")]
    Window,
    /// No file in it.
    #[error("there is no file in it")]
    Empty,
    /// The time is up.
    #[error("unpacking took longer than {} seconds; send fewer or smaller files", .most.as_secs_f64())]
    TookTooLong {
        /// How long is allowed.
        most: Duration,
    },
    /// A file of a folder could not be read.
    #[error("could not read `{entry}`")]
    Local {
        /// Which.
        entry: Entry,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The upload, already received, could not be read back: ours.
    #[error("could not read the upload back from the data folder")]
    Upload(#[source] io::Error),
    /// The blobs failed: ours.
    #[error("could not keep the unpacked files")]
    Disk(#[source] BlobError),
}

impl Refused {
    /// A short name that does not change, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Corrupt { .. } => "corrupt-archive",
            Self::Mismatch { .. } => "archive-mismatch",
            Self::NotArchive { .. } => "not-an-archive",
            Self::UnsupportedArchive { .. } => "unsupported-archive",
            Self::NameEncoding { .. } => "name-not-utf8",
            Self::Path { why, .. } => match why {
                BadPath::Absolute => "path-absolute",
                BadPath::Climbs => "path-climbs",
                BadPath::Empty => "path-empty-name",
                BadPath::Character => "path-character",
                BadPath::TooLong => "path-too-long",
            },
            Self::Link { .. } => "link",
            Self::Special { .. } => "special-file",
            Self::Sparse { .. } => "sparse-file",
            Self::Duplicate { .. } => "duplicate-name",
            Self::FileAndFolder { .. } => "file-and-folder",
            Self::TooManyEntries { .. } => "too-many-entries",
            Self::TooBig { .. } => "too-big",
            Self::FileTooBig { .. } => "file-too-big",
            Self::Ratio { .. } => "expands-too-much",
            Self::Encrypted { .. } => "encrypted",
            Self::Method { .. } => "compression-method",
            Self::Window => "zstd-window",
            Self::Empty => "empty-archive",
            Self::TookTooLong { .. } => "took-too-long",
            Self::Local { .. } => "file-unreadable",
            Self::Upload(_) => "upload-unreadable",
            Self::Disk(_) => "disk",
        }
    }

    /// Whether the host failed and not the archive: nothing that the sender can mend.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Upload(_) | Self::Disk(_))
    }

    /// What a failed read means: a refusal on its way through a decoder, or else the decoder's own complaint.
    pub(super) fn from_read(error: io::Error, format: &'static str) -> Self {
        let truncated = error.kind() == io::ErrorKind::UnexpectedEof;
        match error.downcast::<Refused>() {
            Ok(refused) => refused,
            Err(_) if truncated => Self::Corrupt { format, why: "it ends too soon" },
            // The decoder's words stay out: they speak of its insides, and zstd gives this one no kind of its own.
            Err(error) if error.to_string().contains("too much memory") => Self::Window,
            Err(_) => Self::Corrupt { format, why: "its compressed data cannot be read" },
        }
    }

    pub(super) fn path(name: &[u8], why: BadPath) -> Self {
        Self::Path { entry: Entry::new(name), why }
    }
}

/// The rule that [`BadPath::TooLong`] speaks of, for names that are refused before they are text.
pub(super) const NAME_MOST: usize = MAX_PATH + MAX_DEPTH;
