//! What is kept of the files of a submission or challenge: the list, and where the bytes of each are. The body that a row
//! names holds it as JSON.

use super::digest::Digest;
use super::tree::{Tree, TreeFile};
use serde::{Deserialize, Serialize};

/// Files, and where they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The files.
    pub files: Tree,
    /// Blobs that hold many files, one behind the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packs: Vec<Digest>,
    /// For each file the pack that it is in, counted from 0, and where it begins there; `None`: it has a blob, or a row, of
    /// its own. Empty when none is in a pack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Option<(u32, u64)>>,
}

impl Kept {
    /// Files of which each has a blob, or a row, of its own.
    pub fn apart(files: Tree) -> Self {
        Self { files, packs: Vec::new(), places: Vec::new() }
    }

    /// The files with the digest of what holds each, and where it begins there.
    pub fn placed(&self) -> impl Iterator<Item = (&TreeFile, Digest, u64)> {
        self.files.files().iter().enumerate().map(|(number, file)| {
            let place = self.places.get(number).copied().flatten();
            let pack = place.and_then(|(pack, at)| Some((*self.packs.get(usize::try_from(pack).ok()?)?, at)));
            let (holder, at) = pack.unwrap_or((file.digest, 0));
            (file, holder, at)
        })
    }

    /// As a row holds it.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("paths, digests and numbers always have a JSON form")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_where_it_was_put() {
        let file = |path: &str| TreeFile { path: path.parse().unwrap(), len: 1, digest: Digest::of(path.as_bytes()) };
        let files = Tree::new(["a", "b", "c"].map(file).to_vec()).unwrap();
        let pack = Digest::of(b"bc");
        let kept = Kept { files: files.clone(), packs: vec![pack], places: vec![None, Some((0, 0)), Some((0, 1))] };
        let read: Kept = serde_json::from_str(&kept.to_text()).unwrap();
        let placed: Vec<_> = read.placed().map(|(file, holder, at)| (file.path.as_str(), holder, at)).collect();
        assert_eq!(placed, [("a", Digest::of(b"a"), 0), ("b", pack, 0), ("c", pack, 1)]);
        let apart = Kept::apart(files);
        assert!(!apart.to_text().contains("pack"));
        assert!(apart.placed().all(|(file, holder, at)| holder == file.digest && at == 0));
    }
}
