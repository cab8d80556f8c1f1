//! Each change of the port as a draft. What is decided is the core's; here is only which rows it reads and writes.

use super::draft::Draft;
use super::key;
use super::tables::{Table, Trees, decode, missing};
use gradus_core::domain::answer::Owed;
use gradus_core::domain::audit::{Deed, Logged};
use gradus_core::domain::board::{Entry, Placement, replaces};
use gradus_core::domain::challenge::{ChallengeRow, Hold, Version};
use gradus_core::domain::digest::Digest;
use gradus_core::domain::forge::{Kind, Source};
use gradus_core::domain::hook::{Hook, Letter};
use gradus_core::domain::id::{
    ChallengeId, EntrantId, HookId, LetterId, OperationId, PushId, SourceId, SubmissionId, TokenId,
};
use gradus_core::domain::operation::{Operation, OperationState};
use gradus_core::domain::push::{ForgeUser, LastTold, Push};
use gradus_core::domain::quota::Ledger;
use gradus_core::domain::submission::Submission;
use gradus_core::domain::token::Token;
use gradus_core::ports::store::decide::{self, JobRow, KeyRow, OperationRow};
use gradus_core::ports::store::{Admission, Admitted, Advance, Advanced, LedgerKey, Result, Small};
use jiff::Timestamp;

/// Keys that one transaction forgets, at most.
pub const FORGET_AT_ONCE: usize = 500;

pub fn put_token(draft: &mut Draft<'_>, token: &Token, deed: Option<Deed>) -> Result<()> {
    draft.put(Table::Tokens, key::token(token.id), token)?;
    log(draft, deed)
}

pub fn revoke_token(draft: &mut Draft<'_>, id: TokenId, deed: Deed) -> Result<bool> {
    let token: Option<Token> = draft.get(Table::Tokens, &key::token(id))?;
    let Some(token) = token.filter(|token| token.revoked_at.is_none()) else { return Ok(false) };
    draft.put(Table::Tokens, key::token(id), &Token { revoked_at: Some(deed.at), ..token })?;
    log(draft, Some(deed))?;
    Ok(true)
}

pub fn set_hold(draft: &mut Draft<'_>, id: &ChallengeId, hold: Option<Hold>, deed: Deed) -> Result<bool> {
    let row: Option<ChallengeRow> = draft.get(Table::Challenges, &key::challenge(id))?;
    let Some(row) = row else { return Ok(false) };
    draft.put(Table::Challenges, key::challenge(id), &ChallengeRow { hold, ..row })?;
    log(draft, Some(deed))?;
    Ok(true)
}

pub fn grant(draft: &mut Draft<'_>, account: &LedgerKey, extra: u32, deed: Deed) -> Result<Ledger> {
    let mut ledger: Ledger = draft.get(Table::Ledgers, &key::ledger(account))?.unwrap_or_default();
    ledger.grant(extra);
    draft.put(Table::Ledgers, key::ledger(account), &ledger)?;
    log(draft, Some(deed))?;
    Ok(ledger)
}

/// Puts what somebody did behind the last that was logged: one for each change, at most.
fn log(draft: &mut Draft<'_>, deed: Option<Deed>) -> Result<()> {
    let Some(deed) = deed else { return Ok(()) };
    let last = draft.stored.before(Table::Audit, key::DEEDS, None).next().transpose()?;
    let seq = last.and_then(|(key, _)| key::number(&key)).unwrap_or(0) + 1;
    if let Some(challenge) = deed.act.challenge() {
        draft.mark(Table::Audit, key::deed_of(challenge, seq))?;
    }
    draft.put(Table::Audit, key::deed(seq), &Logged { seq, deed })
}

