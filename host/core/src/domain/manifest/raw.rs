//! The text's own shape: keys and types, no rule beyond them. Unknown keys are errors that name the nearest known one.

use super::{FILE, Located, nearest};
use crate::domain::challenge::{Repeats, Rule, Visibility};
use crate::domain::git_rules::Moved;
use crate::domain::metric::Direction;
use crate::domain::report::Audience;
use crate::domain::submission::Lane;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::value::Datetime;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    pub id: Spanned<String>,
    pub title: Spanned<String>,
    pub summary: Option<Spanned<String>>,
    pub licence: Option<String>,
    #[serde(default = "public")]
    pub visibility: Visibility,
    #[serde(default)]
    pub phases: Vec<Spanned<Phase>>,
    #[serde(default)]
    pub tasks: Vec<Spanned<Task>>,
    #[serde(default)]
    pub leaderboards: Vec<Spanned<Leaderboard>>,
    #[serde(default)]
    pub solutions: Vec<Spanned<Solution>>,
    pub git: Option<Git>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Git {
    pub sources: Spanned<Vec<String>>,
    pub projects: Spanned<Vec<String>>,
    pub tags: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pub moved: Moved,
    pub results: Option<Spanned<String>>,
}

fn public() -> Visibility {
    Visibility::Public
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    pub id: Spanned<String>,
    pub title: Option<String>,
    pub starts: Spanned<Datetime>,
    pub ends: Option<Spanned<Datetime>>,
    pub tasks: Spanned<Vec<String>>,
    #[serde(default)]
    pub quota: Vec<Spanned<Quota>>,
    pub concurrent: Option<Spanned<u32>>,
    pub max_queued: Option<Spanned<u32>>,
    #[serde(default)]
    pub repeats: Repeats,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    pub limit: u32,
    pub per: Option<String>,
    pub zone: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    pub id: Spanned<String>,
    pub accepts: Spanned<Vec<Lane>>,
    pub reference: Spanned<String>,
    pub input: Option<Spanned<String>>,
    pub ingestion: Option<Spanned<String>>,
    pub public: Option<Spanned<String>>,
    pub template: Option<Spanned<String>>,
    pub scorer: Spanned<Scorer>,
    pub params: Option<Spanned<toml::Table>>,
    pub limits: Option<Spanned<Limits>>,
    pub runner: Option<Spanned<Runner>>,
    pub metrics: Option<Spanned<toml::value::Array>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scorer {
    pub stock: Option<String>,
    pub component: Option<String>,
    #[serde(rename = "crate")]
    pub krate: Option<String>,
    pub command: Option<String>,
    pub args: Option<toml::value::Array>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub fuel: Option<Spanned<String>>,
    pub memory: Option<Spanned<String>>,
    pub wall: Option<Spanned<String>>,
    pub report: Option<Spanned<String>>,
    pub log: Option<Spanned<String>>,
    pub notes: Option<Spanned<String>>,
    pub attachments: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runner {
    pub image: Option<Spanned<String>>,
    pub memory: Option<Spanned<String>>,
    pub cpus: Option<Spanned<Number>>,
    pub wall: Option<Spanned<String>>,
    pub cpu: Option<Spanned<String>>,
    pub pids: Option<Spanned<u32>>,
    pub output: Option<Spanned<String>>,
    pub files: Option<Spanned<u32>>,
    pub log: Option<Spanned<String>>,
    pub scratch: Option<Spanned<String>>,
    pub logs: Option<Audience>,
    #[serde(default)]
    pub alone: bool,
    pub separate: Option<Spanned<bool>>,
    pub ingestion_image: Option<Spanned<String>>,
    pub shared: Option<Spanned<String>>,
    pub gpus: Option<Spanned<u32>>,
    pub gpu_memory: Option<Spanned<String>>,
    pub runtime: Option<Spanned<String>>,
    pub network: Option<Spanned<String>>,
    pub pinned: Option<Spanned<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaderboard {
    pub id: Spanned<String>,
    pub phases: Spanned<Vec<String>>,
    pub rule: Rule,
    pub columns: Spanned<Vec<Column>>,
    pub split: Option<String>,
    pub reveal: Option<Spanned<Datetime>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    pub metric: String,
    pub task: Option<String>,
    pub title: Option<String>,
    pub precision: Option<u8>,
    pub direction: Option<Direction>,
    #[serde(default)]
    pub hidden: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Solution {
    pub path: Spanned<String>,
    pub task: Option<Spanned<String>>,
    pub scores: Option<BTreeMap<String, Number>>,
    pub outcome: Option<Spanned<String>>,
    pub problems: Option<Problems>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problems {
    pub total: u64,
}

/// `1` and `1.0` are the same score.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "a number")]
pub enum Number {
    Float(f64),
    Whole(i64),
}

impl Number {
    #[expect(clippy::cast_precision_loss, reason = "a score that a person writes without a point is small")]
    pub fn value(self) -> f64 {
        match self {
            Self::Float(value) => value,
            Self::Whole(value) => value as f64,
        }
    }
}

/// The line of a byte, from 1.
pub fn line_at(text: &str, byte: usize) -> usize {
    text.as_bytes().iter().take(byte).filter(|b| **b == b'\n').count() + 1
}

/// What the reader of TOML found, in our words.
pub fn located(text: &str, error: &toml::de::Error) -> Located {
    let line = error.span().map_or(0, |span| line_at(text, span.start));
    let message = error.message();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (key, message) = match quoted.split_first() {
        Some((unknown, known)) if message.starts_with("unknown field") => {
            let hint = match nearest(unknown, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            (unknown.to_string(), format!("unknown key; {hint}"))
        }
        Some((missing, _)) if message.starts_with("missing field") => {
            (missing.to_string(), "is missing; add it".to_owned())
        }
        Some(_) | None => (String::new(), message.to_owned()),
    };
    Located { file: FILE.into(), line, key, message }
}
