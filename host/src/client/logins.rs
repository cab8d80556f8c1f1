//! The tokens that `gradus login` stored: one file, readable by its owner only, with a token for each server.
//!
//! Where the file is, is not decided here.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// What is stored.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logins {
    /// The server that is meant when none is named: the one of the last login.
    pub server: Option<String>,
    /// A token for each server.
    tokens: BTreeMap<String, String>,
}

/// Why the file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The disk would not give it.
    #[error("could not read {0}")]
    Read(PathBuf, #[source] io::Error),
    /// Others can read the tokens in it.
    #[error("{0} can be read by others; run `chmod 600` on it, and have its tokens revoked if others use this machine")]
    Open(PathBuf),
    /// It is not what `gradus login` writes.
    #[error("{0} is not what `gradus login` writes; delete it and log in again")]
    Format(PathBuf, #[source] serde_json::Error),
    /// The disk would not take it.
    #[error("could not write {0}")]
    Write(PathBuf, #[source] io::Error),
}

impl Logins {
    /// What is stored at `path`; nothing when there is no file.
    ///
    /// # Errors
    /// [`LoginError`].
    pub fn load(path: &Path) -> Result<Self, LoginError> {
        let failed = |error| LoginError::Read(path.into(), error);
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
        };
        if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
            return Err(LoginError::Open(path.into()));
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        serde_json::from_str(&text).map_err(|error| LoginError::Format(path.into(), error))
    }

    /// The token for `server`.
    pub fn token(&self, server: &str) -> Option<&str> {
        self.tokens.get(server).map(String::as_str)
    }

    /// Takes a token for `server`, which is then the one that is meant when none is named.
    pub fn insert(&mut self, server: &str, token: &str) {
        self.server = Some(server.to_owned());
        self.tokens.insert(server.to_owned(), token.to_owned());
    }

    /// Forgets the token for `server`. Whether there was one.
    pub fn remove(&mut self, server: &str) -> bool {
        if self.server.as_deref() == Some(server) {
            self.server = None;
        }
        self.tokens.remove(server).is_some()
    }

    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// [`LoginError::Write`].
    pub fn save(&self, path: &Path) -> Result<(), LoginError> {
        let write = || -> io::Result<()> {
            let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            // Made for its owner only, from the first byte on.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            let text = serde_json::to_string_pretty(self)?;
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist(path).map(drop).map_err(|error| error.error)
        };
        write().map_err(|error| LoginError::Write(path.into(), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, read_to_string, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn tokens_are_kept_by_server_and_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/login.json");
        assert!(Logins::load(&path).unwrap() == Logins::default());
        let mut logins = Logins::default();
        logins.insert("http://a", "one");
        logins.insert("http://b", "two");
        logins.save(&path).unwrap();
        logins.save(&path).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let mut read = Logins::load(&path).unwrap();
        assert_eq!((read.token("http://a"), read.token("http://c")), (Some("one"), None));
        assert_eq!(read.server.as_deref(), Some("http://b"));
        assert!(read.remove("http://b") && !read.remove("http://b"));
        assert_eq!(read.server, None);
    }

    #[test]
    fn a_file_that_others_can_read_or_of_another_kind_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("login.json");
        Logins::default().save(&path).unwrap();
        set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Logins::load(&path), Err(LoginError::Open(_))));
        assert!(read_to_string(&path).unwrap().starts_with('{'));
        std::fs::write(&path, "tokens").unwrap();
        set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(Logins::load(&path), Err(LoginError::Format(..))));
    }
}
