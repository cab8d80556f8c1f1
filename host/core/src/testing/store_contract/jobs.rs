//! A job's changes: all of a change, or none of it.

use super::rows::{admitted, at, board, placement, published, settle, small, submission_id, to};
use super::{Property, Store};
use crate::domain::challenge::Rule;
use crate::domain::event::EventKind;
use crate::domain::job::State;
use crate::domain::quota::Settlement;
use crate::domain::run_record::RunOutput;
use crate::domain::submission::Body;
use crate::ports::store::{Advance, Advanced, LedgerKey, Tracked};

pub(super) const ALL: &[Property] = &[
    the_end_of_a_job_is_stored_as_one,
    a_stale_generation_changes_nothing,
    another_live_version_changes_nothing,
    nobody_elses_change_is_lost_in_a_race,
    refunds_are_given_and_shown,
    only_jobs_that_have_not_ended_are_open,
    events_are_numbered_without_gaps,
];

/// The end of `tracked` with everything that can go with it.
fn the_end(tracked: &Tracked) -> Advance {
    let board = board("c", "1");
    Advance {
        events: vec![
            EventKind::Report { outcome: "scored".into() },
            EventKind::State { state: State::Scored, reason: None },
        ],
        settle: settle(tracked, Settlement::Charge),
        report: Some(Body::Inline("{\"report\":1}".into())),
        log: Some(Body::Inline("log".into())),
        run: Some(RunOutput { stderr: Some(small("attached").digest), ..RunOutput::default() }),
        small: vec![small("attached")],
        placements: vec![placement(&board, Rule::Best, 1, "anna", 0.5)],
        live: Some(1),
        ..to(tracked, State::Scored, 9)
    }
}

/// Nothing of [`the_end`] is there.
fn untouched(store: &dyn Store, tracked: &Tracked) {
    let id = tracked.submission.id;
    assert_eq!(store.submission(id).unwrap().as_ref(), Some(tracked));
    assert_eq!(store.report(id).unwrap(), None);
    assert_eq!(store.log(id).unwrap(), None);
    assert_eq!(store.run_output(id).unwrap(), None);
    assert_eq!(store.small(small("attached").digest).unwrap(), None);
    assert_eq!(store.events(id, 1, 10).unwrap(), []);
    assert_eq!(store.entries(&board("c", "1"), None, 10).unwrap(), []);
    assert_eq!(store.ledger(&LedgerKey::of(&tracked.submission)).unwrap().open, 1);
    assert_eq!(store.open_jobs().unwrap().len(), 1);
}

fn the_end_of_a_job_is_stored_as_one(store: &dyn Store) {
    published(store, 1, "c", "olga");
    let tracked = admitted(store, 1, "c", "anna");
    let end = the_end(&tracked);
    let Advanced::Stored { events, refunded } = store.advance(end.clone()).unwrap() else {
        panic!("nobody else wrote")
    };
    assert!(!refunded);
    assert_eq!(events.iter().map(|event| (event.seq, event.at)).collect::<Vec<_>>(), [(2, at(9)), (3, at(9))]);
    assert_eq!(events.iter().map(|event| &event.kind).collect::<Vec<_>>(), end.events.iter().collect::<Vec<_>>());
    let id = submission_id(1);
    let now = store.submission(id).unwrap().unwrap();
    assert_eq!((&now.job, now.refunded), (&end.job, false));
    assert_eq!(now.submission, tracked.submission);
    assert_eq!((store.report(id).unwrap(), store.log(id).unwrap()), (end.report, end.log));
    assert_eq!(store.run_output(id).unwrap(), end.run);
    assert_eq!(store.small(end.small[0].digest).unwrap().as_ref(), Some(&end.small[0].bytes));
    assert_eq!(store.events(id, 1, 10).unwrap(), events);
    assert_eq!(store.entries(&board("c", "1"), None, 10).unwrap(), [end.placements[0].entry.clone()]);
    let ledger = store.ledger(&LedgerKey::of(&tracked.submission)).unwrap();
    assert_eq!((ledger.total, ledger.open), (1, 0));
    assert_eq!(store.open_jobs().unwrap(), []);
}

fn a_stale_generation_changes_nothing(store: &dyn Store) {
    published(store, 1, "c", "olga");
    let first = admitted(store, 1, "c", "anna");
    assert!(matches!(store.advance(to(&first, State::Scoring, 2)).unwrap(), Advanced::Stored { .. }));
    let now = store.submission(first.submission.id).unwrap().unwrap();
    assert_eq!(store.advance(the_end(&first)).unwrap(), Advanced::Conflict);
    untouched(store, &now);
    let ahead = Advance { seen: now.job.generation + 1, ..the_end(&now) };
    assert_eq!(store.advance(ahead).unwrap(), Advanced::Conflict);
    let nowhere = Advance { id: submission_id(99), ..the_end(&now) };
    assert_eq!(store.advance(nowhere).unwrap(), Advanced::Conflict);
    untouched(store, &now);
}

