//! `challenge.toml`: text to [`Challenge`], or everything that is wrong with it, each with its line and key.
//!
//! Looks at the text alone; whether the files that it names are there is for whoever has the folder.

mod raw;
mod rules;

use super::challenge::Challenge;
use std::fmt;

/// Name of the file.
pub const FILE: &str = "challenge.toml";
/// Size of the file, at most; bytes.
pub const MAX_LEN: u64 = 1 << 20;

/// Something that is wrong with a challenge folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The file, from the top of the folder.
    pub file: String,
    /// The line, from 1; 0 when it is of no line in particular.
    pub line: usize,
    /// The key, such as `phases.dev.quota`.
    pub key: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, key, message } = self;
        f.write_str(file)?;
        if *line > 0 {
            write!(f, ":{line}")?;
        }
        if key.is_empty() { write!(f, ": {message}") } else { write!(f, ": {key}: {message}") }
    }
}

/// A challenge, and where in the text its parts are, for those who find more wrong with it.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The challenge.
    pub challenge: Challenge,
    lines: Vec<(String, usize)>,
}

impl Manifest {
    /// Something that is wrong with `key`.
    pub fn problem(&self, key: &str, message: impl Into<String>) -> Located {
        let line = self.lines.iter().find(|(known, _)| known == key).map_or(0, |(_, line)| *line);
        Located { file: FILE.into(), line, key: key.into(), message: message.into() }
    }
}

/// Reads `challenge.toml`.
///
/// # Errors
/// All that is wrong; at least one. A syntax error or an unknown key hides what comes after it.
pub fn parse(text: &str) -> Result<Manifest, Vec<Located>> {
    let raw: raw::Challenge = toml::from_str(text).map_err(|error| vec![raw::located(text, &error)])?;
    let mut reader = rules::Reader::new(text);
    let challenge = reader.challenge(raw);
    if reader.problems.is_empty() {
        Ok(Manifest { challenge, lines: reader.lines })
    } else {
        reader.problems.sort_by_key(|problem| problem.line);
        Err(reader.problems)
    }
}

/// The member of `known` that is nearest to `given`, if any is near.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|name| (strsim::jaro_winkler(given, name), name));
    scored.filter(|(near, _)| *near >= 0.75).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests;
