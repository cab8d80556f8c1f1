//! At the door: all that is checked and stored there happens as one.

use super::rows::{admission, admitted, at, deed, in_all, key, published, settle, small, submission_id, to, token};
use super::{Property, Store};
use crate::domain::audit::Act;
use crate::domain::challenge::{Hold, HoldKind};
use crate::domain::digest::Digest;
use crate::domain::event::{Event, EventKind};
use crate::domain::job::State;
use crate::domain::quota::{Ledger, Settlement};
use crate::domain::report::Outcome;
use crate::domain::submission::Submission;
use crate::ports::store::{Admission, Admitted, LedgerKey};
use std::sync::Barrier;

pub(super) const ALL: &[Property] = &[
    an_accepted_submission_is_there_with_all_that_belongs_to_it,
    the_same_request_is_answered_with_its_submission,
    an_expired_key_is_free_again,
    who_is_over_quota_is_told_and_nothing_is_stored,
    who_has_too_many_open_waits_until_one_ends,
    the_same_files_are_answered_with_what_stands_for_them,
    a_queue_that_runs_empty_takes_nothing_in,
    no_race_passes_a_quota,
    no_race_takes_one_key_twice,
];

fn accepted(answer: &Admitted) -> bool {
    matches!(answer, Admitted::Accepted { .. })
}

fn ledger_of(admission: &Admission) -> LedgerKey {
    LedgerKey::of(&admission.submission)
}

fn an_accepted_submission_is_there_with_all_that_belongs_to_it(store: &dyn Store) {
    let asked = Admission { small: vec![small("\0a,b\n"), small("")], ..admission(7, "c", "anna") };
    let id = submission_id(7);
    assert_eq!(store.submission(id).unwrap(), None);
    assert_eq!(store.ledger(&ledger_of(&asked)).unwrap(), Ledger::default());
    let answer = store.admit(asked.clone()).unwrap();
    let kind = EventKind::State { state: State::Queued, reason: None };
    let event = Event { seq: 1, at: at(7), submission: id, kind };
    assert_eq!(answer, Admitted::Accepted { event: event.clone() });
    let tracked = store.submission(id).unwrap().unwrap();
    assert_eq!((&tracked.submission, &tracked.job), (&asked.submission, &asked.job));
    assert!(!tracked.refunded);
    assert_eq!(store.events(id, 0, 10).unwrap(), [event]);
    let listed = store.submissions(&asked.submission.challenge, None, None, 10).unwrap();
    assert_eq!(store.open_jobs().unwrap(), listed);
    assert_eq!(listed, [tracked]);
    let ledger = store.ledger(&ledger_of(&asked)).unwrap();
    assert_eq!((ledger.total, ledger.open), (1, 1));
    assert_eq!(store.report(id).unwrap(), None);
    assert_eq!(store.log(id).unwrap(), None);
    for kept in &asked.small {
        assert_eq!(store.small(kept.digest).unwrap().as_ref(), Some(&kept.bytes));
    }
    assert_eq!(store.small(Digest::of(b"other")).unwrap(), None);
    // The same bytes once more are no other bytes.
    assert!(accepted(&store.admit(Admission { small: asked.small.clone(), ..admission(8, "c", "anna") }).unwrap()));
    assert_eq!(store.small(asked.small[0].digest).unwrap().as_ref(), Some(&asked.small[0].bytes));
}

fn the_same_request_is_answered_with_its_submission(store: &dyn Store) {
    let first = Admission { idempotency: key("k", "body", 100), ..admission(1, "c", "anna") };
    assert!(accepted(&store.admit(first.clone()).unwrap()));
    let again = |n, request| Admission {
        idempotency: key("k", request, 100),
        rules: in_all(1),
        max_open: 1,
        ..admission(n, "c", "anna")
    };
    // The key comes first: what was accepted is answered even where nothing more would be.
    assert_eq!(store.admit(again(2, "body")).unwrap(), Admitted::Before(submission_id(1)));
    assert_eq!(store.admit(again(3, "other")).unwrap(), Admitted::OtherRequest);
    assert_eq!(store.ledger(&ledger_of(&first)).unwrap().total, 1);
    assert_eq!(store.submission(submission_id(2)).unwrap(), None);
    // Keys belong to a token.
    let mut foreign = again(4, "other");
    foreign.idempotency.as_mut().unwrap().token = token(2).id;
    assert!(accepted(&store.admit(Admission { rules: in_all(9), max_open: 9, ..foreign }).unwrap()));
    let used = store.idempotent(token(1).id, "k", at(99)).unwrap();
    assert_eq!(used, Some((Digest::of(b"body"), submission_id(1))));
    assert_eq!(store.idempotent(token(1).id, "kk", at(99)).unwrap(), None);
}

