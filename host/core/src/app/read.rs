//! Reading: standings, leaderboards, reports, files; each as the one who asks may see it.

use super::access::{Seen, SeenSubmission};
use super::folder::File;
use super::submit::ledger_key;
use super::{App, Refusal};
use crate::domain::board::{Entry, board_key, direction};
use crate::domain::challenge::{Leaderboard, Version};
use crate::domain::digest::Digest;
use crate::domain::id::{EntrantId, LeaderboardId, SubmissionId};
use crate::domain::metric::{Direction, rounded};
use crate::domain::printed::Printed;
use crate::domain::quota::{Ledger, Standing};
use crate::domain::report::{Attachment, Audience, Report};
use crate::domain::run_record::Stream;
use crate::domain::token::Token;
use crate::domain::tree::TreeFile;
use crate::domain::view::{SeenReport, for_participant};
use crate::ports::blobs::{BlobError, ReadAt, Slice, read_all};
use jiff::Timestamp;
use std::sync::Arc;

/// Rows of a leaderboard that are read at once.
const ROWS_AT_ONCE: usize = 1000;

/// A column as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownColumn {
    /// The metric.
    pub metric: String,
    /// The split that the values are of.
    pub split: Option<String>,
    /// What people read.
    pub title: String,
    /// Which way is better.
    pub direction: Direction,
    /// Unit, when there is one.
    pub unit: Option<String>,
    /// Decimal places.
    pub precision: u8,
}

/// A row as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownEntry {
    /// From 1.
    pub rank: u64,
    /// Whose.
    pub entrant: EntrantId,
    /// Which submission: for organizers and for the entrant.
    pub submission: Option<SubmissionId>,
    /// When it arrived.
    pub submitted_at: Timestamp,
    /// One for each column.
    pub values: Vec<Option<f64>>,
}

/// A page of a leaderboard.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The columns.
    pub columns: Vec<ShownColumn>,
    /// The rows.
    pub entries: Vec<ShownEntry>,
    /// There are more, after this place.
    pub next: Option<Place>,
}

/// A place on a leaderboard. Not the key of the order, which holds hidden values.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// From 1.
    pub rank: u64,
    /// Whose.
    pub entrant: EntrantId,
    /// Tells the entry that had this place from the entrant's next one.
    pub mark: String,
}

impl Place {
    fn of(rank: u64, entry: &Entry) -> Self {
        // Of the submission's id alone, which others cannot guess: nothing in it depends on a value.
        let mark = Digest::of(entry.submission.to_string().as_bytes()).hex()[..16].to_owned();
        Self { rank, entrant: entry.entrant.clone(), mark }
    }
}

/// A report as its reader may see it.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadReport {
    /// Whole, byte for byte as stored.
    Whole(Vec<u8>),
    /// Cut.
    Cut(Box<SeenReport>),
}

impl App {
    /// What the bearer has used in each phase, and how its rules stand.
    ///
    /// # Errors
    /// The store's.
    pub fn standings(&self, seen: &Seen, token: &Token) -> Result<Vec<(String, Ledger, Vec<Standing>)>, Refusal> {
        let now = self.clock.now();
        let mut all = Vec::new();
        for phase in &seen.version.challenge.phases {
            let ledger = self.store.ledger(&ledger_key(&seen.version, phase, &token.subject))?;
            let standings = phase.quota.iter().map(|rule| rule.standing(&ledger, now)).collect();
            all.push((phase.id.to_string(), ledger, standings));
        }
        Ok(all)
    }

