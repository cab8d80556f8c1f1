//! A sample of the example, handed in: what became of it.

use super::super::output::{Output, clean};
use super::super::report::{Report, line};
use crate::client::{Client, ClientError, Key, Upload};
use crate::http::dto::AboutInfo;
use gradus_core::domain::report::{Problems, Score};
use serde::Serialize;
use std::time::Instant;

/// What became of a sample.
#[derive(Debug, Serialize)]
pub struct Sample {
    entrant: String,
    /// That of the submission; `refused`: the format check found problems, and there is none.
    state: String,
    outcome: Option<String>,
    scores: Vec<Score>,
    problems: Problems,
    /// How its program failed.
    failure: Option<String>,
    milliseconds: u64,
}

impl Sample {
    /// Hands `file` in and waits until it has ended.
    pub fn hand_in(client: &Client, entrant: String, id: &str, phase: &str, file: &Upload) -> anyhow::Result<Self> {
        let began = Instant::now();
        let key = Key(format!("demo-{entrant}"));
        let mut sample = Self {
            entrant,
            state: "refused".to_owned(),
            outcome: None,
            scores: Vec::new(),
            problems: Problems::default(),
            failure: None,
            milliseconds: 0,
        };
        match client.submit(id, phase, file, &AboutInfo::default(), &key, &mut |_, _| {}) {
            Ok(info) => sample.follow(client, &info.id)?,
            Err(ClientError::Refused { problem, .. }) if problem.problems.is_some() => {
                sample.outcome = Some(problem.code);
                sample.problems = problem.problems.unwrap_or_default();
            }
            Err(error) => return Err(error.into()),
        }
        sample.milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(sample)
    }

    fn follow(&mut self, client: &Client, id: &str) -> anyhow::Result<()> {
        for seen in client.events(id) {
            seen?;
        }
        let info = client.submission(id)?;
        if info.report.is_some() {
            let report = Report::read(&client.report(id)?)?;
            (self.scores, self.problems) = (report.scores, report.problems);
        }
        self.failure = info.run.and_then(|run| run.failure);
        (self.state, self.outcome) = (info.state, info.outcome);
        Ok(())
    }

    /// As a line.
    pub fn line(&self, out: &Output) -> String {
        let got = match self.state.as_str() {
            "refused" => {
                let first = self.problems.first.first().map(line).unwrap_or_default();
                out.fair(format!("refused, {} problem(s): {}", self.problems.total, clean(&first)))
            }
            "scored" => {
                let score = |score: &Score| format!("{} {}", score.metric, score.value);
                format!("scored: {}", self.scores.iter().map(score).collect::<Vec<_>>().join(", "))
            }
            other => {
                let problem = self.problems.first.first().map(line);
                let why = problem
                    .or_else(|| self.failure.clone())
                    .map_or_else(String::new, |why| format!(": {}", clean(&why)));
                format!("{other}, {}{why}", self.outcome.as_deref().unwrap_or_default())
            }
        };
        format!("  {:<24} {got} ({} ms)", self.entrant, self.milliseconds)
    }
}
