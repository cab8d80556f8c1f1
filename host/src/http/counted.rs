//! How many of something one has under way, and all together: each holds a file, a connection, memory. One is a person or a
//! team, whatever their tokens, or an address.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The counts.
#[derive(Debug)]
pub struct Counted<K: Hash + Eq> {
    of_one: usize,
    of_all: usize,
    open: Mutex<Open<K>>,
}

#[derive(Debug)]
struct Open<K> {
    of: HashMap<K, usize>,
    all: usize,
}

/// One of them; it counts until it is dropped.
#[derive(Debug)]
pub struct One<K: Hash + Eq> {
    of: Arc<Counted<K>>,
    whose: K,
}

impl<K: Hash + Eq + Clone> Counted<K> {
    /// So many of one, and of all, at most.
    pub fn new(of_one: usize, of_all: usize) -> Arc<Self> {
        Arc::new(Self { of_one, of_all, open: Mutex::new(Open { of: HashMap::new(), all: 0 }) })
    }

    /// One more of `whose`.
    ///
    /// # Errors
    /// There are too many: how many are theirs, and how many there are in all.
    pub fn one(self: &Arc<Self>, whose: &K) -> Result<One<K>, (usize, usize)> {
        let mut open = self.open();
        let (mine, all) = (open.of.get(whose).copied().unwrap_or(0), open.all);
        if mine >= self.of_one || all >= self.of_all {
            return Err((mine, all));
        }
        open.of.insert(whose.clone(), mine + 1);
        open.all += 1;
        Ok(One { of: Arc::clone(self), whose: whose.clone() })
    }
}

impl<K: Hash + Eq> Counted<K> {
    fn open(&self) -> MutexGuard<'_, Open<K>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Drop for One<K> {
    fn drop(&mut self) {
        let mut open = self.of.open();
        open.all -= 1;
        if let Some(mine) = open.of.get_mut(&self.whose) {
            *mine -= 1;
            if *mine == 0 {
                open.of.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_core::domain::id::EntrantId;

    #[test]
    fn each_counts_until_it_is_over() {
        let (anna, ben): (EntrantId, EntrantId) = ("anna".parse().unwrap(), "ben".parse().unwrap());
        let counted = Counted::new(2, 3);
        let first = counted.one(&anna).unwrap();
        let _second = counted.one(&anna).unwrap();
        assert_eq!(counted.one(&anna).unwrap_err(), (2, 2));
        let _his = counted.one(&ben).unwrap();
        assert_eq!(counted.one(&ben).unwrap_err(), (1, 3));
        drop(first);
        drop(counted.one(&ben).unwrap());
        assert!(counted.one(&anna).is_ok());
        let open = counted.open();
        assert_eq!((open.all, open.of.len()), (2, 2));
    }
}
