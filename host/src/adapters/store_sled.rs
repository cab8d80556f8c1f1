//! The rows on sled: the only place that knows it.
//!
//! One thread writes ([`writer`]): each change is one transaction over all trees that it touches, and it is answered when
//! a flush and an fdatasync are behind it. Reads go to the trees from any thread and wait for no writer, so they may see a
//! change a moment before it is durable; nobody has been told of it then. What a change depends on is decided by the core
//! (`ports::store::decide`), not here.

mod changes;
mod draft;
mod durable;
mod key;
mod opening;
mod snapshot;
mod tables;
mod writer;

#[cfg(test)]
mod tests;

pub use writer::Stats;

use durable::{Disk, Durable};
use gradus_core::domain::answer::Owed;
use gradus_core::domain::audit::{Deed, Logged};
use gradus_core::domain::board::{BoardKey, Entry, Placement};
use gradus_core::domain::challenge::{ChallengeRow, Hold, Version};
use gradus_core::domain::digest::Digest;
use gradus_core::domain::event::Event;
use gradus_core::domain::forge::{ObjectId, Source};
use gradus_core::domain::hook::{Hook, Letter};
use gradus_core::domain::id::{
    ChallengeId, EntrantId, HookId, LetterId, OperationId, PushId, SourceId, SubmissionId, TokenId,
};
use gradus_core::domain::operation::{Operation, OperationState};
use gradus_core::domain::push::{ForgeUser, Push, TagKey};
use gradus_core::domain::quota::Ledger;
use gradus_core::domain::run_record::RunOutput;
use gradus_core::domain::submission::{Body, Submission};
use gradus_core::domain::token::Token;
use gradus_core::domain::units::Bytes;
use gradus_core::ports::chain;
use gradus_core::ports::store::decide::{JobRow, KeyRow, OperationRow};
use gradus_core::ports::store::{
    Admission, Admitted, Advance, Advanced, LedgerKey, Result, Snapshot, Store, StoreError, Tracked,
};
use jiff::Timestamp;
use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Bound;
use std::path::Path;
use tables::{Table, Trees, decode, end_of, id_at_end, missing};
use writer::Writer;

/// How to run the store.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Memory for rows that were read.
    pub cache: Bytes,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache: Bytes(64 << 20) }
    }
}

/// The rows, in a folder. Dropping it ends the writer and leaves the folder to others.
pub struct SledStore {
    // In this order: the writer ends, then sled, then others may open the folder.
    writer: Writer,
    trees: Trees,
    _lock: File,
}

impl SledStore {
    /// Opens the store in `dir`, or begins one there.
    ///
    /// # Errors
    /// [`StoreError::Open`], with what to do: another gradus has it open, a
    /// newer one wrote it, or it is damaged. Nothing is deleted then.
    pub fn open(dir: &Path, options: Options) -> Result<Self> {
        Self::open_with(dir, options, |disk| Box::new(disk))
    }

    fn open_with(dir: &Path, options: Options, durable: impl FnOnce(Disk) -> Box<dyn Durable>) -> Result<Self> {
        let opening::Opened { db, trees, lock } = opening::open(dir, &options)?;
        let unusable = |source| opening::refused(dir, "check the disk, then start again", Some(source));
        let disk = Disk::new(db, dir).map_err(|failure| unusable(Box::new(failure)))?;
        let writer = Writer::start(trees.clone(), durable(disk)).map_err(|source| unusable(Box::new(source)))?;
        Ok(Self { writer, trees, _lock: lock })
    }

    /// Begins a store in `dir`, where there is none yet, with the rows of a backup; how many there are.
    ///
    /// # Errors
    /// The folder holds a store; the backup is not whole, or of another format; the disk's.
    pub fn restore(dir: &Path, rows: &mut dyn Read) -> Result<u64> {
        let opening::Opened { db, trees, lock: _lock } = opening::open(dir, &Options::default())?;
        if trees.tree(Table::Meta).len() > 1 || !trees.tree(Table::Tokens).is_empty() {
            return Err(opening::refused(dir, "it holds a store already: name another folder", None));
        }
        let count = snapshot::read(&trees, rows)?;
        let unusable = |source: durable::Failure| StoreError::Write(source.into_source());
        Disk::new(db, dir).map_err(unusable)?.sync().map_err(unusable)?;
        Ok(count)
    }

    /// How the writer fares; for metrics.
    pub fn stats(&self) -> Stats {
        self.writer.stats()
    }

