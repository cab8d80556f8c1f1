//! Pushes of tags become submissions: fetched from their forge, read for the challenge that they are for, and handed in as if
//! their files had been uploaded when the forge told of them.
//!
//! A push is done once: it becomes a submission in the transaction that stores that. What is refused stays refused; what fails
//! on our side or the forge's is tried again.

mod line;
mod people;

use super::check::Pending;
use super::submit::{Door, Hand, Offer, Submitted};
use super::{App, Refusal, chain};
use crate::domain::challenge::{ChallengeRow, Task, Version};
use crate::domain::contract::{self, Contract};
use crate::domain::git_rules::{GitRules, Moved};
use crate::domain::id::PushId;
use crate::domain::push::{Push, PushState};
use crate::domain::report::{Problem, Problems};
use crate::domain::submission::{About, Lane, Upload};
use crate::domain::tree::TreePath;
use crate::ports::blobs::{Part, read_all};
use crate::ports::git::{Fetched, Git, NotFetched, Wanted};
use jiff::{SignedDuration, Timestamp};
pub(super) use line::Line;
use std::sync::{Arc, MutexGuard, PoisonError};

/// Pushes of one forge that are fetched at once.
const OF_FORGE: usize = 2;
/// Pushes that are read at once.
const PAGE: usize = 256;
/// A push that could not be dealt with, and not for a reason that is its own, is taken again after so long.
const SOON: SignedDuration = SignedDuration::from_secs(5);
/// Problems that are told of files that are refused.
const TOLD: usize = 5;
/// Characters of what is told, at most.
const MAX_TOLD: usize = 1_000;

/// What a fetcher's turn came to.
#[derive(Debug, Clone, PartialEq)]
pub enum FetchTurn {
    /// Nothing is to be fetched now.
    Idle,
    /// A push was dealt with, or put off; it stands like this.
    Did(Box<Push>),
}

/// Tries of what may be the repository's doing, or its files'.
const FEW: u32 = 5;
/// What whoever pushed is told while something is wrong on our side or the forge's.
const NOT_YET: &str = "it could not be fetched and looked at yet; the operator can see why";

/// Why a push is no submission.
enum Off {
    /// It will not be one.
    Refused { code: String, reason: String },
    /// It may be one later, as whoever pushed is told.
    Later(String),
    /// The same, for a reason that is the operator's alone; it is tried so many times at most.
    Trouble { why: String, most: u32 },
    /// Nobody takes such tags.
    Passed,
    /// The host stops.
    Stopped,
}

impl Off {
    fn refused(code: &str, reason: impl Into<String>) -> Self {
        Self::Refused { code: code.to_owned(), reason: reason.into() }
    }

    fn trouble(why: String) -> Self {
        Self::Trouble { why, most: u32::MAX }
    }
}

/// A challenge that takes a tag, by its live version.
struct Taker {
    row: ChallengeRow,
    version: Arc<Version>,
}

impl Taker {
    fn rules(&self) -> Option<&GitRules> {
        self.version.challenge.git.as_ref()
    }
}

impl App {
    /// The same, with what fetches from forges.
    #[must_use]
    pub fn with_git(mut self, git: Arc<dyn Git>) -> Self {
        self.git = Some(git);
        self
    }

