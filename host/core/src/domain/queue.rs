//! The picture of the queue: who is next. In memory, made anew from the open jobs at start; the jobs' rows decide, and a
//! claim that they refuse is no harm.
//!
//! Challenges take turns, and within one its organizers come first and its entrants take turns, so that nobody's many
//! submissions hold up another's single one. What waits for a container and what waits for a scorer stand in lines of their
//! own: scoring takes moments and never waits behind runs that take hours.
//!
//! Where one stands, and how long it may take, is told from here: it costs as much as there are entrants that wait, and
//! nothing for what ended.

mod lines;
mod room;
mod span;

use super::id::{ChallengeId, EntrantId, PhaseId, SubmissionId};
use super::job::Stage;
use super::units::Millis;
use jiff::Timestamp;
use lines::{Lines, Next};
pub use room::{IN_MEMORY, Room};
use serde::{Deserialize, Serialize};
use span::Durations;
pub use span::Span;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Whose turn: the entrant in a phase, as `concurrent` counts there.
pub type Seat = (ChallengeId, PhaseId, EntrantId);

/// A submission that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub id: SubmissionId,
    /// Whose.
    pub seat: Seat,
    /// An organizer handed it in: it begins before those of entrants.
    pub organizers: bool,
    /// Submissions of that seat that run at once, at most.
    pub concurrent: u32,
    /// Not before then.
    pub not_before: Option<Timestamp>,
    /// Why not, if there is more to say.
    pub reason: Option<String>,
    /// For what.
    pub stage: Stage,
    /// The part of the machine that its run takes; nothing for a scorer's.
    pub room: Room,
}

/// Where a submission waits.
#[derive(Debug, Clone, Copy)]
enum Held {
    Line(Stage),
    /// Until then.
    Delayed(Timestamp),
    /// It asks for more GPUs than there are: it waits for these, and holds up nobody.
    Parked,
}

/// One that is worked on.
#[derive(Debug)]
struct Running {
    seat: Seat,
    stage: Stage,
    room: Room,
    since: Timestamp,
}

/// Where a submission stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// How many begin before it, if nothing new comes.
    pub ahead: u64,
    /// When it begins, from now on; `None` while too little is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_in: Option<Span>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_in: Option<Span>,
}

/// How one challenge stands in the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// Worked on.
    pub running: u64,
    /// Of organizers, waiting for a container or a scorer.
    pub organizers: u64,
    /// Of entrants, waiting for a container or a scorer.
    pub entrants: u64,
    /// How many of both wait for a container.
    pub runs: u64,
    /// Entrants that have some waiting.
    pub seats: u64,
    /// Waiting for a time, after trouble.
    pub delayed: u64,
    /// Waiting for GPUs that there are not.
    pub parked: u64,
    /// Paused by its organizers.
    pub paused: bool,
    /// Why some wait for more than their turn, and how many for each.
    pub reasons: BTreeMap<String, u64>,
}

impl Load {
    /// All that wait, whatever for.
    pub fn waiting(&self) -> u64 {
        self.organizers + self.entrants + self.delayed + self.parked
    }

    /// So many wait for `reason`.
    pub fn explain(&mut self, reason: &str, count: u64) {
        *self.reasons.entry(reason.to_owned()).or_default() += count;
    }
}

/// The queue of all challenges.
#[derive(Debug, Default)]
pub struct Queue {
    runs: Lines,
    scores: Lines,
    delayed: BTreeMap<(Timestamp, SubmissionId), Waiting>,
    parked: BTreeMap<SubmissionId, Waiting>,
    waiting: HashMap<SubmissionId, Held>,
    running: HashMap<SubmissionId, Running>,
    seats: HashMap<Seat, u32>,
    /// Challenges of which nothing begins.
    paused: BTreeSet<ChallengeId>,
    took: HashMap<(ChallengeId, Stage), Durations>,
    /// Who takes runs, and who scores, at once.
    workers: (u32, u32),
    total: Room,
    free: Room,
    /// Somebody waits to be lent room: they are next.
    wanted: bool,
    /// The next run was seen to have no room beside those under way.
    cramped: bool,
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

    /// So many take runs, and so many score.
    pub fn set_workers(&mut self, runs: u32, scores: u32) {
        self.workers = (runs, scores);
    }

