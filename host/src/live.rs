//! Wake-ups inside the host: workers wait for the queue, event streams for the log.
//!
//! A signal carries no work: whoever it wakes reads the store. So one that is lost costs a moment and nothing else.

use gradus_core::domain::event::Event;
use gradus_core::domain::id::SubmissionId;
use gradus_core::ports::signals::Signals;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;

/// Signals that a slow event stream may be behind before it has to read the store instead.
const BACKLOG: usize = 1024;

/// What a stream hears.
#[derive(Debug, Clone, Copy)]
pub enum Live {
    /// Something was logged of that submission.
    Logged(SubmissionId),
    /// Its scorer is so far.
    Progress {
        /// Whose.
        id: SubmissionId,
        /// Steps done.
        done: u64,
        /// Steps in all.
        total: u64,
    },
    /// A queue is held, or goes on.
    Steered,
    /// The host stops.
    Stopping,
}

/// What wakes some of those who wait, and leaves the others alone.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<u64>,
    bell: Condvar,
}

impl Bell {
    /// How often it rang: to be read before looking for work, so that no ring in between is missed.
    pub fn rung(&self) -> u64 {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it rings after `seen`, or `most` is over.
    pub fn wait(&self, seen: u64, most: Duration) {
        let guard = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.bell.wait_timeout_while(guard, most, |rung| *rung == seen));
    }

    /// Wakes all that wait for it.
    pub fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.bell.notify_all();
    }
}

/// The switchboard.
pub struct Hub {
    live: broadcast::Sender<Live>,
    /// The queue has something.
    pub queue: Bell,
    /// There is a letter.
    pub letters: Bell,
    /// There is a push to be fetched.
    pub pushes: Bell,
    /// A forge is owed an answer.
    pub answers: Bell,
    /// There is a publication.
    pub publications: Bell,
}

impl Default for Hub {
    fn default() -> Self {
        let [queue, letters, pushes, answers, publications] = <[Bell; 5]>::default();
        Self { live: broadcast::channel(BACKLOG).0, queue, letters, pushes, answers, publications }
    }
}

impl Hub {
    /// Everything from now on.
    pub fn listen(&self) -> broadcast::Receiver<Live> {
        self.live.subscribe()
    }

    /// Ends the event streams and wakes all workers.
    pub fn stop(&self) {
        let _ = self.live.send(Live::Stopping);
        [&self.queue, &self.letters, &self.pushes, &self.answers, &self.publications].into_iter().for_each(Bell::ring);
    }
}

impl Signals for Hub {
    fn logged(&self, events: &[Event]) {
        if let Some(event) = events.first() {
            // Nobody listening is no error.
            let _ = self.live.send(Live::Logged(event.submission));
        }
    }

    fn progress(&self, id: SubmissionId, done: u64, total: u64) {
        let _ = self.live.send(Live::Progress { id, done, total });
    }

    fn steered(&self) {
        let _ = self.live.send(Live::Steered);
    }

    fn queued(&self) {
        self.queue.ring();
    }

    fn pushed(&self) {
        self.pushes.ring();
    }

    fn owed(&self) {
        self.answers.ring();
    }

    fn posted(&self) {
        self.letters.ring();
    }
}
