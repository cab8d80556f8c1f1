//! The rows in memory: for tests. It keeps nothing after its end, and never fails unless it is closed.

use crate::domain::answer::Owed;
use crate::domain::audit::{Deed, Logged};
use crate::domain::board::{BoardKey, Entry, Placement, replaces};
use crate::domain::challenge::{ChallengeRow, Hold, Version};
use crate::domain::digest::Digest;
use crate::domain::event::Event;
use crate::domain::forge::{Kind, ObjectId, Source};
use crate::domain::hook::{Hook, Letter};
use crate::domain::id::{
    ChallengeId, EntrantId, HookId, LetterId, OperationId, PushId, SourceId, SubmissionId, TokenId,
};
use crate::domain::operation::{Operation, OperationState};
use crate::domain::push::{ForgeUser, LastTold, Push, TagKey};
use crate::domain::quota::Ledger;
use crate::domain::run_record::RunOutput;
use crate::domain::submission::{Body, Submission};
use crate::domain::token::Token;
use crate::ports::store::decide::{self, JobRow, KeyRow, OperationRow};
use crate::ports::store::{Admission, Admitted, Advance, Advanced, LedgerKey, Result, Store, StoreError, Tracked};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

/// The rows, behind one lock.
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    closed: bool,
    tokens: BTreeMap<TokenId, Token>,
    operations: BTreeMap<OperationId, OperationRow>,
    challenges: BTreeMap<ChallengeId, ChallengeRow>,
    versions: BTreeMap<(ChallengeId, u32), Version>,
    submissions: BTreeMap<SubmissionId, (Submission, JobRow)>,
    events: BTreeMap<(SubmissionId, u64), Event>,
    reports: BTreeMap<SubmissionId, Body>,
    logs: BTreeMap<SubmissionId, Body>,
    runs: BTreeMap<SubmissionId, RunOutput>,
    small: BTreeMap<Digest, Vec<u8>>,
    ledgers: BTreeMap<LedgerKey, Ledger>,
    boards: BTreeMap<BoardKey, Board>,
    keys: BTreeMap<(TokenId, String), KeyRow>,
    audit: Vec<Logged>,
    once: BTreeMap<(LedgerKey, Digest), SubmissionId>,
    hooks: BTreeMap<(ChallengeId, HookId), Hook>,
    letters: BTreeMap<LetterId, Letter>,
    sources: BTreeMap<SourceId, Source>,
    pushes: BTreeMap<PushId, Push>,
    tags: BTreeMap<TagKey, LastTold>,
    told: BTreeMap<(TagKey, ObjectId), PushId>,
    users: BTreeMap<(SourceId, String), ForgeUser>,
    owed: BTreeMap<PushId, Owed>,
    places: BTreeMap<SourceId, (Kind, String)>,
    taken: BTreeSet<EntrantId>,
}

#[derive(Debug, Default)]
struct Board {
    of: BTreeMap<EntrantId, Entry>,
    order: BTreeMap<String, Entry>,
}

impl MemoryStore {
    /// Takes no more changes from now on, as a store does after a failed write.
    pub fn close(&self) {
        self.read().closed = true;
    }

    fn read(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().expect("nothing panics while it holds the rows")
    }

    fn write(&self) -> Result<MutexGuard<'_, Rows>> {
        let rows = self.read();
        if rows.closed { Err(StoreError::Closed) } else { Ok(rows) }
    }
}

impl Rows {
    fn owe(&mut self, id: PushId, now: Timestamp) {
        let owed = self.owed.remove(&id).unwrap_or_default();
        self.owed.insert(id, owed.marked(now));
    }

    fn place(&mut self, placement: Placement) {
        let Placement { board, rule, entry } = placement;
        let board = self.boards.entry(board).or_default();
        let current = board.of.get(&entry.entrant);
        if !replaces(rule, current, &entry) {
            return;
        }
        if let Some(current) = current {
            board.order.remove(&current.key);
        }
        board.order.insert(entry.key.clone(), entry.clone());
        board.of.insert(entry.entrant.clone(), entry);
    }

    fn same(&self, ledger: &LedgerKey, files: Digest, version: u32) -> Option<SubmissionId> {
        let id = self.once.get(&(ledger.clone(), files))?;
        let (earlier, row) = self.submissions.get(id)?;
        decide::stands(earlier, &row.job, version).then_some(*id)
    }

