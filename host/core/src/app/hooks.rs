//! Web hooks out: organizers make them, the end of a submission writes letters in the transaction that stores it, and couriers
//! take them there, again and again until they are taken. So each is sent at least once, whatever dies in between.

use super::{App, Refusal};
use crate::domain::audit::{Act, Deed};
use crate::domain::hook::{Hook, Letter, Secret, ended, pause, tried};
use crate::domain::id::{ChallengeId, HookId, LetterId};
use crate::domain::job::Job;
use crate::domain::report::Report;
use crate::domain::submission::Submission;
use crate::domain::token::Token;
use crate::ports::courier::{Courier, Undelivered};
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError};

/// Hooks of a challenge, at most.
pub const MAX_HOOKS: usize = 10;
/// Letters of a hook that are counted, at most.
const COUNTED: usize = 1_000;
/// Letters that wait for a hook that does not take them, at most: more are not written.
const MAX_WAITING: usize = 10_000;
/// Letters that say nothing are written while fewer wait.
const MAX_TRIED: usize = 100;
/// Letters of which the last trouble is looked for.
const SEEN: usize = 5;
/// Letters that are on their way at once to hooks of one challenge.
const OF_CHALLENGE: usize = 2;
/// What was given up is forgotten after so long.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A hook, and how its letters fare.
#[derive(Debug, Clone, PartialEq)]
pub struct HookStanding {
    /// The hook.
    pub hook: Hook,
    /// Letters that are sent, or sent again.
    pub waiting: usize,
    /// Letters that were given up in the last days.
    pub given_up: usize,
    /// What came of the newest of them last, if it was not taken.
    pub error: Option<String>,
}

/// What a courier's turn came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// Nothing is due.
    Nothing,
    /// A letter was taken.
    Taken,
    /// Its hook was removed meanwhile.
    Dropped,
    /// It was not, and is sent again or given up.
    Not {
        /// To which hook.
        hook: HookId,
        /// Why.
        why: String,
        /// Whether it was given up.
        given_up: bool,
    },
}

/// How couriers fare. Only here: after a start each hook is tried anew.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// Hooks that a courier is at, and of which challenges.
    visited: HashMap<HookId, ChallengeId>,
    /// Hooks that did not take their last letter: how often in a row, and until when they rest.
    resting: HashMap<HookId, (u32, Timestamp)>,
    /// Letters that wait for each hook, once they were counted: not for each submission that ends.
    waiting: HashMap<HookId, usize>,
    /// Letters that were not written, since nobody was told of it last.
    unwritten: u64,
}

impl Rounds {
    /// Hooks that nobody goes to at `now`. To those that did not take their last letter, one courier goes at a time: they
    /// may hang, and the others do not wait for that.
    fn left_alone(&self, now: Timestamp) -> HashSet<HookId> {
        let tried = self.visited.keys().any(|hook| self.resting.contains_key(hook));
        let resting = self.resting.iter().filter(|(_, (_, until))| tried || *until > now);
        self.visited.keys().chain(resting.map(|(hook, _)| hook)).copied().collect()
    }
}

/// A hook that a courier is at.
struct Visit<'a> {
    app: &'a App,
    hook: HookId,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.app.rounds().visited.remove(&self.hook);
    }
}

impl App {
    /// The same, with who takes letters to web hooks.
    #[must_use]
    pub fn with_courier(mut self, courier: Arc<dyn Courier>) -> Self {
        self.courier = Some(courier);
        self
    }

