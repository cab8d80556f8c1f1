//! The picture of the queue: who is next. In memory, made anew from the open jobs at start; the jobs' rows decide, and a
//! claim that they refuse is no harm.
//!
//! Challenges take turns, and within one its entrants do, so that nobody's many submissions hold up another's single one.
//! What waits for a container and what waits for a scorer stand in lines of their own: scoring takes moments and never
//! waits behind runs that take hours.

use super::id::{ChallengeId, EntrantId, PhaseId, SubmissionId};
use super::job::Stage;
use super::run_limits::RunLimits;
use super::units::{Bytes, MilliCpus};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Whose turn: the entrant in a phase, as `concurrent` counts there.
pub type Seat = (ChallengeId, PhaseId, EntrantId);

/// Output places up to this size lie in memory, on top of a run's own.
pub const IN_MEMORY: Bytes = Bytes(256 << 20);

/// A part of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// CPUs.
    pub cpus: MilliCpus,
    /// Memory.
    pub memory: Bytes,
    /// Disk, for outputs that do not lie in memory.
    pub disk: Bytes,
    /// GPUs, each of one run's alone.
    pub gpus: u32,
}

impl Room {
    /// The whole of it, however much that is.
    pub const ALL: Self =
        Self { cpus: MilliCpus(u64::MAX), memory: Bytes(u64::MAX), disk: Bytes(u64::MAX), gpus: u32::MAX };

    /// What a run with these limits may use.
    pub fn of(limits: &RunLimits) -> Self {
        // A small output place lies in memory, too.
        let (output, disk) = if limits.output <= IN_MEMORY { (limits.output.0, 0) } else { (0, limits.output.0) };
        Self { cpus: limits.cpus, memory: Bytes(limits.memory.0.saturating_add(output)), disk: Bytes(disk), gpus: 0 }
    }

    /// Whether `other` is no more than this.
    pub fn holds(self, other: Self) -> bool {
        other.cpus <= self.cpus && other.memory <= self.memory && other.disk <= self.disk && other.gpus <= self.gpus
    }

    fn with(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }

    fn without(self, other: Self) -> Self {
        self.each(other, u64::saturating_sub)
    }

    fn least(self, other: Self) -> Self {
        self.each(other, u64::min)
    }

    fn each(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            cpus: MilliCpus(of(self.cpus.0, other.cpus.0)),
            memory: Bytes(of(self.memory.0, other.memory.0)),
            disk: Bytes(of(self.disk.0, other.disk.0)),
            gpus: u32::try_from(of(self.gpus.into(), other.gpus.into())).unwrap_or(u32::MAX),
        }
    }
}

impl Room {
    /// In words: what of `asked` is more than this, and what there is of that. `None`: it fits.
    pub fn lacks(self, asked: Self) -> Option<(String, String)> {
        let words = |of: Self| {
            [
                (asked.cpus > self.cpus, format!("{} CPUs", of.cpus)),
                (asked.memory > self.memory, format!("{} of memory", of.memory)),
                (asked.disk > self.disk, format!("{} of disk", of.disk)),
                (asked.gpus > self.gpus, format!("{} GPUs", of.gpus)),
            ]
            .into_iter()
            .filter_map(|(over, words)| over.then_some(words))
            .collect::<Vec<_>>()
            .join(", ")
        };
        (!self.holds(asked)).then(|| (words(asked), words(self)))
    }
}

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
    /// For what.
    pub stage: Stage,
    /// The part of the machine that its run takes; nothing for a scorer's.
    pub room: Room,
}

/// The seats of one challenge, in turn.
#[derive(Debug, Default)]
struct Line {
    turns: VecDeque<Seat>,
    waiting: HashMap<Seat, VecDeque<Waiting>>,
}

/// What waits for one stage.
#[derive(Debug, Default)]
struct Lines {
    challenges: VecDeque<ChallengeId>,
    lines: HashMap<ChallengeId, Line>,
}

/// The queue of all challenges.
#[derive(Debug, Default)]
pub struct Queue {
    runs: Lines,
    scores: Lines,
    delayed: BTreeMap<(Timestamp, SubmissionId), Waiting>,
    /// What asks for more GPUs than there are: it waits for these, and holds up nobody.
    parked: BTreeMap<SubmissionId, Waiting>,
    running: HashMap<SubmissionId, (Seat, Room)>,
    seats: HashMap<Seat, u32>,
    waiting: usize,
    total: Room,
    free: Room,
    /// Somebody waits to be lent room: they are next.
    wanted: bool,
}

impl Queue {
    /// An empty one, with so much for all runs together.
    pub fn with_room(room: Room) -> Self {
        Self { total: room, free: room, ..Self::default() }
    }

    /// From now on there is so much for all runs together, those under way among them.
    pub fn set_room(&mut self, room: Room) {
        let used = self.total.without(self.free);
        self.total = room;
        self.free = room.without(used);
        for item in std::mem::take(&mut self.parked).into_values() {
            self.line_up(item);
        }
    }

    /// Whether a submission waits for more GPUs than there are.
    pub fn is_parked(&self, id: SubmissionId) -> bool {
        self.parked.contains_key(&id)
    }