    /// A part of a leaderboard of up to `limit` rows, after `after`.
    ///
    /// # Errors
    /// [`Refusal::Unknown`]: there is no such board, or no such place on it any more.
    pub fn leaderboard(
        &self,
        seen: &Seen,
        token: Option<&Token>,
        board: &LeaderboardId,
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Page, Refusal> {
        let Seen { version, organizer, .. } = seen;
        let board = version.challenge.leaderboard(board).ok_or(Refusal::Unknown("leaderboard"))?;
        let key = board_key(version, board);
        let (rank, mut from) = match after {
            Some(place) => {
                let moved = || Refusal::Unknown("place on this leaderboard any more; begin again without a cursor");
                let entry = self.store.entry(&key, &place.entrant)?;
                let entry = entry.filter(|entry| Place::of(place.rank, entry) == *place).ok_or_else(moved)?;
                (place.rank, Some(entry.key))
            }
            None => (0, None),
        };
        let first = from.is_none();
        let mut read = || {
            let mut entries = Vec::new();
            while entries.len() <= limit {
                let page = self.store.entries(&key, from.as_deref(), ROWS_AT_ONCE.min(limit + 1 - entries.len()))?;
                let Some(last) = page.last() else { break };
                from = Some(last.key.clone());
                entries.extend(page);
            }
            Ok(entries)
        };
        let entries = if first { self.first_pages.of(&key, limit + 1, read)? } else { read()?.into() };
        let more = entries.len() > limit;
        let entries = entries.get(..limit).unwrap_or(&entries);
        let columns = self.columns(version, board, *organizer, entries);
        let ranks = (1..).map(|place| rank.saturating_add(place));
        let next = entries.last().filter(|_| more);
        let next = next.map(|last| Place::of(rank.saturating_add(entries.len() as u64), last));
        let shown: Vec<_> = entries
            .iter()
            .zip(ranks)
            .map(|(entry, rank)| {
                let mine = token.is_some_and(|token| token.subject == entry.entrant);
                let value = |column: &ShownColumn| {
                    let same = |score: &&crate::domain::report::Score| {
                        score.metric == column.metric && score.split == column.split
                    };
                    let value = entry.scores.iter().find(same)?.value;
                    Some(if *organizer { value } else { rounded(value, column.precision) })
                };
                ShownEntry {
                    rank,
                    entrant: entry.entrant.clone(),
                    submission: (mine || *organizer).then_some(entry.submission),
                    submitted_at: entry.submitted_at,
                    values: columns.iter().map(value).collect(),
                }
            })
            .collect();
        Ok(Page { columns, entries: shown, next })
    }

    /// The columns that the reader may see: the board's split first, then the others once they are revealed.
    fn columns(&self, version: &Version, board: &Leaderboard, organizer: bool, entries: &[Entry]) -> Vec<ShownColumn> {
        let now = self.clock.now();
        let mut splits = vec![board.split.clone()];
        for score in entries.iter().flat_map(|entry| &entry.scores) {
            if !splits.contains(&score.split) && (organizer || board.shows(score.split.as_deref(), now)) {
                splits.push(score.split.clone());
            }
        }
        splits[1..].sort();
        let phase = version.challenge.phases.iter().find(|phase| board.phases.contains(&phase.id));
        let scorer = phase.and_then(|phase| version.scorers.get(&phase.task));
        let mut shown = Vec::new();
        for split in &splits {
            for column in board.columns.iter().filter(|column| organizer || !column.hidden) {
                let metric = scorer.and_then(|scorer| scorer.description.metric(&column.metric));
                let title = column.title.clone().or_else(|| metric.map(|metric| metric.title.clone()));
                shown.push(ShownColumn {
                    metric: column.metric.clone(),
                    split: split.clone(),
                    title: title.unwrap_or_else(|| column.metric.clone()),
                    direction: direction(column, version, board),
                    unit: metric.and_then(|metric| metric.unit.clone()),
                    precision: column.precision.or_else(|| metric.map(|metric| metric.precision)).unwrap_or(4),
                });
            }
        }
        shown
    }

    /// The stored report.
    fn stored_report(&self, seen: &SeenSubmission) -> Result<Option<(Vec<u8>, Report)>, Refusal> {
        let Some(body) = self.store.report(seen.tracked.submission.id)? else { return Ok(None) };
        let bytes = self.body(&body)?;
        let report = serde_json::from_slice(&bytes)
            .map_err(|error| Refusal::Stored { what: "a report", source: error.into() })?;
        Ok(Some((bytes, report)))
    }

    /// The report of a submission.
    ///
    /// # Errors
    /// [`Refusal::Unknown`]: there is none yet.
    pub fn report(&self, seen: &SeenSubmission) -> Result<ReadReport, Refusal> {
        let (bytes, report) = self.stored_report(seen)?.ok_or(Refusal::Unknown("report of this submission yet"))?;
        if seen.organizer {
            return Ok(ReadReport::Whole(bytes));
        }
        let rules = &seen.live.challenge;
        let refunded = seen.tracked.refunded;
        let cut = for_participant(&report, &seen.tracked.submission, &seen.version, rules, refunded, self.clock.now());
        Ok(ReadReport::Cut(Box::new(cut)))
    }

    /// The scorer's log: for organizers only.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn log(&self, seen: &SeenSubmission) -> Result<Vec<u8>, Refusal> {
        if !seen.organizer {
            return Err(Refusal::Unknown("log"));
        }
        let body = self.store.log(seen.tracked.submission.id)?;
        body.map_or_else(|| Ok(Vec::new()), |body| self.body(&body))
    }

