//! What the command line takes from the environment beside what clap reads. Read once, here, and passed down.

use std::env;
use std::path::PathBuf;

/// Folders and the token of the one who types.
#[derive(Clone, Default)]
pub struct Environment {
    /// `GRADUS_TOKEN`.
    pub token: Option<String>,
    /// Where a user's configuration goes.
    pub config: Option<PathBuf>,
    /// Where what can be made again goes.
    pub cache: Option<PathBuf>,
    /// Who pushes, as a git server says: `GL_USER` (gitolite), or `REMOTE_USER` (over HTTP). Not `USER`: over ssh it is the
    /// git server's own, and everybody's.
    pub pusher: Option<String>,
}

impl Environment {
    /// That of this process.
    pub fn process() -> Self {
        let home = |below: &str| env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(below));
        let folder = |name: &str, otherwise: &str| {
            let set = env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
            set.or_else(|| home(otherwise)).map(|folder| folder.join("gradus"))
        };
        Self {
            token: env::var("GRADUS_TOKEN").ok().map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()),
            config: folder("XDG_CONFIG_HOME", ".config"),
            cache: folder("XDG_CACHE_HOME", ".cache"),
            pusher: ["GL_USER", "REMOTE_USER"]
                .iter()
                .find_map(|name| env::var(name).ok().filter(|name| !name.is_empty())),
        }
    }

    /// The file of `gradus login`.
    pub fn logins(&self) -> Option<PathBuf> {
        self.config.as_ref().map(|folder| folder.join("login.json"))
    }

    /// The folder for compiled scorers.
    pub fn compiled(&self) -> Option<PathBuf> {
        self.cache.as_ref().map(|folder| folder.join("scorers"))
    }
}
