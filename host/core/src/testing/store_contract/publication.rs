//! Versions and the operations that decide on them.

use super::rows::{done, operation, published, version};
use super::{Property, Store};
use crate::domain::challenge::{ChallengeRow, Version};
use crate::domain::operation::{Operation, OperationState};

pub(super) const ALL: &[Property] = &[
    a_version_is_numbered_and_goes_live_when_its_operation_is_done,
    a_failed_publication_changes_nothing,
    versions_are_listed_whatever_became_of_them,
    the_first_to_publish_owns_it,
    an_ended_operation_stays_as_it_ended,
    a_late_operation_does_not_bring_back_an_older_version,
    of_two_new_challenges_of_one_name_one_is_published,
    who_was_let_in_while_it_was_nobodys_does_not_get_what_is_somebodys,
];

/// Of each challenge once, in order, live or not.
fn versions_are_listed_whatever_became_of_them(store: &dyn Store) {
    let staged = |n, challenge: &str| {
        let version = version(challenge, "olga");
        store.stage_version(&version, &operation(n, &version), None, None).unwrap();
    };
    let names = |after: Option<&str>, limit| {
        let after = after.map(|after| after.parse().unwrap());
        let found = store.published(after.as_ref(), limit).unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(None, 9), [""; 0]);
    published(store, 1, "c", "olga");
    published(store, 2, "c", "olga");
    for (n, name) in [(3, "a"), (4, "c-d"), (5, "d")] {
        staged(n, name);
    }
    store.settle_operation(operation(3, &version("a", "olga")).id, failed()).unwrap();
    assert_eq!(names(None, 9), ["a", "c", "c-d", "d"]);
    assert_eq!(names(None, 2), ["a", "c"]);
    assert_eq!(names(Some("c"), 9), ["c-d", "d"]);
    assert_eq!(names(Some("d"), 9), [""; 0]);
}

fn failed() -> OperationState {
    OperationState::Failed { problems: vec!["main: a problem; mend it".into()] }
}

fn row(challenge: &str, owner: &str, live: u32) -> Option<ChallengeRow> {
    Some(ChallengeRow { id: challenge.parse().unwrap(), owner: owner.parse().unwrap(), live, hold: None })
}

fn staged(store: &dyn Store, n: u64, challenge: &str, by: &str) -> (Operation, u32) {
    let version = version(challenge, by);
    let operation = operation(n, &version);
    let owner = store.challenge(&version.challenge.id).unwrap().map(|row| row.owner);
    let number = store.stage_version(&version, &operation, owner.as_ref(), None).unwrap();
    (Operation { version: number, ..operation }, number)
}

fn a_version_is_numbered_and_goes_live_when_its_operation_is_done(store: &dyn Store) {
    let id = "c".parse().unwrap();
    let (first, number) = staged(store, 1, "c", "olga");
    assert_eq!(number, 1);
    assert_eq!(store.challenge(&id).unwrap(), None, "not before a version is live");
    assert_eq!(store.version(&id, 1).unwrap(), Some(Version { version: 1, ..version("c", "olga") }));
    assert_eq!(store.operation(first.id).unwrap(), Some(first.clone()));
    assert_eq!(store.running_operations().unwrap(), std::slice::from_ref(&first));
    store.settle_operation(first.id, OperationState::Done).unwrap();
    assert_eq!(store.challenge(&id).unwrap(), None, "live is on the way to done");
    store.settle_operation(first.id, OperationState::Live).unwrap();
    assert_eq!(store.challenge(&id).unwrap(), row("c", "olga", 1));
    let live = Operation { state: OperationState::Live, ..first.clone() };
    assert_eq!(store.running_operations().unwrap(), [live], "its boards are to be filled");
    store.settle_operation(first.id, failed()).unwrap();
    store.settle_operation(first.id, OperationState::Done).unwrap();
    assert_eq!(store.challenge(&id).unwrap(), row("c", "olga", 1));
    assert_eq!(store.operation(first.id).unwrap().unwrap().state, OperationState::Done);
    assert_eq!(store.running_operations().unwrap(), []);
    let (second, number) = staged(store, 2, "c", "olga");
    assert_eq!(number, 2);
    assert_eq!(staged(store, 3, "cc", "olga").1, 1, "each challenge counts for itself");
    assert_eq!(store.challenge(&id).unwrap(), row("c", "olga", 1), "staged is not live");
    done(store, second.id);
    assert_eq!(store.challenge(&id).unwrap(), row("c", "olga", 2));
    assert!(store.version(&id, 1).unwrap().is_some(), "an old version stays");
    assert_eq!(store.version(&id, 3).unwrap(), None);
}