    fn tracked(&self, id: SubmissionId) -> Result<Option<Tracked>> {
        // In this order: both are stored at once, so where the first is the second is.
        let submission: Option<Submission> = self.trees.get(Table::Submissions, &key::submission(id))?;
        let Some(submission) = submission else { return Ok(None) };
        let row: Option<JobRow> = self.trees.get(Table::Jobs, &key::job(id))?;
        let row = row.ok_or_else(|| missing(Table::Jobs, format_args!("the job of submission {id}")))?;
        Ok(Some(row.of(submission)))
    }

    /// The submission that a line of an index names.
    fn named(&self, table: Table, line: &[u8]) -> Result<Tracked> {
        let id = id_at_end(table, line)?;
        self.tracked(id)?.ok_or_else(|| missing(Table::Submissions, format_args!("submission {id}")))
    }

    /// The push that a line of an index names.
    fn listed_push(&self, line: &[u8]) -> Result<Push> {
        let id = PushId(id_at_end(Table::Forges, line)?.0);
        let row = self.trees.get(Table::Forges, &key::push(id))?;
        row.ok_or_else(|| missing(Table::Forges, format_args!("push {id}")))
    }

    fn rows<T: serde::de::DeserializeOwned>(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<T>> {
        self.trees.after(table, prefix, after).take(limit).map(|row| decode(table, &row?.1)).collect()
    }
}

impl Snapshot for SledStore {
    fn snapshot(&self, to: Box<dyn Write + Send>) -> Result<u64> {
        // On the thread that writes, so that nothing changes meanwhile.
        self.writer.write(move |draft| snapshot::write(draft.stored, to))
    }
}

impl Store for SledStore {
    fn put_token(&self, token: &Token, deed: Option<&Deed>) -> Result<()> {
        let (token, deed) = (token.clone(), deed.cloned());
        self.writer.write(move |draft| changes::put_token(draft, &token, deed))
    }

    fn token(&self, id: TokenId) -> Result<Option<Token>> {
        self.trees.get(Table::Tokens, &key::token(id))
    }

    fn tokens(&self, after: Option<TokenId>, limit: usize) -> Result<Vec<Token>> {
        self.rows(Table::Tokens, b"", after.map(|id| key::token(id).to_vec()), limit)
    }

    fn revoke_token(&self, id: TokenId, deed: &Deed) -> Result<bool> {
        let deed = deed.clone();
        self.writer.write(move |draft| changes::revoke_token(draft, id, deed))
    }

    fn audit(&self, challenge: Option<&ChallengeId>, before: Option<u64>, limit: usize) -> Result<Vec<Logged>> {
        let Some(challenge) = challenge else {
            let lines = self.trees.before(Table::Audit, key::DEEDS, before.map(key::deed)).take(limit);
            return lines.map(|line| decode(Table::Audit, &line?.1)).collect();
        };
        let before = before.map(|number| key::deed_of(challenge, number));
        let lines = self.trees.before(Table::Audit, &key::deeds_of(challenge), before).take(limit);
        let row = |number: u64| {
            let row = self.trees.get(Table::Audit, &key::deed(number))?;
            row.ok_or_else(|| missing(Table::Audit, format_args!("deed {number}")))
        };
        lines.map(|line| row(key::number(&line?.0).unwrap_or_default())).collect()
    }

    fn stage_version(
        &self,
        version: &Version,
        operation: &Operation,
        owner: Option<&EntrantId>,
        deed: Option<&Deed>,
    ) -> Result<u32> {
        let (version, operation, owner, deed) = (version.clone(), operation.clone(), owner.cloned(), deed.cloned());
        self.writer.write(move |draft| changes::stage_version(draft, version, operation, owner, deed))
    }

    fn settle_operation(&self, id: OperationId, state: OperationState) -> Result<()> {
        self.writer.write(move |draft| changes::settle_operation(draft, id, state))
    }

    fn operation(&self, id: OperationId) -> Result<Option<Operation>> {
        let row: Option<OperationRow> = self.trees.get(Table::Operations, &key::operation(id))?;
        Ok(row.map(|row| row.operation))
    }

    fn running_operations(&self) -> Result<Vec<Operation>> {
        let mut running = Vec::new();
        for line in self.trees.after(Table::Operations, b"r", None) {
            let id = OperationId(id_at_end(Table::Operations, &line?.0)?.0);
            // It may have ended since the line was read.
            let operation = self.operation(id)?.filter(|operation| !operation.state.is_over());
            running.extend(operation);
        }
        Ok(running)
    }

