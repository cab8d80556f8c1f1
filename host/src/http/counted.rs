//! How many of something one person or team has under way, whatever their tokens, and all together: each holds a file, a
//! connection, memory.

use gradus_core::domain::id::EntrantId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The counts.
#[derive(Debug)]
pub struct Counted {
    of_one: usize,
    of_all: usize,
    open: Mutex<HashMap<EntrantId, usize>>,
}

/// One of them; it counts until it is dropped.
#[derive(Debug)]
pub struct One {
    of: Arc<Counted>,
    whose: EntrantId,
}

impl Counted {
    /// So many of one, and of all, at most.
    pub fn new(of_one: usize, of_all: usize) -> Arc<Self> {
        Arc::new(Self { of_one, of_all, open: Mutex::default() })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<EntrantId, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more of `whose`.
    ///
    /// # Errors
    /// There are too many: how many are theirs, and how many there are in all.
    pub fn one(self: &Arc<Self>, whose: &EntrantId) -> Result<One, (usize, usize)> {
        let mut open = self.open();
        let (mine, all) = (open.get(whose).copied().unwrap_or(0), open.values().sum());
        if mine >= self.of_one || all >= self.of_all {
            return Err((mine, all));
        }
        open.insert(whose.clone(), mine + 1);
        Ok(One { of: Arc::clone(self), whose: whose.clone() })
    }
}

impl Drop for One {
    fn drop(&mut self) {
        let mut open = self.of.open();
        if let Some(mine) = open.get_mut(&self.whose) {
            *mine -= 1;
            if *mine == 0 {
                open.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(counted.open().values().sum::<usize>(), 2);
    }
}
