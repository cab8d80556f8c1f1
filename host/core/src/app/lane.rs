//! The way into containers: whether there is one, and how it goes there.
//!
//! An attempt that fails on our side says little of its submission and much of the engine. So the lane pauses, ever longer,
//! until a run goes well again, and the submission waits; an attempt is counted only when others' runs went well in between:
//! then it is this one that cannot be run.

use super::launch::{Containers, wait};
use super::{App, Refusal, chain};
use crate::domain::id::SubmissionId;
use crate::domain::job::{JobEvent, Stage, State};
use crate::domain::queue::Load;
use crate::ports::runner::Swept;
use crate::ports::store::Tracked;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

/// The pause after the first trouble; doubled for each further one.
const PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// The longest one.
const LONGEST: SignedDuration = SignedDuration::from_secs(60);
/// What waits for something of its own, such as an image that is gone, is looked at again after that.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(10);
/// From then on the attempts count of a submission that could not be run for so long: it has an end.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// What waits for room on a GPU is told that.
const FOR_GPUS: &str = "it waits for GPUs: the task asks for more than the server has now";
/// What waits where nothing runs programs is told that.
const NO_ENGINE: &str = "it waits for a container engine, which the server does not have now";
/// What waits while the disk is nearly full is told that.
const FULL: &str = "it waits until the server has more room on its disk";
/// What waits in line although a program more might run is told that.
const CRAMPED: &str = "the next program needs more CPUs, memory or disk than what runs leaves of the server's share";
/// What waits while the lane pauses is told that.
const TROUBLE: &str = "programs cannot be run on this server at the moment; it starts by itself as soon as they can";
/// Submissions whose troubles are remembered, at most.
const REMEMBERED: usize = 4_096;

/// How it stands.
pub(super) struct ContainerLane {
    containers: Result<Containers, String>,
    /// Troubles since a run last went well.
    troubles: u32,
    /// Nothing is begun before then.
    until: Option<Timestamp>,
    /// What the last trouble was, until the engine is seen to do its part again.
    why: Option<String>,
    /// The disk has too little room for what a run may leave.
    full: bool,
    /// Runs that were carried out, whatever they came to.
    done: u64,
    /// Submissions whose last attempt was in trouble.
    troubled: HashMap<SubmissionId, Troubled>,
}

/// One that was in trouble.
struct Troubled {
    /// When it was first.
    since: Timestamp,
    /// The runs that were carried out until the last time.
    done: u64,
}

impl Default for ContainerLane {
    fn default() -> Self {
        Self {
            containers: Err("this server was started without a container engine".to_owned()),
            troubles: 0,
            until: None,
            why: None,
            full: false,
            done: 0,
            troubled: HashMap::new(),
        }
    }
}

impl ContainerLane {
    /// Whether no run begins for a trouble with the engine: for a while, and then until it is seen to answer.
    fn pauses(&self, now: Timestamp) -> bool {
        self.why.is_some() || self.until.is_some_and(|until| now < until)
    }

    fn went_well(&mut self, id: SubmissionId) {
        self.troubles = 0;
        self.until = None;
        self.why = None;
        self.done += 1;
        self.troubled.remove(&id);
    }

    /// Whether the trouble is the submission's own, or has lasted too long.
    fn trouble(&mut self, id: SubmissionId, why: String, now: Timestamp) -> bool {
        self.why = Some(why);
        // Those that were under way together are one trouble.
        if self.until.is_none_or(|until| until <= now) {
            let pause = PAUSE.saturating_mul(1 << self.troubles.min(10)).min(LONGEST);
            self.troubles = self.troubles.saturating_add(1);
            self.until = Some(now.saturating_add(pause).unwrap_or(Timestamp::MAX));
        }
        // What is forgotten gets an attempt more.
        if self.troubled.len() >= REMEMBERED {
            self.troubled.clear();
        }
        let (done, first) = (self.done, Troubled { since: now, done: self.done });
        let before = self.troubled.entry(id).or_insert(first);
        let own = before.done < done || now.duration_since(before.since) > PATIENCE;
        before.done = done;
        own
    }
}

impl App {
    fn lane(&self) -> MutexGuard<'_, ContainerLane> {
        // Each change of it is one step.
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What runs participants' programs from now on, or why nothing does. An engine that was opened stays.
    pub fn open_lane(&self, containers: Result<Containers, String>) {
        if let Ok(containers) = &containers {
            self.queue().set_room(containers.room);
        }
        self.lane().containers = containers;
        self.signals.queued();
    }

    /// What runs programs.
    ///
    /// # Errors
    /// Why nothing does.
    pub fn containers(&self) -> Result<Containers, String> {
        self.lane().containers.clone()
    }

    /// The disk has too little room for what a run may leave, or enough. Whether that is new.
    pub fn set_full(&self, full: bool) -> bool {
        std::mem::replace(&mut self.lane().full, full) != full
    }

    /// Whether a run may be begun now. After a trouble, when the engine answers.
    pub(super) fn lane_is_open(&self, now: Timestamp) -> bool {
        let containers = {
            let lane = self.lane();
            match &lane.containers {
                Err(_) => return false,
                Ok(_) if lane.until.is_some_and(|until| now < until) => return false,
                Ok(_) if lane.troubles == 0 => return true,
                Ok(containers) => containers.clone(),
            }
        };
        if let Err(error) = wait(containers.runner.answers()) {
            let mut lane = self.lane();
            lane.until = now.saturating_add(PAUSE).ok();
            lane.why = Some(chain(&error));
            return false;
        }
        self.lane().why = None;
        // It is back, and may have kept what could not be removed. What stays is swept later.
        drop(wait(containers.runner.sweep(Vec::new())));
        true
    }

