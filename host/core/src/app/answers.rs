//! Answers: forges are told how the tags stand that they told of. What is owed is stored with what changed, so that each state
//! that lasts is told at least once, whatever dies in between; a state that is over before it could be told is not.

use super::access::{Seen, SeenSubmission};
use super::read::ReadReport;
use super::{App, Refusal};
use crate::domain::answer::{CommitStatus, of_job, of_push, short};
use crate::domain::forge::{Delivery, Kind, Source, Told};
use crate::domain::id::{PushId, SourceId};
use crate::domain::push::{Push, PushState, TagKey};
use crate::ports::forge_api::{Commit, ForgeApi, Untold};
use crate::ports::store::Tracked;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError};

/// What a status is called: the same from first to last.
const NAME: &str = "gradus";
/// Tags that are told of at once.
const TAGS: usize = 20;
/// Metrics that a status names.
const METRICS: usize = 3;
/// Places of a leaderboard that are looked through for one's own.
const PLACES: usize = 1_000;

/// What is owed, as a picture: the store has it.
#[derive(Debug, Default)]
pub(super) struct Owing {
    due: BTreeSet<(Timestamp, PushId)>,
    of: HashMap<PushId, SourceId>,
    /// Pushes that somebody tells of.
    busy: HashSet<PushId>,
    /// Forges that did not take what they were told last: until when they rest.
    resting: HashMap<SourceId, Timestamp>,
}

impl Owing {
    fn take(&mut self, now: Timestamp) -> Option<PushId> {
        self.resting.retain(|_, until| *until > now);
        let free = |(due, id): &&(Timestamp, PushId)| {
            *due <= now
                && !self.busy.contains(id)
                && self.of.get(id).is_none_or(|source| !self.resting.contains_key(source))
        };
        let found = *self.due.iter().take_while(|(due, _)| *due <= now).find(free)?;
        self.due.remove(&found);
        self.busy.insert(found.1);
        Some(found.1)
    }

    fn owe(&mut self, id: PushId, source: SourceId, due: Timestamp) {
        self.of.insert(id, source);
        self.due.insert((due, id));
    }
}

/// What a turn came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// Nothing is due.
    Nothing,
    /// There was nothing to tell.
    Silent,
    /// A forge was told.
    Told(SourceId),
    /// It did not take it, and is told again or no more.
    Not {
        /// Which.
        source: SourceId,
        /// Why.
        why: String,
        /// Whether it is told no more.
        given_up: bool,
    },
}

/// A push that somebody tells of.
struct Turn<'a> {
    app: &'a App,
    id: PushId,
    /// From when on it is told again.
    next: Option<Timestamp>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut owing = self.app.owing();
        owing.busy.remove(&self.id);
        // Something may have changed meanwhile.
        let again = owing.due.iter().any(|(_, id)| *id == self.id);
        match self.next {
            Some(next) => drop(owing.due.insert((next, self.id))),
            None if again => {}
            None => drop(owing.of.remove(&self.id)),
        }
    }
}

impl App {
    /// The same, with what tells forges.
    #[must_use]
    pub fn with_forges(mut self, api: Arc<dyn ForgeApi>, address: Option<String>) -> Self {
        self.forges = Some((api, address));
        self
    }

    fn owing(&self) -> MutexGuard<'_, Owing> {
        self.owing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts what is owed into the picture.
    pub(super) fn recover_answers(&self) -> Result<(), Refusal> {
        for (id, due) in self.store.all_owed()? {
            if let Some(push) = self.store.push(id)? {
                self.owing().owe(id, push.source, due);
            }
        }
        Ok(())
    }

    /// Something that a forge is owed was stored just now.
    pub(super) fn owes(&self, id: PushId, source: &SourceId) {
        self.owing().owe(id, source.clone(), self.clock.now());
        self.signals.owed();
    }

    /// When a forge is to be told next, if nobody says that something changed.
    pub fn next_answer(&self) -> Option<Timestamp> {
        let owing = self.owing();
        let due = |(due, id): &(Timestamp, PushId)| {
            let rests = owing.of.get(id).and_then(|source| owing.resting.get(source));
            rests.map_or(*due, |until| *until.max(due))
        };
        owing.due.iter().filter(|(_, id)| !owing.busy.contains(id)).map(due).min()
    }

