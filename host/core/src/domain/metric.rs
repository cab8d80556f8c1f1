//! Metrics, and what a scorer says of itself.

use serde::{Deserialize, Serialize};

/// Which way a metric gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// One number that a scorer reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// What reports, columns and solutions call it.
    pub name: String,
    /// What people read.
    pub title: String,
    /// Which way is better.
    pub direction: Direction,
    /// Unit, when the value has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Decimal places shown, 0 to 12.
    pub precision: u8,
}

/// Bytes of a name, version, title or unit; of a summary; of a schema.
const MAX_WORDS: usize = 200;
const MAX_SUMMARY: usize = 2_000;
const MAX_SCHEMA: usize = 256 << 10;
/// Most metrics of one scorer.
pub const MAX_METRICS: usize = 256;

/// What a scorer says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Name of the scorer.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line on what it does.
    pub summary: String,
    /// Exactly the metrics of its reports.
    pub metrics: Vec<Metric>,
    /// JSON Schema of its parameters.
    pub params_schema: String,
}

/// Why a description is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDescription {
    /// There are none, or too many.
    #[error("the scorer describes {0} metrics; it must describe 1 to {MAX_METRICS}")]
    Count(usize),
    /// A name is not usable.
    #[error("the metric name `{0}` must be 1 to 64 of `a-z 0-9 _ - .`")]
    Name(String),
    /// A name is there twice.
    #[error("the metric `{0}` is described twice")]
    Twice(String),
    /// A text is too long for what it is.
    #[error("the scorer's {0} has {1} bytes; {2} at most")]
    Long(&'static str, usize, usize),
    /// A precision is out of range.
    #[error("the precision of `{0}` must be 0 to 12 decimal places")]
    Precision(String),
}

impl Description {
    /// The metric called `name`.
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }

    /// # Errors
    /// The first thing that makes the description unusable.
    pub fn check(&self) -> Result<(), BadDescription> {
        if !(1..=MAX_METRICS).contains(&self.metrics.len()) {
            return Err(BadDescription::Count(self.metrics.len()));
        }
        // Every version holds them, and so does what is shown of it.
        for (what, text, most) in [
            ("name", &self.name, MAX_WORDS),
            ("version", &self.version, MAX_WORDS),
            ("summary", &self.summary, MAX_SUMMARY),
            ("parameters' schema", &self.params_schema, MAX_SCHEMA),
        ] {
            short(what, text, most)?;
        }
        for (at, metric) in self.metrics.iter().enumerate() {
            short("metric title", &metric.title, MAX_WORDS)?;
            short("metric unit", metric.unit.as_deref().unwrap_or_default(), MAX_WORDS)?;
            let name = &metric.name;
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b);
            if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
                return Err(BadDescription::Name(name.chars().take(80).collect()));
            }
            if self.metrics[..at].iter().any(|earlier| earlier.name == *name) {
                return Err(BadDescription::Twice(name.clone()));
            }
            if metric.precision > 12 {
                return Err(BadDescription::Precision(name.clone()));
            }
        }
        Ok(())
    }
}

fn short(what: &'static str, text: &str, most: usize) -> Result<(), BadDescription> {
    if text.len() > most { Err(BadDescription::Long(what, text.len(), most)) } else { Ok(()) }
}

/// `value` rounded to `precision` decimal places, ties away from zero, as it is shown.
pub fn rounded(value: f64, precision: u8) -> f64 {
    // Through text: exact decimal rounding of the binary value, and no overflow for large values.
    format!("{value:.*}", usize::from(precision)).parse().unwrap_or(value) + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_for_show() {
        assert_eq!(rounded(0.993_149_9, 4), 0.9931);
        assert_eq!(rounded(-0.000_01, 4).to_bits(), 0.0f64.to_bits(), "no negative zero");
        assert_eq!(rounded(1e300, 2), 1e300);
    }

    #[test]
    fn a_description_is_checked() {
        let metric = |name: &str, precision| Metric {
            name: name.into(),
            title: name.into(),
            direction: Direction::Higher,
            unit: None,
            precision,
        };
        let with = |metrics| Description {
            name: "x".into(),
            version: "1".into(),
            summary: String::new(),
            metrics,
            params_schema: "{}".into(),
        };
        assert_eq!(with(vec![metric("f1", 4)]).check(), Ok(()));
        assert_eq!(with(vec![]).check(), Err(BadDescription::Count(0)));
        let long = Description { summary: "x".repeat(2_001), ..with(vec![metric("a", 4)]) };
        assert_eq!(long.check(), Err(BadDescription::Long("summary", 2_001, 2_000)));
        let unit = Metric { unit: Some("x".repeat(201)), ..metric("a", 4) };
        assert!(matches!(with(vec![unit]).check(), Err(BadDescription::Long("metric unit", 201, 200))));
        assert_eq!(with(vec![metric("F1", 4)]).check(), Err(BadDescription::Name("F1".into())));
        assert_eq!(with(vec![metric("a", 4), metric("a", 4)]).check(), Err(BadDescription::Twice("a".into())));
        assert_eq!(with(vec![metric("a", 13)]).check(), Err(BadDescription::Precision("a".into())));
    }
}