fn the_same_files_are_answered_with_what_stands_for_them(store: &dyn Store) {
    let files = Digest::of(b"files");
    let asked = |n, version| {
        let asked = Admission { once: Some(files), rules: in_all(2), ..admission(n, "c", "anna") };
        Admission { submission: Submission { version, ..asked.submission }, ..asked }
    };
    let owner = ledger_of(&asked(1, 1));
    assert_eq!(store.same(&owner, files, 1).unwrap(), None);
    assert!(accepted(&store.admit(asked(1, 1)).unwrap()));
    // While it waits, and when it has ended by the participant's doing.
    assert_eq!(store.admit(asked(2, 1)).unwrap(), Admitted::Same(submission_id(1)));
    let end = |outcome: Outcome| {
        let tracked = store.submission(submission_id(1)).unwrap().unwrap();
        let mut end = to(&tracked, State::Failed, 20);
        end.job.outcome = Some(outcome);
        store.advance(end).unwrap();
    };
    end(Outcome::InvalidSubmission);
    assert_eq!(store.same(&owner, files, 1).unwrap(), Some(submission_id(1)));
    assert_eq!(store.ledger(&owner).unwrap().total, 1);
    // Not for others, nor for other files or another version; nor once it failed on our side.
    let others = Admission { once: Some(files), ..admission(3, "c", "ben") };
    assert!(accepted(&store.admit(others).unwrap()));
    assert_eq!(store.same(&owner, Digest::of(b"other"), 1).unwrap(), None);
    assert_eq!(store.same(&owner, files, 2).unwrap(), None);
    end(Outcome::Platform);
    assert_eq!(store.same(&owner, files, 1).unwrap(), None);
    assert!(accepted(&store.admit(asked(4, 1)).unwrap()));
    assert_eq!(store.admit(asked(5, 1)).unwrap(), Admitted::Same(submission_id(4)), "the newest");
    assert!(matches!(store.admit(Admission { once: None, ..asked(6, 1) }).unwrap(), Admitted::OverQuota(_)));
}

fn a_queue_that_runs_empty_takes_nothing_in(store: &dyn Store) {
    published(store, 1, "c", "olga");
    let challenge = "c".parse().unwrap();
    let set = |kind: Option<HoldKind>| {
        let hold = kind.map(|kind| Hold { kind, since: at(1), why: None });
        let act = Act::Queue { challenge: "c".parse().unwrap(), hold: kind };
        assert!(store.set_hold(&challenge, hold.clone(), &deed(1, act)).unwrap());
        hold
    };
    let first = Admission { idempotency: key("k", "body", 100), ..admission(1, "c", "anna") };
    assert!(accepted(&store.admit(first.clone()).unwrap()));
    let hold = set(Some(HoldKind::Draining)).unwrap();
    assert_eq!(store.admit(admission(2, "c", "anna")).unwrap(), Admitted::Draining(hold));
    assert_eq!(store.admit(first).unwrap(), Admitted::Before(submission_id(1)), "what was accepted is answered");
    set(Some(HoldKind::Paused));
    assert!(accepted(&store.admit(admission(3, "c", "anna")).unwrap()));
    set(None);
    assert!(accepted(&store.admit(admission(4, "c", "anna")).unwrap()));
    assert_eq!(store.ledger(&ledger_of(&admission(5, "c", "anna"))).unwrap().total, 3);
}