fn a_failed_publication_changes_nothing(store: &dyn Store) {
    let id = "c".parse().unwrap();
    let (first, _) = staged(store, 1, "c", "olga");
    store.settle_operation(first.id, failed()).unwrap();
    assert_eq!(store.challenge(&id).unwrap(), None);
    assert_eq!(store.operation(first.id).unwrap(), Some(Operation { state: failed(), ..first }));
    assert_eq!(store.running_operations().unwrap(), []);
    assert_eq!(published(store, 2, "c", "olga"), 2, "its number is not given out again");
    let (third, _) = staged(store, 3, "c", "olga");
    store.settle_operation(third.id, failed()).unwrap();
    assert_eq!(store.challenge(&id).unwrap(), row("c", "olga", 2));
}

fn the_first_to_publish_owns_it(store: &dyn Store) {
    published(store, 1, "c", "olga");
    published(store, 2, "c", "pia");
    assert_eq!(store.challenge(&"c".parse().unwrap()).unwrap(), row("c", "olga", 2));
}

fn an_ended_operation_stays_as_it_ended(store: &dyn Store) {
    let id = "c".parse().unwrap();
    let (first, _) = staged(store, 1, "c", "olga");
    store.settle_operation(first.id, OperationState::Running).unwrap();
    assert_eq!(store.running_operations().unwrap(), std::slice::from_ref(&first));
    store.settle_operation(first.id, failed()).unwrap();
    done(store, first.id);
    assert_eq!(store.operation(first.id).unwrap().unwrap().state, failed());
    assert_eq!(store.challenge(&id).unwrap(), None);
    let (second, _) = staged(store, 2, "c", "olga");
    for state in [OperationState::Live, OperationState::Done, OperationState::Done, failed()] {
        store.settle_operation(second.id, state).unwrap();
    }
    assert_eq!(store.operation(second.id).unwrap().unwrap().state, OperationState::Done);
    assert_eq!(store.challenge(&id).unwrap(), row("c", "olga", 2));
    store.settle_operation(operation(9, &version("c", "olga")).id, OperationState::Done).unwrap();
    assert_eq!(store.challenge(&id).unwrap(), row("c", "olga", 2), "there was no such operation");
}

fn a_late_operation_does_not_bring_back_an_older_version(store: &dyn Store) {
    published(store, 1, "c", "olga");
    let (slow, _) = staged(store, 2, "c", "olga");
    assert_eq!(published(store, 3, "c", "olga"), 3);
    done(store, slow.id);
    assert_eq!(store.challenge(&"c".parse().unwrap()).unwrap(), row("c", "olga", 3));
    assert_eq!(store.operation(slow.id).unwrap().unwrap().state, OperationState::Done);
}

fn of_two_new_challenges_of_one_name_one_is_published(store: &dyn Store) {
    let (first, _) = staged(store, 1, "c", "olga");
    let (second, _) = staged(store, 2, "c", "pia");
    let (third, _) = staged(store, 3, "c", "olga");
    for operation in [&first, &second, &third] {
        done(store, operation.id);
    }
    assert_eq!(store.challenge(&"c".parse().unwrap()).unwrap(), row("c", "olga", 3));
    let second = store.operation(second.id).unwrap().unwrap();
    let OperationState::Failed { problems } = second.state else { panic!("it was not hers to publish") };
    assert!(problems[0].contains("`c`"), "{problems:?}");
    assert_eq!(store.running_operations().unwrap(), []);
}

fn who_was_let_in_while_it_was_nobodys_does_not_get_what_is_somebodys(store: &dyn Store) {
    // Pia was let in before there was such a challenge; it is olga's when her version is staged.
    published(store, 1, "c", "olga");
    let version = version("c", "pia");
    let late = operation(2, &version);
    store.stage_version(&version, &late, None, None).unwrap();
    done(store, late.id);
    assert_eq!(store.challenge(&"c".parse().unwrap()).unwrap(), row("c", "olga", 1));
    assert!(matches!(store.operation(late.id).unwrap().unwrap().state, OperationState::Failed { .. }));
}