    fn courier(&self) -> Result<&dyn Courier, Refusal> {
        self.courier.as_deref().ok_or(Refusal::Forbidden("this server sends no web hooks"))
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells `url` from now on what becomes of submissions to a challenge. The hook, with its secret.
    ///
    /// # Errors
    /// Not the bearer's to make; no place for a hook; there are too many.
    pub fn add_hook(&self, token: &Token, challenge: &ChallengeId, url: &str) -> Result<Hook, Refusal> {
        self.organized(token, challenge)?;
        let courier = self.courier()?;
        courier.may_be_at(url).map_err(Refusal::NoHook)?;
        // One after the other, so that no more are made than there may be.
        let _one = self.steering.lock().unwrap_or_else(PoisonError::into_inner);
        if self.store.hooks(challenge)?.len() >= MAX_HOOKS {
            return Err(Refusal::NoHook(format!("a challenge has {MAX_HOOKS} web hooks at most; remove one first")));
        }
        let now = self.clock.now();
        let (id, by) = (HookId(self.clock.id(now)), token.subject.clone());
        let secret = Secret::new(self.clock.secret());
        let hook = Hook { id, challenge: challenge.clone(), url: url.to_owned(), secret, made_at: now, by };
        let act = Act::HookMade { challenge: challenge.clone(), hook: id };
        self.store.put_hook(&hook, &Deed::new(token, now, act, None))?;
        Ok(hook)
    }

    /// The hooks of a challenge.
    ///
    /// # Errors
    /// Not the bearer's to know.
    pub fn hooks(&self, token: &Token, challenge: &ChallengeId) -> Result<Vec<HookStanding>, Refusal> {
        self.organized(token, challenge)?;
        let standing = |hook: Hook| {
            let (waiting, given_up) = self.store.letter_counts(hook.id, COUNTED)?;
            let error = self.store.letters(hook.id, SEEN)?.into_iter().find_map(|letter| letter.error);
            Ok(HookStanding { hook, waiting, given_up, error })
        };
        self.store.hooks(challenge)?.into_iter().map(standing).collect()
    }

    /// Removes a hook; what waits for it is not sent.
    ///
    /// # Errors
    /// Not the bearer's to remove; there is none.
    pub fn remove_hook(&self, token: &Token, challenge: &ChallengeId, id: HookId) -> Result<(), Refusal> {
        self.organized(token, challenge)?;
        let act = Act::HookRemoved { challenge: challenge.clone(), hook: id };
        let removed = self.store.remove_hook(challenge, id, &Deed::new(token, self.clock.now(), act, None))?;
        if !removed {
            return Err(Refusal::Unknown("web hook"));
        }
        let mut rounds = self.rounds();
        rounds.resting.remove(&id);
        rounds.waiting.remove(&id);
        Ok(())
    }

    /// Sends a hook a letter that says nothing. Its id.
    ///
    /// # Errors
    /// Not the bearer's to try; there is none.
    pub fn try_hook(&self, token: &Token, challenge: &ChallengeId, id: HookId) -> Result<LetterId, Refusal> {
        self.organized(token, challenge)?;
        let hook = self.store.hooks(challenge)?.into_iter().find(|hook| hook.id == id);
        let hook = hook.ok_or(Refusal::Unknown("web hook"))?;
        let (waiting, _) = self.store.letter_counts(id, MAX_TRIED)?;
        if waiting >= MAX_TRIED {
            let text = format!(
                "{MAX_TRIED} letters or more wait for this web hook already: it will be seen whether they arrive"
            );
            return Err(Refusal::NoHook(text));
        }
        let now = self.clock.now();
        let letter = Letter::new(LetterId(self.clock.id(now)), &hook, tried(&hook, now), now);
        let id = letter.id;
        self.store.post(letter)?;
        self.written(&[hook.id], 0);
        self.signals.posted();
        Ok(id)
    }

    /// What is told of a submission that ends, and how many hooks are not told, as too much waits for them.
    pub(super) fn letters_of(
        &self,
        submission: &Submission,
        job: &Job,
        report: Option<&Report>,
        now: Timestamp,
    ) -> Result<(Vec<Letter>, u64), Refusal> {
        let hooks = self.store.hooks(&submission.challenge)?;
        if hooks.is_empty() {
            return Ok((Vec::new(), 0));
        }
        let body = ended(submission, job, report, now);
        let (mut letters, mut unwritten) = (Vec::new(), 0);
        for hook in &hooks {
            if self.wait_for(hook.id)? < MAX_WAITING {
                letters.push(Letter::new(LetterId(self.clock.id(now)), hook, body.clone(), now));
            } else {
                unwritten += 1;
            }
        }
        Ok((letters, unwritten))
    }

    /// How many letters wait for a hook. One that takes them slowly is no better than one that takes none.
    fn wait_for(&self, hook: HookId) -> Result<usize, Refusal> {
        if let Some(waiting) = self.rounds().waiting.get(&hook) {
            return Ok(*waiting);
        }
        let (waiting, _) = self.store.letter_counts(hook, MAX_WAITING)?;
        Ok(*self.rounds().waiting.entry(hook).or_insert(waiting))
    }

    /// A letter to a hook does not wait any more.
    fn settled(&self, hook: HookId) {
        if let Some(waiting) = self.rounds().waiting.get_mut(&hook) {
            *waiting = waiting.saturating_sub(1);
        }
    }

    /// Letters to these hooks were written, and so many were not.
    pub(super) fn written(&self, to: &[HookId], unwritten: u64) {
        if to.is_empty() && unwritten == 0 {
            return;
        }
        let mut rounds = self.rounds();
        rounds.unwritten += unwritten;
        for hook in to {
            if let Some(waiting) = rounds.waiting.get_mut(hook) {
                *waiting += 1;
            }
        }
    }

    /// How many letters were not written since this was asked last, as too many wait for their hook.
    pub fn unwritten_letters(&self) -> u64 {
        std::mem::take(&mut self.rounds().unwritten)
    }

    /// The next letter that is due to a hook that somebody may go to now, who then is there.
    fn next_visit(&self, now: Timestamp) -> Result<Option<(Letter, Visit<'_>)>, Refusal> {
        let mut rounds = self.rounds();
        // First to those that take their letters.
        let failing = rounds.visited.keys().chain(rounds.resting.keys()).copied().collect();
        for mut but in [failing, rounds.left_alone(now)] {
            while let Some(letter) = self.store.due_letter(now, &but)? {
                let of_challenge = rounds.visited.values().filter(|of| **of == letter.challenge).count();
                if of_challenge < OF_CHALLENGE {
                    rounds.visited.insert(letter.hook, letter.challenge.clone());
                    let visit = Visit { app: self, hook: letter.hook };
                    return Ok(Some((letter, visit)));
                }
                but.insert(letter.hook);
            }
        }
        Ok(None)
    }

    /// A hook took its letter, or did not and rests: longer each time in a row.
    fn went(&self, hook: HookId, well: bool, after: Option<SignedDuration>) {
        let now = self.clock.now();
        let mut rounds = self.rounds();
        if well {
            rounds.resting.remove(&hook);
            return;
        }
        let failed = rounds.resting.get(&hook).map_or(0, |(failed, _)| *failed);
        let pause = pause(failed, after).unwrap_or(SignedDuration::from_hours(24));
        let until = now.saturating_add(pause).unwrap_or(Timestamp::MAX);
        rounds.resting.insert(hook, (failed.saturating_add(1), until));
    }

    /// Takes the next letter that is due to its hook. One at a time goes to each, and few to those of one challenge and to those
    /// that did not take their last: a slow one holds up itself.
    ///
    /// # Errors
    /// The store's: then it is sent once more.
    pub fn carry(&self) -> Result<Carried, Refusal> {
        let Some(courier) = &self.courier else { return Ok(Carried::Nothing) };
        let now = self.clock.now();
        let Some((letter, _visit)) = self.next_visit(now)? else { return Ok(Carried::Nothing) };
        let hook = self.store.hooks(&letter.challenge)?.into_iter().find(|hook| hook.id == letter.hook);
        let Some(hook) = hook else {
            self.store.settle_letter(letter.id, None)?;
            let mut rounds = self.rounds();
            rounds.resting.remove(&letter.hook);
            rounds.waiting.remove(&letter.hook);
            return Ok(Carried::Dropped);
        };
        let Err(Undelivered { text, after, gone }) = courier.deliver(&hook, &letter, now) else {
            self.went(hook.id, true, None);
            self.store.settle_letter(letter.id, None)?;
            self.settled(hook.id);
            return Ok(Carried::Taken);
        };
        self.went(hook.id, false, after);
        let id = letter.id;
        let mut next = letter.put_off(text.clone(), after, self.clock.now());
        if gone {
            next.due = None;
        }
        let given_up = next.due.is_none();
        self.store.settle_letter(id, Some(next))?;
        if given_up {
            self.settled(hook.id);
        }
        Ok(Carried::Not { hook: hook.id, why: text, given_up })
    }

    /// When a courier may have something to do next, if nobody tells: a letter is due, or a hook has rested.
    ///
    /// # Errors
    /// The store's.
    pub fn next_letter(&self) -> Result<Option<Timestamp>, Refusal> {
        let now = self.clock.now();
        let (but, rested) = {
            let rounds = self.rounds();
            let rested = rounds.resting.iter().filter(|(hook, _)| !rounds.visited.contains_key(hook));
            (rounds.left_alone(now), rested.map(|(_, (_, until))| *until).filter(|until| *until > now).min())
        };
        let due = self.store.due_letter(Timestamp::MAX, &but)?.and_then(|letter| letter.due);
        Ok(due.into_iter().chain(rested).min())
    }

    /// Forgets letters that were given up long ago.
    ///
    /// # Errors
    /// The store's.
    pub fn forget_letters(&self) -> Result<usize, Refusal> {
        let before = self.clock.now().saturating_sub(KEPT).unwrap_or(Timestamp::MIN);
        Ok(self.store.forget_letters(before)?)
    }
}