    fn lines(&mut self, stage: Stage) -> &mut Lines {
        match stage {
            Stage::Run => &mut self.runs,
            Stage::Score => &mut self.scores,
        }
    }

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
        let lined = |lines: &Lines| {
            let seat = lines.lines.get(&item.seat.0).and_then(|line| line.waiting.get(&item.seat));
            seat.is_some_and(|seat| seat.iter().any(|other| other.id == item.id))
        };
        lined(&self.runs)
            || lined(&self.scores)
            || self.parked.contains_key(&item.id)
            || self.delayed.keys().any(|(_, id)| *id == item.id)
    }

    fn line_up(&mut self, item: Waiting) {
        if item.stage == Stage::Run && item.room.gpus > self.total.gpus {
            self.parked.insert(item.id, item);
            return;
        }
        let challenge = item.seat.0.clone();
        let Lines { challenges, lines } = self.lines(item.stage);
        if !lines.contains_key(&challenge) {
            challenges.push_back(challenge.clone());
        }
        let line = lines.entry(challenge).or_default();
        if !line.waiting.contains_key(&item.seat) {
            line.turns.push_back(item.seat.clone());
        }
        line.waiting.entry(item.seat.clone()).or_default().push_back(item);
    }

    /// Takes the next submission for `stage` and counts it as running. The next one whose run has no room holds the line:
    /// else small ones could keep a big one waiting for ever.
    pub fn take(&mut self, stage: Stage, now: Timestamp) -> Option<SubmissionId> {
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            let item = entry.remove();
            self.line_up(item);
        }
        if stage == Stage::Run && self.wanted {
            return None;
        }
        for _ in 0..self.lines(stage).challenges.len() {
            let challenge = self.lines(stage).challenges.front()?.clone();
            let taken = match self.next_of(stage, &challenge) {
                // The turn stays where it is.
                Some(seat) if !self.fits(stage, &seat) => return None,
                next => next.and_then(|seat| self.take_from(stage, &seat)),
            };
            let Lines { challenges, lines } = self.lines(stage);
            challenges.pop_front();
            match lines.get(&challenge) {
                Some(line) if line.turns.is_empty() => drop(lines.remove(&challenge)),
                _ => challenges.push_back(challenge),
            }
            if let Some(item) = taken {
                self.waiting -= 1;
                *self.seats.entry(item.seat.clone()).or_default() += 1;
                self.free = self.free.without(self.clamped(item.room));
                self.running.insert(item.id, (item.seat, item.room));
                return Some(item.id);
            }
        }
        None
    }

    /// What asks for more than there ever is runs with nothing beside it.
    fn clamped(&self, room: Room) -> Room {
        room.least(self.total)
    }

    fn fits(&mut self, stage: Stage, seat: &Seat) -> bool {
        let line = self.lines(stage).lines.get(&seat.0).and_then(|line| line.waiting.get(seat));
        let room = line.and_then(VecDeque::front).map_or(Room::default(), |next| next.room);
        self.free.holds(self.clamped(room))
    }

    /// Whose turn it is in `challenge`: the first that runs fewer than it may. Those before it wait behind it.
    fn next_of(&mut self, stage: Stage, challenge: &ChallengeId) -> Option<Seat> {
        let turns = self.lines(stage).lines.get(challenge).map_or(0, |line| line.turns.len());
        for _ in 0..turns {
            let line = self.lines(stage).lines.get_mut(challenge)?;
            let seat = line.turns.front()?.clone();
            let most = match line.waiting.get(&seat).and_then(VecDeque::front) {
                Some(next) => next.concurrent,
                // All of its submissions were cancelled.
                None => {
                    line.waiting.remove(&seat);
                    line.turns.pop_front();
                    continue;
                }
            };
            if self.seats.get(&seat).copied().unwrap_or(0) < most {
                return Some(seat);
            }
            if let Some(line) = self.lines(stage).lines.get_mut(challenge) {
                line.turns.rotate_left(1);
            }
        }
        None
    }

    /// Takes the first of `seat`, whose turn it is.
    fn take_from(&mut self, stage: Stage, seat: &Seat) -> Option<Waiting> {
        let line = self.lines(stage).lines.get_mut(&seat.0)?;
        line.turns.pop_front();
        let queue = line.waiting.get_mut(seat)?;
        let taken = queue.pop_front();
        if queue.is_empty() {
            line.waiting.remove(seat);
        } else {
            line.turns.push_back(seat.clone());
        }
        taken
    }

    /// Takes room for a run that is no submission's. `false`: there is none now, and no submission's run begins before
    /// there is; ask again, or [`unwant`](Self::unwant) it.
    pub fn lend(&mut self, room: Room) -> bool {
        let room = self.clamped(room);
        let fits = self.free.holds(room);
        self.wanted = !fits;
        if fits {
            self.free = self.free.without(room);
        }
        fits
    }

    /// Nobody waits to be lent room any more.
    pub fn unwant(&mut self) {
        self.wanted = false;
    }

    /// Gives back what was lent.
    pub fn give_back(&mut self, room: Room) {
        self.free = self.free.with(self.clamped(room));
    }

    /// A submission does not run any more.
    pub fn done(&mut self, id: SubmissionId) {
        let Some((seat, room)) = self.running.remove(&id) else { return };
        self.free = self.free.with(self.clamped(room));
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
        } else if self.parked.remove(&id).is_some() {
            true
        } else {
            [&mut self.runs, &mut self.scores].into_iter().any(|lines| {
                let Some(queue) = lines.lines.get_mut(&seat.0).and_then(|line| line.waiting.get_mut(seat)) else {
                    return false;
                };
                let before = queue.len();
                // An emptied seat leaves the line when its turn comes.
                queue.retain(|item| item.id != id);
                queue.len() < before
            })
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
mod tests;