    fn challenge(&self, id: &ChallengeId) -> Result<Option<ChallengeRow>> {
        self.trees.get(Table::Challenges, &key::challenge(id))
    }

    fn set_hold(&self, id: &ChallengeId, hold: Option<Hold>, deed: &Deed) -> Result<bool> {
        let (id, deed) = (id.clone(), deed.clone());
        self.writer.write(move |draft| changes::set_hold(draft, &id, hold, deed))
    }

    fn challenges(&self, after: Option<&ChallengeId>, limit: usize) -> Result<Vec<ChallengeRow>> {
        self.rows(Table::Challenges, b"", after.map(key::challenge), limit)
    }

    fn published(&self, after: Option<&ChallengeId>, limit: usize) -> Result<Vec<ChallengeId>> {
        let mut all = Vec::new();
        let mut from = after.map_or(Bound::Unbounded, |after| end_of(&key::versions(after)));
        while all.len() < limit {
            if let Bound::Excluded(next) = from {
                from = Bound::Included(next);
            }
            let Some(line) = self.trees.first(Table::Versions, b"", from)? else { break };
            let id = key::first_name(&line).and_then(|name| name.parse::<ChallengeId>().ok());
            let id = id.ok_or_else(|| missing(Table::Versions, "a challenge"))?;
            from = end_of(&key::versions(&id));
            all.push(id);
        }
        Ok(all)
    }

    fn version(&self, id: &ChallengeId, version: u32) -> Result<Option<Version>> {
        self.trees.get(Table::Versions, &key::version(id, version))
    }

    fn admit(&self, admission: Admission) -> Result<Admitted> {
        self.writer.write(move |draft| changes::admit(draft, admission))
    }

    fn same(&self, ledger: &LedgerKey, files: Digest, version: u32) -> Result<Option<SubmissionId>> {
        changes::same(&self.trees, ledger, files, version)
    }

    fn advance(&self, advance: Advance) -> Result<Advanced> {
        self.writer.write(move |draft| changes::advance(draft, advance))
    }

    fn place(&self, placements: Vec<Placement>) -> Result<()> {
        self.writer.write(move |draft| changes::place(draft, placements))
    }

    fn idempotent(&self, token: TokenId, key: &str, now: Timestamp) -> Result<Option<(Digest, SubmissionId)>> {
        let row: Option<KeyRow> = self.trees.get(Table::Keys, &key::used(token, key))?;
        Ok(row.filter(|row| row.holds(now)).map(|row| (row.request, row.submission)))
    }

    fn forget_idempotency(&self, now: Timestamp) -> Result<usize> {
        let mut total = 0;
        loop {
            let count = self.writer.write(move |draft| changes::forget_idempotency(draft, now))?;
            total += count;
            if count < changes::FORGET_AT_ONCE {
                return Ok(total);
            }
        }
    }

    fn submission(&self, id: SubmissionId) -> Result<Option<Tracked>> {
        self.tracked(id)
    }

    fn submissions(
        &self,
        challenge: &ChallengeId,
        entrant: Option<&EntrantId>,
        before: Option<SubmissionId>,
        limit: usize,
    ) -> Result<Vec<Tracked>> {
        let list = key::list(challenge, entrant);
        let before = before.map(|id| key::listed(&list, id));
        let lines = self.trees.before(Table::Lists, &list, before).take(limit);
        lines.map(|line| self.named(Table::Lists, &line?.0)).collect()
    }

    fn open_jobs(&self) -> Result<Vec<Tracked>> {
        let mut open = Vec::new();
        for line in self.trees.after(Table::Jobs, b"o", None) {
            match self.named(Table::Jobs, &line?.0) {
                // It may have ended since the line was read.
                Ok(job) => open.extend(Some(job).filter(|job| !job.job.state.is_terminal())),
                // One that cannot be read must not hold all others up.
                Err(error) => tracing::error!(error = %chain(&error), "a submission cannot be read; restore a backup"),
            }
        }
        Ok(open)
    }

    fn events(&self, id: SubmissionId, after: u64, limit: usize) -> Result<Vec<Event>> {
        self.rows(Table::Events, &key::submission(id), Some(key::event(id, after)), limit)
    }

