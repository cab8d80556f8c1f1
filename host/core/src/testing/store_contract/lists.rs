//! Tokens, and lists page by page.

use super::rows::{admitted, at, deed, published, submission_id, to, token};
use super::{Property, Store};
use crate::domain::audit::Act;
use crate::domain::challenge::{Hold, HoldKind};
use crate::domain::id::{ChallengeId, SubmissionId};
use crate::domain::job::State;
use crate::domain::quota::Ledger;
use crate::domain::token::Role;
use crate::domain::token::Token;
use crate::ports::store::{Advance, LedgerKey};

pub(super) const ALL: &[Property] = &[
    a_token_is_revoked_once,
    tokens_are_listed_by_id,
    challenges_are_listed_by_id,
    submissions_are_listed_newest_first,
    what_is_done_with_a_right_is_logged_with_it,
    a_write_gets_through,
];

fn a_token_is_revoked_once(store: &dyn Store) {
    let token = token(1);
    assert_eq!(store.token(token.id).unwrap(), None);
    let revoke = |now| store.revoke_token(token.id, &deed(now, Act::TokenRevoked { revoked: token.id })).unwrap();
    assert!(!revoke(1), "there is none");
    store.put_token(&token, None).unwrap();
    assert_eq!(store.token(token.id).unwrap(), Some(token.clone()));
    assert!(revoke(5) && !revoke(6));
    assert_eq!(store.token(token.id).unwrap(), Some(Token { revoked_at: Some(at(5)), ..token.clone() }));
}

fn tokens_are_listed_by_id(store: &dyn Store) {
    for n in [3, 1, 2, 5, 4] {
        store.put_token(&token(n), None).unwrap();
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

fn what_is_done_with_a_right_is_logged_with_it(store: &dyn Store) {
    let (c, d): (ChallengeId, ChallengeId) = ("c".parse().unwrap(), "c-d".parse().unwrap());
    let page = |challenge: Option<&ChallengeId>, before: Option<u64>, limit| -> Vec<u64> {
        let all = store.audit(challenge, before, limit).unwrap();
        assert!(all.iter().all(|line| line.deed.why.as_deref() == Some("because") && line.deed.by == token(1).subject));
        all.iter().map(|line| line.seq).collect()
    };
    assert_eq!(page(None, None, 10), [0; 0]);
    let act = Act::TokenMade { made: token(2).id, role: Role::Operator, subject: token(2).subject };
    store.put_token(&token(2), Some(&deed(1, act))).unwrap();
    // Of a challenge that is not there nothing is held, and nothing logged.
    let queue = |challenge: &ChallengeId, hold| deed(2, Act::Queue { challenge: challenge.clone(), hold });
    assert!(!store.set_hold(&c, None, &queue(&c, None)).unwrap());
    published(store, 1, "c", "olga");
    published(store, 2, "c-d", "olga");
    let hold = Hold { kind: HoldKind::Paused, since: at(2), why: None };
    assert!(store.set_hold(&c, Some(hold.clone()), &queue(&c, Some(hold.kind))).unwrap());
    assert!(store.set_hold(&d, None, &queue(&d, None)).unwrap());
    assert_eq!(store.challenge(&c).unwrap().unwrap().hold, Some(hold.clone()));
    // A new version does not let it go on.
    published(store, 3, "c", "olga");
    assert_eq!(store.challenge(&c).unwrap().unwrap().hold, Some(hold));
    let key = LedgerKey { challenge: c.clone(), phase: "dev".parse().unwrap(), entrant: "anna".parse().unwrap() };
    let (phase, entrant) = (key.phase.clone(), key.entrant.clone());
    let granted = deed(3, Act::QuotaGranted { challenge: c.clone(), phase, entrant, extra: 2 });
    assert_eq!(store.grant(&key, 2, &granted).unwrap(), Ledger { extra: 2, ..Ledger::default() });
    assert_eq!(store.ledger(&key).unwrap().extra, 2);
    let tracked = admitted(store, 1, "c", "anna");
    let (submission, entrant) = (tracked.submission.id, key.entrant.clone());
    let cancelled = Some(deed(4, Act::Cancelled { challenge: c.clone(), submission, entrant }));
    let advance = Advance { deed: cancelled, ..to(&tracked, State::Cancelled, 4) };
    store.advance(advance.clone()).unwrap();
    store.advance(advance).unwrap();
    assert_eq!(page(None, None, 10), [5, 4, 3, 2, 1], "a conflict is not logged");
    assert_eq!(page(None, Some(4), 2), [3, 2]);
    assert_eq!((page(Some(&c), None, 2), page(Some(&c), Some(4), 9)), (vec![5, 4], vec![2]));
    assert_eq!(page(Some(&d), None, 9), [3]);
    assert_eq!(store.audit(Some(&c), None, 1).unwrap()[0].deed.at, at(4));
}