    pub(super) fn line(&self) -> MutexGuard<'_, Line> {
        // A panic under this lock leaves the picture as good as it was: it is only a picture.
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts what waits into the picture.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn recover_pushes(&self) -> Result<(), Refusal> {
        let mut after = None;
        loop {
            let page = self.store.waiting_pushes(after, PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            page.iter().for_each(|push| self.line().push(push));
        }
    }

    /// When a fetcher may have something to do next, if nobody tells.
    pub fn next_fetch(&self) -> Option<Timestamp> {
        self.line().due()
    }

    /// What is wrong with a forge, if it did not give what was asked for last.
    pub fn trouble_with(&self, source: &crate::domain::id::SourceId) -> Option<String> {
        self.line().trouble(source).map(ToOwned::to_owned)
    }

    /// How many pushes wait, or are being fetched.
    pub fn waiting_pushes(&self) -> usize {
        self.line().len()
    }

    /// Fetches the next push whose turn it is, and hands it in.
    ///
    /// # Errors
    /// The store's: then it is done again.
    pub fn fetch(&self) -> Result<FetchTurn, Refusal> {
        let Some(git) = &self.git else { return Ok(FetchTurn::Idle) };
        let Some((id, key)) = self.line().take(self.clock.now(), OF_FORGE) else { return Ok(FetchTurn::Idle) };
        // Unless something else comes of it.
        let due = self.clock.now().checked_add(SOON).ok();
        let mut visit = Visit { app: self, id, key, due, trouble: None };
        let Some(mut push) = self.store.push(id)? else {
            visit.due = None;
            return Ok(FetchTurn::Idle);
        };
        if let PushState::Waiting { due: Some(due), .. } = push.state
            && due > self.clock.now()
        {
            visit.due = Some(due);
            return Ok(FetchTurn::Idle);
        }
        let state = match self.grade_push(&**git, &mut push, &mut visit) {
            // Stored with the submission.
            Ok(Submitted { id, same: false, .. }) => PushState::Submitted { submission: id },
            Ok(Submitted { id, same: true, .. }) => PushState::Same { submission: id },
            Err(Off::Refused { code, reason }) => PushState::Refused { code, reason },
            Err(Off::Passed) => PushState::Passed,
            Err(Off::Stopped) => return Ok(FetchTurn::Idle),
            Err(Off::Later(reason)) => push.put_off(reason, u32::MAX, self.clock.now()),
            Err(Off::Trouble { why, most }) => {
                push.trouble = Some(told(&why));
                push.put_off(NOT_YET.to_owned(), most, self.clock.now())
            }
        };
        push.state = noted(state, &push.notes);
        // Whether the forge has something to hear of it: a submission of its own is told of when that changes.
        let owed = match &push.state {
            PushState::Same { .. } | PushState::Refused { .. } => true,
            PushState::Waiting { attempts, .. } => *attempts == 1,
            PushState::Submitted { .. } | PushState::Passed => false,
        };
        let settled = self.store.settle_push(&push, owed.then(|| self.clock.now()))?;
        if owed && settled {
            self.owes(push.id, &push.source);
        }
        visit.due = match push.state {
            PushState::Waiting { due, .. } => due,
            PushState::Submitted { .. } | PushState::Same { .. } | PushState::Refused { .. } | PushState::Passed => {
                None
            }
        };
        Ok(FetchTurn::Did(Box::new(push)))
    }

    fn grade_push(&self, git: &dyn Git, push: &mut Push, visit: &mut Visit<'_>) -> Result<Submitted, Off> {
        let Some(object) = push.object.clone() else { return Err(Off::Passed) };
        let source = self.store.source(&push.source).map_err(ours)?;
        let source = source.ok_or_else(|| Off::refused("no-forge", "its forge was removed from this server"))?;
        let takers = self.takers(push)?;
        if takers.is_empty() {
            return Err(Off::Passed);
        }
        let url = source.url(&push.project).map_err(|error| Off::refused("no-address", error.to_string()))?;
        let (access, private, tag) = (source.access.as_ref(), source.private, &push.tag);
        let wanted = Wanted { url: &url, access, private, tag, object: &object };
        let fetched = git.fetch(&wanted, &self.stopping);
        visit.trouble = match &fetched {
            Ok(_) | Err(NotFetched::Refused { .. }) => Some(None),
            Err(NotFetched::Trouble(why) | NotFetched::Late(why)) => Some(Some(told(why))),
            Err(NotFetched::Stopped) => None,
        };
        let Fetched { commit, parts, came, notes } = fetched.map_err(|error| match error {
            NotFetched::Refused { code, reason, commit } => {
                push.commit = push.commit.take().or(commit);
                Off::Refused { code, reason }
            }
            NotFetched::Trouble(why) => Off::trouble(why),
            NotFetched::Late(why) => Off::Trouble { why, most: FEW },
            NotFetched::Stopped => Off::Stopped,
        })?;
        if push.commit.as_ref().is_some_and(|told| *told != commit) {
            return Err(Off::refused("tag-moved", "the tag is another commit by now than its forge told of"));
        }
        push.commit = Some(commit.clone());
        push.notes = notes;
        // What went wrong before is over; what goes wrong from here on is told anew.
        push.trouble = None;
        let contract = said(&parts)?;
        push.challenge = Some(contract.challenge.clone());
        let taker = takers.into_iter().find(|taker| taker.row.id == contract.challenge).ok_or_else(|| {
            let id = &contract.challenge;
            Off::refused("not-allowed", format!("`{id}` takes no such tags of this project; see `challenge_id`"))
        })?;
        let rules = taker.rules().ok_or(Off::Passed)?;
        if push.before.is_some() && rules.moved == Moved::Refuse {
            return Err(Off::refused(
                "tag-moved",
                "this tag was moved, which this challenge does not take: push a new one",
            ));
        }
        let Some(phase) = taker.version.challenge.phase_at(push.at) else {
            return Err(Off::refused("phase-closed", "no phase of the challenge was open when the tag was pushed"));
        };
        let Some(task) = taker.version.challenge.task(&phase.task) else { return Err(Off::Passed) };
        if contract.gpu && task.run.as_ref().is_none_or(|run| run.gpus == 0) {
            push.notes.push("it asks for a GPU, and this task has none".to_owned());
        }
        if !contract.authors.is_empty() {
            push.notes.push(
                "it is handed in as yours alone: `authors` are shown to the organizers, and make no team".to_owned(),
            );
        }
        let entrant = self.entrant_of(push).map_err(ours)?;
        let parts = chosen(parts, task, rules, &contract)?;
        let files =
            Pending::new(parts).map_err(|path| Off::refused("invalid-submission", format!("{path} is there twice")))?;
        let about = About {
            description: contract.description.clone(),
            project_url: source.base.starts_with("http").then(|| format!("{}/{}", source.base, push.project.path)),
            ..About::default()
        };
        let upload = Upload { name: push.tag.as_str().replace('/', "-"), len: came.0, digest: came.1 };
        let door = Door {
            phase: phase.clone(),
            organizer: false,
            hold: taker.row.hold.clone(),
            version: Arc::clone(&taker.version),
        };
        let offer = Offer { upload, files, about, key: None, arrived: push.at };
        let hand = Hand { entrant: &entrant, token: None, push: Some((push, &commit, &contract)) };
        self.submit(hand, &door, offer).map_err(of_refusal)
    }

    /// The challenges that take such a tag.
    fn takers(&self, push: &Push) -> Result<Vec<Taker>, Off> {
        let mut takers = Vec::new();
        for row in self.all_challenges().map_err(ours)? {
            let rules = self.rules_of(&row).map_err(ours)?;
            if !rules.is_some_and(|rules| rules.take(&push.source, &push.project.path, &push.tag)) {
                continue;
            }
            let Some(version) = self.version(&row.id, row.live).map_err(ours)? else { continue };
            takers.push(Taker { row, version });
        }
        Ok(takers)
    }

    /// Which tags a challenge takes. Most take none, and their versions are not read for each tag that somebody pushes.
    fn rules_of(&self, row: &ChallengeRow) -> Result<Option<Arc<GitRules>>, Refusal> {
        let known = || self.git_rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, rules)) = known().get(&row.id).filter(|(live, _)| *live == row.live) {
            return Ok(rules.clone());
        }
        let version = self.store.version(&row.id, row.live)?;
        let rules = version.and_then(|version| version.challenge.git).map(Arc::new);
        known().insert(row.id.clone(), (row.live, rules.clone()));
        Ok(rules)
    }
}

