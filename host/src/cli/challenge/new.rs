//! `gradus challenge new`: a small, complete challenge that `check` takes as it is.

use super::super::{Context, Done, Json, usage};
use anyhow::Context as _;
use clap::Args;
use gradus_core::domain::id::ChallengeId;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Files of a challenge: path and text. `{id}` and `{sdk}` are filled in.
type Files = &'static [(&'static str, &'static str)];

/// With a stock scorer.
const STOCK: Files = &[
    ("challenge.toml", include_str!("new/stock/challenge.toml")),
    ("overview.md", include_str!("new/stock/overview.md")),
    ("data/public/train.csv", include_str!("new/stock/train.csv")),
    ("data/public/test.csv", include_str!("new/stock/test.csv")),
    ("data/public/sample.csv", include_str!("new/stock/sample.csv")),
    ("data/reference/labels.csv", include_str!("new/stock/labels.csv")),
    ("solutions/good.csv", include_str!("new/stock/good.csv")),
    ("solutions/fair.csv", include_str!("new/stock/fair.csv")),
    ("solutions/missing-row.csv", include_str!("new/stock/missing-row.csv")),
];

/// With a scorer of its own: the template of the SDK.
const OWN: Files = &[
    ("challenge.toml", include_str!("new/own/challenge.toml")),
    ("overview.md", include_str!("new/own/overview.md")),
    ("data/reference/truth.txt", "1\n2\n3\n"),
    ("data/public/sample.txt", "0\n0\n0\n"),
    ("solutions/good.txt", "1\n2\n3.5\n"),
    ("solutions/far.txt", "1\n2\n60\n"),
    ("solutions/word.txt", "1\ntwo\n3\n"),
    ("scorer/Cargo.toml", include_str!("../../../../sdk/template/Cargo.toml")),
    ("scorer/src/lib.rs", include_str!("../../../../sdk/template/src/lib.rs")),
];

/// Write a small, complete challenge into a new folder, to change step by step.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gradus challenge new my-challenge && gradus challenge check my-challenge
  gradus challenge new my-challenge --scorer --sdk ../gradus/sdk     with a scorer of your own, in Rust")]
pub struct New {
    /// The folder; it must be empty, or not there yet. Its name becomes the challenge's id.
    dir: PathBuf,
    /// With a scorer of your own instead of a stock one: a crate that uses the SDK.
    #[arg(long, requires = "sdk")]
    scorer: bool,
    /// Where the SDK is: the folder `sdk` of Gradus's source.
    #[arg(long, value_name = "DIR", requires = "scorer")]
    sdk: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
}

impl New {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Done> {
        let dir = &self.dir;
        let occupied = || format!("{} is not empty; name a new folder", dir.display());
        match fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
            Ok(true) => return Err(usage(occupied())),
            Ok(false) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(usage(format!("{} cannot be used: {error}", dir.display()))),
        }
        let sdk = self.sdk.as_deref().map(sdk).transpose()?.unwrap_or_default();
        fs::create_dir_all(dir).with_context(|| format!("could not make {}", dir.display()))?;
        let id = id(dir)?;
        let files = if self.scorer { OWN } else { STOCK };
        for (path, text) in files {
            let path = dir.join(path);
            let failed = || format!("could not write {}", path.display());
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).with_context(failed)?;
            }
            let text = text.replace("{id}", id.as_str()).replace("path = \"..\" }", &format!("path = {sdk} }}"));
            fs::write(&path, text).with_context(failed)?;
        }
        let name = dir.display();
        if self.json.json {
            let files: Vec<_> = files.iter().map(|(path, _)| path).collect();
            context.out.json(&json!({ "challenge": id, "folder": name.to_string(), "files": files }))?;
            return Ok(Done::Well);
        }
        context.out.line(format!("{name} is a complete challenge. What to do with it:"))?;
        context.out.line(format!("  gradus challenge check {name}                  runs its solutions"))?;
        let sample = if self.scorer { "good.txt" } else { "good.csv" };
        context.out.line(format!("  gradus score {name} {name}/solutions/{sample}   scores one"))?;
        context.out.line(format!("  edit {name}/challenge.toml                     it says what each key is for"))?;
        Ok(Done::Well)
    }
}

/// The id that the folder's name makes: a name that is none is brought into shape.
fn id(dir: &Path) -> anyhow::Result<ChallengeId> {
    let full = dir.canonicalize().with_context(|| format!("could not open {}", dir.display()))?;
    let name = full.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let name: String = name.chars().map(plain).skip_while(|c| *c == '-').take(64).collect();
    Ok(name.parse().unwrap_or_else(|_| "my-challenge".parse().expect("it is a slug")))
}

/// The path of the SDK as a TOML string.
fn sdk(path: &Path) -> anyhow::Result<String> {
    let full = path.canonicalize().map_err(|error| usage(format!("there is no SDK at {}: {error}", path.display())))?;
    let manifest = fs::read_to_string(full.join("Cargo.toml")).unwrap_or_default();
    if !manifest.contains("name = \"gradus-sdk\"") {
        return Err(usage(format!("{} is not the SDK; name the folder `sdk` of Gradus's source", path.display())));
    }
    let text = full.to_str().ok_or_else(|| usage("the path of the SDK is not text"))?;
    // A JSON string is a TOML string for all that a path can hold.
    Ok(serde_json::to_string(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_name_becomes_an_id() {
        let room = tempfile::tempdir().unwrap();
        for (name, expected) in [("My Challenge", "my-challenge"), ("_x", "x"), ("é", "my-challenge"), ("a1", "a1")] {
            let dir = room.path().join(name);
            fs::create_dir_all(&dir).unwrap();
            assert_eq!(id(&dir).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn the_template_s_dependency_is_where_it_is_replaced() {
        let (_, manifest) = OWN.iter().find(|(path, _)| *path == "scorer/Cargo.toml").unwrap();
        assert!(manifest.contains("gradus-sdk = { path = \"..\" }"));
        assert!(manifest.contains("serde"));
    }
}
