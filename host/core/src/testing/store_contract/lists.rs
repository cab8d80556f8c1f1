//! Tokens, and lists page by page.

use super::rows::{admitted, at, published, submission_id, token};
use super::{Property, Store};
use crate::domain::id::{ChallengeId, SubmissionId};
use crate::domain::token::Token;

pub(super) const ALL: &[Property] = &[
    a_token_is_revoked_once,
    tokens_are_listed_by_id,
    challenges_are_listed_by_id,
    submissions_are_listed_newest_first,
    a_write_gets_through,
];

fn a_token_is_revoked_once(store: &dyn Store) {
    let token = token(1);
    assert_eq!(store.token(token.id).unwrap(), None);
    assert!(!store.revoke_token(token.id, at(1)).unwrap(), "there is none");
    store.put_token(&token).unwrap();
    assert_eq!(store.token(token.id).unwrap(), Some(token.clone()));
    assert!(store.revoke_token(token.id, at(5)).unwrap());
    assert!(!store.revoke_token(token.id, at(6)).unwrap());
    assert_eq!(store.token(token.id).unwrap(), Some(Token { revoked_at: Some(at(5)), ..token }));
}

fn tokens_are_listed_by_id(store: &dyn Store) {
    for n in [3, 1, 2, 5, 4] {
        store.put_token(&token(n)).unwrap();
    }
    let page = |after: Option<u64>, limit| store.tokens(after.map(|n| token(n).id), limit).unwrap();
    assert_eq!(page(None, 2), [token(1), token(2)]);
    assert_eq!(page(Some(2), 2), [token(3), token(4)]);
    assert_eq!(page(Some(4), 2), [token(5)]);
    assert_eq!(page(Some(5), 2), []);
    assert_eq!(page(None, 0), []);
}

fn challenges_are_listed_by_id(store: &dyn Store) {
    for (n, id) in ["b", "a-b", "a", "ab", "a0"].into_iter().enumerate() {
        published(store, n as u64, id, "olga");
    }
    let page = |after: Option<&str>, limit| -> Vec<String> {
        let after: Option<ChallengeId> = after.map(|id| id.parse().unwrap());
        store.challenges(after.as_ref(), limit).unwrap().iter().map(|row| row.id.to_string()).collect()
    };
    assert_eq!(page(None, 100), ["a", "a-b", "a0", "ab", "b"]);
    assert_eq!(page(None, 2), ["a", "a-b"]);
    assert_eq!(page(Some("a-b"), 2), ["a0", "ab"]);
    assert_eq!(page(Some("b"), 2), [""; 0]);
}

fn submissions_are_listed_newest_first(store: &dyn Store) {
    let all =
        [(1, "c", "anna"), (2, "c", "ben"), (3, "cc", "anna"), (4, "c", "anna"), (5, "c", "annabel"), (6, "c", "anna")];
    for (n, challenge, entrant) in all {
        admitted(store, n, challenge, entrant);
    }
    let page = |entrant: Option<&str>, before: Option<u64>, limit| -> Vec<SubmissionId> {
        let entrant = entrant.map(|entrant| entrant.parse().unwrap());
        let before = before.map(submission_id);
        let listed = store.submissions(&"c".parse().unwrap(), entrant.as_ref(), before, limit).unwrap();
        listed.iter().map(|tracked| tracked.submission.id).collect()
    };
    assert_eq!(page(None, None, 100), [6, 5, 4, 2, 1].map(submission_id));
    assert_eq!(page(None, None, 2), [6, 5].map(submission_id));
    assert_eq!(page(None, Some(5), 2), [4, 2].map(submission_id));
    assert_eq!(page(None, Some(3), 2), [2, 1].map(submission_id), "the cursor need not be in the list");
    assert_eq!(page(None, Some(1), 2), [].map(submission_id));
    assert_eq!(page(Some("anna"), None, 100), [6, 4, 1].map(submission_id));
    assert_eq!(page(Some("anna"), Some(6), 1), [submission_id(4)]);
    assert_eq!(page(Some("carl"), None, 100), [].map(submission_id));
}

fn a_write_gets_through(store: &dyn Store) {
    store.probe().unwrap();
    store.probe().unwrap();
}
