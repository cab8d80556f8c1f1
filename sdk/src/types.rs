//! The words of a scorer: what it says of itself, what it reports, how it refuses.
//!
//! Plain values, the same in a component and in a native test. Nothing here talks to the host; `guest` turns these into
//! the types of the interface.

use crate::problem::Problems;

/// Which way a metric gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// More is better: accuracy.
    HigherIsBetter,
    /// Less is better: log-loss.
    LowerIsBetter,
}

/// Who may read something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The participant whose submission it is, and the organizers.
    Participant,
    /// The organizers only.
    Organizer,
}

/// One number that a scorer reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// What the report and the leaderboard call it: 1 to 64 of `a-z 0-9 _ - .`.
    pub name: String,
    /// What people read above the column.
    pub title: String,
    /// Which way is better.
    pub direction: Direction,
    /// Unit, when the value has one: `s`, `px`.
    pub unit: Option<String>,
    /// Decimal places that are shown, 0 to 12; the stored value keeps all of its bits.
    pub precision: u8,
}

impl Metric {
    /// A metric of which more is better. It is shown under its name with four decimal places until told otherwise.
    pub fn higher(name: impl Into<String>) -> Self {
        Self::new(name.into(), Direction::HigherIsBetter)
    }

    /// A metric of which less is better. It is shown under its name with four decimal places until told otherwise.
    pub fn lower(name: impl Into<String>) -> Self {
        Self::new(name.into(), Direction::LowerIsBetter)
    }

    fn new(name: String, direction: Direction) -> Self {
        Self { title: name.clone(), name, direction, unit: None, precision: 4 }
    }

    /// Sets what people read above the column.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Sets the unit.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    /// Sets how many decimal places are shown, 0 to 12.
    #[must_use]
    pub fn precision(mut self, places: u8) -> Self {
        self.precision = places;
        self
    }
}

/// What a scorer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Name of the scorer.
    pub name: String,
    /// Version of the scorer.
    pub version: String,
    /// One line on what it does.
    pub summary: String,
    /// Exactly the metrics that a report will hold under the parameters at hand, in the order in which to show them.
    pub metrics: Vec<Metric>,
    /// JSON Schema of the parameters.
    pub params_schema: String,
}

impl Description {
    /// A scorer without parameters; see [`Description::schema`] for one that has some.
    pub fn new(name: impl Into<String>, version: impl Into<String>, summary: impl Into<String>) -> Self {
        let params_schema = r#"{"type":"object","additionalProperties":false}"#.to_owned();
        Self { name: name.into(), version: version.into(), summary: summary.into(), metrics: vec![], params_schema }
    }

    /// Adds a metric.
    #[must_use]
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metrics.push(metric);
        self
    }

    /// Sets the JSON Schema of the parameters.
    #[must_use]
    pub fn schema(mut self, json: impl Into<String>) -> Self {
        self.params_schema = json.into();
        self
    }
}

/// One value of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Name of a described metric.
    pub metric: String,
    /// The value; the host refuses NaN and the infinities.
    pub value: f64,
    /// Which part of the reference data it is of. With splits there is one score for each split and none without.
    pub split: Option<String>,
}

impl Score {
    /// A value over all of the reference data.
    pub fn new(metric: impl Into<String>, value: f64) -> Self {
        Self { metric: metric.into(), value, split: None }
    }

    /// Says which split the value is of.
    #[must_use]
    pub fn split(mut self, split: impl Into<String>) -> Self {
        self.split = Some(split.into());
        self
    }
}

/// How one case (an image, a question, a test) went.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Names the case; unique in a report.
    pub id: String,
    /// The group that it belongs to.
    pub group: Option<String>,
    /// Values for this case alone.
    pub scores: Vec<Score>,
    /// Whether it passed, where that means something.
    pub passed: Option<bool>,
    /// A word on it.
    pub message: Option<String>,
    /// Who may read this case.
    pub audience: Audience,
}

impl Case {
    /// A case that only organizers read, as cases often give the reference data away.
    pub fn new(id: impl Into<String>) -> Self {
        let (group, passed, message) = (None, None, None);
        Self { id: id.into(), group, scores: vec![], passed, message, audience: Audience::Organizer }
    }

    /// Sets the group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Adds a value.
    #[must_use]
    pub fn score(mut self, metric: impl Into<String>, value: f64) -> Self {
        self.scores.push(Score::new(metric, value));
        self
    }

    /// Says whether it passed.
    #[must_use]
    pub fn passed(mut self, passed: bool) -> Self {
        self.passed = Some(passed);
        self
    }

    /// Adds a word on it.
    #[must_use]
    pub fn message(mut self, text: impl Into<String>) -> Self {
        self.message = Some(text.into());
        self
    }

    /// Sets who may read it.
    #[must_use]
    pub fn audience(mut self, audience: Audience) -> Self {
        self.audience = audience;
        self
    }
}

/// What scoring yields.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// One score for each described metric, or for each metric and split.
    pub scores: Vec<Score>,
    /// The cases, if the scorer tells them apart.
    pub cases: Vec<Case>,
}

impl Report {
    /// An empty report.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value over all of the reference data.
    #[must_use]
    pub fn score(mut self, metric: impl Into<String>, value: f64) -> Self {
        self.scores.push(Score::new(metric, value));
        self
    }

    /// Adds a value over one split of the reference data.
    #[must_use]
    pub fn split_score(mut self, metric: impl Into<String>, split: impl Into<String>, value: f64) -> Self {
        self.scores.push(Score::new(metric, value).split(split));
        self
    }

    /// Adds a case.
    #[must_use]
    pub fn case(mut self, case: Case) -> Self {
        self.cases.push(case);
        self
    }
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The predictions are not what the task asks for. The participant reads this.
    InvalidSubmission(Problems),
    /// The reference data or the parameters are wrong. The organizer reads this.
    InvalidChallenge(String),
}

impl Failure {
    /// A submission with one problem.
    pub fn submission(problem: impl Into<crate::problem::Problem>) -> Self {
        Self::InvalidSubmission(Problems::from(problem.into()))
    }

    /// A challenge that cannot be scored with, whoever submits.
    pub fn challenge(message: impl Into<String>) -> Self {
        Self::InvalidChallenge(message.into())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InvalidSubmission(problems) => write!(out, "invalid submission: {problems}"),
            Self::InvalidChallenge(message) => write!(out, "invalid challenge: {message}"),
        }
    }
}

impl std::error::Error for Failure {}
