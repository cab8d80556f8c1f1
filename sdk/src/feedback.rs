//! What a scorer says while it works: progress, notes, attachments.
//!
//! In a component it goes to the host, which caps it; in a native test it is recorded.

use crate::types::Audience;

/// Longest note that is handed to the host, in bytes.
pub const LONGEST_NOTE: usize = 64 << 10;
/// Most bytes of one attachment that are handed to the host. Every host takes that many in one call, and says so when the
/// task allows fewer; one that is handed more may end the run.
pub const LARGEST_ATTACHMENT: usize = 16 << 20;

/// What a scorer says while it works.
#[derive(Debug)]
pub struct Feedback {
    to: To,
}

#[derive(Debug)]
enum To {
    Memory(Recorded),
    #[cfg(target_family = "wasm")]
    Host,
}

/// What a scorer said, for a test to look at.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The last progress: done, total.
    pub progress: Option<(u64, u64)>,
    /// The notes, in order.
    pub notes: Vec<(Audience, String)>,
    /// The attachments, in order.
    pub attachments: Vec<Attachment>,
}

/// A plot, a table, a file to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Who may read it.
    pub to: Audience,
    /// A plain file name.
    pub name: String,
    /// What the bytes are: `text/csv`.
    pub media_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Feedback {
    /// Records, for a test.
    pub fn memory() -> Self {
        Self { to: To::Memory(Recorded::default()) }
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn host() -> Self {
        Self { to: To::Host }
    }

    /// Says how far the scorer is: `done` of `total` steps.
    pub fn progress(&mut self, done: u64, total: u64) {
        match &mut self.to {
            To::Memory(recorded) => recorded.progress = Some((done, total)),
            #[cfg(target_family = "wasm")]
            To::Host => crate::guest::progress(done, total),
        }
    }

    /// Leaves a line of text. Past the host's cap on all notes it is dropped; one that is longer than [`LONGEST_NOTE`]
    /// is cut.
    pub fn note(&mut self, to: Audience, text: impl AsRef<str>) {
        let text = text.as_ref();
        let text = text.get(..text.floor_char_boundary(LONGEST_NOTE)).unwrap_or(text);
        match &mut self.to {
            To::Memory(recorded) => recorded.notes.push((to, text.to_owned())),
            #[cfg(target_family = "wasm")]
            To::Host => crate::guest::note(to, text),
        }
    }

    /// Attaches a plot, a table, a file to download. `name` is a plain file name.
    ///
    /// # Errors
    /// Which cap was reached: the task's, for all attachments together, or [`LARGEST_ATTACHMENT`]. Most scorers carry on
    /// without the attachment.
    pub fn attach(&mut self, to: Audience, name: &str, media_type: &str, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() > LARGEST_ATTACHMENT {
            let most = LARGEST_ATTACHMENT >> 20;
            return Err(format!("an attachment of {} bytes; {most} MiB are the most for one", bytes.len()));
        }
        match &mut self.to {
            To::Memory(recorded) => {
                let (name, media_type) = (name.to_owned(), media_type.to_owned());
                recorded.attachments.push(Attachment { to, name, media_type, bytes: bytes.to_vec() });
                Ok(())
            }
            #[cfg(target_family = "wasm")]
            To::Host => crate::guest::attach(to, name, media_type, bytes),
        }
    }

    /// What was said; empty in a component, where the host has it.
    pub fn into_recorded(self) -> Recorded {
        match self.to {
            To::Memory(recorded) => recorded,
            #[cfg(target_family = "wasm")]
            To::Host => Recorded::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_would_not_even_copy_is_refused_here() {
        let mut feedback = Feedback::memory();
        let mut attach = |len| feedback.attach(Audience::Organizer, "a", "text/plain", &vec![0; len]);
        assert_eq!(attach(LARGEST_ATTACHMENT), Ok(()));
        assert!(attach(LARGEST_ATTACHMENT + 1).unwrap_err().contains("16 MiB are the most"));
        feedback.note(Audience::Organizer, "é".repeat(LONGEST_NOTE) + "x");
        let said = feedback.into_recorded();
        assert_eq!((said.attachments.len(), said.notes[0].1.len()), (1, LONGEST_NOTE));
    }
}