/// A push that somebody is at.
struct Visit<'a> {
    app: &'a App,
    id: PushId,
    key: line::Key,
    /// From when on it is done again; `None`: it is done.
    due: Option<Timestamp>,
    trouble: Option<Option<String>>,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.app.line().done(self.id, self.key.clone(), self.due, self.trouble.take());
    }
}

/// Ours.
fn ours(error: impl Into<Refusal>) -> Off {
    Off::trouble(chain(&error.into()))
}

/// A text that fits into a row, without what a terminal would obey.
fn told(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TOLD).collect()
}

/// What the door says, of a push.
fn of_refusal(refusal: Refusal) -> Off {
    let reason = match &refusal {
        Refusal::Format(problems) => format!("{}: {}", refusal, listed(problems)),
        Refusal::UnknownChallenge(_)
        | Refusal::UnknownPhase { .. }
        | Refusal::NotOpen { .. }
        | Refusal::OverQuota(_) => refusal.to_string(),
        // Who pushed cannot push the same tag again.
        Refusal::Draining(_) | Refusal::TooManyOpen { .. } => return Off::Later(told(&refusal.to_string())),
        Refusal::CheckFailed(_) | Refusal::CheckSlow => return Off::Trouble { why: chain(&refusal), most: FEW },
        Refusal::Revoked
        | Refusal::Unknown(_)
        | Refusal::Forbidden(_)
        | Refusal::NoHook(_)
        | Refusal::NoSource(_)
        | Refusal::Forged(_)
        | Refusal::Unreadable(_)
        | Refusal::OtherRequest
        | Refusal::Challenge(_)
        | Refusal::Transition(_)
        | Refusal::Contended
        | Refusal::Store(_)
        | Refusal::Blob(_)
        | Refusal::Scorer(_)
        | Refusal::Runner(_)
        | Refusal::NoContainers(_)
        | Refusal::Stored { .. } => return ours(refusal),
    };
    Off::Refused { code: refusal.code().to_owned(), reason: told(&reason) }
}