    /// Whether the reader may see what a submission's program prints: organizers, and its participant if the task says so.
    pub fn may_follow(&self, seen: &SeenSubmission) -> bool {
        let task = seen.version.challenge.task(&seen.tracked.submission.task);
        let run = task.and_then(|task| task.run.as_ref());
        run.is_some_and(|run| seen.organizer || run.logs == Audience::Participant)
    }

    /// What a submission's program printed, or has printed so far. Empty when there is nothing, or nothing yet.
    ///
    /// # Errors
    /// [`Refusal::Unknown`]: not for the reader.
    pub fn printed(&self, seen: &SeenSubmission, stream: Stream) -> Result<Vec<u8>, Refusal> {
        if !self.may_follow(seen) {
            return Err(Refusal::Unknown("log"));
        }
        let id = seen.tracked.submission.id;
        // First: a run that ends in between is found there.
        let live = self.follow_run(id);
        if let Some(output) = self.store.run_output(id)? {
            let Some(digest) = output.stream(stream) else { return Ok(Vec::new()) };
            let bytes = self.open(digest)?;
            return Ok(read_all(&*bytes).map_err(|source| BlobError::Read { digest, source })?);
        }
        Ok(live.map_or_else(Vec::new, |printed| printed.since(stream, 0).0))
    }

    /// What an ingestion program printed that ran apart, once the run ended. Empty when there was none.
    ///
    /// # Errors
    /// [`Refusal::Unknown`]: not for the reader.
    pub fn ingestion_log(&self, seen: &SeenSubmission) -> Result<Vec<u8>, Refusal> {
        if !seen.organizer {
            return Err(Refusal::Unknown("log"));
        }
        let output = self.store.run_output(seen.tracked.submission.id)?;
        let Some(digest) = output.and_then(|output| output.ingestion) else { return Ok(Vec::new()) };
        let bytes = self.open(digest)?;
        Ok(read_all(&*bytes).map_err(|source| BlobError::Read { digest, source })?)
    }

    /// What the program of a submission prints, while it runs here.
    pub fn follow_run(&self, id: SubmissionId) -> Option<Arc<Printed>> {
        self.running().get(&id).and_then(|held| Some(Arc::clone(&held.printed.as_ref()?.program)))
    }

    /// An attachment of a report.
    ///
    /// # Errors
    /// [`Refusal::Unknown`]: there is none of that name that the reader may see.
    pub fn attachment(&self, seen: &SeenSubmission, name: &str) -> Result<(Attachment, Arc<dyn ReadAt>), Refusal> {
        let unknown = || Refusal::Unknown("artifact");
        let (_, report) = self.stored_report(seen)?.ok_or_else(unknown)?;
        let readable =
            |file: &&Attachment| file.name == name && (seen.organizer || file.audience == Audience::Participant);
        let found = report.attachments.iter().find(readable).ok_or_else(unknown)?;
        Ok((found.clone(), self.open(found.digest)?))
    }

    /// A file of a challenge that [`Challenge::publishes`](crate::domain::challenge::Challenge::publishes). Organizers may
    /// read all.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn file(&self, seen: &Seen, path: &str) -> Result<File, Refusal> {
        let unknown = || Refusal::Unknown("file");
        let Version { challenge, files, .. } = &*seen.version;
        let kept = self.kept(files)?;
        let readable = |file: &TreeFile| seen.organizer || challenge.publishes(&file.path);
        let found = kept.placed().find(|(file, ..)| file.path.as_str() == path && readable(file));
        let (about, holder, at) = found.ok_or_else(unknown)?;
        // Opened here, so that what cannot be read is an answer and not a body that ends early.
        let bytes = Slice { whole: self.open(holder)?, at, len: about.len };
        Ok(File { about: about.clone(), bytes: Arc::new(bytes) })
    }

    /// The public files of a challenge.
    ///
    /// # Errors
    /// What was stored cannot be read.
    pub fn files(&self, seen: &Seen) -> Result<Vec<TreeFile>, Refusal> {
        let challenge = &seen.version.challenge;
        let kept = self.kept(&seen.version.files)?;
        Ok(kept.files.files().iter().filter(|file| challenge.publishes(&file.path)).cloned().collect())
    }
}
