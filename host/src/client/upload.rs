//! A file on its way out: read from disk as it is sent, and told how far it is.

use super::ClientError;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A file to send.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called there.
    pub name: String,
}

/// Hears of each piece: bytes sent, bytes in all.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

impl Upload {
    /// The file at `path`, under its own name.
    ///
    /// # Errors
    /// It has no name, or none that is text.
    pub fn new(path: &Path) -> Result<Self, ClientError> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| ClientError::Local {
            what: format!("send `{}`: its name is not text", path.display()),
            source: io::ErrorKind::InvalidInput.into(),
        })?;
        Ok(Self { path: path.into(), name: name.to_owned() })
    }

    pub(super) fn open<'a, 'p>(
        &self,
        progress: &'a mut (dyn FnMut(u64, u64) + 'p),
    ) -> Result<Sending<'a, 'p>, ClientError> {
        let failed = |source| ClientError::Local { what: format!("read {}", self.path.display()), source };
        let file = File::open(&self.path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        Ok(Sending { file: file.take(len), len, sent: 0, progress })
    }
}

/// An open file that tells how far it is.
pub struct Sending<'a, 'p> {
    file: io::Take<File>,
    /// What is announced.
    pub(super) len: u64,
    sent: u64,
    progress: &'a mut (dyn FnMut(u64, u64) + 'p),
}

impl Read for Sending<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.sent += count as u64;
        if count > 0 {
            (self.progress)(self.sent, self.len);
        } else if self.sent < self.len && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was sent"));
        }
        Ok(count)
    }
}