    /// From now on nothing of a challenge begins, or it does again.
    pub fn set_paused(&mut self, challenge: &ChallengeId, paused: bool) {
        if paused {
            self.paused.insert(challenge.clone());
        } else {
            self.paused.remove(challenge);
        }
    }

    /// Whether nothing of a challenge begins.
    pub fn is_paused(&self, challenge: &ChallengeId) -> bool {
        self.paused.contains(challenge)
    }

    /// Whether a submission waits for more GPUs than there are.
    pub fn is_parked(&self, id: SubmissionId) -> bool {
        self.parked.contains_key(&id)
    }

    fn lines(&self, stage: Stage) -> &Lines {
        match stage {
            Stage::Run => &self.runs,
            Stage::Score => &self.scores,
        }
    }

    fn lines_mut(&mut self, stage: Stage) -> &mut Lines {
        match stage {
            Stage::Run => &mut self.runs,
            Stage::Score => &mut self.scores,
        }
    }

    /// Puts a submission at the end of its seat's line. What runs, or waits already, is not put in twice: `false`.
    pub fn push(&mut self, item: Waiting) -> bool {
        if self.running.contains_key(&item.id) || self.waiting.contains_key(&item.id) {
            return false;
        }
        match item.not_before {
            Some(at) => {
                self.waiting.insert(item.id, Held::Delayed(at));
                self.delayed.insert((at, item.id), item);
            }
            None => self.line_up(item),
        }
        true
    }

    fn line_up(&mut self, item: Waiting) {
        if item.stage == Stage::Run && item.room.gpus > self.total.gpus {
            self.waiting.insert(item.id, Held::Parked);
            self.parked.insert(item.id, item);
            return;
        }
        self.waiting.insert(item.id, Held::Line(item.stage));
        self.lines_mut(item.stage).push(item);
    }

