//! Who is next of those who wait for one stage: challenges in turn, in each the organizers before the entrants, and of
//! either one after the other.

use super::{Seat, Waiting};
use crate::domain::id::{ChallengeId, SubmissionId};
use std::collections::{BTreeSet, HashMap, VecDeque};

/// The seats of one rank of a challenge, in turn.
#[derive(Debug, Default)]
struct Turns {
    order: VecDeque<Seat>,
    /// Never empty ones.
    waiting: HashMap<Seat, VecDeque<Waiting>>,
    len: usize,
}

/// One challenge.
#[derive(Debug, Default)]
struct Line {
    organizers: Turns,
    entrants: Turns,
}

/// What waits for one stage.
#[derive(Debug, Default)]
pub(super) struct Lines {
    challenges: VecDeque<ChallengeId>,
    /// Never empty ones.
    lines: HashMap<ChallengeId, Line>,
}

/// Who is next.
#[derive(Debug)]
pub(super) enum Next {
    /// This one, which does not wait any more.
    Taken(Waiting),
    /// One for which there is no room now, and nobody overtakes it.
    NoRoom,
    /// Nobody.
    Nobody,
}

impl Turns {
    fn push(&mut self, item: Waiting) {
        let queue = self.waiting.entry(item.seat.clone()).or_default();
        if queue.is_empty() {
            self.order.push_back(item.seat.clone());
        }
        queue.push_back(item);
        self.len += 1;
    }

    /// The first whose turn it is of those that may begin. Those before it wait behind it.
    fn next(&mut self, may: &impl Fn(&Waiting) -> bool) -> Option<&Waiting> {
        let at = self.order.iter().position(|seat| self.front(seat).is_some_and(may))?;
        self.order.rotate_left(at);
        self.front(self.order.front()?)
    }

    fn front(&self, seat: &Seat) -> Option<&Waiting> {
        self.waiting.get(seat)?.front()
    }

    /// Takes the first of the seat whose turn it is, which goes to the end of the line.
    fn take(&mut self) -> Option<Waiting> {
        let seat = self.order.pop_front()?;
        let queue = self.waiting.get_mut(&seat)?;
        let taken = queue.pop_front()?;
        self.len -= 1;
        if queue.is_empty() {
            self.waiting.remove(&seat);
        } else {
            self.order.push_back(seat);
        }
        Some(taken)
    }

    fn remove(&mut self, id: SubmissionId, seat: &Seat) -> bool {
        let Some(queue) = self.waiting.get_mut(seat) else { return false };
        let before = queue.len();
        queue.retain(|item| item.id != id);
        let removed = before - queue.len();
        self.len -= removed;
        if queue.is_empty() {
            self.waiting.remove(seat);
            self.order.retain(|other| other != seat);
        }
        removed > 0
    }

    /// How many of these begin before the submission, when each seat takes its turn.
    fn ahead(&self, id: SubmissionId, seat: &Seat) -> Option<usize> {
        let own = self.waiting.get(seat)?.iter().position(|item| item.id == id)?;
        let mut before = 1;
        let mut ahead = own;
        for other in &self.order {
            if other == seat {
                before = 0;
            } else {
                ahead += self.waiting.get(other).map_or(0, VecDeque::len).min(own + before);
            }
        }
        Some(ahead)
    }
}

impl Line {
    fn of(&mut self, item: &Waiting) -> &mut Turns {
        if item.organizers { &mut self.organizers } else { &mut self.entrants }
    }

    fn len(&self) -> usize {
        self.organizers.len + self.entrants.len
    }

    /// Those whose turn it is.
    fn turns(&mut self, may: &impl Fn(&Waiting) -> bool) -> Option<&mut Turns> {
        [&mut self.organizers, &mut self.entrants]
            .into_iter()
            .find_map(|turns| turns.next(may).is_some().then_some(turns))
    }
}

impl Lines {
    /// Whether nothing is in them.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Puts a submission at the end of its seat's line.
    pub(super) fn push(&mut self, item: Waiting) {
        let challenge = &item.seat.0;
        if !self.lines.contains_key(challenge) {
            self.challenges.push_back(challenge.clone());
        }
        self.lines.entry(challenge.clone()).or_default().of(&item).push(item);
    }

    /// Takes the next one out of those that `may` begin, and of challenges that are not `held`; the next one that does not
    /// fit holds the line.
    pub(super) fn take(
        &mut self,
        held: &BTreeSet<ChallengeId>,
        may: impl Fn(&Waiting) -> bool,
        fits: impl Fn(&Waiting) -> bool,
    ) -> Next {
        for _ in 0..self.challenges.len() {
            let Some(challenge) = self.challenges.pop_front() else { break };
            let line = self.lines.get_mut(&challenge).filter(|_| !held.contains(&challenge));
            let mut turns = line.and_then(|line| line.turns(&may));
            let next = turns.as_mut().and_then(|turns| turns.next(&may));
            if next.is_some_and(|next| !fits(next)) {
                // The turn stays where it is.
                self.challenges.push_front(challenge);
                return Next::NoRoom;
            }
            let taken = turns.and_then(Turns::take);
            if self.lines.get(&challenge).is_some_and(|line| line.len() > 0) {
                self.challenges.push_back(challenge);
            } else {
                self.lines.remove(&challenge);
            }
            if let Some(taken) = taken {
                return Next::Taken(taken);
            }
        }
        Next::Nobody
    }

    /// Takes a submission out.
    pub(super) fn remove(&mut self, id: SubmissionId, seat: &Seat) -> bool {
        let Some(line) = self.lines.get_mut(&seat.0) else { return false };
        let removed = line.organizers.remove(id, seat) || line.entrants.remove(id, seat);
        if line.len() == 0 {
            self.lines.remove(&seat.0);
            self.challenges.retain(|challenge| *challenge != seat.0);
        }
        removed
    }

    /// How many begin before the submission if each that is allowed to takes its turn and nothing new comes, by challenge:
    /// its own first. What its entrants may run at once is not looked at: it depends on how long the others take.
    pub(super) fn ahead<'a>(
        &'a self,
        id: SubmissionId,
        seat: &'a Seat,
        held: &BTreeSet<ChallengeId>,
    ) -> Option<Vec<(&'a ChallengeId, usize)>> {
        let line = self.lines.get(&seat.0)?;
        let own = match line.organizers.ahead(id, seat) {
            Some(ahead) => ahead,
            None => line.organizers.len + line.entrants.ahead(id, seat)?,
        };
        let mut all = vec![(&seat.0, own)];
        let mut before = 1;
        for other in &self.challenges {
            if *other == seat.0 {
                before = 0;
            } else if !held.contains(other) {
                let count = self.lines.get(other).map_or(0, Line::len).min(own + before);
                all.extend((count > 0).then_some((other, count)));
            }
        }
        Some(all)
    }

    /// How many wait in each challenge: organizers', entrants', and of how many seats.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&ChallengeId, usize, usize, usize)> {
        self.lines.iter().map(|(challenge, Line { organizers, entrants })| {
            (challenge, organizers.len, entrants.len, organizers.waiting.len() + entrants.waiting.len())
        })
    }
}
