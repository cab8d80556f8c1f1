//! What runs at the start and from time to time: nothing is stuck, whatever happened. Each is idempotent and takes no
//! input, so that the way after a crash and the way in between are one.

use super::launch::wait;
use super::work::LEASE;
use super::{App, Refusal};
use crate::domain::challenge::{ChallengeRow, HoldKind};
use crate::domain::id::{ChallengeId, SubmissionId};
use crate::domain::job::{Job, JobEvent, Stage};
use crate::domain::operation::Operation;
use crate::domain::queue::Load;
use crate::ports::store::Tracked;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// Challenges that are read at once.
const PAGE: usize = 256;

/// What the host that was here before left.
#[derive(Debug, Default, PartialEq)]
pub struct Recovered {
    /// Publications that have not ended.
    pub operations: Vec<Operation>,
    /// Submissions that it was at when it ended, and how they stand now.
    pub cut_off: Vec<(SubmissionId, Job)>,
}

impl App {
    /// At the start: claims of the host that was here before are void, as the store has one opener; whatever has not
    /// ended waits.
    ///
    /// # Errors
    /// The store's.
    pub fn recover(&self) -> Result<Recovered, Refusal> {
        let mut cut_off = Vec::new();
        for tracked in self.store.open_jobs()? {
            let id = tracked.submission.id;
            if tracked.job.lease.is_some() {
                cut_off.extend(self.change(id, &JobEvent::HostLost, None)?.map(|job| (id, job)));
            }
        }
        for tracked in self.store.open_jobs()? {
            self.line_up(&tracked)?;
        }
        for row in self.all_challenges()? {
            let paused = row.hold.is_some_and(|hold| hold.kind == HoldKind::Paused);
            self.queue().set_paused(&row.id, paused);
        }
        self.recover_pushes()?;
        self.recover_answers()?;
        Ok(Recovered { operations: self.store.running_operations()?, cut_off })
    }

    /// Renews the claims of this host's workers. Due more often than [`LEASE`] lasts.
    ///
    /// # Errors
    /// The store's.
    pub fn renew(&self) -> Result<(), Refusal> {
        let held: Vec<_> = self.running().iter().map(|(id, held)| (*id, held.clone())).collect();
        for (id, held) in held {
            let until = self.clock.now().saturating_add(LEASE).unwrap_or(Timestamp::MAX);
            match self.change(id, &JobEvent::Renewed { epoch: held.epoch, until }, None)? {
                Some(_) => {}
                // Cancelled, or taken over: its result would be dropped.
                None => held.stop.store(true, Ordering::Relaxed),
            }
        }
        Ok(())
    }

    /// Takes back the claims that were not renewed in time: by their rows, as whoever held one may be gone. What waits by
    /// its row is put into the picture, if it is not there.
    ///
    /// # Errors
    /// The store's.
    pub fn reap(&self) -> Result<usize, Refusal> {
        let now = self.clock.now();
        let mut count = 0;
        for tracked in self.store.open_jobs()? {
            let id = tracked.submission.id;
            if tracked.job.lease.is_none() {
                self.line_up(&tracked)?;
                continue;
            }
            // Whoever of ours is at it was only late to say so: a write may have taken longer than a lease holds.
            let ours = self.running().get(&id).is_some_and(|held| held.epoch == tracked.job.epoch);
            let late = !ours && tracked.job.lease.as_ref().is_some_and(|lease| lease.until <= now);
            if late && self.change(id, &JobEvent::LeaseExpired, None)?.is_some() {
                count += 1;
                // Nobody of ours is at it: it waits again. If somebody is, it lines up when they are done.
                if !self.running().contains_key(&id)
                    && let Some(tracked) = self.store.submission(id)?
                {
                    self.queue().done(id, None);
                    self.line_up(&tracked)?;
                }
            }
        }
        Ok(count)
    }

    pub(super) fn all_challenges(&self) -> Result<Vec<ChallengeRow>, Refusal> {
        let mut all: Vec<ChallengeRow> = Vec::new();
        loop {
            let rows = self.store.challenges(all.last().map(|row| &row.id), PAGE)?;
            if rows.is_empty() {
                return Ok(all);
            }
            all.extend(rows);
        }
    }

    /// Removes images that were fetched for tasks and that neither a live version nor anything under way needs. How many.
    ///
    /// # Errors
    /// The store's, the engine's.
    pub fn prune_images(&self) -> Result<u64, Refusal> {
        let Ok(containers) = self.containers() else { return Ok(0) };
        let mut versions = BTreeSet::new();
        versions.extend(self.all_challenges()?.into_iter().map(|row| (row.id, row.live)));
        let operations = self.store.running_operations()?;
        versions.extend(operations.into_iter().map(|operation| (operation.challenge, operation.version)));
        for Tracked { submission, job, .. } in self.store.open_jobs()? {
            if job.stage() == Stage::Run {
                versions.insert((submission.challenge, submission.version));
            }
        }
        let mut needed = Vec::new();
        for (challenge, version) in versions {
            if let Some(version) = self.store.version(&challenge, version)? {
                needed.extend(version.images.into_values().chain(version.ingestion_images.into_values()));
            }
        }
        Ok(wait(containers.runner.prune(needed))?)
    }

    /// Forgets idempotency keys whose day is over.
    ///
    /// # Errors
    /// The store's.
    pub fn tidy(&self) -> Result<usize, Refusal> {
        Ok(self.store.forget_idempotency(self.clock.now())?)
    }

    /// The host stops: runs end as soon as they can, and wait for the next start.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        for held in self.running().values() {
            held.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the host stops.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// When there may be something to do that nobody signals: a delayed submission is due, or the lane opens again.
    pub fn due(&self) -> Option<Timestamp> {
        let due = self.queue().due();
        [due, self.lane_opens()].into_iter().flatten().min()
    }

    /// How the queue stands, challenge by challenge.
    pub fn load(&self) -> BTreeMap<ChallengeId, Load> {
        self.queue().load()
    }

    /// For how long the one waits that was handed in first of those that do. Looks at all that wait.
    pub fn longest_wait(&self) -> Option<SignedDuration> {
        let oldest = self.queue().oldest()?;
        let since = i64::try_from(oldest.0.timestamp_ms()).ok()?;
        Some(self.clock.now().duration_since(Timestamp::from_millisecond(since).ok()?))
    }
}