pub fn stage_version(
    draft: &mut Draft<'_>,
    version: Version,
    operation: Operation,
    owner: Option<EntrantId>,
    deed: Option<Deed>,
) -> Result<u32> {
    let id = version.challenge.id.clone();
    let highest = draft.stored.before(Table::Versions, &key::versions(&id), None).next().transpose()?;
    let highest = match &highest {
        None => 0,
        Some((key, _)) => {
            let number = key.last_chunk().ok_or_else(|| missing(Table::Versions, format!("the key {key:?}")))?;
            u32::from_be_bytes(*number)
        }
    };
    let number = highest + 1;
    draft.put(Table::Versions, key::version(&id, number), &Version { version: number, ..version })?;
    draft.mark(Table::Operations, key::running(operation.id))?;
    let at = key::operation(operation.id);
    let operation = Operation { version: number, ..operation };
    draft.put(Table::Operations, at, &OperationRow { operation, owner })?;
    log(draft, deed.map(|deed| deed.numbered(number)))?;
    Ok(number)
}

pub fn settle_operation(draft: &mut Draft<'_>, id: OperationId, state: OperationState) -> Result<()> {
    let row: Option<OperationRow> = draft.get(Table::Operations, &key::operation(id))?;
    let Some(row) = row else { return Ok(()) };
    let challenge = draft.get(Table::Challenges, &key::challenge(&row.operation.challenge))?;
    let Some(settled) = decide::settle(row, state, challenge) else { return Ok(()) };
    draft.put(Table::Operations, key::operation(id), &settled.operation)?;
    if settled.operation.operation.state.is_over() {
        draft.remove(Table::Operations, key::running(id));
    }
    if let Some(challenge) = settled.challenge {
        draft.put(Table::Challenges, key::challenge(&challenge.id), &challenge)?;
    }
    Ok(())
}

pub fn admit(draft: &mut Draft<'_>, admission: Admission) -> Result<Admitted> {
    let stored: Option<Push> = match &admission.push {
        Some(push) => draft.get(Table::Forges, &key::push(push.id))?,
        None => None,
    };
    if let Some(before) = decide::pushed_before(stored.as_ref()) {
        return Ok(before);
    }
    let asked = admission.idempotency.as_ref();
    let used: Option<KeyRow> = match asked {
        Some(asked) => draft.get(Table::Keys, &key::used(asked.token, &asked.key))?,
        None => None,
    };
    let owner = LedgerKey::of(&admission.submission);
    let account = key::ledger(&owner);
    let ledger = draft.get(Table::Ledgers, &account)?.unwrap_or_default();
    let same = match admission.once {
        Some(files) => same(draft.stored, &owner, files, admission.submission.version)?,
        None => None,
    };
    let challenge: Option<ChallengeRow> = draft.get(Table::Challenges, &key::challenge(&owner.challenge))?;
    let intake = match decide::admit(&admission, used.as_ref(), challenge.as_ref(), same, ledger) {
        Ok(intake) => intake,
        Err(refused) => return Ok(refused),
    };
    if let (Some(asked), Some(row)) = (asked, &intake.key) {
        if let Some(expired) = &used {
            draft.remove(Table::Keys, key::until(expired.until, asked.token, &asked.key));
        }
        draft.put(Table::Keys, key::used(asked.token, &asked.key), row)?;
        draft.mark(Table::Keys, key::until(row.until, asked.token, &asked.key))?;
    }
    let submission = &admission.submission;
    let id = submission.id;
    draft.put(Table::Submissions, key::submission(id), submission)?;
    put_small(draft, &admission.small)?;
    draft.put(Table::Jobs, key::job(id), &intake.job)?;
    draft.mark(Table::Jobs, key::open(id))?;
    for list in [key::list(&submission.challenge, None), key::list(&submission.challenge, Some(&submission.entrant))] {
        draft.mark(Table::Lists, key::listed(&list, id))?;
    }
    if let Some(files) = admission.once {
        draft.put(Table::Keys, key::once(&owner, files), &id)?;
    }
    if let Some(push) = &admission.push {
        put_push(draft, &decide::pushed(push, id))?;
        owe(draft, push.id, submission.submitted_at)?;
    }
    draft.put(Table::Ledgers, account, &intake.ledger)?;
    draft.put(Table::Events, key::event(id, intake.event.seq), &intake.event)?;
    Ok(Admitted::Accepted { event: intake.event })
}