    fn report(&self, id: SubmissionId) -> Result<Option<Body>> {
        self.trees.get(Table::Outputs, &key::report(id))
    }

    fn small(&self, digest: Digest) -> Result<Option<Vec<u8>>> {
        self.trees.bytes(Table::Small, digest.as_bytes())
    }

    fn log(&self, id: SubmissionId) -> Result<Option<Body>> {
        self.trees.get(Table::Outputs, &key::log(id))
    }

    fn run_output(&self, id: SubmissionId) -> Result<Option<RunOutput>> {
        self.trees.get(Table::Outputs, &key::run_output(id))
    }

    fn ledger(&self, key: &LedgerKey) -> Result<Ledger> {
        Ok(self.trees.get(Table::Ledgers, &key::ledger(key))?.unwrap_or_default())
    }

    fn grant(&self, key: &LedgerKey, extra: u32, deed: &Deed) -> Result<Ledger> {
        let (key, deed) = (key.clone(), deed.clone());
        self.writer.write(move |draft| changes::grant(draft, &key, extra, deed))
    }

    fn entries(&self, board: &BoardKey, after: Option<&str>, limit: usize) -> Result<Vec<Entry>> {
        self.rows(Table::Boards, &key::places(board), after.map(|order| key::place(board, order)), limit)
    }

    fn entry(&self, board: &BoardKey, entrant: &EntrantId) -> Result<Option<Entry>> {
        self.trees.get(Table::Boards, &key::entry(board, entrant))
    }

    fn put_source(&self, source: &Source, deed: &Deed) -> Result<bool> {
        let (source, deed) = (source.clone(), deed.clone());
        self.writer.write(move |draft| changes::put_source(draft, &source, deed))
    }

    fn remove_source(&self, id: &SourceId, deed: &Deed) -> Result<bool> {
        let (id, deed) = (id.clone(), deed.clone());
        self.writer.write(move |draft| changes::remove_source(draft, &id, deed))
    }

    fn source(&self, id: &SourceId) -> Result<Option<Source>> {
        self.trees.get(Table::Forges, &key::source(id))
    }

    fn sources(&self) -> Result<Vec<Source>> {
        self.rows(Table::Forges, key::SOURCES, None, usize::MAX)
    }

    fn receive(&self, pushes: Vec<Push>) -> Result<Vec<Push>> {
        self.writer.write(move |draft| changes::receive(draft, pushes))
    }

    fn push(&self, id: PushId) -> Result<Option<Push>> {
        self.trees.get(Table::Forges, &key::push(id))
    }

    fn push_of(&self, tag: &TagKey, object: &ObjectId) -> Result<Option<Push>> {
        let id: Option<PushId> = self.trees.get(Table::Forges, &key::told(tag, object))?;
        id.map_or(Ok(None), |id| self.push(id))
    }

    fn settle_push(&self, push: &Push, owed: Option<Timestamp>) -> Result<bool> {
        let push = push.clone();
        self.writer.write(move |draft| changes::settle_push(draft, &push, owed))
    }

    fn owed(&self, id: PushId) -> Result<Option<Owed>> {
        self.trees.get(Table::Forges, &key::owed(id))
    }

    fn all_owed(&self) -> Result<Vec<(PushId, Timestamp)>> {
        let mut all = Vec::new();
        for row in self.trees.after(Table::Forges, key::OWED, None) {
            let (at, row) = row?;
            let owed: Owed = decode(Table::Forges, &row)?;
            let id = PushId(id_at_end(Table::Forges, &at)?.0);
            all.extend(owed.due.map(|due| (id, due)));
        }
        Ok(all)
    }

    fn settle_owed(&self, id: PushId, seen: u64, next: Option<Owed>) -> Result<Option<Timestamp>> {
        self.writer.write(move |draft| changes::settle_owed(draft, id, seen, next))
    }

    fn waiting_pushes(&self, after: Option<PushId>, limit: usize) -> Result<Vec<Push>> {
        let lines = self.trees.after(Table::Forges, key::WAITING_PUSHES, after.map(key::waiting_push)).take(limit);
        lines.map(|line| self.listed_push(&line?.0)).collect()
    }

    fn know_user(&self, user: &ForgeUser) -> Result<Option<ForgeUser>> {
        let user = user.clone();
        self.writer.write(move |draft| changes::know_user(draft, &user))
    }

    fn forge_user(&self, source: &SourceId, id: &str) -> Result<Option<ForgeUser>> {
        self.trees.get(Table::Forges, &key::user(source, id))
    }

