//! The trees, and rows as bytes: the schema's number first, then JSON; of small bodies, what they hold. Keys are made in [`super::key`].
//!
//! A tree that holds rows of several kinds tells them apart by a first byte.

use gradus_core::domain::id::SubmissionId;
use gradus_core::ports::store::{Result, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sled::{Db, IVec, Tree};
use std::ops::Bound;

/// The schema of the rows, and their first byte.
const SCHEMA: u8 = 1;

/// A tree. One transaction takes up to 14.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// The format and the probe.
    Meta,
    /// Token → token.
    Tokens,
    /// Challenge → its row.
    Challenges,
    /// Challenge, number → version.
    Versions,
    /// `o`, operation → its row; `r`, operation → nothing, while it runs.
    Operations,
    /// Submission → submission. Written once.
    Submissions,
    /// `j`, submission → its job; `o`, submission → nothing, until the job ends.
    Jobs,
    /// `c`, challenge, submission and `e`, challenge, entrant, submission → nothing.
    Lists,
    /// Submission, number → event.
    Events,
    /// `r`, submission → report; `l`, submission → log; `u`, submission → what its run left.
    Outputs,
    /// Challenge, phase, entrant → ledger.
    Ledgers,
    /// `e`, board, entrant → entry; `o`, board, the entry's key → the same entry.
    Boards,
    /// `k`, token, key → what it was used for; `u`, its end, token, key → nothing; `s`, challenge, phase, entrant, digest of
    /// files → the submission.
    Keys,
    /// Digest → bytes, as they are.
    Small,
    /// `a`, number → what somebody did; `c`, challenge, number → nothing.
    Audit,
    /// Challenge, web hook → the hook.
    Hooks,
    /// `l`, letter → the letter; `w`, hook, when it is due, letter → nothing, while it waits; `g`, hook, letter → nothing, once
    /// it was given up.
    Outbox,
    /// `s`, forge → the forge; `p`, push → the push; `l`, forge, push → nothing; `k`, forge, project, tag, object → the push;
    /// `t`, forge, project, tag → what was told of it last; `w`, push → nothing, while it waits; `u`, forge, user → who that is
    /// here; `e`, entrant, forge, user → nothing; `b`, push → what its forge is owed to be told;
    /// `x`, forge → what it was and where, even if it was removed.
    Forges,
}

impl Table {
    pub const ALL: [Self; 18] = [
        Self::Meta,
        Self::Tokens,
        Self::Challenges,
        Self::Versions,
        Self::Operations,
        Self::Submissions,
        Self::Jobs,
        Self::Lists,
        Self::Events,
        Self::Outputs,
        Self::Ledgers,
        Self::Boards,
        Self::Keys,
        Self::Small,
        Self::Audit,
        Self::Hooks,
        Self::Outbox,
        Self::Forges,
    ];

    /// What the rows are called in backups, and where one cannot be read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Tokens => "tokens",
            Self::Challenges => "challenges",
            Self::Versions => "versions",
            Self::Operations => "operations",
            Self::Submissions => "submissions",
            Self::Jobs => "jobs",
            Self::Lists => "lists",
            Self::Events => "events",
            Self::Outputs => "outputs",
            Self::Ledgers => "ledgers",
            Self::Boards => "boards",
            Self::Keys => "keys",
            Self::Small => "small",
            Self::Audit => "audit",
            Self::Hooks => "hooks",
            Self::Outbox => "outbox",
            Self::Forges => "forges",
        }
    }
}

/// The open trees. Cheap to clone; reads need no lock of ours.
#[derive(Clone)]
pub struct Trees {
    trees: Vec<Tree>,
}

/// Why a row is no row.
#[derive(Debug, thiserror::Error)]
enum BadRow {
    #[error("a row begins with {0:?} where this gradus knows schema {SCHEMA} only")]
    Schema(Option<u8>),
    #[error("a row is not the JSON that it should be")]
    Json(#[source] serde_json::Error),
    #[error("{0}")]
    Missing(String),
}

impl Trees {
    /// Opens all of them.
    pub fn open(db: &Db) -> sled::Result<Self> {
        let open = |table: Table| db.open_tree(format!("v1/{}", table.name()));
        Ok(Self { trees: Table::ALL.into_iter().map(open).collect::<sled::Result<_>>()? })
    }

