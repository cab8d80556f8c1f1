//! Leaderboards: one entry for an entrant, in order.

use super::rows::{board, placement, submission_id};
use super::{Property, Store};
use crate::domain::board::{BoardKey, Placement, order_key};
use crate::domain::challenge::Rule;
use crate::domain::metric::Direction;

pub(super) const ALL: &[Property] = &[
    the_best_stands,
    the_last_stands,
    of_equal_scores_the_earlier_is_first,
    one_change_may_place_an_entrant_twice,
    any_order_gives_the_board_of_an_oracle,
    boards_are_apart,
    pages_follow_each_other,
];

/// Submissions on the board, in order; and each entrant's own entry is the listed one.
fn order(store: &dyn Store, board: &BoardKey) -> Vec<u64> {
    let entries = store.entries(board, None, 1_000).unwrap();
    for entry in &entries {
        assert_eq!(store.entry(board, &entry.entrant).unwrap().as_ref(), Some(entry));
    }
    let number = |id| (0..1_000).find(|n| submission_id(*n) == id).unwrap();
    entries.iter().map(|entry| number(entry.submission)).collect()
}

fn the_best_stands(store: &dyn Store) {
    let board = board("c", "1");
    let place = |n, entrant, score| store.place(vec![placement(&board, Rule::Best, n, entrant, score)]).unwrap();
    place(1, "anna", 0.5);
    place(2, "ben", 0.7);
    place(3, "anna", 0.4);
    assert_eq!(order(store, &board), [2, 1]);
    place(4, "anna", 0.9);
    assert_eq!(order(store, &board), [4, 2], "an entry that is replaced leaves nothing behind");
    place(1, "anna", 0.5);
    place(4, "anna", 0.9);
    assert_eq!(order(store, &board), [4, 2], "twice is once");
    assert_eq!(store.entry(&board, &"carl".parse().unwrap()).unwrap(), None);
}

fn the_last_stands(store: &dyn Store) {
    let board = board("c", "1");
    let place = |n, entrant, score| store.place(vec![placement(&board, Rule::Last, n, entrant, score)]).unwrap();
    place(5, "anna", 0.9);
    place(3, "anna", 1.0);
    place(4, "ben", 0.8);
    assert_eq!(order(store, &board), [5, 4], "an earlier one that is graded later does not stand");
    place(6, "anna", 0.1);
    assert_eq!(order(store, &board), [4, 6]);
}

fn of_equal_scores_the_earlier_is_first(store: &dyn Store) {
    let board = board("c", "1");
    for (n, entrant) in [(7, "anna"), (5, "ben"), (6, "carl"), (8, "ben")] {
        store.place(vec![placement(&board, Rule::Best, n, entrant, 0.5)]).unwrap();
    }
    assert_eq!(order(store, &board), [5, 6, 7]);
}

fn one_change_may_place_an_entrant_twice(store: &dyn Store) {
    let board = board("c", "1");
    let scores = [(1, 0.1), (2, 0.3), (3, 0.2)];
    let all: Vec<Placement> = scores.map(|(n, score)| placement(&board, Rule::Best, n, "anna", score)).into();
    store.place(all.clone()).unwrap();
    assert_eq!(order(store, &board), [2]);
    store.place(all).unwrap();
    store.place(Vec::new()).unwrap();
    assert_eq!(order(store, &board), [2]);
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % most as u64).unwrap()
    }
}

/// One that was graded: its number, whose it is, and what it got.
type Graded = (u64, usize, Option<f64>);

/// What a person would do with pencil and paper: of each entrant the one that stands, then the better ones first, those with
/// nothing last, and of equals the earlier.
fn oracle(rule: Rule, all: &[Graded]) -> Vec<u64> {
    let better = |a: &&Graded, b: &&Graded| b.2.partial_cmp(&a.2).unwrap().then(a.0.cmp(&b.0));
    let mut board: Vec<&Graded> = Vec::new();
    for entrant in 0..5 {
        let own = all.iter().filter(|graded| graded.1 == entrant);
        board.extend(match rule {
            Rule::Best => own.min_by(better),
            Rule::Last => own.max_by_key(|graded| graded.0),
        });
    }
    board.sort_by(better);
    board.into_iter().map(|graded| graded.0).collect()
}

/// However they are graded, one by one or several at once, in whatever order, and some of them twice.
fn any_order_gives_the_board_of_an_oracle(store: &dyn Store) {
    let mut numbers = Numbers(7);
    for round in 0..40 {
        let rule = if round % 2 == 0 { Rule::Best } else { Rule::Last };
        let board = board("c", &round.to_string());
        let score = |numbers: &mut Numbers| match numbers.below(6) {
            5 => None,
            tenths => Some(f64::from(u8::try_from(tenths).unwrap()) / 10.0),
        };
        let all: Vec<Graded> = (0..25).map(|n| (n, numbers.below(5), score(&mut numbers))).collect();
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.extend((0..5).map(|_| numbers.below(all.len())));
        for at in (1..order.len()).rev() {
            order.swap(at, numbers.below(at + 1));
        }
        let placed = |at: &usize| {
            let (n, entrant, score) = all[*at];
            let mut placed = placement(&board, rule, n, &format!("e{entrant}"), score.unwrap_or(0.0));
            placed.entry.key = order_key([(Direction::Higher, score)], placed.entry.submitted_at, submission_id(n));
            placed
        };
        let mut left = order.as_slice();
        while !left.is_empty() {
            let (now, later) = left.split_at(left.len().min(1 + numbers.below(4)));
            store.place(now.iter().map(placed).collect()).unwrap();
            left = later;
        }
        assert_eq!(self::order(store, &board), oracle(rule, &all), "{rule:?} {all:?} {order:?}");
    }
}

fn boards_are_apart(store: &dyn Store) {
    let mut other = board("c", "1");
    other.board = "maintenance".parse().unwrap();
    let boards = [board("c", "1"), board("c", "2"), board("cc", "1"), other];
    for (n, board) in boards.iter().enumerate() {
        store.place(vec![placement(board, Rule::Best, n as u64, "anna", 0.5)]).unwrap();
    }
    for (n, board) in boards.iter().enumerate() {
        assert_eq!(order(store, board), [n as u64]);
    }
}

fn pages_follow_each_other(store: &dyn Store) {
    let board = board("c", "1");
    for n in 0..25_u64 {
        let score = (n * 7 % 25) as f64;
        store.place(vec![placement(&board, Rule::Best, n, &format!("e{n}"), score)]).unwrap();
    }
    let all = store.entries(&board, None, 100).unwrap();
    assert!(all.len() == 25 && all.is_sorted_by(|a, b| a.key < b.key));
    let mut paged = Vec::new();
    loop {
        let after = paged.last().map(|entry: &crate::domain::board::Entry| entry.key.clone());
        let page = store.entries(&board, after.as_deref(), 10).unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 10);
        paged.extend(page);
    }
    assert_eq!(paged, all);
}
