//! The examples that are in the program: whole challenge folders on real data.

use super::embedded;
use gradus_core::app::folder::Folder;
use gradus_core::domain::tree::TreePath;

/// An example.
pub struct Bundle {
    /// Its id.
    pub id: &'static str,
    files: &'static [(&'static str, &'static [u8])],
}

macro_rules! bundle {
    ($id:literal: $($path:literal),* $(,)?) => {
        Bundle {
            id: $id,
            files: &[$(($path, include_bytes!(concat!("../../../../examples/", $id, "/", $path)) as &[u8])),*],
        }
    };
}

/// Predictions, and a stock scorer.
pub const RESULTS: Bundle = bundle!["breast-cancer":
    "challenge.toml",
    "data/public/LICENCE.txt",
    "data/public/sample.csv",
    "data/public/test.csv",
    "data/public/train.csv",
    "data/reference/reference.csv",
    "overview.md",
    "solutions/cheat-both-labels.csv",
    "solutions/cheat-certain.csv",
    "solutions/cheat-huge-probability.csv",
    "solutions/cheat-majority.csv",
    "solutions/cheat-reference-columns.csv",
    "solutions/cheat-training-rows.csv",
    "solutions/duplicate-id.csv",
    "solutions/empty.csv",
    "solutions/extra-id.csv",
    "solutions/good-shuffled.tsv",
    "solutions/good.csv",
    "solutions/header-only.csv",
    "solutions/mediocre.csv",
    "solutions/missing-rows.csv",
    "solutions/nan.csv",
    "solutions/not-utf8.csv",
    "solutions/text-for-number.csv",
    "solutions/wrong-column.csv",
    "solutions/wrong-label.csv",
];

/// Programs.
pub const PROGRAMS: Bundle = bundle!["digits-code":
    "challenge.toml",
    "data/input/test.csv",
    "data/input/train.csv",
    "data/public/LICENCE.txt",
    "data/public/image/Dockerfile",
    "data/public/image/read.py",
    "data/public/sample.csv",
    "data/public/train.csv",
    "data/reference/reference.csv",
    "overview.md",
    "solutions/centroid/main.py",
    "solutions/centroid/metadata",
    "solutions/constant/main.py",
    "solutions/constant/metadata",
    "solutions/forgets/main.py",
    "solutions/forgets/metadata",
    "solutions/nearest.csv",
    "solutions/nearest/main.py",
    "solutions/nearest/metadata",
    "solutions/raises/main.py",
    "solutions/raises/metadata",
    "solutions/searches/main.py",
    "solutions/searches/metadata",
];

impl Bundle {
    /// The folder.
    pub fn folder(&self) -> anyhow::Result<Folder> {
        let file = |(path, bytes): &(&str, &'static [u8])| {
            let path: TreePath = path.parse().expect("the paths are written here");
            (path, bytes.len() as u64, embedded(bytes))
        };
        super::local::digested(self.files.iter().map(file).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{self, limits::ArchiveLimits};
    use std::path::Path;

    #[test]
    fn the_whole_examples_are_in_the_program() {
        for bundle in [RESULTS, PROGRAMS] {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(bundle.id);
            let dir = super::super::local::open(&dir).unwrap();
            let there = workspace::folder(&dir, &ArchiveLimits::challenge()).unwrap();
            let there = super::super::local::digested(there).unwrap();
            assert_eq!(bundle.folder().unwrap().tree(), there.tree());
        }
    }
}