    /// The tree of `table`.
    pub fn tree(&self, table: Table) -> &Tree {
        &self.trees[table as usize]
    }

    /// Whether no tree has a row.
    pub fn is_empty(&self) -> bool {
        self.trees.iter().all(Tree::is_empty)
    }

    /// The row at `key`.
    pub fn get<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>> {
        let row = self.tree(table).get(key).map_err(|source| unreadable(table, source))?;
        row.map(|row| decode(table, &row)).transpose()
    }

    /// The bytes at `key`.
    pub fn bytes(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let row = self.tree(table).get(key).map_err(|source| unreadable(table, source))?;
        row.map(|row| content(table, &row).map(<[u8]>::to_vec)).transpose()
    }

    /// Keys and rows that begin with `prefix`, after the key `after`, in order.
    pub fn after<'a>(
        &'a self,
        table: Table,
        prefix: &[u8],
        after: Option<Vec<u8>>,
    ) -> impl Iterator<Item = Result<(IVec, IVec)>> + 'a {
        let from = after.map_or_else(|| Bound::Included(prefix.to_vec()), Bound::Excluded);
        self.range(table, (from, end_of(prefix)))
    }

    /// Keys and rows that begin with `prefix`, before the key `before`, from the last one down.
    pub fn before<'a>(
        &'a self,
        table: Table,
        prefix: &[u8],
        before: Option<Vec<u8>>,
    ) -> impl Iterator<Item = Result<(IVec, IVec)>> + 'a {
        let to = before.map_or_else(|| end_of(prefix), Bound::Excluded);
        self.range(table, (Bound::Included(prefix.to_vec()), to)).rev()
    }

    /// The first key that begins with `prefix` and is not before `from`.
    pub fn first(&self, table: Table, prefix: &[u8], from: Bound<Vec<u8>>) -> Result<Option<IVec>> {
        let first = self.range(table, (from, end_of(prefix))).next().transpose()?;
        Ok(first.map(|(key, _)| key).filter(|key| key.starts_with(prefix)))
    }

    fn range<'a>(
        &'a self,
        table: Table,
        bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    ) -> impl DoubleEndedIterator<Item = Result<(IVec, IVec)>> + 'a {
        self.tree(table).range(bounds).map(move |row| row.map_err(|source| unreadable(table, source)))
    }
}

/// The first key that is after all that begin with `prefix`.
pub fn end_of(prefix: &[u8]) -> Bound<Vec<u8>> {
    let Some(at) = prefix.iter().rposition(|byte| *byte != u8::MAX) else { return Bound::Unbounded };
    let mut end = prefix[..=at].to_vec();
    end[at] += 1;
    Bound::Excluded(end)
}

/// A row as bytes.
pub fn encode<T: Serialize>(table: Table, row: &T) -> Result<Vec<u8>> {
    let mut bytes = vec![SCHEMA];
    serde_json::to_writer(&mut bytes, row).map_err(|source| unreadable(table, BadRow::Json(source)))?;
    Ok(bytes)
}

/// Bytes as a row that holds them as they are.
pub fn plain(bytes: &[u8]) -> Vec<u8> {
    [&[SCHEMA], bytes].concat()
}

fn content(table: Table, row: &[u8]) -> Result<&[u8]> {
    match row.split_first() {
        Some((&SCHEMA, content)) => Ok(content),
        Some((&other, _)) => Err(unreadable(table, BadRow::Schema(Some(other)))),
        None => Err(unreadable(table, BadRow::Schema(None))),
    }
}

/// A row from bytes.
pub fn decode<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(content(table, bytes)?).map_err(|source| unreadable(table, BadRow::Json(source)))
}

/// A row that must be there is not.
pub fn missing(table: Table, what: impl std::fmt::Display) -> StoreError {
    let text = format!("{what} has no row; the store is not whole: restore a backup");
    unreadable(table, BadRow::Missing(text))
}

fn unreadable(table: Table, source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Read { what: table.name(), source: Box::new(source) }
}

/// The id that a key of an index ends with.
pub fn id_at_end(table: Table, key: &[u8]) -> Result<SubmissionId> {
    let bytes = key.last_chunk().ok_or_else(|| missing(table, format!("the key {key:?}")))?;
    Ok(SubmissionId(ulid::Ulid::from_bytes(*bytes)))
}
