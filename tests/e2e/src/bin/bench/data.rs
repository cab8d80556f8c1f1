//! A challenge for the stock scorer and files for it, the same in every run. Says nothing about any real task.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The text of `challenge.toml`. Quota and queue are wide: they are not what is measured.
pub const CHALLENGE: &str = r#"
id = "bench"
title = "Bench"
summary = "Rows that were made up."
licence = "CC0-1.0"
visibility = "public"

[[phases]]
id = "dev"
title = "Development"
starts = 2020-01-01T00:00:00Z
ends = 2099-01-01T00:00:00Z
tasks = ["main"]
quota = [{ limit = 10000000 }]
concurrent = 64
max_queued = 10000

[[tasks]]
id = "main"
accepts = ["results"]
reference = "data/reference"
public = "data/public"
template = "data/public/sample.csv"
scorer = { stock = "classification" }

[tasks.params]
id = "id"
target = "label"
labels = ["yes", "no"]
prediction = "label"
probability = "p"
positive = "yes"
metrics = ["roc_auc", "f1", "accuracy", "log_loss"]

[[leaderboards]]
id = "main"
phases = ["dev"]
rule = "best"
columns = [{ metric = "roc_auc" }, { metric = "accuracy" }]
"#;

/// The files of a challenge of `rows` rows.
pub fn files(rows: usize) -> [(&'static str, String); 3] {
    let mut reference = "id,label\n".to_owned();
    let mut sample = "id,label,p\n".to_owned();
    for row in 0..rows {
        let _ = writeln!(reference, "r{row},{}", label(mixed(row as u64) & 1 == 0));
        let _ = writeln!(sample, "r{row},no,0.5");
    }
    [
        ("challenge.toml", CHALLENGE.to_owned()),
        ("data/reference/reference.csv", reference),
        ("data/public/sample.csv", sample),
    ]
}

/// Writes that challenge to `folder`.
pub fn write(folder: &Path, rows: usize) {
    for (name, text) in files(rows) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("there is room for a folder");
        fs::write(path, text).expect("there is room for a file");
    }
}

/// Predictions for `rows` rows, right for about three in four; others for each `seed`.
pub fn predictions(rows: usize, seed: u64) -> String {
    let mut text = "id,label,p\n".to_owned();
    for row in 0..rows {
        let luck = mixed(row as u64 ^ ((seed + 1) << 32));
        let truth = mixed(row as u64) & 1 == 0;
        let said = truth == (luck & 3 != 0);
        let sure = 500_000 + (luck >> 32) % 500_000;
        let p = if said { sure } else { 1_000_000 - sure };
        let _ = writeln!(text, "r{row},{},{:.6}", label(said), p as f64 / 1e6);
    }
    text
}

fn label(positive: bool) -> &'static str {
    if positive { "yes" } else { "no" }
}

/// Bits that look random (splitmix64, public domain, by Sebastiano Vigna).
fn mixed(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
