//! Keys as bytes. They sort as their rows are listed: numbers are big-endian, ids are the 16 bytes of their ULID, names end
//! with a zero byte, which no name contains. What each tree holds is said at [`super::tables::Table`].

use gradus_core::domain::board::BoardKey;
use gradus_core::domain::digest::Digest;
use gradus_core::domain::forge::ObjectId;
use gradus_core::domain::id::{
    ChallengeId, EntrantId, HookId, LetterId, OperationId, PushId, SourceId, SubmissionId, TokenId,
};
use gradus_core::domain::push::TagKey;
use gradus_core::ports::store::LedgerKey;
use jiff::Timestamp;

/// The format that the store is written in.
pub const FORMAT: &[u8] = b"format";
/// What readiness writes.
pub const PROBE: &[u8] = b"probe";

fn with(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag], bytes].concat()
}

fn names(names: &[&str]) -> Vec<u8> {
    names.iter().flat_map(|name| name.bytes().chain([0])).collect()
}

pub fn token(id: TokenId) -> [u8; 16] {
    id.0.to_bytes()
}

pub fn challenge(id: &ChallengeId) -> Vec<u8> {
    // Without a zero byte: it is the whole key, and `a` sorts before `a-b` so too.
    id.as_str().as_bytes().to_vec()
}

pub fn versions(id: &ChallengeId) -> Vec<u8> {
    names(&[id.as_str()])
}

pub fn version(id: &ChallengeId, number: u32) -> Vec<u8> {
    [&versions(id)[..], &number.to_be_bytes()].concat()
}

pub fn operation(id: OperationId) -> Vec<u8> {
    with(b'o', &id.0.to_bytes())
}

pub fn running(id: OperationId) -> Vec<u8> {
    with(b'r', &id.0.to_bytes())
}

pub fn submission(id: SubmissionId) -> [u8; 16] {
    id.0.to_bytes()
}

pub fn job(id: SubmissionId) -> Vec<u8> {
    with(b'j', &id.0.to_bytes())
}

pub fn open(id: SubmissionId) -> Vec<u8> {
    with(b'o', &id.0.to_bytes())
}

/// All submissions of a challenge, or of an entrant in it.
pub fn list(challenge: &ChallengeId, entrant: Option<&EntrantId>) -> Vec<u8> {
    match entrant {
        None => with(b'c', &names(&[challenge.as_str()])),
        Some(entrant) => with(b'e', &names(&[challenge.as_str(), entrant.as_str()])),
    }
}

/// One line of a list.
pub fn listed(list: &[u8], id: SubmissionId) -> Vec<u8> {
    [list, &id.0.to_bytes()].concat()
}

pub fn event(id: SubmissionId, number: u64) -> Vec<u8> {
    [&id.0.to_bytes()[..], &number.to_be_bytes()].concat()
}

pub fn report(id: SubmissionId) -> Vec<u8> {
    with(b'r', &id.0.to_bytes())
}

pub fn log(id: SubmissionId) -> Vec<u8> {
    with(b'l', &id.0.to_bytes())
}

pub fn run_output(id: SubmissionId) -> Vec<u8> {
    with(b'u', &id.0.to_bytes())
}

/// What somebody did, in order.
pub const DEEDS: &[u8] = b"a";

pub fn deed(number: u64) -> Vec<u8> {
    with(b'a', &number.to_be_bytes())
}

/// What was done to a challenge.
pub fn deeds_of(challenge: &ChallengeId) -> Vec<u8> {
    with(b'c', &names(&[challenge.as_str()]))
}

pub fn deed_of(challenge: &ChallengeId, number: u64) -> Vec<u8> {
    [&deeds_of(challenge)[..], &number.to_be_bytes()].concat()
}