    /// Tells a forge what it is owed of the push that is due first.
    ///
    /// # Errors
    /// The store's: then it is told once more.
    pub fn answer(&self) -> Result<Answered, Refusal> {
        let Some((api, address)) = &self.forges else { return Ok(Answered::Nothing) };
        let now = self.clock.now();
        let Some(id) = self.owing().take(now) else { return Ok(Answered::Nothing) };
        let mut turn = Turn { app: self, id, next: now.checked_add(jiff::SignedDuration::from_secs(5)).ok() };
        let (Some(owed), Some(push)) = (self.store.owed(id)?, self.store.push(id)?) else {
            turn.next = None;
            return Ok(Answered::Silent);
        };
        if owed.due.is_none_or(|due| due > now) {
            turn.next = owed.due;
            return Ok(Answered::Silent);
        }
        let source = self.store.source(&push.source)?.filter(is_told);
        let (Some(source), Some(commit)) = (source, &push.commit) else {
            turn.next = self.store.settle_owed(id, owed.marks, None)?;
            return Ok(Answered::Silent);
        };
        let Some(status) = self.status_of(&push, address.as_deref())? else {
            turn.next = self.store.settle_owed(id, owed.marks, None)?;
            return Ok(Answered::Silent);
        };
        let told = if owed.told.as_ref() == Some(&status) {
            Ok(false)
        } else {
            let commit = Commit { project: &push.project, id: commit, tag: &push.tag, name: NAME };
            api.set_status(&source, commit, &status).map(|()| true)
        };
        let (marks, now) = (owed.marks, self.clock.now());
        match told {
            Ok(said) => {
                let follows = matches!(push.state, PushState::Same { .. });
                turn.next = self.store.settle_owed(id, marks, owed.told(marks, status, follows, now))?;
                Ok(if said { Answered::Told(source.id) } else { Answered::Silent })
            }
            Err(Untold { why, after, whole }) => {
                let next = owed.put_off(after, whole, now);
                if let Some(due) = next.as_ref().and_then(|next| next.due).filter(|_| whole) {
                    self.owing().resting.insert(source.id.clone(), due);
                }
                let given_up = next.is_none();
                turn.next = self.store.settle_owed(id, marks, next)?;
                Ok(Answered::Not { source: source.id, why, given_up })
            }
        }
    }

    /// How the tags stand that a git server without a forge told of: with the body of a hook of its own, that it proves again.
    /// Of each its state, and how it stands if there is more to say.
    ///
    /// # Errors
    /// No such server; it did not send that; it cannot be read.
    pub fn tags_stand(
        &self,
        source: &SourceId,
        delivery: Delivery<'_>,
        now: Timestamp,
    ) -> Result<Vec<(Push, Option<CommitStatus>)>, Refusal> {
        let found = self.store.source(source)?.filter(|found| found.kind == Kind::Plain);
        if found.is_none() {
            return Err(Refusal::Unknown("git server without a forge"));
        }
        let address = self.forges.as_ref().and_then(|(_, address)| address.as_deref());
        let mut all = Vec::new();
        for told in self.hear(source, delivery, now)?.into_iter().take(TAGS) {
            let Told::Tag(tag) = told else { continue };
            let key = TagKey { source: source.clone(), project: tag.project.id, tag: tag.name };
            if let Some(push) = self.store.push_of(&key, &tag.object)? {
                let status = self.status_of(&push, address)?;
                all.push((push, status));
            }
        }
        Ok(all)
    }

    /// How a push stands, in words for those who see its project; `None`: nothing is said of it.
    fn status_of(&self, push: &Push, address: Option<&str>) -> Result<Option<CommitStatus>, Refusal> {
        let submission = match &push.state {
            PushState::Submitted { submission } | PushState::Same { submission } => *submission,
            PushState::Waiting { .. } | PushState::Refused { .. } | PushState::Passed => return Ok(of_push(push)),
        };
        let Some(tracked) = self.store.submission(submission)? else { return Ok(None) };
        let mut failed = None;
        let status = of_job(&tracked.job, || {
            let scored = self.score_of(&tracked);
            scored.unwrap_or_else(|error| {
                failed = Some(error);
                String::new()
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let target = address.map(|address| format!("{address}/api/v1/submissions/{submission}"));
        Ok(Some(CommitStatus { target, ..status }))
    }

    /// A score as its participant sees it, and their rank.
    fn score_of(&self, tracked: &Tracked) -> Result<String, Refusal> {
        let submission = &tracked.submission;
        let unknown = || Refusal::Unknown("challenge");
        let row = self.store.challenge(&submission.challenge)?.ok_or_else(unknown)?;
        let live = self.version(&row.id, row.live)?.ok_or_else(unknown)?;
        let version = self.version(&row.id, submission.version)?.ok_or_else(unknown)?;
        let seen = SeenSubmission { tracked: tracked.clone(), version, live: Arc::clone(&live), organizer: false };
        let ReadReport::Cut(report) = self.report(&seen)? else { return Ok("scored".to_owned()) };
        let Some(board) = live.challenge.boards_of(&submission.phase).next() else {
            let scores = report.scores.iter().take(METRICS);
            let all: Vec<_> = scores.map(|score| format!("{} {}", score.metric, score.value)).collect();
            return Ok(short(&all.join(", ")));
        };
        let value = |metric: &str| {
            let same = |score: &&crate::domain::report::Score| score.metric == metric && score.split == board.split;
            report.scores.iter().find(same).map(|score| format!("{metric} {}", score.value))
        };
        let shown = board.columns.iter().filter(|column| !column.hidden).take(METRICS);
        let mut words: Vec<_> = shown.filter_map(|column| value(&column.metric)).collect();
        let public = Seen { row, version: Arc::clone(&live), organizer: false };
        let page = self.leaderboard(&public, None, &board.id, None, PLACES)?;
        if let Some(entry) = page.entries.iter().find(|entry| entry.entrant == submission.entrant) {
            words.push(format!("rank {}", entry.rank));
        }
        Ok(if words.is_empty() { "scored".to_owned() } else { words.join(", ") })
    }
}

/// Whether a forge takes answers: it has an API, and knows us.
fn is_told(source: &Source) -> bool {
    match source.kind {
        Kind::Gitlab | Kind::Gitea | Kind::Github => source.access.is_some(),
        Kind::Plain => false,
    }
}
