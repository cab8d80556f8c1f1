//! What is wrong with a submission: the first twenty problems, and how many there are.
//!
//! A participant reads these, so each says what was wrong, where, and what would be right. It does not decide what is
//! wrong.

use std::fmt;

use crate::types::Failure;

/// How many problems are kept; the rest are counted.
pub const SHOWN: usize = 20;

/// Longest message that is kept, in characters.
const LONGEST_MESSAGE: usize = 1000;

/// One thing that is wrong with a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file that it is in.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u64>,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem of the submission as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
            message.truncate(end);
            message.push('…');
        }
        Self { file: None, line: None, message }
    }

    /// Says which file it is in.
    #[must_use]
    pub fn file(mut self, path: impl Into<String>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Says which line it is on, from 1.
    #[must_use]
    pub fn line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }
}

impl From<&str> for Problem {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<String> for Problem {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(out, "{file}:{line}: {}", self.message),
            (Some(file), None) => write!(out, "{file}: {}", self.message),
            (None, Some(line)) => write!(out, "line {line}: {}", self.message),
            (None, None) => out.write_str(&self.message),
        }
    }
}

/// Collects problems: keeps the first [`SHOWN`], counts all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems {
    first: Vec<Problem>,
    total: u64,
}

impl Problems {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a problem.
    pub fn push(&mut self, problem: impl Into<Problem>) {
        self.push_with(|| problem.into());
    }

    /// Adds a problem whose text is made only if it will be shown: a file may hold a million of them.
    pub fn push_with(&mut self, problem: impl FnOnce() -> Problem) {
        if self.first.len() < SHOWN {
            self.first.push(problem());
        }
        self.total = self.total.saturating_add(1);
    }

    /// The first of them, in the order in which they were found.
    pub fn first(&self) -> &[Problem] {
        &self.first
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Goes on if nothing was wrong.
    ///
    /// # Errors
    /// [`Failure::InvalidSubmission`] with these problems, if there are any.
    pub fn into_result(self) -> Result<(), Failure> {
        if self.is_empty() { Ok(()) } else { Err(Failure::InvalidSubmission(self)) }
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn into_parts(self) -> (Vec<Problem>, u64) {
        (self.first, self.total)
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self { first: vec![problem], total: 1 }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::InvalidSubmission(problems)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::InvalidSubmission(problem.into())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.first.iter().enumerate() {
            write!(out, "{}{problem}", if place == 0 { "" } else { "; " })?;
        }
        match self.total.saturating_sub(self.first.len() as u64) {
            0 => Ok(()),
            more => write!(out, "; and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_first_twenty_and_counts_all() {
        let mut problems = Problems::new();
        for line in 1..=25 {
            problems.push(Problem::new("bad").line(line));
        }
        assert_eq!((problems.first().len(), problems.total()), (20, 25));
        assert_eq!(problems.first()[19].line, Some(20));
        assert!(problems.to_string().ends_with("line 20: bad; and 5 more"), "{problems}");
    }

    #[test]
    fn a_text_that_is_not_shown_is_not_made() {
        let (mut problems, mut made) = (Problems::new(), 0);
        for _ in 0..100 {
            problems.push_with(|| {
                made += 1;
                "bad".into()
            });
        }
        assert_eq!((made, problems.total()), (20, 100));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let problem = Problem::new("é".repeat(5000));
        assert_eq!(problem.message.chars().count(), LONGEST_MESSAGE + 1);
    }
}
