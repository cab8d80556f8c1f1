//! The first pages of leaderboards, as they stand: most of those who look at a board look at its first page.
//!
//! A page that is kept is what the store says: it goes before its board changes, and none is kept until that is done.

use super::Refusal;
use crate::domain::board::{BoardKey, Entry, Placement};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Boards whose page is kept, at most.
const BOARDS: usize = 256;
/// Entries of a page, at most.
const ENTRIES: usize = 101;

/// The pages.
#[derive(Default)]
pub(super) struct FirstPages(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    /// With how many entries were asked for.
    kept: HashMap<BoardKey, (usize, Arc<[Entry]>)>,
    /// Boards that are being changed, by how many.
    changing: HashMap<BoardKey, usize>,
    /// How often a change was begun or done.
    changes: u64,
}

/// Boards that are being changed, until it is dropped.
pub(super) struct Changing<'p> {
    pages: &'p FirstPages,
    boards: Vec<BoardKey>,
}

impl FirstPages {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        // What a panic left of it is whole: each change of it is one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first `count` entries of a board, or all if there are fewer; by `read` where they are not kept.
    pub(super) fn of(
        &self,
        board: &BoardKey,
        count: usize,
        read: impl FnOnce() -> Result<Vec<Entry>, Refusal>,
    ) -> Result<Arc<[Entry]>, Refusal> {
        let changes = {
            let pages = self.pages();
            if let Some((_, entries)) = pages.kept.get(board).filter(|(asked, _)| *asked >= count) {
                return Ok(Arc::clone(entries));
            }
            pages.changes
        };
        let entries: Arc<[Entry]> = read()?.into();
        let mut pages = self.pages();
        // Nothing began to change while it was read, and nothing was at it.
        if count <= ENTRIES && pages.changes == changes && !pages.changing.contains_key(board) {
            if pages.kept.len() >= BOARDS {
                pages.kept.clear();
            }
            pages.kept.insert(board.clone(), (count, Arc::clone(&entries)));
        }
        Ok(entries)
    }

    /// To be held while `placements` are stored.
    pub(super) fn change(&self, placements: &[Placement]) -> Changing<'_> {
        let boards: Vec<_> = placements.iter().map(|placement| placement.board.clone()).collect();
        if !boards.is_empty() {
            let mut pages = self.pages();
            pages.changes += 1;
            for board in &boards {
                pages.kept.remove(board);
                *pages.changing.entry(board.clone()).or_default() += 1;
            }
        }
        Changing { pages: self, boards }
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        if self.boards.is_empty() {
            return;
        }
        let mut pages = self.pages.pages();
        // Who began to read while it went on may have read what was before.
        pages.changes += 1;
        for board in &self.boards {
            if let Some(count) = pages.changing.get_mut(board) {
                *count -= 1;
                if *count == 0 {
                    pages.changing.remove(board);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::challenge::Rule;
    use crate::domain::digest::Digest;
    use crate::domain::id::SubmissionId;
    use jiff::Timestamp;

    fn placement(entrant: &str) -> Placement {
        let board =
            BoardKey { challenge: "c".parse().unwrap(), board: "main".parse().unwrap(), definition: Digest::of(b"d") };
        let entry = Entry {
            entrant: entrant.parse().unwrap(),
            submission: SubmissionId(ulid::Ulid::nil()),
            submitted_at: Timestamp::UNIX_EPOCH,
            key: "0".to_owned(),
            scores: Vec::new(),
        };
        Placement { board, rule: Rule::Best, entry }
    }

    #[test]
    fn a_page_is_read_once_until_its_board_changes() {
        let pages = FirstPages::default();
        let (first, second) = (placement("anna"), placement("ben"));
        let of = |count, entries: &[&Placement]| {
            let mut read = false;
            let entries: Vec<_> = entries.iter().map(|placement| placement.entry.clone()).collect();
            let found = pages.of(&first.board, count, || {
                read = true;
                Ok(entries)
            });
            (found.unwrap().iter().map(|entry| entry.entrant.to_string()).collect::<Vec<_>>(), read)
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(of(51, &[&first]), (names(&["anna"]), true));
        assert_eq!(of(51, &[]), (names(&["anna"]), false));
        assert_eq!(of(11, &[]), (names(&["anna"]), false), "fewer are among them");
        assert_eq!(of(52, &[&first]), (names(&["anna"]), true), "more may not be");
        let changing = pages.change(std::slice::from_ref(&second));
        assert_eq!(of(51, &[&first]), (names(&["anna"]), true));
        assert_eq!(of(51, &[&first, &second]), (names(&["anna", "ben"]), true), "nothing is kept meanwhile");
        let both = pages.change(std::slice::from_ref(&second));
        drop(changing);
        assert!(of(51, &[&first, &second]).1, "the other is still at it");
        drop(both);
        assert!(of(51, &[&first, &second]).1);
        assert_eq!(of(51, &[]), (names(&["anna", "ben"]), false));
        // A change that is begun and done while somebody reads.
        drop(pages.change(std::slice::from_ref(&second)));
        let late = pages.of(&first.board, 51, || {
            drop(pages.change(std::slice::from_ref(&second)));
            Ok(vec![first.entry.clone()])
        });
        assert_eq!(late.unwrap().len(), 1);
        assert_eq!(of(51, &[&first, &second]), (names(&["anna", "ben"]), true), "what was read is not kept");
        // One that goes on when the reading begins, and is done before it ends.
        let changing = pages.change(std::slice::from_ref(&second));
        let late = pages.of(&first.board, 51, || {
            drop(changing);
            Ok(vec![first.entry.clone()])
        });
        assert_eq!(late.unwrap().len(), 1);
        assert_eq!(of(51, &[&first, &second]), (names(&["anna", "ben"]), true), "nor then");
        assert!(of(1000, &[&first]).1 && of(1000, &[&first]).1, "long ones are not kept");
    }
}
