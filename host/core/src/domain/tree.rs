//! A tree of files as data: sorted relative paths, each with its length and digest.
//!
//! A path from outside becomes a [`TreePath`] or is refused; it is a name in a list and is never joined to a path of the
//! host's.

use super::digest::{Digest, Hasher};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Names below each other in a path, at most.
pub const MAX_DEPTH: usize = 16;
/// Bytes of a path, at most.
pub const MAX_PATH: usize = 512;

/// A relative path with `/` between its names: no `.`, no `..`, no empty name, no control character, no backslash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TreePath(String);

/// Why a path is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It begins at a root: `/etc`, `C:\`.
    #[error("the path is absolute; use paths relative to the top of the archive")]
    Absolute,
    /// It has a `..`.
    #[error("the path climbs out with `..`")]
    Climbs,
    /// It is empty, or a name in it is empty or `.`.
    #[error("the path has an empty name")]
    Empty,
    /// It has a control character or a backslash.
    #[error("the path has a backslash or a control character; separate names with `/`")]
    Character,
    /// It is too long or too deep.
    #[error("the path is longer than {MAX_PATH} bytes or deeper than {MAX_DEPTH} names")]
    TooLong,
}

impl TreePath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last name.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Whether the path is `folder` or lies below it.
    pub fn is_under(&self, folder: &str) -> bool {
        self.below(folder).is_some() || self.0 == folder
    }

    /// What is left of the path below `folder`.
    pub fn below(&self, folder: &str) -> Option<TreePath> {
        let rest = self.0.strip_prefix(folder)?.strip_prefix('/')?;
        Some(TreePath(rest.to_owned()))
    }
}

impl FromStr for TreePath {
    type Err = BadPath;
    fn from_str(text: &str) -> Result<Self, BadPath> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for TreePath {
    type Error = BadPath;
    fn try_from(text: String) -> Result<Self, BadPath> {
        let drive = text.len() > 1 && text.as_bytes()[1] == b':' && text.as_bytes()[0].is_ascii_alphabetic();
        if text.starts_with('/') || text.starts_with('\\') || drive {
            return Err(BadPath::Absolute);
        }
        if text.chars().any(|c| c.is_control() || c == '\\') {
            return Err(BadPath::Character);
        }
        if text.len() > MAX_PATH || text.split('/').count() > MAX_DEPTH {
            return Err(BadPath::TooLong);
        }
        for name in text.split('/') {
            match name {
                "" | "." => return Err(BadPath::Empty),
                ".." => return Err(BadPath::Climbs),
                _ => {}
            }
        }
        Ok(Self(text))
    }
}

impl From<TreePath> for String {
    fn from(path: TreePath) -> String {
        path.0
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One file of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeFile {
    /// Where it lies in the tree.
    pub path: TreePath,
    /// Its length, in bytes.
    pub len: u64,
    /// The digest of its bytes, which is also the name of its blob.
    pub digest: Digest,
}

/// Files, sorted by path; no path twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tree(Vec<TreeFile>);

impl Tree {
    /// Sorts the files. `Err` names a path that is there twice, or that is both a file and a folder.
    pub fn new(mut files: Vec<TreeFile>) -> Result<Self, TreePath> {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        for (at, file) in files.iter().enumerate() {
            // Paths that share a prefix are neighbours but for names that sort before `/`, so look past those.
            let clash = files[at + 1..]
                .iter()
                .take_while(|next| next.path.as_str().starts_with(file.path.as_str()))
                .any(|next| next.path.is_under(file.path.as_str()));
            if clash {
                return Err(file.path.clone());
            }
        }
        Ok(Self(files))
    }

    /// The files, sorted by path.
    pub fn files(&self) -> &[TreeFile] {
        &self.0
    }

    /// The file at `path`.
    pub fn get(&self, path: &str) -> Option<&TreeFile> {
        self.0.binary_search_by(|file| file.path.as_str().cmp(path)).ok().map(|at| &self.0[at])
    }

    /// The file `path`, or the folder of that name as a tree of its own: what a key of `challenge.toml` points at.
    pub fn at(&self, path: &str) -> Tree {
        if let Some(file) = self.get(path) {
            let name = TreePath(file.path.file_name().to_owned());
            return Self(vec![TreeFile { path: name, ..file.clone() }]);
        }
        let below = |file: &TreeFile| Some(TreeFile { path: file.path.below(path)?, ..file.clone() });
        Self(self.0.iter().filter_map(below).collect())
    }

    /// Bytes in all files together.
    pub fn len_bytes(&self) -> u64 {
        self.0.iter().map(|file| file.len).sum()
    }

    /// SHA-256 over the sorted (path, length, SHA-256), each path preceded by its own length so that no two trees
    /// give the same bytes.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::default();
        for file in &self.0 {
            hasher.update(&(file.path.as_str().len() as u64).to_be_bytes());
            hasher.update(file.path.as_str().as_bytes());
            hasher.update(&file.len.to_be_bytes());
            hasher.update(file.digest.as_bytes());
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> TreeFile {
        TreeFile { path: path.parse().unwrap(), len: 1, digest: Digest::of(path.as_bytes()) }
    }

    #[test]
    fn hostile_paths_are_refused_each_with_its_reason() {
        let deep = vec!["d"; MAX_DEPTH + 1].join("/");
        for (path, why) in [
            ("/etc/passwd", BadPath::Absolute),
            ("C:\\x", BadPath::Absolute),
            ("\\\\host\\share", BadPath::Absolute),
            ("../x", BadPath::Climbs),
            ("a/../../x", BadPath::Climbs),
            ("a//b", BadPath::Empty),
            ("./a", BadPath::Empty),
            ("", BadPath::Empty),
            ("a/", BadPath::Empty),
            ("a\\b", BadPath::Character),
            ("a\0b", BadPath::Character),
            ("a\nb", BadPath::Character),
            (deep.as_str(), BadPath::TooLong),
        ] {
            assert_eq!(path.parse::<TreePath>(), Err(why), "{path:?}");
        }
    }

    #[test]
    fn a_path_is_there_once_and_is_a_file_or_a_folder() {
        assert_eq!(Tree::new(vec![file("a"), file("a")]), Err("a".parse().unwrap()));
        assert_eq!(Tree::new(vec![file("a/b"), file("a-x"), file("a")]), Err("a".parse().unwrap()));
        assert!(Tree::new(vec![file("a-x"), file("a/b")]).is_ok());
    }

    #[test]
    fn a_key_points_at_a_file_or_a_folder() {
        let tree = Tree::new(vec![file("data/ref/x.csv"), file("data/ref/y.csv"), file("data/z.csv")]).unwrap();
        let paths = |tree: Tree| tree.files().iter().map(|f| f.path.to_string()).collect::<Vec<_>>();
        assert_eq!(paths(tree.at("data/ref")), ["x.csv", "y.csv"]);
        assert_eq!(paths(tree.at("data/z.csv")), ["z.csv"]);
        assert!(paths(tree.at("data/re")).is_empty());
        assert_eq!(tree.at("data/z.csv").digest(), tree.at("data/z.csv").digest());
        assert_ne!(tree.at("data/ref").digest(), tree.digest());
    }
}
