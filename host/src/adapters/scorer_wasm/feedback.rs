//! What a guest says while it works: progress, notes, attachments, each within its cap.
//!
//! What is to be heard at once goes through a queue, as a guest runs on a stack of its own and may not borrow the
//! listener. The queue is emptied at each tick of the engine; of progress only the latest is kept in it.

use super::bindings::gradus::scoring::feedback::Host;
use super::bindings::gradus::scoring::types;
use super::run::State;
use gradus_core::domain::digest::Digest;
use gradus_core::domain::limits::{Limits, MAX_ATTACHMENTS};
use gradus_core::domain::report::{Attachment, Audience, Note};
use gradus_core::domain::units::Bytes;
use gradus_core::ports::scorer::{Attached, Listener};
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::Result;

/// What each note costs beside its text, bytes: empty ones would be free otherwise.
const NOTE: u64 = 16;
/// A name of an attachment, and a media type, at most.
const MAX_NAME: usize = 100;

enum Event {
    Progress(u64, u64),
    Note(Audience, String),
}

/// What is on its way to the listener.
#[derive(Clone, Default)]
pub(super) struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    /// Tells `listener` all that came up.
    pub(super) fn deliver(&self, listener: &mut dyn Listener) {
        let events = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for event in events {
            match event {
                Event::Progress(done, total) => listener.progress(done, total),
                Event::Note(to, text) => listener.note(to, &text),
            }
        }
    }

    fn push(&self, event: Event) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (events.last_mut(), &event) {
            (Some(last @ Event::Progress(..)), Event::Progress(..)) => *last = event,
            _ => events.push(event),
        }
    }
}

/// What a run said.
pub(super) struct Feedback {
    /// The notes that fit.
    pub(super) notes: Vec<Note>,
    /// The attachments.
    pub(super) attachments: Vec<Attached>,
    /// To the listener.
    pub(super) events: Events,
    notes_left: u64,
    bytes_left: u64,
    bytes_allowed: u64,
}

impl Feedback {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            notes: Vec::new(),
            attachments: Vec::new(),
            events: Events::default(),
            notes_left: limits.notes.0,
            bytes_left: limits.attachments.0,
            bytes_allowed: limits.attachments.0,
        }
    }

    fn note(&mut self, audience: Audience, text: String) {
        let cost = text.len() as u64 + NOTE;
        if let Some(left) = self.notes_left.checked_sub(cost) {
            self.notes_left = left;
            self.events.push(Event::Note(audience, text.clone()));
            self.notes.push(Note { audience, text });
        }
    }

    fn attach(&mut self, audience: Audience, name: String, media_type: String, bytes: Vec<u8>) -> Result<(), String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(plain) || name.starts_with('.') {
            return Err(format!(
                "an attachment's name must be 1 to {MAX_NAME} letters, digits, `.`, `_` or `-`, and not begin with `.`"
            ));
        }
        if media_type.len() > MAX_NAME || !media_type.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            return Err(format!("a media type must be at most {MAX_NAME} printable ASCII characters"));
        }
        if self.attachments.iter().any(|other| other.about.name == name) {
            return Err(format!("there is an attachment `{name}` already"));
        }
        if self.attachments.len() >= MAX_ATTACHMENTS {
            return Err(format!("there are {MAX_ATTACHMENTS} attachments already, which is the most"));
        }
        let len = bytes.len() as u64;
        let Some(left) = self.bytes_left.checked_sub(len) else {
            let (allowed, left) = (Bytes(self.bytes_allowed), Bytes(self.bytes_left));
            return Err(format!("attachments may be {allowed} together, of which {left} are left"));
        };
        self.bytes_left = left;
        let about = Attachment { name, media_type, audience, len, digest: Digest::of(&bytes) };
        self.attachments.push(Attached { about, bytes });
        Ok(())
    }
}

/// The domain's word for it.
pub(super) fn audience(audience: types::Audience) -> Audience {
    match audience {
        types::Audience::Participant => Audience::Participant,
        types::Audience::Organizer => Audience::Organizer,
    }
}

impl Host for State {
    fn progress(&mut self, done: u64, total: u64) -> Result<()> {
        self.feedback.events.push(Event::Progress(done, total));
        Ok(())
    }

    fn note(&mut self, to: types::Audience, text: String) -> Result<()> {
        self.feedback.note(audience(to), text);
        Ok(())
    }

    fn attach(
        &mut self,
        to: types::Audience,
        name: String,
        media_type: String,
        bytes: Vec<u8>,
    ) -> Result<Result<(), String>> {
        Ok(self.feedback.attach(audience(to), name, media_type, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feedback() -> Feedback {
        Feedback::new(&Limits { notes: Bytes(100), attachments: Bytes(10), ..Limits::default() })
    }

    #[test]
    fn notes_over_the_cap_are_dropped() {
        let mut feedback = feedback();
        for text in ["a".repeat(60), "b".repeat(20), "c".into()] {
            feedback.note(Audience::Organizer, text);
        }
        (0..100).for_each(|_| feedback.note(Audience::Organizer, String::new()));
        let kept: Vec<usize> = feedback.notes.iter().map(|note| note.text.len()).collect();
        assert_eq!(kept, [60, 1], "76 bytes are used, then 17");
    }

    #[test]
    fn attachments_have_plain_unique_names_and_fit() {
        let mut feedback = feedback();
        let mut attach =
            |name: &str, len| feedback.attach(Audience::Participant, name.into(), "text/plain".into(), vec![0; len]);
        assert_eq!(attach("plot.svg", 6), Ok(()));
        assert_eq!(attach("plot.svg", 1), Err("there is an attachment `plot.svg` already".into()));
        for bad in ["", ".x", "a/b", "..", "ü", &"x".repeat(101)] {
            assert!(attach(bad, 1).unwrap_err().contains("name must be"), "{bad}");
        }
        let error = attach("big", 5).unwrap_err();
        assert_eq!(error, "attachments may be 10 B together, of which 4 B are left");
        (0..31).for_each(|n| assert_eq!(attach(&n.to_string(), 0), Ok(())));
        assert!(attach("one-more", 0).unwrap_err().contains("which is the most"));
        assert_eq!(feedback.attachments.len(), MAX_ATTACHMENTS);
    }

    #[test]
    fn a_listener_hears_notes_in_order_and_the_latest_progress() {
        #[derive(Default)]
        struct Heard(Vec<String>);
        impl Listener for Heard {
            fn progress(&mut self, done: u64, total: u64) {
                self.0.push(format!("{done}/{total}"));
            }
            fn note(&mut self, _: Audience, text: &str) {
                self.0.push(text.into());
            }
        }
        let events = Events::default();
        for event in [1, 2, 3].map(|done| Event::Progress(done, 9)) {
            events.push(event);
        }
        events.push(Event::Note(Audience::Organizer, "hello".into()));
        events.push(Event::Progress(4, 9));
        let mut heard = Heard::default();
        events.deliver(&mut heard);
        events.deliver(&mut heard);
        assert_eq!(heard.0, ["3/9", "hello", "4/9"]);
    }
}