/// The submission with the same files that stands for one of `version`.
pub fn same(stored: &Trees, owner: &LedgerKey, files: Digest, version: u32) -> Result<Option<SubmissionId>> {
    let id: Option<SubmissionId> = stored.get(Table::Keys, &key::once(owner, files))?;
    let Some(id) = id else { return Ok(None) };
    let earlier: Option<Submission> = stored.get(Table::Submissions, &key::submission(id))?;
    let row: Option<JobRow> = stored.get(Table::Jobs, &key::job(id))?;
    let stands = earlier.zip(row).is_some_and(|(earlier, row)| decide::stands(&earlier, &row.job, version));
    Ok(stands.then_some(id))
}

pub fn advance(draft: &mut Draft<'_>, advance: Advance) -> Result<Advanced> {
    let id = advance.id;
    let row: Option<JobRow> = draft.get(Table::Jobs, &key::job(id))?;
    let live = match advance.live {
        Some(_) => live_version(draft, &advance)?,
        None => None,
    };
    let account = advance.settle.as_ref().map(|settle| key::ledger(&settle.ledger));
    let ledger = match &account {
        Some(account) => draft.get(Table::Ledgers, account)?.unwrap_or_default(),
        None => Ledger::default(),
    };
    let Some(change) = decide::advance(&advance, row.as_ref(), live, ledger) else { return Ok(Advanced::Conflict) };
    draft.put(Table::Jobs, key::job(id), &change.job)?;
    if change.job.job.state.is_terminal() {
        draft.remove(Table::Jobs, key::open(id));
    } else if row.is_some_and(|row| row.job.state.is_terminal()) {
        draft.mark(Table::Jobs, key::open(id))?;
    }
    if let (Some(account), Some(ledger)) = (account, &change.ledger) {
        draft.put(Table::Ledgers, account, ledger)?;
    }
    for event in &change.events {
        draft.put(Table::Events, key::event(id, event.seq), event)?;
    }
    if let Some(report) = &advance.report {
        draft.put(Table::Outputs, key::report(id), report)?;
    }
    if let Some(log) = &advance.log {
        draft.put(Table::Outputs, key::log(id), log)?;
    }
    if let Some(run) = &advance.run {
        draft.put(Table::Outputs, key::run_output(id), run)?;
    }
    if let Some(push) = advance.owed {
        owe(draft, push, advance.at)?;
    }
    put_small(draft, &advance.small)?;
    place(draft, advance.placements)?;
    log(draft, advance.deed)?;
    advance.letters.iter().try_for_each(|letter| post(draft, letter))?;
    Ok(Advanced::Stored { events: change.events, refunded: change.refunded })
}

fn put_small(draft: &mut Draft<'_>, all: &[Small]) -> Result<()> {
    all.iter().try_for_each(|small| draft.put_bytes(Table::Small, small.digest.as_bytes(), &small.bytes))
}

fn live_version(draft: &Draft<'_>, advance: &Advance) -> Result<Option<u32>> {
    let submission: Option<Submission> = draft.get(Table::Submissions, &key::submission(advance.id))?;
    let Some(submission) = submission else { return Ok(None) };
    let row: Option<ChallengeRow> = draft.get(Table::Challenges, &key::challenge(&submission.challenge))?;
    Ok(row.map(|row| row.live))
}

pub fn place(draft: &mut Draft<'_>, placements: Vec<Placement>) -> Result<()> {
    for Placement { board, rule, entry } in placements {
        let at = key::entry(&board, &entry.entrant);
        let current: Option<Entry> = draft.get(Table::Boards, &at)?;
        if replaces(rule, current.as_ref(), &entry) {
            if let Some(current) = current {
                draft.remove(Table::Boards, key::place(&board, &current.key));
            }
            draft.put(Table::Boards, key::place(&board, &entry.key), &entry)?;
            draft.put(Table::Boards, at, &entry)?;
        }
    }
    Ok(())
}

