//! A report for people: the outcome, the scores, the problems. Reads the whole one and the participant's alike.

use super::output::{Output, clean_lines};
use super::table::{Table, number};
use crate::client::ClientError;
use gradus_core::domain::report::{Attachment, Note, Problem, Problems, Score};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;

/// What is shown of a report.
#[derive(Debug, Deserialize)]
pub struct Report {
    pub outcome: String,
    pub limit: Option<String>,
    pub used: Option<u64>,
    pub allowed: Option<u64>,
    pub detail: Option<String>,
    pub message: Option<String>,
    pub scores: Vec<Score>,
    pub problems: Problems,
    #[serde(default)]
    pub notes: Vec<Note>,
    #[serde(default)]
    pub attachments: Vec<Attachment>,
}

impl Report {
    /// From the bytes of a report.
    pub fn read(bytes: &[u8]) -> anyhow::Result<Self> {
        serde_json::from_slice(bytes).map_err(|error| anyhow::anyhow!("the report does not read: {error}"))
    }

    /// Prints it. `precision` knows the decimal places of metrics; those of others are shown as they are.
    pub fn print(&self, out: &Output, precision: &BTreeMap<String, u8>) -> io::Result<()> {
        let word = if self.outcome == "scored" { out.good(&self.outcome) } else { out.bad(&self.outcome) };
        let limit = match (&self.limit, self.used, self.allowed) {
            (Some(limit), Some(used), Some(allowed)) => format!(": {limit}, {used} of {allowed}"),
            _ => String::new(),
        };
        out.line(format!("{word}{limit}"))?;
        for text in [&self.message, &self.detail].into_iter().flatten() {
            out.line(clean_lines(text))?;
        }
        print_problems(out, &self.problems)?;
        if !self.scores.is_empty() {
            scores(&self.scores, precision).print(out)?;
        }
        for note in &self.notes {
            out.line(format!("note: {}", clean_lines(&note.text)))?;
        }
        for file in &self.attachments {
            out.line(format!("attachment: {} ({} bytes)", clean_lines(&file.name), file.len))?;
        }
        Ok(())
    }
}

/// One row for each metric, one column for each split.
fn scores(scores: &[Score], precision: &BTreeMap<String, u8>) -> Table {
    let mut splits: Vec<&Option<String>> = Vec::new();
    let mut metrics: Vec<&str> = Vec::new();
    for score in scores {
        if !splits.contains(&&score.split) {
            splits.push(&score.split);
        }
        if !metrics.contains(&score.metric.as_str()) {
            metrics.push(&score.metric);
        }
    }
    let heads: Vec<String> = splits.iter().map(|split| format!("{}>", split.as_deref().unwrap_or("score"))).collect();
    let mut table = Table::new(std::iter::once("metric").chain(heads.iter().map(String::as_str)));
    for metric in metrics {
        let cell = |split: &&Option<String>| {
            let value = scores.iter().find(|score| score.metric == metric && score.split == **split).map(|s| s.value);
            match (precision.get(metric), value) {
                (None, Some(value)) => value.to_string(),
                (places, value) => number(value, places.copied().unwrap_or(4)),
            }
        };
        table.row(std::iter::once(metric.to_owned()).chain(splits.iter().map(cell)));
    }
    table
}

/// Prints problems, one to a line.
pub fn print_problems(out: &Output, problems: &Problems) -> io::Result<()> {
    for problem in &problems.first {
        out.line(format!("  {}", clean_lines(&line(problem))))?;
    }
    let more = problems.total.saturating_sub(problems.first.len() as u64);
    if more > 0 { out.line(format!("  … and {more} more")) } else { Ok(()) }
}

/// A problem as `file:line: message`.
pub fn line(problem: &Problem) -> String {
    crate::client::problem_line(problem)
}

/// The decimal places of a phase's metrics, from the server; none when it does not say.
pub fn precisions(info: Result<crate::http::dto::ChallengeInfo, ClientError>, phase: &str) -> BTreeMap<String, u8> {
    let phases = info.map(|info| info.phases).unwrap_or_default();
    let metrics = phases.into_iter().filter(|known| known.id == phase).flat_map(|phase| phase.metrics);
    metrics.map(|metric| (metric.name, metric.precision)).collect()
}