/// A refusal with what may be the cause of it.
fn noted(state: PushState, notes: &[String]) -> PushState {
    match (state, notes.first()) {
        (PushState::Refused { code, reason }, Some(note)) => {
            PushState::Refused { code, reason: told(&format!("{reason} (note: {note})")) }
        }
        (state, _) => state,
    }
}

fn listed(problems: &Problems) -> String {
    let shown = |problem: &Problem| {
        let line = problem.line.map_or_else(String::new, |line| format!(":{line}"));
        let place = problem.file.as_ref().map_or_else(String::new, |file| format!("{file}{line}: "));
        format!("{place}{}", problem.message)
    };
    let shown: Vec<_> = problems.first.iter().take(TOLD).map(shown).collect();
    shown.join("; ")
}

/// What the repository says of itself.
fn said(parts: &[Part]) -> Result<Contract, Off> {
    let found = contract::FILES.iter().find_map(|name| parts.iter().find(|part| part.path().as_str() == *name));
    let Some(part) = found else {
        let [name, _] = contract::FILES;
        let how = "add one, such as {\"challenge_id\": \"my-challenge\"}";
        return Err(Off::refused("no-contract", format!("there is no `{name}` at the top of the repository: {how}")));
    };
    let (name, bytes) = (part.path().as_str(), part.bytes());
    let bytes = if bytes.len() > contract::MAX_LEN {
        vec![b' '; contract::MAX_LEN as usize + 1]
    } else {
        read_all(bytes).map_err(|error| Off::trouble(error.to_string()))?
    };
    Contract::read(name, &bytes).map_err(|broken| Off::refused("bad-contract", broken.to_string()))
}

/// What of a repository is handed in: all of it, or its predictions.
fn chosen(parts: Vec<Part>, task: &Task, rules: &GitRules, contract: &Contract) -> Result<Vec<Part>, Off> {
    let takes = |lane| task.accepts.contains(&lane);
    if !takes(Lane::Results) {
        return Ok(parts);
    }
    let usual = rules.results.as_ref().filter(|_| !takes(Lane::Code));
    let Some(results) = contract.results.as_ref().or(usual) else {
        if takes(Lane::Code) {
            return Ok(parts);
        }
        let how = "say in `gradus.json` where they are, such as \"results\": \"predictions.csv\"";
        return Err(Off::refused("no-results", format!("this challenge takes predictions: {how}")));
    };
    let inside: Vec<_> = parts.into_iter().filter_map(|part| within(part, results)).collect();
    if inside.is_empty() {
        return Err(Off::refused(
            "no-results",
            format!("there is no file and no folder `{results}` in the repository"),
        ));
    }
    Ok(inside)
}

/// A part by its path below `place`, or by its name if it is that.
fn within(part: Part, place: &TreePath) -> Option<Part> {
    let path = match part.path().below(place.as_str()) {
        Some(below) => below,
        None if part.path() == place => place.file_name().parse().ok()?,
        None => return None,
    };
    Some(match part {
        Part::Own(_, blob) => Part::Own(path, blob),
        Part::Inside(file, slice) => Part::Inside(crate::domain::tree::TreeFile { path, ..file }, slice),
    })
}