/// Forgets up to [`FORGET_AT_ONCE`]; how many it were.
pub fn forget_idempotency(draft: &mut Draft<'_>, now: Timestamp) -> Result<usize> {
    let later = key::ends(now);
    let mut expired = Vec::new();
    for row in draft.stored.after(Table::Keys, b"u", None).take(FORGET_AT_ONCE) {
        let (key, _) = row?;
        // What ends at `now` begins with `later` and no longer holds either.
        if key[..] > later[..] && !key.starts_with(&later) {
            break;
        }
        expired.push(key.to_vec());
    }
    let count = expired.len();
    for until in expired {
        draft.remove(Table::Keys, key::used_of(&until));
        draft.remove(Table::Keys, until);
    }
    Ok(count)
}

pub fn put_source(draft: &mut Draft<'_>, source: &Source, deed: Deed) -> Result<bool> {
    let (at, place) = (key::source(&source.id), key::source_place(&source.id));
    let was: Option<(Kind, String)> = draft.get(Table::Forges, &place)?;
    let here = (source.kind, source.base.clone());
    if was.is_some_and(|was| was != here) || draft.get::<Source>(Table::Forges, &at)?.is_some() {
        return Ok(false);
    }
    draft.put(Table::Forges, place, &here)?;
    draft.put(Table::Forges, at, source)?;
    log(draft, Some(deed))?;
    Ok(true)
}

pub fn remove_source(draft: &mut Draft<'_>, id: &SourceId, deed: Deed) -> Result<bool> {
    let at = key::source(id);
    if draft.get::<Source>(Table::Forges, &at)?.is_none() {
        return Ok(false);
    }
    draft.remove(Table::Forges, at);
    log(draft, Some(deed))?;
    Ok(true)
}

pub fn receive(draft: &mut Draft<'_>, pushes: Vec<Push>) -> Result<Vec<Push>> {
    let mut new = Vec::new();
    for push in pushes {
        let tag = push.tag_key();
        let told = push.object.as_ref().map(|object| key::told(&tag, object));
        let had = told.as_ref().map(|told| draft.get::<PushId>(Table::Forges, told)).transpose()?.flatten().is_some();
        let last: Option<LastTold> = draft.get(Table::Forges, &key::last_told(&tag))?;
        if !push.is_known(had, last.as_ref()) {
            if let Some(told) = told {
                draft.put(Table::Forges, told, &push.id)?;
            }
            let push = push.after(last.as_ref());
            draft.put(Table::Forges, key::last_told(&tag), &push.told(last.as_ref()))?;
            put_push(draft, &push)?;
            draft.mark(Table::Forges, key::pushed(&push.source, push.id))?;
            new.push(push);
        }
    }
    Ok(new)
}

fn put_push(draft: &mut Draft<'_>, push: &Push) -> Result<()> {
    draft.put(Table::Forges, key::push(push.id), push)?;
    if push.state.is_waiting() {
        return draft.mark(Table::Forges, key::waiting_push(push.id));
    }
    draft.remove(Table::Forges, key::waiting_push(push.id));
    Ok(())
}

pub fn settle_push(draft: &mut Draft<'_>, push: &Push, owed: Option<Timestamp>) -> Result<bool> {
    let stored: Option<Push> = draft.get(Table::Forges, &key::push(push.id))?;
    let waits = stored.is_some_and(|stored| stored.state.is_waiting());
    if waits {
        put_push(draft, push)?;
        owed.map_or(Ok(()), |at| owe(draft, push.id, at))?;
    }
    Ok(waits)
}

fn owe(draft: &mut Draft<'_>, id: PushId, now: Timestamp) -> Result<()> {
    let owed: Owed = draft.get(Table::Forges, &key::owed(id))?.unwrap_or_default();
    draft.put(Table::Forges, key::owed(id), &owed.marked(now))
}