    fn log(&mut self, deed: Option<Deed>) {
        let seq = self.audit.len() as u64 + 1;
        self.audit.extend(deed.map(|deed| Logged { seq, deed }));
    }

    fn tracked(&self, id: SubmissionId) -> Option<Tracked> {
        self.submissions.get(&id).map(|(submission, row)| row.clone().of(submission.clone()))
    }
}

/// From just after `after`, or from the beginning.
fn following<T>(after: Option<T>) -> (Bound<T>, Bound<T>) {
    (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

impl Store for MemoryStore {
    fn put_token(&self, token: &Token, deed: Option<&Deed>) -> Result<()> {
        let mut rows = self.write()?;
        rows.tokens.insert(token.id, token.clone());
        rows.log(deed.cloned());
        Ok(())
    }

    fn token(&self, id: TokenId) -> Result<Option<Token>> {
        Ok(self.read().tokens.get(&id).cloned())
    }

    fn tokens(&self, after: Option<TokenId>, limit: usize) -> Result<Vec<Token>> {
        let rows = self.read();
        Ok(rows.tokens.range(following(after)).take(limit).map(|(_, token)| token.clone()).collect())
    }

    fn revoke_token(&self, id: TokenId, deed: &Deed) -> Result<bool> {
        let mut rows = self.write()?;
        let Some(token) = rows.tokens.get_mut(&id).filter(|token| token.revoked_at.is_none()) else {
            return Ok(false);
        };
        token.revoked_at = Some(deed.at);
        rows.log(Some(deed.clone()));
        Ok(true)
    }

    fn audit(&self, challenge: Option<&ChallengeId>, before: Option<u64>, limit: usize) -> Result<Vec<Logged>> {
        let rows = self.read();
        let wanted = |logged: &&Logged| {
            before.is_none_or(|before| logged.seq < before)
                && challenge.is_none_or(|challenge| logged.deed.act.challenge() == Some(challenge))
        };
        Ok(rows.audit.iter().rev().filter(wanted).take(limit).cloned().collect())
    }

    fn stage_version(
        &self,
        version: &Version,
        operation: &Operation,
        owner: Option<&EntrantId>,
        deed: Option<&Deed>,
    ) -> Result<u32> {
        let mut rows = self.write()?;
        let id = &version.challenge.id;
        let all = rows.versions.range((id.clone(), 0)..=(id.clone(), u32::MAX));
        let number = all.last().map_or(0, |((_, number), _)| *number) + 1;
        rows.versions.insert((id.clone(), number), Version { version: number, ..version.clone() });
        let operation = Operation { version: number, ..operation.clone() };
        let row = OperationRow { operation: operation.clone(), owner: owner.cloned() };
        rows.operations.insert(operation.id, row);
        rows.log(deed.map(|deed| deed.clone().numbered(number)));
        Ok(number)
    }

    fn settle_operation(&self, id: OperationId, state: OperationState) -> Result<()> {
        let mut rows = self.write()?;
        let Some(row) = rows.operations.get(&id).cloned() else { return Ok(()) };
        let challenge = rows.challenges.get(&row.operation.challenge).cloned();
        if let Some(settled) = decide::settle(row, state, challenge) {
            rows.operations.insert(id, settled.operation);
            rows.challenges.extend(settled.challenge.map(|row| (row.id.clone(), row)));
        }
        Ok(())
    }

    fn operation(&self, id: OperationId) -> Result<Option<Operation>> {
        Ok(self.read().operations.get(&id).map(|row| row.operation.clone()))
    }

    fn running_operations(&self) -> Result<Vec<Operation>> {
        let rows = self.read();
        let all = rows.operations.values().map(|row| &row.operation);
        Ok(all.filter(|operation| !operation.state.is_over()).cloned().collect())
    }

    fn challenge(&self, id: &ChallengeId) -> Result<Option<ChallengeRow>> {
        Ok(self.read().challenges.get(id).cloned())
    }

    fn set_hold(&self, id: &ChallengeId, hold: Option<Hold>, deed: &Deed) -> Result<bool> {
        let mut rows = self.write()?;
        let Some(row) = rows.challenges.get_mut(id) else { return Ok(false) };
        row.hold = hold;
        rows.log(Some(deed.clone()));
        Ok(true)
    }

    fn challenges(&self, after: Option<&ChallengeId>, limit: usize) -> Result<Vec<ChallengeRow>> {
        let rows = self.read();
        Ok(rows.challenges.range(following(after.cloned())).take(limit).map(|(_, row)| row.clone()).collect())
    }

    fn published(&self, after: Option<&ChallengeId>, limit: usize) -> Result<Vec<ChallengeId>> {
        let rows = self.read();
        let mut all: Vec<_> = rows.versions.keys().map(|(id, _)| id.clone()).collect();
        all.dedup();
        all.retain(|id| after.is_none_or(|after| id > after));
        all.truncate(limit);
        Ok(all)
    }

    fn version(&self, id: &ChallengeId, version: u32) -> Result<Option<Version>> {
        Ok(self.read().versions.get(&(id.clone(), version)).cloned())
    }

    fn admit(&self, admission: Admission) -> Result<Admitted> {
        let mut rows = self.write()?;
        let stored = admission.push.as_ref().and_then(|push| rows.pushes.get(&push.id));
        if let Some(before) = decide::pushed_before(stored) {
            return Ok(before);
        }
        let key = admission.idempotency.as_ref().map(|asked| (asked.token, asked.key.clone()));
        let used = key.as_ref().and_then(|key| rows.keys.get(key));
        let ledger = LedgerKey::of(&admission.submission);
        let before = rows.ledgers.get(&ledger).cloned().unwrap_or_default();
        let same = admission.once.and_then(|files| rows.same(&ledger, files, admission.submission.version));
        let challenge = rows.challenges.get(&admission.submission.challenge);
        let intake = match decide::admit(&admission, used, challenge, same, before) {
            Ok(intake) => intake,
            Err(refused) => return Ok(refused),
        };
        let submission = admission.submission;
        let pushed = admission.push.map(|push| decide::pushed(&push, submission.id));
        if let Some(push) = &pushed {
            rows.owe(push.id, submission.submitted_at);
        }
        rows.pushes.extend(pushed.map(|push| (push.id, push)));
        rows.small.extend(admission.small.into_iter().map(|small| (small.digest, small.bytes)));
        rows.once.extend(admission.once.map(|files| ((ledger.clone(), files), submission.id)));
        rows.ledgers.insert(ledger, intake.ledger);
        rows.keys.extend(key.zip(intake.key));
        rows.events.insert((submission.id, intake.event.seq), intake.event.clone());
        rows.submissions.insert(submission.id, (submission, intake.job));
        Ok(Admitted::Accepted { event: intake.event })
    }

    fn same(&self, ledger: &LedgerKey, files: Digest, version: u32) -> Result<Option<SubmissionId>> {
        Ok(self.read().same(ledger, files, version))
    }

    fn advance(&self, advance: Advance) -> Result<Advanced> {
        let mut rows = self.write()?;
        let Some((submission, row)) = rows.submissions.get(&advance.id) else { return Ok(Advanced::Conflict) };
        let live = rows.challenges.get(&submission.challenge).map(|row| row.live);
        let settled = advance.settle.as_ref().map(|settle| settle.ledger.clone());
        let ledger = settled.as_ref().and_then(|key| rows.ledgers.get(key)).cloned().unwrap_or_default();
        let Some(change) = decide::advance(&advance, Some(row), live, ledger) else { return Ok(Advanced::Conflict) };
        let submission = submission.clone();
        if let Some(push) = advance.owed {
            rows.owe(push, advance.at);
        }
        rows.submissions.insert(advance.id, (submission, change.job));
        rows.ledgers.extend(settled.zip(change.ledger));
        rows.events.extend(change.events.iter().map(|event| ((advance.id, event.seq), event.clone())));
        rows.reports.extend(advance.report.map(|report| (advance.id, report)));
        rows.small.extend(advance.small.into_iter().map(|small| (small.digest, small.bytes)));
        rows.logs.extend(advance.log.map(|log| (advance.id, log)));
        rows.runs.extend(advance.run.map(|run| (advance.id, run)));
        advance.placements.into_iter().for_each(|placement| rows.place(placement));
        rows.log(advance.deed);
        rows.letters.extend(advance.letters.into_iter().map(|letter| (letter.id, letter)));
        Ok(Advanced::Stored { events: change.events, refunded: change.refunded })
    }

    fn place(&self, placements: Vec<Placement>) -> Result<()> {
        let mut rows = self.write()?;
        placements.into_iter().for_each(|placement| rows.place(placement));
        Ok(())
    }

    fn idempotent(&self, token: TokenId, key: &str, now: Timestamp) -> Result<Option<(Digest, SubmissionId)>> {
        let rows = self.read();
        let row = rows.keys.get(&(token, key.to_owned())).filter(|row| row.holds(now));
        Ok(row.map(|row| (row.request, row.submission)))
    }

    fn forget_idempotency(&self, now: Timestamp) -> Result<usize> {
        let mut rows = self.write()?;
        let before = rows.keys.len();
        rows.keys.retain(|_, row| row.holds(now));
        Ok(before - rows.keys.len())
    }

    fn submission(&self, id: SubmissionId) -> Result<Option<Tracked>> {
        Ok(self.read().tracked(id))
    }

    fn submissions(
        &self,
        challenge: &ChallengeId,
        entrant: Option<&EntrantId>,
        before: Option<SubmissionId>,
        limit: usize,
    ) -> Result<Vec<Tracked>> {
        let rows = self.read();
        let below = (Bound::Unbounded, before.map_or(Bound::Unbounded, Bound::Excluded));
        let newest = rows.submissions.range(below).rev().filter(|(_, (submission, _))| {
            submission.challenge == *challenge && entrant.is_none_or(|entrant| submission.entrant == *entrant)
        });
        Ok(newest.take(limit).filter_map(|(id, _)| rows.tracked(*id)).collect())
    }

    fn open_jobs(&self) -> Result<Vec<Tracked>> {
        let rows = self.read();
        let open = rows.submissions.iter().filter(|(_, (_, row))| !row.job.state.is_terminal());
        Ok(open.filter_map(|(id, _)| rows.tracked(*id)).collect())
    }

    fn events(&self, id: SubmissionId, after: u64, limit: usize) -> Result<Vec<Event>> {
        let rows = self.read();
        let range = (Bound::Excluded((id, after)), Bound::Included((id, u64::MAX)));
        if after == u64::MAX {
            return Ok(Vec::new());
        }
        Ok(rows.events.range(range).take(limit).map(|(_, event)| event.clone()).collect())
    }

    fn report(&self, id: SubmissionId) -> Result<Option<Body>> {
        Ok(self.read().reports.get(&id).cloned())
    }

    fn small(&self, digest: Digest) -> Result<Option<Vec<u8>>> {
        Ok(self.read().small.get(&digest).cloned())
    }

    fn log(&self, id: SubmissionId) -> Result<Option<Body>> {
        Ok(self.read().logs.get(&id).cloned())
    }

    fn run_output(&self, id: SubmissionId) -> Result<Option<RunOutput>> {
        Ok(self.read().runs.get(&id).cloned())
    }

    fn ledger(&self, key: &LedgerKey) -> Result<Ledger> {
        Ok(self.read().ledgers.get(key).cloned().unwrap_or_default())
    }

    fn grant(&self, key: &LedgerKey, extra: u32, deed: &Deed) -> Result<Ledger> {
        let mut rows = self.write()?;
        let ledger = rows.ledgers.entry(key.clone()).or_default();
        ledger.grant(extra);
        let ledger = ledger.clone();
        rows.log(Some(deed.clone()));
        Ok(ledger)
    }

    fn put_source(&self, source: &Source, deed: &Deed) -> Result<bool> {
        let mut rows = self.write()?;
        let place = (source.kind, source.base.clone());
        let was = rows.places.get(&source.id).is_some_and(|was| *was != place);
        if was || rows.sources.contains_key(&source.id) {
            return Ok(false);
        }
        rows.places.insert(source.id.clone(), place);
        rows.sources.insert(source.id.clone(), source.clone());
        rows.log(Some(deed.clone()));
        Ok(true)
    }

    fn remove_source(&self, id: &SourceId, deed: &Deed) -> Result<bool> {
        let mut rows = self.write()?;
        let removed = rows.sources.remove(id).is_some();
        rows.log(removed.then(|| deed.clone()));
        Ok(removed)
    }

    fn source(&self, id: &SourceId) -> Result<Option<Source>> {
        Ok(self.read().sources.get(id).cloned())
    }

    fn sources(&self) -> Result<Vec<Source>> {
        Ok(self.read().sources.values().cloned().collect())
    }

    fn receive(&self, pushes: Vec<Push>) -> Result<Vec<Push>> {
        let mut rows = self.write()?;
        let mut new = Vec::new();
        for push in pushes {
            let tag = push.tag_key();
            let had = push.object.as_ref().is_some_and(|object| rows.told.contains_key(&(tag.clone(), object.clone())));
            if !push.is_known(had, rows.tags.get(&tag)) {
                rows.told.extend(push.object.clone().map(|object| ((tag.clone(), object), push.id)));
                let push = push.after(rows.tags.get(&tag));
                let told = push.told(rows.tags.get(&tag));
                rows.tags.insert(tag, told);
                rows.pushes.insert(push.id, push.clone());
                new.push(push);
            }
        }
        Ok(new)
    }

    fn pushes(&self, source: &SourceId, before: Option<PushId>, limit: usize) -> Result<Vec<Push>> {
        let below = before.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.read();
        let pushes = rows.pushes.range((Bound::Unbounded, below)).rev().map(|(_, push)| push);
        Ok(pushes.filter(|push| push.source == *source).take(limit).cloned().collect())
    }

    fn push(&self, id: PushId) -> Result<Option<Push>> {
        Ok(self.read().pushes.get(&id).cloned())
    }

    fn push_of(&self, tag: &TagKey, object: &ObjectId) -> Result<Option<Push>> {
        let rows = self.read();
        let id = rows.told.get(&(tag.clone(), object.clone()));
        Ok(id.and_then(|id| rows.pushes.get(id)).cloned())
    }

    fn settle_push(&self, push: &Push, owed: Option<Timestamp>) -> Result<bool> {
        let mut rows = self.write()?;
        let waits = rows.pushes.get(&push.id).is_some_and(|stored| stored.state.is_waiting());
        if let Some(at) = owed.filter(|_| waits) {
            rows.owe(push.id, at);
        }
        rows.pushes.extend(waits.then(|| (push.id, push.clone())));
        Ok(waits)
    }

    fn owed(&self, id: PushId) -> Result<Option<Owed>> {
        Ok(self.read().owed.get(&id).cloned())
    }

    fn all_owed(&self) -> Result<Vec<(PushId, Timestamp)>> {
        Ok(self.read().owed.iter().filter_map(|(id, owed)| Some((*id, owed.due?))).collect())
    }

    fn settle_owed(&self, id: PushId, seen: u64, next: Option<Owed>) -> Result<Option<Timestamp>> {
        let mut rows = self.write()?;
        let Some(stored) = rows.owed.remove(&id) else { return Ok(None) };
        let next = decide::owed(stored, seen, next);
        rows.owed.extend(next.clone().map(|owed| (id, owed)));
        Ok(next.and_then(|owed| owed.due))
    }

    fn waiting_pushes(&self, after: Option<PushId>, limit: usize) -> Result<Vec<Push>> {
        let above = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.read();
        let waiting = rows.pushes.range((above, Bound::Unbounded)).map(|(_, push)| push);
        Ok(waiting.filter(|push| push.state.is_waiting()).take(limit).cloned().collect())
    }

    fn know_user(&self, user: &ForgeUser) -> Result<Option<ForgeUser>> {
        let mut rows = self.write()?;
        let key = (user.source.clone(), user.id.clone());
        let (known, taken) = (rows.users.get(&key).cloned(), rows.taken.contains(&user.entrant));
        let known = decide::known(user, known, taken);
        rows.taken.extend(known.as_ref().map(|known| known.entrant.clone()));
        rows.users.extend(known.clone().map(|user| (key, user)));
        Ok(known)
    }

    fn forge_user(&self, source: &SourceId, id: &str) -> Result<Option<ForgeUser>> {
        Ok(self.read().users.get(&(source.clone(), id.to_owned())).cloned())
    }

    fn link_user(&self, user: &ForgeUser, deed: &Deed) -> Result<()> {
        let mut rows = self.write()?;
        rows.taken.insert(user.entrant.clone());
        rows.users.insert((user.source.clone(), user.id.clone()), user.clone());
        rows.log(Some(deed.clone()));
        Ok(())
    }

    fn forge_users(&self, source: &SourceId, after: Option<&str>, limit: usize) -> Result<Vec<ForgeUser>> {
        let rows = self.read();
        let users = rows.users.values().filter(|user| user.source == *source);
        Ok(users.filter(|user| after.is_none_or(|after| *user.id > *after)).take(limit).cloned().collect())
    }

    fn put_hook(&self, hook: &Hook, deed: &Deed) -> Result<()> {
        let mut rows = self.write()?;
        rows.hooks.insert((hook.challenge.clone(), hook.id), hook.clone());
        rows.log(Some(deed.clone()));
        Ok(())
    }

    fn remove_hook(&self, challenge: &ChallengeId, id: HookId, deed: &Deed) -> Result<bool> {
        let mut rows = self.write()?;
        let removed = rows.hooks.remove(&(challenge.clone(), id)).is_some();
        rows.log(removed.then(|| deed.clone()));
        Ok(removed)
    }

    fn hooks(&self, challenge: &ChallengeId) -> Result<Vec<Hook>> {
        Ok(self.read().hooks.values().filter(|hook| hook.challenge == *challenge).cloned().collect())
    }

    fn post(&self, letter: Letter) -> Result<()> {
        self.write()?.letters.insert(letter.id, letter);
        Ok(())
    }

    fn due_letter(&self, now: Timestamp, but: &HashSet<HookId>) -> Result<Option<Letter>> {
        let rows = self.read();
        let due = rows.letters.values().filter_map(|letter| Some((letter.due.filter(|due| *due <= now)?, letter)));
        let first = due.filter(|(_, letter)| !but.contains(&letter.hook)).min_by_key(|(due, letter)| (*due, letter.id));
        Ok(first.map(|(_, letter)| letter.clone()))
    }

    fn settle_letter(&self, id: LetterId, next: Option<Letter>) -> Result<()> {
        let mut rows = self.write()?;
        if rows.letters.remove(&id).is_some() {
            rows.letters.extend(next.map(|letter| (letter.id, letter)));
        }
        Ok(())
    }

    fn letter_counts(&self, hook: HookId, most: usize) -> Result<(usize, usize)> {
        let rows = self.read();
        let count = |waits: bool| {
            let of = rows.letters.values().filter(|letter| letter.hook == hook && letter.due.is_some() == waits);
            of.take(most).count()
        };
        Ok((count(true), count(false)))
    }

    fn letters(&self, hook: HookId, limit: usize) -> Result<Vec<Letter>> {
        let rows = self.read();
        let to = |letter: &&Letter| letter.hook == hook;
        let given_up = rows.letters.values().rev().filter(to).filter(|letter| letter.due.is_none());
        let mut waiting: Vec<_> = rows.letters.values().filter(to).filter(|letter| letter.due.is_some()).collect();
        waiting.sort_by_key(|letter| (letter.due, letter.id));
        Ok(waiting.into_iter().chain(given_up).take(limit).cloned().collect())
    }

    fn forget_letters(&self, before: Timestamp) -> Result<usize> {
        let mut rows = self.write()?;
        let count = rows.letters.len();
        rows.letters.retain(|_, letter| letter.due.is_some() || letter.made_at >= before);
        Ok(count - rows.letters.len())
    }

    fn entries(&self, board: &BoardKey, after: Option<&str>, limit: usize) -> Result<Vec<Entry>> {
        let rows = self.read();
        let board = rows.boards.get(board);
        let entries = board.into_iter().flat_map(|board| board.order.range(following(after.map(str::to_owned))));
        Ok(entries.take(limit).map(|(_, entry)| entry.clone()).collect())
    }

    fn entry(&self, board: &BoardKey, entrant: &EntrantId) -> Result<Option<Entry>> {
        Ok(self.read().boards.get(board).and_then(|board| board.of.get(entrant)).cloned())
    }

    fn probe(&self) -> Result<()> {
        self.write().map(|_| ())
    }

    fn is_open(&self) -> bool {
        !self.read().closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::store_contract;

    #[test]
    fn it_keeps_the_contract() {
        store_contract::all(&|| Box::new(MemoryStore::default()));
    }

    #[test]
    fn once_closed_it_is_still_read_but_takes_nothing() {
        let store = MemoryStore::default();
        let token = store_contract::rows::token(1);
        store.put_token(&token, None).unwrap();
        store.close();
        assert!(matches!(store.put_token(&store_contract::rows::token(2), None), Err(StoreError::Closed)));
        assert!(matches!(store.probe(), Err(StoreError::Closed)) && !store.is_open());
        assert_eq!(store.token(token.id).unwrap(), Some(token));
    }
}