    /// Takes the next submission for `stage` and counts it as running. The next one whose run has no room holds the line:
    /// else small ones could keep a big one waiting for ever.
    pub fn take(&mut self, stage: Stage, now: Timestamp) -> Option<SubmissionId> {
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            let item = entry.remove();
            self.line_up(item);
        }
        if stage == Stage::Run && self.wanted {
            self.cramped = true;
            return None;
        }
        let (seats, free, total) = (&self.seats, self.free, self.total);
        let lines = match stage {
            Stage::Run => &mut self.runs,
            Stage::Score => &mut self.scores,
        };
        let may = |item: &Waiting| seats.get(&item.seat).copied().unwrap_or(0) < item.concurrent;
        // What asks for more than there ever is runs with nothing beside it.
        let fits = |item: &Waiting| free.holds(item.room.least(total));
        let next = lines.take(&self.paused, may, fits);
        if stage == Stage::Run {
            self.cramped = matches!(next, Next::NoRoom);
        }
        match next {
            Next::Taken(item) => {
                self.waiting.remove(&item.id);
                *self.seats.entry(item.seat.clone()).or_default() += 1;
                self.free = self.free.without(self.clamped(item.room));
                let running = Running { seat: item.seat, stage, room: item.room, since: now };
                self.running.insert(item.id, running);
                Some(item.id)
            }
            Next::NoRoom | Next::Nobody => None,
        }
    }

    fn clamped(&self, room: Room) -> Room {
        room.least(self.total)
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

    /// A submission does not run any more. It ended at `now`, if it did: then it says how long such ones take.
    pub fn done(&mut self, id: SubmissionId, now: Option<Timestamp>) {
        let Some(Running { seat, stage, room, since }) = self.running.remove(&id) else { return };
        self.free = self.free.with(self.clamped(room));
        if let Some(count) = self.seats.get_mut(&seat) {
            *count -= 1;
            if *count == 0 {
                self.seats.remove(&seat);
            }
        }
        if let Some(now) = now {
            // A clock that jumped back says nothing.
            let took = u64::try_from(now.duration_since(since).as_millis());
            if let Ok(took) = took {
                self.took.entry((seat.0, stage)).or_default().add(Millis(took));
            }
        }
    }

    /// Takes a waiting submission out: it was cancelled. `false` if it did not wait.
    pub fn remove(&mut self, id: SubmissionId, seat: &Seat) -> bool {
        match self.waiting.remove(&id) {
            Some(Held::Line(stage)) => self.lines_mut(stage).remove(id, seat),
            Some(Held::Delayed(at)) => self.delayed.remove(&(at, id)).is_some(),
            Some(Held::Parked) => self.parked.remove(&id).is_some(),
            None => false,
        }
    }

    /// Where a submission stands that waits for its turn; `None` for one that waits for something else, or does not.
    pub fn place(&self, id: SubmissionId, seat: &Seat) -> Option<Place> {
        let Some(Held::Line(stage)) = self.waiting.get(&id).copied() else { return None };
        let all = self.lines(stage).ahead(id, seat, &self.paused)?;
        let ahead = all.iter().map(|(_, count)| *count as u64).sum();
        let starts_in = if self.paused.contains(&seat.0) { None } else { self.starts_in(stage, &all, ahead) };
        let own = self.span(&seat.0, stage);
        Some(Place { ahead, starts_in, ends_in: starts_in.zip(own).map(|(starts, own)| starts.and(own)) })
    }

    fn span(&self, challenge: &ChallengeId, stage: Stage) -> Option<Span> {
        self.took.get(&(challenge.clone(), stage))?.span()
    }

    /// What is before it and what runs, shared by those who work: at best what runs ends at once.
    fn starts_in(&self, stage: Stage, ahead: &[(&ChallengeId, usize)], count: u64) -> Option<Span> {
        let running: Vec<_> = self.running.values().filter(|running| running.stage == stage).collect();
        let workers = u64::from(match stage {
            // More workers than fit beside each other are of no use.
            Stage::Run if running.is_empty() => self.workers.0,
            Stage::Run => self.workers.0.min(u32::try_from(running.len()).unwrap_or(u32::MAX)),
            Stage::Score => self.workers.1,
        });
        if count == 0 && (running.len() as u64) < workers {
            return Some(Span::default());
        }
        let mut work = Span::default();
        for (challenge, count) in ahead.iter().filter(|(_, count)| *count > 0) {
            work = work.and(self.span(challenge, stage)?.times(*count as u64));
        }
        for running in running {
            let most = self.span(&running.seat.0, stage)?.most;
            work = work.and(Span { least: Millis(0), most });
        }
        Some(work.shared(workers))
    }

    /// Whether the next run waits until those under way leave room for it, and all others behind it.
    pub fn is_cramped(&self) -> bool {
        self.cramped
    }

    /// When the next delayed submission is due.
    pub fn due(&self) -> Option<Timestamp> {
        self.delayed.keys().next().map(|(at, _)| *at)
    }

    /// The one that waits since the earliest submission.
    pub fn oldest(&self) -> Option<SubmissionId> {
        self.waiting.keys().min().copied()
    }

    /// Whether any waits for its turn at `stage`.
    pub fn waits(&self, stage: Stage) -> bool {
        match stage {
            Stage::Run => !self.runs.is_empty(),
            Stage::Score => !self.scores.is_empty(),
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// How it stands, challenge by challenge: those of which something waits, runs, or is paused.
    pub fn load(&self) -> BTreeMap<ChallengeId, Load> {
        let mut all: BTreeMap<ChallengeId, Load> = BTreeMap::new();
        for stage in [Stage::Run, Stage::Score] {
            for (challenge, organizers, entrants, seats) in self.lines(stage).counts() {
                let load = all.entry(challenge.clone()).or_default();
                load.organizers += organizers as u64;
                load.entrants += entrants as u64;
                load.seats += seats as u64;
                if stage == Stage::Run {
                    load.runs += (organizers + entrants) as u64;
                }
            }
        }
        for item in self.delayed.values() {
            let load = all.entry(item.seat.0.clone()).or_default();
            load.delayed += 1;
            if let Some(reason) = &item.reason {
                load.explain(reason, 1);
            }
        }
        for item in self.parked.values() {
            all.entry(item.seat.0.clone()).or_default().parked += 1;
        }
        for running in self.running.values() {
            all.entry(running.seat.0.clone()).or_default().running += 1;
        }
        for challenge in &self.paused {
            all.entry(challenge.clone()).or_default().paused = true;
        }
        all
    }
}

#[cfg(test)]
mod tests;