pub fn settle_owed(draft: &mut Draft<'_>, id: PushId, seen: u64, next: Option<Owed>) -> Result<Option<Timestamp>> {
    let stored: Option<Owed> = draft.get(Table::Forges, &key::owed(id))?;
    let Some(stored) = stored else { return Ok(None) };
    let Some(owed) = decide::owed(stored, seen, next) else {
        draft.remove(Table::Forges, key::owed(id));
        return Ok(None);
    };
    draft.put(Table::Forges, key::owed(id), &owed)?;
    Ok(owed.due)
}

pub fn know_user(draft: &mut Draft<'_>, user: &ForgeUser) -> Result<Option<ForgeUser>> {
    let known: Option<ForgeUser> = draft.get(Table::Forges, &key::user(&user.source, &user.id))?;
    let taken = draft.stored.after(Table::Forges, &key::entrants_of(&user.entrant), None).next().transpose()?;
    let known = decide::known(user, known, taken.is_some());
    if let Some(user) = &known {
        put_user(draft, user)?;
    }
    Ok(known)
}

fn put_user(draft: &mut Draft<'_>, user: &ForgeUser) -> Result<()> {
    draft.put(Table::Forges, key::user(&user.source, &user.id), user)?;
    draft.mark(Table::Forges, key::entrant_of(&user.entrant, &user.source, &user.id))
}

pub fn link_user(draft: &mut Draft<'_>, user: &ForgeUser, deed: Deed) -> Result<()> {
    // Who they were before stays taken: what is theirs from then is nobody else's.
    put_user(draft, user)?;
    log(draft, Some(deed))
}

pub fn put_hook(draft: &mut Draft<'_>, hook: &Hook, deed: Deed) -> Result<()> {
    draft.put(Table::Hooks, key::hook(&hook.challenge, hook.id), hook)?;
    log(draft, Some(deed))
}

pub fn remove_hook(draft: &mut Draft<'_>, challenge: &ChallengeId, id: HookId, deed: Deed) -> Result<bool> {
    let at = key::hook(challenge, id);
    let hook: Option<Hook> = draft.get(Table::Hooks, &at)?;
    if hook.is_none() {
        return Ok(false);
    }
    draft.remove(Table::Hooks, at);
    log(draft, Some(deed))?;
    Ok(true)
}

pub fn post(draft: &mut Draft<'_>, letter: &Letter) -> Result<()> {
    draft.mark(Table::Outbox, listed(letter))?;
    draft.put(Table::Outbox, key::letter(letter.id), letter)
}

pub fn settle_letter(draft: &mut Draft<'_>, id: LetterId, next: Option<&Letter>) -> Result<()> {
    let letter: Option<Letter> = draft.get(Table::Outbox, &key::letter(id))?;
    let Some(letter) = letter else { return Ok(()) };
    draft.remove(Table::Outbox, listed(&letter));
    if let Some(next) = next {
        return post(draft, next);
    }
    draft.remove(Table::Outbox, key::letter(id));
    Ok(())
}

/// Where it is listed.
fn listed(letter: &Letter) -> Vec<u8> {
    match letter.due {
        Some(due) => key::waiting(letter.hook, due, letter.id),
        None => key::given_up(letter.hook, letter.id),
    }
}

/// Forgets up to [`FORGET_AT_ONCE`]; how many it were, and whether there may be more.
pub fn forget_letters(draft: &mut Draft<'_>, before: Timestamp) -> Result<(usize, bool)> {
    let (mut old, mut more) = (Vec::new(), false);
    for row in draft.stored.after(Table::Outbox, key::LETTERS, None) {
        let letter: Letter = decode(Table::Outbox, &row?.1)?;
        // Their ids are in the order of time.
        if letter.made_at >= before {
            break;
        }
        if letter.due.is_none() {
            old.push(letter.id);
        }
        if old.len() == FORGET_AT_ONCE {
            more = true;
            break;
        }
    }
    old.iter().try_for_each(|id| settle_letter(draft, *id, None))?;
    Ok((old.len(), more))
}

pub fn probe(draft: &mut Draft<'_>) -> Result<()> {
    let count: u64 = draft.get(Table::Meta, key::PROBE)?.unwrap_or_default();
    draft.put(Table::Meta, key::PROBE, &count.wrapping_add(1))
}
