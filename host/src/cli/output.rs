//! Where commands print: what was asked for on standard output, everything else on standard error. Colours on a
//! terminal only, and not with NO_COLOR.

use crate::client::ClientError;
use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Value, json};
use std::error::Error;
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, PoisonError};

type Sink = Arc<Mutex<dyn Write + Send>>;

/// Standard output and standard error.
#[derive(Clone)]
pub struct Output {
    out: Sink,
    err: Sink,
    /// Whether a person sees standard output.
    pub shown: bool,
    /// Whether a person sees standard error.
    pub watched: bool,
    /// Whether colours are wanted on standard output.
    pub colours: bool,
    /// Whether colours are wanted on standard error, which may go elsewhere.
    pub error_colours: bool,
}

impl Output {
    /// That of this process.
    pub fn process() -> Self {
        let never = anstream::ColorChoice::Never;
        Self {
            out: Arc::new(Mutex::new(io::stdout())),
            err: Arc::new(Mutex::new(io::stderr())),
            shown: io::stdout().is_terminal(),
            watched: io::stderr().is_terminal(),
            colours: anstream::AutoStream::choice(&io::stdout()) != never,
            error_colours: anstream::AutoStream::choice(&io::stderr()) != never,
        }
    }

    /// Into memory.
    #[cfg(test)]
    pub fn memory(out: Arc<Mutex<Vec<u8>>>, err: Arc<Mutex<Vec<u8>>>) -> Self {
        Self::sinks(out, err)
    }

    /// To wherever a test says.
    #[cfg(test)]
    pub fn sinks(out: Sink, err: Sink) -> Self {
        Self { out, err, shown: false, watched: false, colours: false, error_colours: false }
    }

    /// These bytes, as they are.
    pub fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(bytes)?;
        out.flush()
    }

    /// A line.
    pub fn line(&self, text: impl Display) -> io::Result<()> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// A document.
    pub fn json(&self, document: &impl Serialize) -> io::Result<()> {
        self.line(serde_json::to_string_pretty(document)?)
    }

    /// A line for the person at the keyboard. That nobody sees it is no failure.
    pub fn note(&self, text: impl Display) -> io::Result<()> {
        let mut err = self.err.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(err, "{text}")
    }

    /// What went wrong, with its causes.
    pub fn error(&self, error: &anyhow::Error) -> io::Result<()> {
        self.note(format!("error: {}", chain(error.as_ref())))
    }

    /// What went wrong, as one document in one line: what the server said if it refused, otherwise the error and, where a
    /// folder is wrong, its problems. In one line, so that it also ends a stream of lines.
    pub fn failure(&self, error: &anyhow::Error) -> io::Result<()> {
        let refused = error.downcast_ref::<ClientError>().and_then(ClientError::problem);
        let document = match refused {
            Some(problem) => serde_json::to_value(problem)?,
            None => refusal(&chain(error.as_ref()), &[]),
        };
        self.line(document)
    }

    /// `text` in `style`, where colours are wanted.
    pub fn styled(&self, style: Style, text: impl Display) -> String {
        if self.colours { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// As a heading.
    pub fn bold(&self, text: impl Display) -> String {
        self.styled(Style::new().bold(), text)
    }

    /// As what is well.
    pub fn good(&self, text: impl Display) -> String {
        self.styled(AnsiColor::Green.on_default(), text)
    }

    /// As what is not quite well.
    pub fn fair(&self, text: impl Display) -> String {
        self.styled(AnsiColor::Yellow.on_default(), text)
    }

    /// As what is wrong.
    pub fn bad(&self, text: impl Display) -> String {
        self.styled(AnsiColor::Red.on_default(), text)
    }
}

/// What a command says in JSON when it did not do what was asked.
pub fn refusal(error: &str, problems: &[String]) -> Value {
    json!({ "error": error, "problems": problems })
}

/// An error and its causes in one line; a cause that says nothing new is left out.
pub fn chain(error: &dyn Error) -> String {
    let mut text = clean_lines(&error.to_string());
    let mut next = error.source();
    while let Some(cause) = next {
        let said = clean_lines(&cause.to_string());
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

/// Text of others', safe for a terminal: no control characters.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if is_control(c) { ' ' } else { c }).collect()
}

/// The same for several lines.
pub fn clean_lines(text: &str) -> String {
    text.chars().map(|c| if is_control(c) && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Control characters, and those that change the direction of text.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_cannot_drive_a_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\nc"), "a [31mb c");
        assert_eq!(clean_lines("a\u{1b}]0;x\u{7}\tb\nc\u{202e}"), "a\u{fffd}]0;x\u{fffd}\tb\nc\u{fffd}");
    }

    #[test]
    fn causes_are_told_once() {
        let io = io::Error::other("disk on fire");
        let error = anyhow::Error::new(io).context("could not write x");
        assert_eq!(chain(error.as_ref()), "could not write x: disk on fire");
    }
}