    fn link_user(&self, user: &ForgeUser, deed: &Deed) -> Result<()> {
        let (user, deed) = (user.clone(), deed.clone());
        self.writer.write(move |draft| changes::link_user(draft, &user, deed))
    }

    fn forge_users(&self, source: &SourceId, after: Option<&str>, limit: usize) -> Result<Vec<ForgeUser>> {
        self.rows(Table::Forges, &key::users(source), after.map(|id| key::user(source, id)), limit)
    }

    fn pushes(&self, source: &SourceId, before: Option<PushId>, limit: usize) -> Result<Vec<Push>> {
        let before = before.map(|id| key::pushed(source, id));
        let lines = self.trees.before(Table::Forges, &key::pushes(source), before).take(limit);
        lines.map(|line| self.listed_push(&line?.0)).collect()
    }

    fn put_hook(&self, hook: &Hook, deed: &Deed) -> Result<()> {
        let (hook, deed) = (hook.clone(), deed.clone());
        self.writer.write(move |draft| changes::put_hook(draft, &hook, deed))
    }

    fn remove_hook(&self, challenge: &ChallengeId, id: HookId, deed: &Deed) -> Result<bool> {
        let (challenge, deed) = (challenge.clone(), deed.clone());
        self.writer.write(move |draft| changes::remove_hook(draft, &challenge, id, deed))
    }

    fn hooks(&self, challenge: &ChallengeId) -> Result<Vec<Hook>> {
        self.rows(Table::Hooks, &key::hooks(challenge), None, usize::MAX)
    }

    fn post(&self, letter: Letter) -> Result<()> {
        self.writer.write(move |draft| changes::post(draft, &letter))
    }

    fn due_letter(&self, now: Timestamp, but: &HashSet<HookId>) -> Result<Option<Letter>> {
        // From hook to hook: how many wait for one does not matter.
        let (mut first, mut from) = (None, Bound::Included(key::WAITING.to_vec()));
        while let Some(line) = self.trees.first(Table::Outbox, key::WAITING, from)? {
            let (hook, due, id) = key::waits(&line).ok_or_else(|| missing(Table::Outbox, "a letter that waits"))?;
            from = match end_of(&key::waiting_for(hook)) {
                Bound::Excluded(next) => Bound::Included(next),
                bound @ (Bound::Included(_) | Bound::Unbounded) => bound,
            };
            let sooner = first.is_none_or(|(sooner, _)| due < sooner);
            if sooner && due <= key::instant(now) && !but.contains(&hook) {
                first = Some((due, id));
            }
        }
        // It may have gone since the line was read.
        first.map_or(Ok(None), |(_, id)| self.trees.get(Table::Outbox, &key::letter(id)))
    }

    fn settle_letter(&self, id: LetterId, next: Option<Letter>) -> Result<()> {
        self.writer.write(move |draft| changes::settle_letter(draft, id, next.as_ref()))
    }

    fn letter_counts(&self, hook: HookId, most: usize) -> Result<(usize, usize)> {
        let count = |prefix: Vec<u8>| {
            let mut lines = self.trees.after(Table::Outbox, &prefix, None).take(most);
            lines.try_fold(0, |count, line| line.map(|_| count + 1))
        };
        Ok((count(key::waiting_for(hook))?, count(key::given_up_for(hook))?))
    }

    fn letters(&self, hook: HookId, limit: usize) -> Result<Vec<Letter>> {
        let given_up = self.trees.before(Table::Outbox, &key::given_up_for(hook), None);
        let waiting = self.trees.after(Table::Outbox, &key::waiting_for(hook), None);
        let mut letters = Vec::new();
        for line in waiting.chain(given_up).take(limit) {
            let id = LetterId(id_at_end(Table::Outbox, &line?.0)?.0);
            letters.extend(self.trees.get::<Letter>(Table::Outbox, &key::letter(id))?);
        }
        Ok(letters)
    }

    fn forget_letters(&self, before: Timestamp) -> Result<usize> {
        let mut total = 0;
        loop {
            let (count, more) = self.writer.write(move |draft| changes::forget_letters(draft, before))?;
            total += count;
            if !more {
                return Ok(total);
            }
        }
    }

    fn probe(&self) -> Result<()> {
        self.writer.write(changes::probe)
    }

    fn is_open(&self) -> bool {
        self.writer.is_open()
    }
}
