//! Handing in: through the door, the format check, the quota; then one transaction, and only then an answer.

use super::check::Pending;
use super::folder::Folder;
use super::launch::{lane, named_image, wait};
use super::{App, Refusal};
use crate::domain::challenge::{Hold, HoldKind, Phase, PhaseState, Repeats, TaskRun, Version};
use crate::domain::contract::Contract;
use crate::domain::digest::{Digest, Hasher};
use crate::domain::forge::ObjectId;
use crate::domain::id::{ChallengeId, EntrantId, PhaseId, SubmissionId, TokenId};
use crate::domain::job::{Job, Stage};
use crate::domain::program;
use crate::domain::push::Push;
use crate::domain::queue::{Room, Waiting};
use crate::domain::report::{Problem, Problems, SHOWN_PROBLEMS};
use crate::domain::submission::{About, Lane, Submission, Upload};
use crate::domain::token::Token;
use crate::ports::store::{Admission, Admitted, Idempotency, LedgerKey, Tracked};
use jiff::{SignedDuration, Timestamp};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, MutexGuard, PoisonError};

/// How long an idempotency key holds.
const KEY_HOLDS: SignedDuration = SignedDuration::from_hours(24);

/// Where somebody may hand in.
#[derive(Debug, Clone)]
pub struct Door {
    /// The live version.
    pub version: Arc<Version>,
    /// The phase.
    pub phase: Phase,
    /// Who hands in organizes the challenge.
    pub organizer: bool,
    /// How the challenge's queue is held, if it is.
    pub hold: Option<Hold>,
}

/// What is handed in.
pub struct Offer {
    /// What arrived.
    pub upload: Upload,
    /// Its files.
    pub files: Pending,
    /// What the participant says about it.
    pub about: About,
    /// The client's idempotency key.
    pub key: Option<String>,
    /// When the last byte arrived.
    pub arrived: Timestamp,
}

/// Who hands in, and how.
#[derive(Clone, Copy)]
pub struct Hand<'a> {
    /// Who.
    pub entrant: &'a EntrantId,
    /// With which token, if it was not pushed.
    pub token: Option<TokenId>,
    /// The push that it is, its commit, and what the repository says of itself.
    pub push: Option<(&'a Push, &'a ObjectId, &'a Contract)>,
}

impl<'a> From<&'a Token> for Hand<'a> {
    fn from(token: &'a Token) -> Self {
        Self { entrant: &token.subject, token: Some(token.id), push: None }
    }
}

/// What came of looking over what is handed in.
pub enum LookedOver {
    /// It was taken in before.
    Before(Submitted),
    /// It can be taken in.
    Good(Box<Good>),
}

/// What is handed in, looked over.
pub struct Good {
    offer: Offer,
    lane: Lane,
    request: Digest,
    once: Option<Digest>,
    ledger_key: LedgerKey,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// The submission.
    pub id: SubmissionId,
    /// The same request was accepted before; this is that one.
    pub before: bool,
    /// The same files were handed in before, and are not graded again; this is that one.
    pub same: bool,
}

impl App {
    /// The cheap checks: before a body is read, and again when it is dealt with. The token and the live version are those of
    /// the call; the phase and the key are held against `now`, the moment when the last byte arrived. A request that was
    /// accepted before, by its idempotency key, gets its answer again even if the phase is over by now.
    ///
    /// # Errors
    /// No such challenge or phase; not the bearer's; not open; the token was revoked.
    pub fn door(
        &self,
        token: &Token,
        challenge: &ChallengeId,
        phase: &PhaseId,
        key: Option<&str>,
        now: Timestamp,
    ) -> Result<Door, Refusal> {
        if self.store.token(token.id)?.is_none_or(|token| token.revoked_at.is_some()) {
            return Err(Refusal::Revoked);
        }
        let seen = self.see(Some(token), challenge)?;
        let Some(found) = seen.version.challenge.phase(phase) else {
            return Err(unknown_phase(&seen.version, phase));
        };
        if !token.submits(challenge) {
            return Err(Refusal::Forbidden("this token is for another challenge"));
        }
        let door = Door { phase: found.clone(), version: seen.version, organizer: seen.organizer, hold: seen.row.hold };
        let known = key.map(|key| self.store.idempotent(token.id, key, now)).transpose()?.flatten();
        let same = |submission: &Submission| submission.challenge == *challenge && submission.phase == *phase;
        let before = known.map(|(_, id)| self.store.submission(id)).transpose()?.flatten();
        if !before.is_some_and(|before| same(&before.submission)) {
            door.open(now)?;
        }
        Ok(door)
    }