fn an_expired_key_is_free_again(store: &dyn Store) {
    for (name, n, until) in [("a", 1, 10), ("b", 2, 20), ("c", 3, 30)] {
        let asked = Admission { idempotency: key(name, "old", until), ..admission(n, "c", "anna") };
        assert!(accepted(&store.admit(asked).unwrap()));
    }
    let held = |name, now| store.idempotent(token(1).id, name, at(now)).unwrap().map(|(_, id)| id);
    assert_eq!(held("a", 9), Some(submission_id(1)));
    assert_eq!(held("a", 10), None, "it holds until then, not at it");
    let asked = Admission { idempotency: key("a", "new", 40), ..admission(10, "c", "anna") };
    assert!(accepted(&store.admit(asked).unwrap()));
    assert_eq!(held("a", 39), Some(submission_id(10)));
    assert_eq!(store.forget_idempotency(at(20)).unwrap(), 1, "only b: a was renewed");
    assert_eq!((held("b", 19), held("c", 29), held("a", 39)), (None, Some(submission_id(3)), Some(submission_id(10))));
    assert_eq!(store.forget_idempotency(at(20)).unwrap(), 0);
    assert_eq!(store.forget_idempotency(at(40)).unwrap(), 2);
}

fn who_is_over_quota_is_told_and_nothing_is_stored(store: &dyn Store) {
    for n in 1..=2 {
        assert!(accepted(&store.admit(Admission { rules: in_all(2), ..admission(n, "c", "anna") }).unwrap()));
    }
    let small = vec![small("of the third")];
    let idempotency = key("k", "body", 100);
    let asked = Admission { rules: in_all(2), small, idempotency, ..admission(3, "c", "anna") };
    let before = store.ledger(&ledger_of(&asked)).unwrap();
    let Admitted::OverQuota(standing) = store.admit(asked.clone()).unwrap() else { panic!("it had nothing left") };
    assert_eq!((standing.used, standing.remaining, &standing.rule), (2, 0, &in_all(2)[0]));
    assert_eq!(store.submission(submission_id(3)).unwrap(), None);
    assert_eq!(store.small(asked.small[0].digest).unwrap(), None);
    assert_eq!(store.events(submission_id(3), 0, 10).unwrap(), []);
    assert_eq!(store.ledger(&ledger_of(&asked)).unwrap(), before);
    assert_eq!(store.idempotent(token(1).id, "k", at(4)).unwrap(), None, "only what is accepted is remembered");
    assert!(accepted(&store.admit(Admission { rules: in_all(2), ..admission(4, "c", "ben") }).unwrap()), "his own");
    assert!(accepted(&store.admit(Admission { rules: in_all(2), ..admission(5, "d", "anna") }).unwrap()), "elsewhere");
}

fn who_has_too_many_open_waits_until_one_ends(store: &dyn Store) {
    let first = admitted(store, 1, "c", "anna");
    admitted(store, 2, "c", "anna");
    let third = || Admission { max_open: 2, ..admission(3, "c", "anna") };
    assert_eq!(store.admit(third()).unwrap(), Admitted::TooManyOpen { open: 2 });
    assert_eq!(store.submission(submission_id(3)).unwrap(), None);
    let mut end = to(&first, State::Scored, 4);
    end.settle = settle(&first, Settlement::Charge);
    store.advance(end).unwrap();
    assert!(accepted(&store.admit(third()).unwrap()));
}

/// Answers of 16 threads that ask at once.
fn at_once(store: &dyn Store, ask: impl Fn(u64) -> Admission + Sync) -> Vec<Admitted> {
    let barrier = Barrier::new(16);
    std::thread::scope(|scope| {
        let (barrier, ask) = (&barrier, &ask);
        let threads: Vec<_> = (1..=16)
            .map(|n| {
                scope.spawn(move || {
                    barrier.wait();
                    store.admit(ask(n)).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn no_race_passes_a_quota(store: &dyn Store) {
    let answers = at_once(store, |n| Admission { rules: in_all(5), ..admission(n, "c", "anna") });
    assert_eq!(answers.iter().filter(|answer| accepted(answer)).count(), 5);
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Admitted::OverQuota(_))).count(), 11);
    let ledger = store.ledger(&ledger_of(&admission(1, "c", "anna"))).unwrap();
    assert_eq!((ledger.total, ledger.open), (5, 5));
    assert_eq!(store.open_jobs().unwrap().len(), 5);
}

fn no_race_takes_one_key_twice(store: &dyn Store) {
    let answers = at_once(store, |n| Admission { idempotency: key("k", "body", 100), ..admission(n, "c", "anna") });
    let [only] = &store.open_jobs().unwrap()[..] else { panic!("one is accepted") };
    assert_eq!(answers.iter().filter(|answer| accepted(answer)).count(), 1);
    let before = Admitted::Before(only.submission.id);
    assert_eq!(answers.iter().filter(|answer| **answer == before).count(), 15);
}