fn another_live_version_changes_nothing(store: &dyn Store) {
    let tracked = admitted(store, 1, "c", "anna");
    assert_eq!(store.advance(the_end(&tracked)).unwrap(), Advanced::Conflict, "there is no live version");
    published(store, 1, "c", "olga");
    published(store, 2, "c", "olga");
    assert_eq!(store.advance(the_end(&tracked)).unwrap(), Advanced::Conflict);
    untouched(store, &tracked);
    let end = Advance { live: Some(2), ..the_end(&tracked) };
    assert!(matches!(store.advance(end).unwrap(), Advanced::Stored { .. }));
}

fn nobody_elses_change_is_lost_in_a_race(store: &dyn Store) {
    let id = admitted(store, 1, "c", "anna").submission.id;
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for _ in 0..4 {
                    loop {
                        let now = store.submission(id).unwrap().unwrap();
                        let mut next = to(&now, State::Queued, 2);
                        next.job.attempts = now.job.attempts + 1;
                        next.events = vec![EventKind::Progress { done: thread, total: 8 }];
                        if store.advance(next).unwrap() != Advanced::Conflict {
                            break;
                        }
                    }
                }
            });
        }
    });
    let now = store.submission(id).unwrap().unwrap();
    assert_eq!((now.job.generation, now.job.attempts), (33, 32));
    let events = store.events(id, 0, 100).unwrap();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=33).collect::<Vec<_>>());
}

fn refunds_are_given_and_shown(store: &dyn Store) {
    let end = |n, settlement| {
        let tracked = admitted(store, n, "c", "anna");
        let end = Advance { settle: settle(&tracked, settlement), ..to(&tracked, State::Failed, 20) };
        let Advanced::Stored { refunded, .. } = store.advance(end).unwrap() else { panic!("nobody else wrote") };
        let now = store.submission(submission_id(n)).unwrap().unwrap();
        assert_eq!(now.refunded, refunded);
        // What comes after does not settle, and does not forget.
        store.advance(to(&now, State::Failed, 21)).unwrap();
        assert_eq!(store.submission(submission_id(n)).unwrap().unwrap().refunded, refunded);
        refunded
    };
    let all = [Settlement::Refund, Settlement::Charge];
    assert_eq!(all.map(|settlement| end(1 + settlement as u64 * 9, settlement)), [true, false]);
    // The fourth refund for the challenge's faults within a day is one too many.
    let capped: Vec<_> = (11..=14).map(|n| end(n, Settlement::RefundCapped)).collect();
    assert_eq!(capped, [true, true, true, false]);
    let ledger = store.ledger(&LedgerKey::of(&super::rows::submission(1, "c", "anna"))).unwrap();
    assert_eq!((ledger.total, ledger.open), (2, 0));
}

fn only_jobs_that_have_not_ended_are_open(store: &dyn Store) {
    for n in [5, 2, 9, 1] {
        admitted(store, n, "c", "anna");
    }
    let open = || store.open_jobs().unwrap().iter().map(|job| job.submission.id).collect::<Vec<_>>();
    assert_eq!(open(), [1, 2, 5, 9].map(submission_id));
    let go = |n, state| {
        let now = store.submission(submission_id(n)).unwrap().unwrap();
        assert!(matches!(store.advance(to(&now, state, 10)).unwrap(), Advanced::Stored { .. }));
    };
    go(2, State::Scoring);
    go(5, State::Cancelled);
    go(9, State::Failed);
    assert_eq!(open(), [1, 2].map(submission_id));
    assert_eq!(store.open_jobs().unwrap()[1].job.state, State::Scoring);
    go(2, State::Scored);
    assert_eq!(open(), [submission_id(1)]);
}

fn events_are_numbered_without_gaps(store: &dyn Store) {
    admitted(store, 1, "c", "anna");
    admitted(store, 2, "c", "anna");
    for round in 0..300 {
        let now = store.submission(submission_id(1)).unwrap().unwrap();
        let events = vec![EventKind::Progress { done: round, total: 300 }; (round % 3) as usize];
        store.advance(Advance { events, ..to(&now, State::Scoring, round) }).unwrap();
    }
    let seqs = |after, limit| -> Vec<u64> {
        store.events(submission_id(1), after, limit).unwrap().iter().map(|event| event.seq).collect()
    };
    assert_eq!(seqs(0, 1_000), (1..=301).collect::<Vec<_>>());
    assert_eq!(seqs(254, 3), [255, 256, 257]);
    assert_eq!(seqs(301, 3), [0; 0]);
    assert_eq!(seqs(u64::MAX, 3), [0; 0]);
    assert_eq!(store.events(submission_id(2), 0, 10).unwrap().len(), 1, "nothing of another's");
}
