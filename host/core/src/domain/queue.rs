//! The picture of the queue: who is next. In memory, made anew from the open jobs at start; the jobs' rows decide, and a
//! claim that they refuse is no harm.
//!
//! Challenges take turns, and within one its entrants do, so that nobody's many submissions hold up another's single one.

use super::id::{ChallengeId, EntrantId, PhaseId, SubmissionId};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Whose turn: the entrant in a phase, as `concurrent` counts there.
pub type Seat = (ChallengeId, PhaseId, EntrantId);

/// A submission that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub id: SubmissionId,
    /// Whose.
    pub seat: Seat,
    /// Submissions of that seat that run at once, at most.
    pub concurrent: u32,
    /// Not before then.
    pub not_before: Option<Timestamp>,
}

/// The seats of one challenge, in turn.
#[derive(Debug, Default)]
struct Line {
    turns: VecDeque<Seat>,
    waiting: HashMap<Seat, VecDeque<Waiting>>,
}

/// The queue of all challenges.
#[derive(Debug, Default)]
pub struct Queue {
    challenges: VecDeque<ChallengeId>,
    lines: HashMap<ChallengeId, Line>,
    delayed: BTreeMap<(Timestamp, SubmissionId), Waiting>,
    running: HashMap<SubmissionId, Seat>,
    seats: HashMap<Seat, u32>,
    waiting: usize,
}

impl Queue {
    /// Puts a submission at the end of its seat's line. What runs, or waits already, is not put in twice: `false`.
    pub fn push(&mut self, item: Waiting) -> bool {
        if self.running.contains_key(&item.id) || self.holds(&item) {
            return false;
        }
        self.waiting += 1;
        match item.not_before {
            Some(at) => drop(self.delayed.insert((at, item.id), item)),
            None => self.line_up(item),
        }
        true
    }

    fn holds(&self, item: &Waiting) -> bool {
        let lined = self.lines.get(&item.seat.0).and_then(|line| line.waiting.get(&item.seat));
        lined.is_some_and(|seat| seat.iter().any(|other| other.id == item.id))
            || self.delayed.keys().any(|(_, id)| *id == item.id)
    }

    fn line_up(&mut self, item: Waiting) {
        let challenge = &item.seat.0;
        if !self.lines.contains_key(challenge) {
            self.challenges.push_back(challenge.clone());
        }
        let line = self.lines.entry(challenge.clone()).or_default();
        if !line.waiting.contains_key(&item.seat) {
            line.turns.push_back(item.seat.clone());
        }
        line.waiting.entry(item.seat.clone()).or_default().push_back(item);
    }

