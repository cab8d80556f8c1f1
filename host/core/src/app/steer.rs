//! What organizers do to a queue and to quotas while a challenge runs; and the log of what they did.

use super::{App, Refusal};
use crate::domain::audit::{Act, Deed, Logged};
use crate::domain::challenge::{Hold, HoldKind};
use crate::domain::id::{ChallengeId, EntrantId, PhaseId};
use crate::domain::job::State;
use crate::domain::queue::{Load, Place};
use crate::domain::quota::Ledger;
use crate::domain::token::Token;
use crate::ports::store::{LedgerKey, Tracked};
use std::collections::BTreeMap;

/// Submissions that may be granted at once.
pub const MAX_EXTRA: u32 = 10_000;

impl App {
    /// Holds the queue of a challenge, or lets it go on. What runs is not touched.
    ///
    /// # Errors
    /// Not the bearer's to hold.
    pub fn hold(
        &self,
        token: &Token,
        challenge: &ChallengeId,
        kind: Option<HoldKind>,
        why: Option<String>,
    ) -> Result<Option<Hold>, Refusal> {
        self.organized(token, challenge)?;
        let now = self.clock.now();
        let hold = kind.map(|kind| Hold { kind, since: now, why: why.clone() });
        let deed = Deed::new(token, now, Act::Queue { challenge: challenge.clone(), hold: kind }, why);
        {
            let _both = self.steering.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if !self.store.set_hold(challenge, hold.clone(), &deed)? {
                return Err(Refusal::UnknownChallenge(challenge.clone()));
            }
            self.queue().set_paused(challenge, kind == Some(HoldKind::Paused));
        }
        self.signals.steered();
        self.signals.queued();
        Ok(hold)
    }

    /// Lets an entrant hand in `extra` times beyond the rules of a phase.
    ///
    /// # Errors
    /// Not the bearer's to grant; no such phase.
    pub fn grant_more(
        &self,
        token: &Token,
        challenge: &ChallengeId,
        phase: &PhaseId,
        entrant: &EntrantId,
        extra: u32,
        why: String,
    ) -> Result<Ledger, Refusal> {
        let seen = self.organized(token, challenge)?;
        if seen.version.challenge.phase(phase).is_none() {
            return Err(super::submit::unknown_phase(&seen.version, phase));
        }
        let (challenge, phase, entrant) = (challenge.clone(), phase.clone(), entrant.clone());
        let key = LedgerKey { challenge: challenge.clone(), phase: phase.clone(), entrant: entrant.clone() };
        let act = Act::QuotaGranted { challenge, phase, entrant, extra };
        Ok(self.store.grant(&key, extra, &Deed::new(token, self.clock.now(), act, Some(why)))?)
    }

    /// What was done with rights that others do not have, newest first: all of it for operators, that of one challenge for
    /// its organizers.
    ///
    /// # Errors
    /// Not the bearer's to read.
    pub fn audit(
        &self,
        token: &Token,
        challenge: Option<&ChallengeId>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Logged>, Refusal> {
        match challenge {
            Some(challenge) => drop(self.organized(token, challenge)?),
            None if token.is_operators() => {}
            None => return Err(Refusal::Forbidden("this is for operators")),
        }
        Ok(self.store.audit(challenge, before, limit)?)
    }

    /// How the queue is held and stands, challenge by challenge, for operators: those of which something waits, runs, or is
    /// held.
    ///
    /// # Errors
    /// The store's.
    pub fn queues(&self) -> Result<BTreeMap<ChallengeId, (Option<Hold>, Load)>, Refusal> {
        let mut holds: BTreeMap<_, _> = self.all_challenges()?.into_iter().map(|row| (row.id, row.hold)).collect();
        let mut loads = self.queue().load();
        holds.retain(|id, hold| hold.is_some() || loads.contains_key(id));
        let standing = |(id, hold): (ChallengeId, Option<Hold>)| {
            let mut load = loads.remove(&id).unwrap_or_default();
            self.explain(&mut load, true);
            (id, (hold, load))
        };
        Ok(holds.into_iter().map(standing).collect())
    }

    /// How the queue of one challenge is held and stands.
    ///
    /// # Errors
    /// Not the bearer's to know.
    pub fn queue_of(&self, token: &Token, challenge: &ChallengeId) -> Result<(Option<Hold>, Load), Refusal> {
        let seen = self.organized(token, challenge)?;
        let mut load = self.queue().load().remove(challenge).unwrap_or_default();
        self.explain(&mut load, token.is_operators());
        Ok((seen.row.hold, load))
    }

    /// So many take runs, and so many score.
    pub fn set_workers(&self, runs: u32, scores: u32) {
        self.queue().set_workers(runs, scores);
    }

    /// Where a submission stands that waits for its turn.
    pub fn place(&self, tracked: &Tracked) -> Option<Place> {
        let submission = &tracked.submission;
        let seat = || (submission.challenge.clone(), submission.phase.clone(), submission.entrant.clone());
        if tracked.job.state == State::Queued { self.queue().place(submission.id, &seat()) } else { None }
    }

    /// The challenge, if the bearer organizes it.
    ///
    /// # Errors
    /// Not the bearer's to steer.
    pub fn organized(&self, token: &Token, challenge: &ChallengeId) -> Result<super::access::Seen, Refusal> {
        let seen = self.see(Some(token), challenge)?;
        if seen.organizer { Ok(seen) } else { Err(Refusal::Forbidden("this is for the organizers of the challenge")) }
    }
}