    /// Only the format check: stores and charges nothing.
    ///
    /// # Errors
    /// As [`App::check`].
    pub fn check_only(&self, door: &Door, files: &Pending) -> Result<(), Refusal> {
        self.look_at(door, files.folder()).map(drop)
    }

    /// What can be said of files at the door: predictions are held against the task's format; of a program it is seen that
    /// it can be started. Which way they take.
    fn look_at(&self, door: &Door, files: &Folder) -> Result<Lane, Refusal> {
        let grader = self.grader(&door.version, &door.phase.task)?;
        let lane = lane(&grader.task, files).map_err(Refusal::Format)?;
        if lane == Lane::Results {
            let checked = self.check(&grader, files);
            if grader.task.accepts.contains(&Lane::Code)
                && let Err(Refusal::Format(problems)) = checked
            {
                return Err(Refusal::Format(read_as_predictions(problems, files)));
            }
            checked?;
        }
        if lane == Lane::Image {
            self.may_name(files, &door.version.challenge.id)?;
        }
        Ok(lane)
    }

    /// An image that is named and not handed in: whether it may be, and is there.
    fn may_name(&self, files: &Folder, challenge: &ChallengeId) -> Result<(), Refusal> {
        let refused = |message: String| Refusal::Format(Problems::one(message));
        let named = named_image(files).map_err(|problem| Refusal::Format(problem.into()))?;
        // Without an engine, or when its registry does not answer, it is taken in and waits.
        let (Some(image), Ok(containers)) = (named, self.containers()) else { return Ok(()) };
        match wait(containers.runner.may_name(&image, challenge)) {
            Ok(Err(bad)) => Err(refused(bad.text)),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    /// Takes a submission in. When this returns `Ok`, it survives a power cut.
    ///
    /// # Errors
    /// Why not; then nothing of it is stored and nothing is charged.
    pub fn submit(&self, hand: Hand<'_>, door: &Door, offer: Offer) -> Result<Submitted, Refusal> {
        match self.look_over(hand, door, offer)? {
            LookedOver::Before(before) => Ok(before),
            LookedOver::Good(good) => self.take_in(hand, door, *good),
        }
    }

    /// The first part of it: all that takes a processor.
    ///
    /// # Errors
    /// Why it is not taken in.
    pub fn look_over(&self, hand: Hand<'_>, door: &Door, offer: Offer) -> Result<LookedOver, Refusal> {
        let Offer { upload, files, about, .. } = &offer;
        let request = fingerprint(&door.version, &door.phase, upload, about);
        let once = match (door.phase.repeats, hand.push) {
            (Repeats::Link, _) => Some(files.folder().tree().digest()),
            // A commit is graded once, under however many tags.
            (Repeats::Grade, Some((_, commit, _))) => Some(Digest::of(format!("commit {commit}").as_bytes())),
            (Repeats::Grade, None) => None,
        };
        let ledger_key = ledger_key(&door.version, &door.phase, hand.entrant);
        let key = offer.key.as_deref().zip(Some(request));
        if let Some(before) = self.passes(hand.token, key, once, door, &ledger_key, offer.arrived)? {
            return Ok(LookedOver::Before(before));
        }
        let lane = self.look_at(door, files.folder())?;
        Ok(LookedOver::Good(Box::new(Good { offer, lane, request, once, ledger_key })))
    }

    /// The second part: all that waits for the disk, where many wait for one sync.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn take_in(&self, hand: Hand<'_>, door: &Door, good: Good) -> Result<Submitted, Refusal> {
        let Door { version, phase, organizer, .. } = door;
        let Good { offer, lane, request, once, ledger_key } = good;
        let Offer { upload, files, about, key, arrived } = offer;
        let passes = || self.passes(hand.token, key.as_deref().zip(Some(request)), once, door, &ledger_key, arrived);
        // Kept files take room for a day at least: who loses a race for the last place has to know before theirs are kept.
        let _gate = self.gate(&ledger_key);
        if let Some(before) = passes()? {
            return Ok(before);
        }

        let (kept, small) = files.keep_with_row(self)?;
        let submission = Submission {
            id: SubmissionId(self.clock.id(arrived)),
            challenge: version.challenge.id.clone(),
            version: version.version,
            phase: phase.id.clone(),
            task: phase.task.clone(),
            entrant: hand.entrant.clone(),
            by: hand.token,
            pushed: hand.push.map(|(push, commit, contract)| Box::new(push.as_handed_in(commit, contract))),
            lane,
            submitted_at: arrived,
            upload,
            files: self.keep_body(kept.to_text())?,
            about,
            organizers: *organizer,
        };
        let idempotency = key.zip(hand.token).map(|(key, token)| Idempotency {
            token,
            key,
            request,
            until: arrived.saturating_add(KEY_HOLDS).unwrap_or(Timestamp::MAX),
        });
        let job = Job::new(submission.lane);
        let tracked = Tracked { submission: submission.clone(), job: job.clone(), refunded: false };
        let waiting = waiting(&tracked, phase, version);
        let (id, max_open) = (submission.id, max_open(phase));
        let rules = phase.quota.clone();
        let push = hand.push.map(|(push, ..)| push.clone());
        match self.store.admit(Admission { submission, small, job, rules, max_open, idempotency, once, push })? {
            Admitted::Accepted { event } => {
                self.queue().push(waiting);
                // It is in, whatever is found out here.
                drop(self.still_waits(id));
                self.signals.logged(std::slice::from_ref(&event));
                self.signals.queued();
                if let Some((push, ..)) = hand.push {
                    self.owes(push.id, &push.source);
                }
                Ok(Submitted { id, before: false, same: false })
            }
            Admitted::Before(id) => Ok(Submitted { id, before: true, same: false }),
            Admitted::Same(id) => Ok(Submitted { id, before: false, same: true }),
            Admitted::OtherRequest => Err(Refusal::OtherRequest),
            Admitted::Draining(hold) => Err(Refusal::Draining(hold)),
            Admitted::OverQuota(standing) => Err(Refusal::OverQuota(standing)),
            Admitted::TooManyOpen { open } => Err(Refusal::TooManyOpen { open, most: max_open }),
        }
    }

    /// Refuses early what the transaction would refuse: before a scorer runs and blobs are written. `Some`: the same
    /// request was accepted before.
    fn passes(
        &self,
        token: Option<TokenId>,
        request: Option<(&str, Digest)>,
        once: Option<Digest>,
        door: &Door,
        key: &LedgerKey,
        now: Timestamp,
    ) -> Result<Option<Submitted>, Refusal> {
        let phase = &door.phase;
        if let Some((token, (used, request))) = token.zip(request)
            && let Some((before, id)) = self.store.idempotent(token, used, now)?
        {
            return if before == request {
                // Rows can be read a moment before they are durable: what is told again has to be, too.
                self.store.probe()?;
                Ok(Some(Submitted { id, before: true, same: false }))
            } else {
                Err(Refusal::OtherRequest)
            };
        }
        door.open(now)?;
        let same = once.map(|files| self.store.same(key, files, door.version.version)).transpose()?.flatten();
        if let Some(id) = same {
            self.store.probe()?;
            return Ok(Some(Submitted { id, before: false, same: true }));
        }
        let (ledger, most) = (self.store.ledger(key)?, max_open(phase));
        match ledger.refusal(&phase.quota, now) {
            // Of both, the quota comes first: waiting for one to end would not help.
            Some(standing) => Err(Refusal::OverQuota(standing)),
            None if ledger.open >= most => Err(Refusal::TooManyOpen { open: ledger.open, most }),
            None => Ok(None),
        }
    }

    /// Held from the last look at a ledger to its charge.
    fn gate(&self, key: &LedgerKey) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        (key.challenge.as_str(), key.phase.as_str(), key.entrant.as_str()).hash(&mut hasher);
        // Two ledgers that share a gate wait for each other now and then, and nothing else.
        let at = usize::try_from(hasher.finish() % self.gates.len() as u64).unwrap_or_default();
        // It guards no data that a panic could spoil.
        self.gates[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A program without the file that says how to start it is told so, and not only what is wrong with it as predictions.
fn read_as_predictions(mut problems: Problems, files: &Folder) -> Problems {
    let message = format!("this was read as predictions; if it is a program: {}", program::how_to_start(files.tree()));
    problems.first.insert(0, Problem { file: None, line: None, message });
    problems.first.truncate(SHOWN_PROBLEMS);
    problems.total += 1;
    problems
}

pub(super) fn unknown_phase(version: &Version, phase: &PhaseId) -> Refusal {
    let known: Vec<_> = version.challenge.phases.iter().map(|phase| phase.id.as_str()).collect();
    Refusal::UnknownPhase { challenge: version.challenge.id.clone(), phase: phase.clone(), known: known.join(", ") }
}

fn max_open(phase: &Phase) -> u32 {
    phase.concurrent.saturating_add(phase.max_queued)
}

impl Door {
    /// # Errors
    /// [`Refusal::NotOpen`], [`Refusal::Draining`].
    fn open(&self, now: Timestamp) -> Result<(), Refusal> {
        if let Some(hold) = self.hold.as_ref().filter(|hold| hold.kind == HoldKind::Draining) {
            return Err(Refusal::Draining(hold.clone()));
        }
        let Phase { id, starts, ends, .. } = &self.phase;
        match self.phase.state(now) {
            PhaseState::Open => Ok(()),
            state @ (PhaseState::Upcoming | PhaseState::Closed) => {
                Err(Refusal::NotOpen { phase: id.clone(), state, starts: *starts, ends: *ends })
            }
        }
    }
}

/// Whose ledger a submission is charged to.
pub(super) fn ledger_key(version: &Version, phase: &Phase, entrant: &EntrantId) -> LedgerKey {
    LedgerKey { challenge: version.challenge.id.clone(), phase: phase.id.clone(), entrant: entrant.clone() }
}

/// How a submission waits in the queue.
pub(super) fn waiting(tracked: &Tracked, phase: &Phase, version: &Version) -> Waiting {
    let Submission { id, challenge, entrant, task, .. } = &tracked.submission;
    let stage = tracked.job.stage();
    let run = version.challenge.task(task).and_then(|task| task.run.as_ref()).filter(|_| stage == Stage::Run);
    Waiting {
        id: *id,
        seat: (challenge.clone(), phase.id.clone(), entrant.clone()),
        organizers: tracked.submission.organizers,
        concurrent: phase.concurrent,
        not_before: tracked.job.not_before,
        reason: tracked.job.reason.clone().filter(|_| tracked.job.not_before.is_some()),
        stage,
        room: run.map_or_else(Room::default, TaskRun::room),
    }
}

/// What an idempotency key stands for: place, bytes, name and words, but not the version, which may change between two
/// tries of one client.
fn fingerprint(version: &Version, phase: &Phase, upload: &Upload, about: &About) -> Digest {
    let mut hasher = Hasher::default();
    let parts = (&version.challenge.id, &phase.id, upload, about);
    hasher.update(&serde_json::to_vec(&parts).expect("names, numbers and texts always have a JSON form"));
    hasher.finish()
}
