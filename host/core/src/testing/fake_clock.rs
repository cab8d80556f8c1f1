//! A clock that a test moves, and randomness that repeats.

use crate::domain::event::Event;
use crate::domain::id::SubmissionId;
use crate::ports::clock::Clock;
use crate::ports::signals::Signals;
use jiff::{SignedDuration, Timestamp};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use ulid::Ulid;

/// The clock.
#[derive(Debug)]
pub struct FakeClock {
    now: Mutex<Timestamp>,
    ids: AtomicU64,
}

impl FakeClock {
    /// Stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { now: Mutex::new(now), ids: AtomicU64::new(0) }
    }

    /// Moves on.
    pub fn pass(&self, span: SignedDuration) {
        let mut now = self.now.lock().expect("no test panics while it holds the clock");
        *now = now.saturating_add(span).unwrap_or(*now);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().expect("no test panics while it holds the clock")
    }

    fn id(&self, now: Timestamp) -> Ulid {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Ulid::from_parts(millis, u128::from(self.ids.fetch_add(1, Ordering::SeqCst)))
    }

    fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&self.ids.fetch_add(1, Ordering::SeqCst).to_be_bytes());
        secret
    }
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silence;

impl Signals for Silence {
    fn logged(&self, _events: &[Event]) {}
    fn progress(&self, _id: SubmissionId, _done: u64, _total: u64) {}
    fn steered(&self) {}
    fn queued(&self) {}
    fn pushed(&self) {}
    fn owed(&self) {}
    fn posted(&self) {}
}
