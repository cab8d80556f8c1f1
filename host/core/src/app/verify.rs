//! Whether what is stored is whole: blobs against their digests, boards against reports, quotas against submissions, events
//! against jobs. Changes nothing. For a store that nobody writes to meanwhile: what it compares, it reads one after the other.

use super::{App, Refusal, chain};
use crate::domain::audit::Act;
use crate::domain::board::{BoardKey, Entry, Placement, board_key, placements, replaces};
use crate::domain::challenge::{ChallengeRow, Version};
use crate::domain::digest::{Digest, Hasher};
use crate::domain::event::EventKind;
use crate::domain::id::{EntrantId, SubmissionId};
use crate::domain::job::State;
use crate::domain::report::Report;
use crate::domain::submission::Body;
use crate::ports::blobs::ReadAt;
use crate::ports::store::{LedgerKey, Tracked};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Submissions, events and entries that are read at once.
const PAGE: usize = 256;
/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Challenges.
    pub challenges: u64,
    /// Their versions.
    pub versions: u64,
    /// Submissions to them.
    pub submissions: u64,
    /// Bodies, and the bytes in them.
    pub bodies: (u64, u64),
    /// What is not as it should be.
    pub problems: u64,
}

/// What an entrant's ledger has to say.
#[derive(Debug, Default)]
struct Account {
    /// Submissions whose charge was not given back.
    charged: u64,
    open: u32,
}

struct Look<'a> {
    app: &'a App,
    tell: &'a mut dyn FnMut(String),
    verified: Verified,
    /// Bodies that were found whole.
    seen: HashSet<Digest>,
    accounts: HashMap<LedgerKey, Account>,
    boards: HashMap<BoardKey, BTreeMap<EntrantId, Entry>>,
    open: HashSet<SubmissionId>,
}

impl App {
    /// Looks all of it over; what is not as it should be goes to `tell`, in words for the operator.
    ///
    /// # Errors
    /// Rows cannot be read.
    pub fn verify(&self, tell: &mut dyn FnMut(String)) -> Result<Verified, Refusal> {
        let mut look = Look {
            app: self,
            tell,
            verified: Verified::default(),
            seen: HashSet::new(),
            accounts: HashMap::new(),
            boards: HashMap::new(),
            open: HashSet::new(),
        };
        for row in self.all_challenges()? {
            look.challenge(&row)?;
        }
        let open: HashSet<SubmissionId> = self.store.open_jobs()?.iter().map(|open| open.submission.id).collect();
        let differ: Vec<_> = open.symmetric_difference(&look.open).copied().collect();
        for id in differ {
            look.problem(format!("submission {id}: the list of those that have not ended is wrong about it"));
        }
        Ok(look.verified)
    }
}