/// The number that such a key ends with.
pub fn number(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

pub fn ledger(key: &LedgerKey) -> Vec<u8> {
    names(&[key.challenge.as_str(), key.phase.as_str(), key.entrant.as_str()])
}

fn board(tag: u8, board: &BoardKey) -> Vec<u8> {
    let mut key = with(tag, &names(&[board.challenge.as_str(), board.board.as_str()]));
    key.extend(board.definition.as_bytes());
    key
}

pub fn entry(of: &BoardKey, entrant: &EntrantId) -> Vec<u8> {
    [&board(b'e', of)[..], entrant.as_str().as_bytes()].concat()
}

/// All places of a board, in order.
pub fn places(of: &BoardKey) -> Vec<u8> {
    board(b'o', of)
}

pub fn place(of: &BoardKey, order: &str) -> Vec<u8> {
    [&places(of)[..], order.as_bytes()].concat()
}

fn client(token: TokenId, key: &str) -> Vec<u8> {
    [&token.0.to_bytes()[..], key.as_bytes()].concat()
}

pub fn used(token: TokenId, key: &str) -> Vec<u8> {
    with(b'k', &client(token, key))
}

pub fn until(until: Timestamp, token: TokenId, key: &str) -> Vec<u8> {
    [&ends(until)[..], &client(token, key)].concat()
}

/// Files that are not graded again.
pub fn once(account: &LedgerKey, files: Digest) -> Vec<u8> {
    with(b's', &[&ledger(account)[..], files.as_bytes()].concat())
}

/// Where the keys that end at `until` begin.
pub fn ends(until: Timestamp) -> Vec<u8> {
    with(b'u', &instant(until))
}

/// Nanoseconds since the epoch, shifted so that negative ones sort first.
pub fn instant(at: Timestamp) -> [u8; 16] {
    (at.as_nanosecond() as u128 ^ (1 << 127)).to_be_bytes()
}

/// The web hooks of a challenge.
pub fn hooks(challenge: &ChallengeId) -> Vec<u8> {
    names(&[challenge.as_str()])
}

pub fn hook(challenge: &ChallengeId, id: HookId) -> Vec<u8> {
    [&hooks(challenge)[..], &id.0.to_bytes()].concat()
}

/// All letters, oldest first.
pub const LETTERS: &[u8] = b"l";

pub fn letter(id: LetterId) -> Vec<u8> {
    with(b'l', &id.0.to_bytes())
}

/// Letters that wait, hook by hook, the one that is due first before the others.
pub const WAITING: &[u8] = b"w";

pub fn waiting_for(hook: HookId) -> Vec<u8> {
    with(b'w', &hook.0.to_bytes())
}

pub fn waiting(hook: HookId, due: Timestamp, id: LetterId) -> Vec<u8> {
    [&waiting_for(hook)[..], &instant(due), &id.0.to_bytes()].concat()
}

/// The hook of such a key; when it is due, as its bytes; and the letter.
pub fn waits(key: &[u8]) -> Option<(HookId, [u8; 16], LetterId)> {
    let (hook, rest) = key.get(1..)?.split_first_chunk()?;
    let (due, rest) = rest.split_first_chunk()?;
    let id = |bytes: &[u8; 16]| ulid::Ulid::from_bytes(*bytes);
    Some((HookId(id(hook)), *due, LetterId(id(rest.first_chunk()?))))
}

/// Letters that were given up.
pub fn given_up_for(hook: HookId) -> Vec<u8> {
    with(b'g', &hook.0.to_bytes())
}

pub fn given_up(hook: HookId, id: LetterId) -> Vec<u8> {
    [&given_up_for(hook)[..], &id.0.to_bytes()].concat()
}

/// All forges, by name.
pub const SOURCES: &[u8] = b"s";

pub fn source(id: &SourceId) -> Vec<u8> {
    with(b's', id.as_str().as_bytes())
}

/// What a forge of that name was, and where, even if it was removed.
pub fn source_place(id: &SourceId) -> Vec<u8> {
    with(b'x', id.as_str().as_bytes())
}

pub fn push(id: PushId) -> Vec<u8> {
    with(b'p', &id.0.to_bytes())
}

/// What a forge told, in order.
pub fn pushes(source: &SourceId) -> Vec<u8> {
    with(b'l', &names(&[source.as_str()]))
}

pub fn pushed(source: &SourceId, id: PushId) -> Vec<u8> {
    [&pushes(source)[..], &id.0.to_bytes()].concat()
}

/// Pushes that wait, oldest first.
pub const WAITING_PUSHES: &[u8] = b"w";

pub fn waiting_push(id: PushId) -> Vec<u8> {
    with(b'w', &id.0.to_bytes())
}

/// What forges are owed.
pub const OWED: &[u8] = b"b";

pub fn owed(id: PushId) -> Vec<u8> {
    with(b'b', &id.0.to_bytes())
}

/// Who of a forge is known.
pub fn users(source: &SourceId) -> Vec<u8> {
    with(b'u', &names(&[source.as_str()]))
}

pub fn user(source: &SourceId, id: &str) -> Vec<u8> {
    [&users(source)[..], id.as_bytes()].concat()
}

/// Somebody of a forge, by who they are here.
pub fn entrant_of(entrant: &EntrantId, source: &SourceId, id: &str) -> Vec<u8> {
    [&entrants_of(entrant)[..], &names(&[source.as_str()]), id.as_bytes()].concat()
}

pub fn entrants_of(entrant: &EntrantId) -> Vec<u8> {
    with(b'e', &names(&[entrant.as_str()]))
}

fn tag(key: &TagKey) -> Vec<u8> {
    // No part of it has a zero byte.
    names(&[key.source.as_str(), &key.project, key.tag.as_str()])
}

/// An object that a tag was at some time.
pub fn told(key: &TagKey, object: &ObjectId) -> Vec<u8> {
    with(b'k', &[&tag(key)[..], object.as_str().as_bytes()].concat())
}

/// What was told of a tag last.
pub fn last_told(key: &TagKey) -> Vec<u8> {
    with(b't', &tag(key))
}

/// The name that a key begins with.
pub fn first_name(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.split(|byte| *byte == 0).next()?).ok()
}

/// The key that an index row of [`until`] is about.
pub fn used_of(until: &[u8]) -> Vec<u8> {
    with(b'k', until.get(17..).unwrap_or_default())
}