    /// Takes the next submission and counts it as running.
    pub fn take(&mut self, now: Timestamp) -> Option<SubmissionId> {
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            let item = entry.remove();
            self.line_up(item);
        }
        for _ in 0..self.challenges.len() {
            let challenge = self.challenges.pop_front()?;
            let taken = self.take_from(&challenge);
            match self.lines.get(&challenge) {
                Some(line) if line.turns.is_empty() => drop(self.lines.remove(&challenge)),
                _ => self.challenges.push_back(challenge),
            }
            if let Some(item) = taken {
                self.waiting -= 1;
                *self.seats.entry(item.seat.clone()).or_default() += 1;
                self.running.insert(item.id, item.seat);
                return Some(item.id);
            }
        }
        None
    }

    fn take_from(&mut self, challenge: &ChallengeId) -> Option<Waiting> {
        let line = self.lines.get_mut(challenge)?;
        for _ in 0..line.turns.len() {
            let seat = line.turns.pop_front()?;
            let running = self.seats.get(&seat).copied().unwrap_or(0);
            let queue = line.waiting.get_mut(&seat)?;
            let free = queue.front().is_some_and(|next| running < next.concurrent);
            let taken = if free { queue.pop_front() } else { None };
            if queue.is_empty() {
                line.waiting.remove(&seat);
            } else {
                line.turns.push_back(seat);
            }
            if taken.is_some() {
                return taken;
            }
        }
        None
    }

    /// A submission does not run any more.
    pub fn done(&mut self, id: SubmissionId) {
        let Some(seat) = self.running.remove(&id) else { return };
        if let Some(count) = self.seats.get_mut(&seat) {
            *count -= 1;
            if *count == 0 {
                self.seats.remove(&seat);
            }
        }
    }

    /// Takes a waiting submission out: it was cancelled. `false` if it did not wait.
    pub fn remove(&mut self, id: SubmissionId, seat: &Seat) -> bool {
        let delayed = self.delayed.keys().find(|(_, waiting)| *waiting == id).copied();
        let removed = if let Some(key) = delayed {
            self.delayed.remove(&key).is_some()
        } else if let Some(queue) = self.lines.get_mut(&seat.0).and_then(|line| line.waiting.get_mut(seat)) {
            let before = queue.len();
            // An emptied seat leaves the line when its turn comes.
            queue.retain(|item| item.id != id);
            queue.len() < before
        } else {
            false
        };
        self.waiting -= usize::from(removed);
        removed
    }

    /// When the next delayed submission is due.
    pub fn due(&self) -> Option<Timestamp> {
        self.delayed.keys().next().map(|(at, _)| *at)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.running.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> SubmissionId {
        SubmissionId(ulid::Ulid::from_parts(n, 0))
    }

    fn seat(challenge: &str, entrant: &str) -> Seat {
        (challenge.parse().unwrap(), "dev".parse().unwrap(), entrant.parse().unwrap())
    }

    fn item(n: u64, challenge: &str, entrant: &str) -> Waiting {
        Waiting { id: id(n), seat: seat(challenge, entrant), concurrent: 2, not_before: None }
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn one_with_many_does_not_hold_up_others() {
        let mut queue = Queue::default();
        for n in 0..100 {
            queue.push(item(n, "c", "many"));
        }
        queue.push(item(200, "c", "one"));
        queue.push(item(201, "d", "other"));
        let first: Vec<_> = (0..3).map_while(|_| queue.take(NOW)).collect();
        assert!(first.contains(&id(200)) && first.contains(&id(201)), "{first:?}");
        assert_eq!((queue.waiting(), queue.running()), (99, 3));
    }

    #[test]
    fn no_more_of_one_run_at_once_than_allowed() {
        let mut queue = Queue::default();
        for n in 0..3 {
            queue.push(item(n, "c", "a"));
        }
        assert_eq!(queue.take(NOW), Some(id(0)));
        assert_eq!(queue.take(NOW), Some(id(1)));
        assert_eq!(queue.take(NOW), None);
        queue.done(id(0));
        assert_eq!(queue.take(NOW), Some(id(2)));
    }

    #[test]
    fn a_delayed_one_waits_for_its_time_and_a_cancelled_one_is_gone() {
        let mut queue = Queue::default();
        let later = NOW + jiff::SignedDuration::from_secs(1);
        queue.push(Waiting { not_before: Some(later), ..item(0, "c", "a") });
        queue.push(item(1, "c", "a"));
        assert_eq!(queue.due(), Some(later));
        assert!(queue.remove(id(1), &seat("c", "a")));
        assert!(!queue.remove(id(1), &seat("c", "a")));
        assert_eq!(queue.take(NOW), None);
        assert_eq!(queue.take(later), Some(id(0)));
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn what_is_in_is_not_put_in_twice() {
        let mut queue = Queue::default();
        queue.push(item(0, "c", "a"));
        queue.push(item(0, "c", "a"));
        assert_eq!((queue.take(NOW), queue.take(NOW)), (Some(id(0)), None));
        queue.push(item(0, "c", "a"));
        assert_eq!(queue.waiting(), 0, "it runs");
    }

    #[test]
    fn after_a_cancellation_the_seat_lines_up_again() {
        let mut queue = Queue::default();
        queue.push(item(0, "c", "a"));
        queue.remove(id(0), &seat("c", "a"));
        queue.push(item(1, "c", "a"));
        assert_eq!(queue.take(NOW), Some(id(1)));
        assert_eq!(queue.take(NOW), None);
    }
}