impl Look<'_> {
    fn problem(&mut self, what: String) {
        self.verified.problems += 1;
        (self.tell)(what);
    }

    fn challenge(&mut self, row: &ChallengeRow) -> Result<(), Refusal> {
        let id = &row.id;
        self.verified.challenges += 1;
        let mut number = 1;
        while let Some(version) = self.app.store.version(id, number)? {
            self.verified.versions += 1;
            let whose = format!("challenge `{id}` version {number}");
            self.files(&whose, &version.files)?;
            for scorer in version.scorers.values() {
                self.body(&format!("{whose}: its scorer"), scorer.component);
            }
            number += 1;
        }
        let Some(live) = self.app.store.version(id, row.live)? else {
            self.problem(format!("challenge `{id}`: its live version {} is not there", row.live));
            return Ok(());
        };
        self.accounts.clear();
        self.boards.clear();
        let mut before = None;
        loop {
            let page = self.app.store.submissions(id, None, before, PAGE)?;
            let Some(last) = page.last() else { break };
            before = Some(last.submission.id);
            for tracked in &page {
                self.submission(&live, tracked)?;
            }
        }
        self.ledgers(row)?;
        self.leaderboards(&live)
    }

    fn submission(&mut self, live: &Version, tracked: &Tracked) -> Result<(), Refusal> {
        let Tracked { submission, job, refunded } = tracked;
        let id = submission.id;
        let whose = format!("submission {id}");
        self.verified.submissions += 1;
        self.files(&whose, &submission.files)?;
        let over = job.state.is_terminal();
        if !over {
            self.open.insert(id);
        }
        if over != job.outcome.is_some() {
            self.problem(format!("{whose}: it is {}, and its outcome says otherwise", job.state.word()));
        }
        self.events(&whose, tracked)?;
        if let Some(log) = self.app.store.log(id)? {
            self.text(&format!("{whose}: the scorer's log"), &log);
        }
        if let Some(output) = self.app.store.run_output(id)? {
            for digest in [output.stdout, output.stderr, output.ingestion].into_iter().flatten() {
                self.body(&format!("{whose}: what its program printed"), digest);
            }
            if let Some(predictions) = &output.predictions {
                self.files(&format!("{whose}: what its program left"), predictions)?;
            }
        }
        let account = self.accounts.entry(LedgerKey::of(submission)).or_default();
        account.charged += u64::from(!refunded);
        account.open += u32::from(!over);
        let report = self.app.store.report(id)?;
        if job.state != State::Scored {
            return Ok(());
        }
        let Some(report) = report.as_ref().map(|body| self.app.body(body)).transpose().ok().flatten() else {
            self.problem(format!("{whose}: it is scored, and its report is not there"));
            return Ok(());
        };
        match serde_json::from_slice::<Report>(&report) {
            Ok(report) => placements(live, submission, &report).into_iter().for_each(|placement| self.place(placement)),
            Err(error) => self.problem(format!("{whose}: its report does not read: {error}")),
        }
        Ok(())
    }

    fn place(&mut self, Placement { board, rule, entry }: Placement) {
        let board = self.boards.entry(board).or_default();
        if replaces(rule, board.get(&entry.entrant), &entry) {
            board.insert(entry.entrant.clone(), entry);
        }
    }

    /// Its events are counted without a gap, and the last state that they tell is its own.
    fn events(&mut self, whose: &str, tracked: &Tracked) -> Result<(), Refusal> {
        let (mut last, mut state, mut reports) = (0, None, 0);
        loop {
            let page = self.app.store.events(tracked.submission.id, last, PAGE)?;
            if page.is_empty() {
                break;
            }
            for event in page {
                if event.seq != last + 1 {
                    self.problem(format!("{whose}: its events go from {last} to {}", event.seq));
                }
                last = event.seq;
                match event.kind {
                    EventKind::State { state: told, .. } => state = Some(told),
                    EventKind::Report { .. } => reports += 1,
                    EventKind::Place(_) | EventKind::Progress { .. } | EventKind::Log { .. } => {}
                }
            }
        }
        if state != Some(tracked.job.state) {
            self.problem(format!("{whose}: it is {}, and its events end otherwise", tracked.job.state.word()));
        }
        if reports > 1 {
            self.problem(format!("{whose}: it was graded {reports} times"));
        }
        Ok(())
    }

    fn ledgers(&mut self, row: &ChallengeRow) -> Result<(), Refusal> {
        let granted = self.granted(row)?;
        for (key, account) in std::mem::take(&mut self.accounts) {
            let ledger = self.app.store.ledger(&key)?;
            let whose = format!("quota of `{}` in `{}` / `{}`", key.entrant, key.challenge, key.phase);
            let beyond = granted.get(&key).copied().unwrap_or(0).saturating_sub(u64::from(ledger.extra));
            let expected = account.charged.saturating_sub(beyond);
            if ledger.total != expected {
                self.problem(format!("{whose}: it says {} used, and there are {expected}", ledger.total));
            }
            if ledger.open != account.open {
                let (says, are) = (ledger.open, account.open);
                self.problem(format!("{whose}: it says that {says} have not ended, and there are {are}"));
            }
        }
        Ok(())
    }

    /// What was granted beyond the rules.
    fn granted(&self, row: &ChallengeRow) -> Result<HashMap<LedgerKey, u64>, Refusal> {
        let mut granted = HashMap::new();
        let mut before = None;
        loop {
            let page = self.app.store.audit(Some(&row.id), before, PAGE)?;
            let Some(last) = page.last() else { return Ok(granted) };
            before = Some(last.seq);
            for line in page {
                if let Act::QuotaGranted { challenge, phase, entrant, extra } = line.deed.act {
                    *granted.entry(LedgerKey { challenge, phase, entrant }).or_insert(0) += u64::from(extra);
                }
            }
        }
    }

    /// Each board is what the reports make it.
    fn leaderboards(&mut self, live: &Version) -> Result<(), Refusal> {
        for board in &live.challenge.leaderboards {
            let key = board_key(live, board);
            let mut expected = self.boards.remove(&key).unwrap_or_default();
            let whose = format!("leaderboard `{}` of `{}`", board.id, live.challenge.id);
            let mut after: Option<String> = None;
            loop {
                let page = self.app.store.entries(&key, after.as_deref(), PAGE)?;
                let Some(last) = page.last() else { break };
                after = Some(last.key.clone());
                for entry in page {
                    if expected.remove(&entry.entrant).as_ref() != Some(&entry) {
                        self.problem(format!("{whose}: the row of `{}` is not what the reports say", entry.entrant));
                    }
                }
            }
            for entrant in expected.keys() {
                self.problem(format!("{whose}: the row of `{entrant}` is missing"));
            }
        }
        Ok(())
    }

    /// A list of files, and all that holds them.
    fn files(&mut self, whose: &str, body: &Body) -> Result<(), Refusal> {
        if !self.text(&format!("{whose}: the list of its files"), body) {
            return Ok(());
        }
        let kept = match self.app.kept(body) {
            Ok(kept) => kept,
            Err(error) => {
                self.problem(format!("{whose}: {}", chain(&error)));
                return Ok(());
            }
        };
        for (file, holder, _) in kept.placed() {
            self.body(&format!("{whose}: its file `{}`", file.path), holder);
        }
        Ok(())
    }

    /// Whether a text is there.
    fn text(&mut self, what: &str, body: &Body) -> bool {
        match body {
            Body::Inline(_) => true,
            Body::Blob(digest) => self.body(what, *digest),
        }
    }

    /// Whether bytes are there and have their digest. Each is read once.
    fn body(&mut self, what: &str, digest: Digest) -> bool {
        if self.seen.contains(&digest) {
            return true;
        }
        let bytes = match self.app.open(digest) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problem(format!("{what}: {}", chain(&error)));
                return false;
            }
        };
        match digest_of(&*bytes) {
            Ok(found) if found == digest => {
                self.seen.insert(digest);
                self.verified.bodies.0 += 1;
                self.verified.bodies.1 += bytes.len();
                true
            }
            Ok(_) => {
                self.problem(format!("{what}: its bytes are not those of {digest}; the disk spoilt them"));
                false
            }
            Err(error) => {
                self.problem(format!("{what}: {digest} cannot be read: {error}"));
                false
            }
        }
    }
}

fn digest_of(bytes: &dyn ReadAt) -> std::io::Result<Digest> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; BUFFER];
    let mut at = 0;
    loop {
        match bytes.read_at(at, &mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => {
                hasher.update(&buffer[..count]);
                at += count as u64;
            }
        }
    }
}
