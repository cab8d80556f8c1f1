//! Rows to fill a store with. Small numbers make ids and times, so that a test can say which comes first.

use crate::domain::audit::{Act, Deed};
use crate::domain::board::{BoardKey, Entry, Placement, order_key};
use crate::domain::challenge::Rule;
use crate::domain::challenge::{Challenge, Version, Visibility};
use crate::domain::digest::Digest;
use crate::domain::id::{OperationId, SubmissionId, TokenId};
use crate::domain::job::{Job, State};
use crate::domain::metric::Direction;
use crate::domain::operation::{Operation, OperationState};
use crate::domain::quota::{QuotaRule, Settlement, Window};
use crate::domain::submission::{About, Body, Lane, Submission, Upload};
use crate::domain::token::{Role, Token};
use crate::ports::store::{Admission, Admitted, Advance, Idempotency, LedgerKey, Settle, Small, Store, Tracked};
use jiff::Timestamp;
use std::collections::BTreeMap;
use ulid::Ulid;

/// The `n`th second.
pub fn at(n: u64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + n as i64).unwrap()
}

fn ulid(n: u64) -> Ulid {
    Ulid::from_parts(1_800_000_000_000 + n, u128::from(n))
}

/// The id of the `n`th submission.
pub fn submission_id(n: u64) -> SubmissionId {
    SubmissionId(ulid(n))
}

/// The `n`th token.
pub fn token(n: u64) -> Token {
    Token {
        id: TokenId(ulid(n)),
        secret: Digest::of(&n.to_be_bytes()),
        role: Role::Participant,
        subject: "anna".parse().unwrap(),
        challenges: Vec::new(),
        created_at: at(n),
        revoked_at: None,
    }
}

/// The `n`th submission: `entrant`'s, to the phase `dev` of `challenge`, at the `n`th second.
pub fn submission(n: u64, challenge: &str, entrant: &str) -> Submission {
    Submission {
        id: submission_id(n),
        challenge: challenge.parse().unwrap(),
        version: 1,
        phase: "dev".parse().unwrap(),
        task: "main".parse().unwrap(),
        entrant: entrant.parse().unwrap(),
        by: Some(token(1).id),
        pushed: None,
        lane: Lane::Results,
        submitted_at: at(n),
        upload: Upload { name: "predictions.csv".into(), len: 3, digest: Digest::of(b"a,b") },
        files: Body::Inline(format!("{{\"submission\":{n}}}")),
        about: About { method_name: Some("Zufällig".into()), ..About::default() },
        organizers: false,
    }
}

/// `text` as it goes in with a row.
pub fn small(text: &str) -> Small {
    Small { digest: Digest::of(text.as_bytes()), bytes: text.into() }
}

/// At most `limit` in all.
pub fn in_all(limit: u32) -> Vec<QuotaRule> {
    vec![QuotaRule { limit, window: Window::Total }]
}

/// The `n`th submission at the door, with room for it.
pub fn admission(n: u64, challenge: &str, entrant: &str) -> Admission {
    Admission {
        submission: submission(n, challenge, entrant),
        small: Vec::new(),
        job: Job::new(Lane::Results),
        rules: in_all(1_000),
        max_open: 1_000,
        idempotency: None,
        once: None,
        push: None,
    }
}

/// A key of the first token's that holds until the `until`th second.
pub fn key(key: &str, request: &str, until: u64) -> Option<Idempotency> {
    Some(Idempotency { token: token(1).id, key: key.into(), request: Digest::of(request.as_bytes()), until: at(until) })
}

/// Takes the `n`th submission in.
pub fn admitted(store: &dyn Store, n: u64, challenge: &str, entrant: &str) -> Tracked {
    let admission = admission(n, challenge, entrant);
    assert!(matches!(store.admit(admission).unwrap(), Admitted::Accepted { .. }));
    store.submission(submission_id(n)).unwrap().unwrap()
}

/// `tracked` one generation on, in `state`, with nothing beside it.
pub fn to(tracked: &Tracked, state: State, now: u64) -> Advance {
    let seen = tracked.job.generation;
    Advance {
        id: tracked.submission.id,
        seen,
        job: Job { state, generation: seen + 1, ..tracked.job.clone() },
        events: Vec::new(),
        at: at(now),
        settle: None,
        report: None,
        log: None,
        run: None,
        small: Vec::new(),
        placements: Vec::new(),
        live: None,
        deed: None,
        letters: Vec::new(),
        owed: None,
    }
}

/// The end of the reservation of `tracked`.
pub fn settle(tracked: &Tracked, settlement: Settlement) -> Option<Settle> {
    let submission = &tracked.submission;
    Some(Settle { ledger: LedgerKey::of(submission), reserved_at: submission.submitted_at, settlement })
}

/// The board of `challenge` whose definition is `definition`.
pub fn board(challenge: &str, definition: &str) -> BoardKey {
    BoardKey {
        challenge: challenge.parse().unwrap(),
        board: "main".parse().unwrap(),
        definition: Digest::of(definition.as_bytes()),
    }
}

/// The `n`th submission with `score`, higher being better, on `board`.
pub fn placement(board: &BoardKey, rule: Rule, n: u64, entrant: &str, score: f64) -> Placement {
    let key = order_key([(Direction::Higher, Some(score))], at(n), submission_id(n));
    let entry = Entry {
        entrant: entrant.parse().unwrap(),
        submission: submission_id(n),
        submitted_at: at(n),
        key,
        scores: Vec::new(),
    };
    Placement { board: board.clone(), rule, entry }
}

/// A version of `challenge`, not yet numbered.
pub fn version(challenge: &str, by: &str) -> Version {
    Version {
        challenge: Challenge {
            id: challenge.parse().unwrap(),
            title: "A challenge".into(),
            summary: "One line.".into(),
            licence: None,
            visibility: Visibility::Public,
            phases: Vec::new(),
            tasks: Vec::new(),
            leaderboards: Vec::new(),
            solutions: Vec::new(),
            git: None,
        },
        version: 0,
        files: Body::Inline("{}".into()),
        digest: Digest::of(challenge.as_bytes()),
        scorers: BTreeMap::new(),
        images: BTreeMap::new(),
        ingestion_images: BTreeMap::new(),
        published_at: at(0),
        by: by.parse().unwrap(),
    }
}

/// That the owner of the first token does `act` at `now`.
pub fn deed(now: u64, act: Act) -> Deed {
    Deed::new(&token(1), at(now), act, Some("because".into()))
}

/// The `n`th operation: the publication of `version`.
pub fn operation(n: u64, version: &Version) -> Operation {
    Operation {
        id: OperationId(ulid(n)),
        challenge: version.challenge.id.clone(),
        version: version.version,
        by: version.by.clone(),
        started_at: at(n),
        state: OperationState::Running,
    }
}

/// Brings an operation that runs to its good end.
pub fn done(store: &dyn Store, id: OperationId) {
    for state in [OperationState::Live, OperationState::Done] {
        store.settle_operation(id, state).unwrap();
    }
}

/// Publishes a version of `challenge` by the `n`th operation. Returns its number.
pub fn published(store: &dyn Store, n: u64, challenge: &str, by: &str) -> u32 {
    let version = version(challenge, by);
    let operation = operation(n, &version);
    let owner = store.challenge(&version.challenge.id).unwrap().map(|row| row.owner);
    let number = store.stage_version(&version, &operation, owner.as_ref(), None).unwrap();
    done(store, operation.id);
    number
}
