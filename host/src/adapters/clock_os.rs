//! The system's clock and its randomness.

use gradus_core::ports::clock::Clock;
use jiff::Timestamp;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use ulid::Ulid;

/// Time as the system tells it; it may jump.
#[derive(Debug, Default)]
pub struct OsClock {
    last: Mutex<Ulid>,
}

/// `N` bytes that nobody can guess.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without randomness there are no secrets; going on would make guessable ones.
    getrandom::fill(&mut bytes).expect("the system has randomness once it has booted");
    bytes
}

impl Clock for OsClock {
    fn now(&self) -> Timestamp {
        Timestamp::try_from(SystemTime::now()).expect("the system's clock is between the years -9999 and 9999")
    }

    /// Ids of one process ascend, so that lists are in the order of arrival even within a millisecond, and when the clock
    /// jumps back.
    fn id(&self, now: Timestamp) -> Ulid {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        *last = if millis > last.timestamp_ms() {
            Ulid::from_parts(millis, u128::from_be_bytes(random()))
        } else {
            // A step at random keeps ids of one millisecond as hard to guess as they need be: they are no secrets.
            let step = 1 + u128::from(u32::from_be_bytes(random()));
            Ulid(last.0.wrapping_add(step))
        };
        *last
    }

    fn secret(&self) -> [u8; 32] {
        random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_ascend_even_when_the_clock_jumps_back() {
        let clock = OsClock::default();
        let now = clock.now();
        let back = now - jiff::SignedDuration::from_secs(60);
        let ids: Vec<_> = (0..10_000).map(|n| clock.id(if n % 3 == 0 { back } else { now })).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert_eq!(ids[1].timestamp_ms(), now.as_millisecond() as u64);
    }

    #[test]
    fn threads_never_get_the_same_id() {
        let clock = OsClock::default();
        let now = clock.now();
        let ids: BTreeSet<_> = std::thread::scope(|scope| {
            let make = || (0..1_000).map(|_| clock.id(now)).collect::<Vec<_>>();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 8_000);
    }

    #[test]
    fn it_tells_the_time_and_keeps_no_secret() {
        let clock = OsClock::default();
        let off = clock.now().as_second().abs_diff(Timestamp::now().as_second());
        assert!(off <= 2, "{off} s");
        assert_ne!(clock.secret(), clock.secret());
    }
}
