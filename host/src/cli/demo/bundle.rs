//! The example that is in the program: a whole challenge folder on real data.

use super::embedded;
use gradus_core::app::folder::Folder;
use gradus_core::domain::tree::TreePath;

/// Its id.
pub const ID: &str = "breast-cancer";

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../../../examples/breast-cancer/", $path)) as &[u8])),*]
    };
}

/// Its files.
const FILES: &[(&str, &[u8])] = files![
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

/// The folder.
pub fn folder() -> anyhow::Result<Folder> {
    let file = |(path, bytes): &(&str, &'static [u8])| {
        let path: TreePath = path.parse().expect("the paths are written here");
        (path, bytes.len() as u64, embedded(bytes))
    };
    super::local::digested(FILES.iter().map(file).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{self, limits::ArchiveLimits};
    use std::path::Path;

    #[test]
    fn the_whole_example_is_in_the_program() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(ID);
        let dir = super::super::local::open(&dir).unwrap();
        let there = workspace::folder(&dir, &ArchiveLimits::challenge()).unwrap();
        let there = super::super::local::digested(there).unwrap();
        assert_eq!(folder().unwrap().tree(), there.tree());
    }
}
