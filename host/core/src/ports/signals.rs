//! Wake-ups for those who wait. A signal carries no work and may be lost: whoever gets it reads the store.

use crate::domain::event::Event;
use crate::domain::id::SubmissionId;

/// Wake-ups.
pub trait Signals: Send + Sync {
    /// These events were logged.
    fn logged(&self, events: &[Event]);
    /// A scorer is so far. Not logged: the next one makes it worthless.
    fn progress(&self, id: SubmissionId, done: u64, total: u64);
    /// A queue is held, or goes on: places tell something else now.
    fn steered(&self);
    /// The queue has something for a worker.
    fn queued(&self);
    /// There is a push to be fetched.
    fn pushed(&self);
    /// A forge is owed an answer.
    fn owed(&self);
    /// There is a letter to a web hook.
    fn posted(&self);
}