    /// When the lane opens again, if it pauses.
    pub(super) fn lane_opens(&self) -> Option<Timestamp> {
        let (lane, now) = (self.lane(), self.clock.now());
        lane.until.filter(|until| lane.containers.is_ok() && now < *until)
    }

    /// A run was carried out.
    pub(super) fn lane_went_well(&self, id: SubmissionId) {
        self.lane().went_well(id);
    }

    /// What a trouble with the engine means for a submission. `None`: the attempt counts.
    pub(super) fn lane_trouble(&self, tracked: &Tracked, why: String) -> Option<JobEvent> {
        let now = self.clock.now();
        let mut lane = self.lane();
        if lane.trouble(tracked.submission.id, why, now) {
            return None;
        }
        let until = lane.until.unwrap_or(now);
        Some(JobEvent::PutOff { epoch: tracked.job.epoch, until, reason: TROUBLE.to_owned() })
    }

    /// It waits for something of its own.
    pub(super) fn put_off(&self, tracked: &Tracked, reason: String) -> JobEvent {
        let until = self.clock.now().saturating_add(LOOK_AGAIN).unwrap_or(Timestamp::MAX);
        JobEvent::PutOff { epoch: tracked.job.epoch, until, reason }
    }

    /// Why no run begins now, if none does; with what is wrong with the engine, if operators ask: it may tell of the machine.
    fn no_run_begins(&self, operators: bool) -> Option<String> {
        let (lane, now) = (self.lane(), self.clock.now());
        let (reason, why) = match &lane.containers {
            Err(why) => (NO_ENGINE, Some(why)),
            Ok(_) if lane.pauses(now) => (TROUBLE, lane.why.as_ref()),
            Ok(_) if lane.full => (FULL, None),
            Ok(_) => return None,
        };
        let why = why.filter(|_| operators).map_or_else(String::new, |why| format!(": {why}"));
        Some(format!("{reason}{why}"))
    }

    /// Says of a challenge's load what the picture of the queue does not know.
    pub(super) fn explain(&self, load: &mut Load, operators: bool) {
        if load.parked > 0 {
            load.explain(FOR_GPUS, load.parked);
        }
        if let Some(why) = self.no_run_begins(operators) {
            // Those that were put off for it wait as the others do.
            let runs = if load.paused { 0 } else { load.runs };
            let waiting = runs + load.reasons.remove(TROUBLE).unwrap_or(0);
            if waiting > 0 {
                load.explain(&why, waiting);
            }
        } else if load.runs > 0 && !load.paused && self.queue().is_cramped() {
            load.explain(CRAMPED, load.runs);
        }
    }

    /// Why a submission waits for what nobody tells in its job.
    pub fn waits_in_vain(&self, tracked: &Tracked) -> Option<String> {
        if tracked.job.state != State::Queued {
            return None;
        }
        let (id, challenge) = (tracked.submission.id, &tracked.submission.challenge);
        let run = tracked.job.stage() == Stage::Run;
        let (parked, paused) = {
            let queue = self.queue();
            (run && queue.is_parked(id), queue.is_paused(challenge))
        };
        if parked {
            return Some(FOR_GPUS.to_owned());
        }
        let hold = paused.then(|| self.store.challenge(challenge).ok().flatten()?.hold).flatten();
        if let Some(hold) = hold {
            return Some(format!("it waits: the organizers have paused the queue {}", hold.told()));
        }
        // One that waits for a time of its own says why itself.
        let due = tracked.job.not_before.is_none_or(|at| at <= self.clock.now());
        (run && due).then(|| self.no_run_begins(false)).flatten()
    }

    /// Removes what runs of hosts that died left behind; those of this host are known to the runner.
    ///
    /// # Errors
    /// The engine's.
    pub fn sweep(&self) -> Result<Swept, Refusal> {
        match self.containers() {
            Ok(containers) => Ok(wait(containers.runner.sweep(Vec::new()))?),
            Err(_) => Ok(Swept::default()),
        }
    }

    /// Whether programs are run, as far as is known: nobody is asked.
    pub fn runs_programs(&self) -> bool {
        let lane = self.lane();
        lane.containers.is_ok() && !lane.full && !lane.pauses(self.clock.now())
    }

    /// Whether programs can be run now: the engine answers.
    pub fn can_run(&self) -> bool {
        self.containers().is_ok_and(|containers| wait(containers.runner.answers()).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> SubmissionId {
        SubmissionId(ulid::Ulid::from_parts(n, 0))
    }

    #[test]
    fn a_trouble_is_its_own_only_when_others_went_well_meanwhile() {
        let (mut lane, now) = (ContainerLane::default(), Timestamp::UNIX_EPOCH);
        let later = |seconds: i64| now + SignedDuration::from_secs(seconds);
        let why = || "down".to_owned();
        assert!(!lane.trouble(id(1), why(), now) && !lane.trouble(id(2), why(), now));
        assert_eq!((lane.troubles, lane.until), (1, Some(later(1))), "two at once are one");
        assert!(!lane.trouble(id(1), why(), later(1)));
        assert!(lane.pauses(later(9)), "until it is seen to answer");
        assert_eq!((lane.troubles, lane.until), (2, Some(later(3))));
        lane.went_well(id(2));
        assert!((lane.troubles, lane.until) == (0, None) && !lane.pauses(later(2)));
        assert!(lane.trouble(id(1), why(), later(3)), "it alone cannot be run");
        assert!(!lane.trouble(id(2), why(), later(4)), "this one could");
        for n in 0..20 {
            assert!(!lane.trouble(id(3), why(), later(100 * n + 100)));
        }
        assert_eq!(lane.until, Some(later(2_000) + LONGEST));
        assert!(lane.trouble(id(3), why(), later(24 * 3_600 + 101)), "it does not go on for ever");
    }
}
