//! Web hooks out: organizers make them, the end of a submission writes letters in the transaction that stores it, and couriers
//! take them there, again and again until they are taken. So each is sent at least once, whatever dies in between.

use super::{App, Refusal};
use crate::domain::audit::{Act, Deed};
use crate::domain::hook::{Hook, Letter, Secret, ended, tried};
use crate::domain::id::{ChallengeId, HookId, LetterId};
use crate::domain::job::Job;
use crate::domain::report::Report;
use crate::domain::submission::Submission;
use crate::domain::token::Token;
use crate::ports::courier::{Courier, Undelivered};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashSet;
use std::sync::{Arc, MutexGuard, PoisonError};

/// Hooks of a challenge, at most.
pub const MAX_HOOKS: usize = 10;
/// Letters of a hook that are counted, at most.
const COUNTED: usize = 1_000;
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

/// A hook that a courier is at.
struct Visit<'a> {
    app: &'a App,
    hook: HookId,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.app.visited().remove(&self.hook);
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

    fn visited(&self) -> MutexGuard<'_, HashSet<HookId>> {
        self.visited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells `url` from now on what becomes of submissions to a challenge. The hook, with its secret.
    ///
    /// # Errors
    /// Not the bearer's to make; no place for a hook; there are too many.
    pub fn add_hook(&self, token: &Token, challenge: &ChallengeId, url: &str) -> Result<Hook, Refusal> {
        self.organized(token, challenge)?;
        let courier = self.courier()?;
        courier.may_be_at(url).map_err(Refusal::NoHook)?;
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
            let letters = self.store.letters(hook.id, COUNTED)?;
            let waiting = letters.iter().filter(|letter| letter.due.is_some()).count();
            let error = letters.iter().find_map(|letter| letter.error.clone());
            Ok(HookStanding { hook, waiting, given_up: letters.len() - waiting, error })
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
        if removed { Ok(()) } else { Err(Refusal::Unknown("web hook")) }
    }

    /// Sends a hook a letter that says nothing. Its id.
    ///
    /// # Errors
    /// Not the bearer's to try; there is none.
    pub fn try_hook(&self, token: &Token, challenge: &ChallengeId, id: HookId) -> Result<LetterId, Refusal> {
        self.organized(token, challenge)?;
        let hook = self.store.hooks(challenge)?.into_iter().find(|hook| hook.id == id);
        let hook = hook.ok_or(Refusal::Unknown("web hook"))?;
        let now = self.clock.now();
        let letter = Letter::new(LetterId(self.clock.id(now)), &hook, tried(&hook, now), now);
        let id = letter.id;
        self.store.post(letter)?;
        self.signals.queued();
        Ok(id)
    }

    /// What is told of a submission that ends.
    pub(super) fn letters_of(
        &self,
        submission: &Submission,
        job: &Job,
        report: Option<&Report>,
        now: Timestamp,
    ) -> Result<Vec<Letter>, Refusal> {
        let hooks = self.store.hooks(&submission.challenge)?;
        if hooks.is_empty() {
            return Ok(Vec::new());
        }
        let body = ended(submission, job, report, now);
        let letter = |hook: &Hook| Letter::new(LetterId(self.clock.id(now)), hook, body.clone(), now);
        Ok(hooks.iter().map(letter).collect())
    }

    /// Takes the next letter that is due to its hook. One at a time goes to each, so that a slow one holds up itself alone.
    ///
    /// # Errors
    /// The store's: then it is sent once more.
    pub fn carry(&self) -> Result<Carried, Refusal> {
        let Some(courier) = &self.courier else { return Ok(Carried::Nothing) };
        let now = self.clock.now();
        let (letter, _visit) = {
            let mut visited = self.visited();
            let Some(letter) = self.store.due_letter(now, &visited)? else { return Ok(Carried::Nothing) };
            visited.insert(letter.hook);
            let visit = Visit { app: self, hook: letter.hook };
            (letter, visit)
        };
        let hook = self.store.hooks(&letter.challenge)?.into_iter().find(|hook| hook.id == letter.hook);
        // It was removed meanwhile.
        let Some(hook) = hook else {
            self.store.settle_letter(letter.id, None)?;
            return Ok(Carried::Taken);
        };
        let Err(Undelivered { text, after, gone }) = courier.deliver(&hook, &letter, now) else {
            self.store.settle_letter(letter.id, None)?;
            return Ok(Carried::Taken);
        };
        let id = letter.id;
        let mut next = letter.put_off(text.clone(), after, self.clock.now());
        if gone {
            next.due = None;
        }
        let given_up = next.due.is_none();
        self.store.settle_letter(id, Some(next))?;
        Ok(Carried::Not { hook: hook.id, why: text, given_up })
    }

    /// When the next letter is due that nobody is at.
    ///
    /// # Errors
    /// The store's.
    pub fn next_letter(&self) -> Result<Option<Timestamp>, Refusal> {
        let visited = self.visited().clone();
        Ok(self.store.due_letter(Timestamp::MAX, &visited)?.and_then(|letter| letter.due))
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
