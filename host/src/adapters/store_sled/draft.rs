//! A change before it is written: what it puts and removes, over the rows as they are.
//!
//! Only the writer's thread drafts and writes, so what a draft reads still holds when it is written.

use super::tables::{Table, Trees, decode, encode, plain};
use gradus_core::ports::store::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sled::Transactional as _;
use sled::transaction::{TransactionError, TransactionalTree};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// The change.
pub struct Draft<'a> {
    /// The rows as they are, for lists. What the draft itself puts is not among them.
    pub stored: &'a Trees,
    writes: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
}

impl<'a> Draft<'a> {
    /// A change of nothing.
    pub fn new(stored: &'a Trees) -> Self {
        Self { stored, writes: BTreeMap::new() }
    }

    /// The row at `key`, as it would be.
    pub fn get<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>> {
        match self.writes.get(&(table, key.to_vec())) {
            Some(drafted) => drafted.as_deref().map(|row| decode(table, row)).transpose(),
            None => self.stored.get(table, key),
        }
    }

    /// Puts `row` at `key`.
    pub fn put<T: Serialize>(&mut self, table: Table, key: impl Into<Vec<u8>>, row: &T) -> Result<()> {
        let row = encode(table, row)?;
        self.writes.insert((table, key.into()), Some(row));
        Ok(())
    }

    /// Puts a row at `key` that is bytes already.
    pub fn put_encoded(&mut self, table: Table, key: Vec<u8>, row: Vec<u8>) {
        self.writes.insert((table, key), Some(row));
    }

    /// Puts `bytes` at `key`, unless they are there.
    pub fn put_bytes(&mut self, table: Table, key: &[u8], bytes: &[u8]) -> Result<()> {
        if self.stored.bytes(table, key)?.as_deref() != Some(bytes) {
            self.writes.insert((table, key.to_vec()), Some(plain(bytes)));
        }
        Ok(())
    }

    /// Puts `key` into an index.
    pub fn mark(&mut self, table: Table, key: Vec<u8>) -> Result<()> {
        self.put(table, key, &())
    }

    /// Removes the row at `key`, if there is one.
    pub fn remove(&mut self, table: Table, key: Vec<u8>) {
        self.writes.insert((table, key), None);
    }

    /// Writes it, all or nothing, as one transaction over the trees that it touches. It is not durable yet. Whether
    /// there was anything to write.
    pub fn commit(self) -> sled::Result<bool> {
        let mut tables: Vec<Table> = self.writes.keys().map(|(table, _)| *table).collect();
        tables.dedup();
        if tables.is_empty() {
            return Ok(false);
        }
        let trees: Vec<_> = tables.iter().map(|table| self.stored.tree(*table)).collect();
        let done = trees.as_slice().transaction(|views: &Vec<TransactionalTree>| {
            let mut at = 0;
            for ((table, key), row) in &self.writes {
                // Both are in the order of the tables.
                while tables[at] != *table {
                    at += 1;
                }
                match row {
                    Some(row) => views[at].insert(key.as_slice(), row.as_slice())?,
                    None => views[at].remove(key.as_slice())?,
                };
            }
            Ok(())
        });
        match done {
            Ok(()) => Ok(true),
            Err(TransactionError::Storage(failed)) => Err(failed),
            Err(TransactionError::<Infallible>::Abort(never)) => match never {},
        }
    }
}
