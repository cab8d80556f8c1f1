//! The use cases over in-memory ports: a submission's whole way, and each way it can end.

#![expect(clippy::unwrap_used, reason = "this is test code; the lint knows only functions under #[test]")]

use gradus_core::app::read::{Place, ReadReport};
use gradus_core::app::work::{LEASE, Worked};
use gradus_core::app::{App, Refusal};
use gradus_core::domain::event::{Event, EventKind};
use gradus_core::domain::id::SubmissionId;
use gradus_core::domain::job::{MAX_HOSTS, Stage, State};
use gradus_core::domain::operation::OperationState;
use gradus_core::domain::token::{Role, Token};
use gradus_core::ports::signals::Signals;
use jiff::SignedDuration;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

#[path = "support/world.rs"]
mod world;

use world::{World, challenge, dropped, world};

const TOML: &str = r#"
id = "c"
title = "C"
[[phases]]
id = "dev"
starts = 2026-01-01T00:00:00Z
ends = 2026-03-01T00:00:00Z
tasks = ["t"]
quota = [{ limit = 3, per = "day" }]
max_queued = 2
concurrent = 1
[[tasks]]
id = "t"
accepts = ["results"]
reference = "ref.csv"
scorer = { stock = "fake" }
[[leaderboards]]
id = "main"
phases = ["dev"]
rule = "best"
columns = [{ metric = "accuracy" }]
[[solutions]]
path = "good.txt"
scores = { accuracy = 0.75 }
"#;

#[test]
fn a_submission_gets_its_score_and_its_place() {
    let world = world();
    assert_eq!(world.publish(TOML).unwrap(), OperationState::Done);
    let (anna, ben) = (world.entrant("anna"), world.entrant("ben"));
    let first = world.submit(&anna, "score 0.5").unwrap();
    let better = world.submit(&anna, "score 0.904").unwrap();
    world.submit(&ben, "score 0.906").unwrap();
    world.work();
    assert_eq!(world.job(first).state, State::Scored);
    assert_eq!(world.board(None), [(1, "ben".into(), 0.91), (2, "anna".into(), 0.9)], "rounded, best of each");
    assert_eq!(world.remaining(&anna), 1);
    let seen = world.app.see_submission(&anna, better).unwrap();
    let ReadReport::Cut(report) = world.app.report(&seen).unwrap() else { panic!("a participant sees a cut report") };
    assert_eq!((report.scores[0].value, report.cost), (0.9, None));
    let seen = world.app.see_submission(&world.operator, better).unwrap();
    let ReadReport::Whole(bytes) = world.app.report(&seen).unwrap() else { panic!("an operator sees all of it") };
    assert!(String::from_utf8(bytes).unwrap().contains("0.904"));
}

#[test]
fn each_end_settles_the_quota_as_the_table_says() {
    for (words, state, outcome, remaining) in [
        ("score 1", State::Scored, "scored", 2),
        ("invalid", State::Failed, "invalid-submission", 2),
        ("trap", State::Failed, "scorer-failed", 3),
        ("fuel", State::Failed, "limit", 3),
        ("wall", State::Failed, "limit", 3),
    ] {
        let world = world();
        world.publish(TOML).unwrap();
        let anna = world.entrant("anna");
        let id = world.submit(&anna, words).unwrap();
        assert_eq!(world.remaining(&anna), 2, "{words}: reserved");
        world.work();
        let job = world.job(id);
        assert_eq!((job.state, job.outcome.unwrap().word()), (state, outcome), "{words}");
        assert_eq!(world.remaining(&anna), remaining, "{words}");
        let runs = if words == "wall" { 2 } else { 1 };
        assert_eq!(world.scorer.runs.load(Ordering::SeqCst), 1 + runs, "{words}: the solution, and the submission");
    }
}

#[test]
fn a_fault_of_ours_is_retried_with_pauses_and_then_given_back() {
    let world = world();
    world.publish(TOML).unwrap();
    let anna = world.entrant("anna");
    let id = world.submit(&anna, "platform").unwrap();
    for _ in 0..20 {
        world.work();
        world.clock.pass(SignedDuration::from_secs(20));
    }
    let job = world.job(id);
    assert_eq!((job.state, job.attempts), (State::Failed, 5));
    assert_eq!(world.remaining(&anna), 3);
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let world = world();
    world.publish(TOML).unwrap();
    let anna = world.entrant("anna");
    assert!(matches!(world.submit(&anna, "malformed"), Err(Refusal::Format(problems)) if problems.total == 1));
    assert!(matches!(world.submit(&anna, "check-trap"), Err(Refusal::CheckFailed(_))));
    assert_eq!(world.remaining(&anna), 3);
    for _ in 0..3 {
        world.submit(&anna, "score 1").unwrap();
    }
    let refused = world.submit(&anna, "score 1").unwrap_err();
    assert_eq!(refused.code(), "over-quota");
    assert!(refused.to_string().contains("resets at 2026-02-02T00:00:00Z"), "{refused}");
    world.clock.pass(SignedDuration::from_hours(12));
    assert_eq!(world.submit(&anna, "score 1").unwrap_err().code(), "too-many-open", "one runs, two wait");
    world.clock.pass(SignedDuration::from_hours(24 * 40));
    assert_eq!(world.submit(&anna, "score 1").unwrap_err().code(), "phase-closed");
    assert!(matches!(
        world.app.door(&anna, &"d".parse().unwrap(), &"dev".parse().unwrap(), None, world.app.clock.now()),
        Err(Refusal::UnknownChallenge(_))
    ));
    assert!(matches!(
        world.app.door(&anna, &challenge(), &"def".parse().unwrap(), None, world.app.clock.now()),
        Err(Refusal::UnknownPhase { .. })
    ));
}

#[test]
fn the_same_key_gives_the_same_submission() {
    let world = world();
    world.publish(TOML).unwrap();
    let (anna, ben) = (world.entrant("anna"), world.entrant("ben"));
    let (id, before) = world.submit_with(&anna, "score 1", Some("k")).unwrap();
    assert!(!before);
    assert_eq!(world.submit_with(&anna, "score 1", Some("k")).unwrap(), (id, true));
    assert_eq!(world.submit_with(&anna, "score 0", Some("k")).unwrap_err().code(), "idempotency-mismatch");
    assert_ne!(world.submit_with(&ben, "score 1", Some("k")).unwrap().0, id, "keys belong to a token");
    assert_eq!(world.remaining(&anna), 2);
}

#[test]
fn an_answer_that_was_lost_is_given_again_after_the_end_of_the_phase() {
    let world = world();
    world.publish(TOML).unwrap();
    let anna = world.entrant("anna");
    world.submit_with(&anna, "score 1", Some("k")).unwrap();
    world.clock.pass(SignedDuration::from_hours(24 * 40));
    assert_eq!(world.submit(&anna, "score 1").unwrap_err().code(), "phase-closed");
    // A key holds for a day: by then it is a new request.
    assert_eq!(world.submit_with(&anna, "score 1", Some("k")).unwrap_err().code(), "phase-closed");

    let world = self::world();
    world.publish(&TOML.replace("2026-03-01T00:00:00Z", "2026-02-01T12:00:01Z")).unwrap();
    let anna = world.entrant("anna");
    let (again, _) = world.submit_with(&anna, "score 1", Some("k")).unwrap();
    world.clock.pass(SignedDuration::from_secs(1));
    assert_eq!(world.submit_with(&anna, "score 1", Some("k")).unwrap(), (again, true));
    assert_eq!(world.submit_with(&anna, "score 0", Some("k")).unwrap_err().code(), "idempotency-mismatch");
    assert_eq!(world.submit_with(&anna, "score 1", Some("l")).unwrap_err().code(), "phase-closed");
    // A key opens the phase that it was used for, and no other.
    let final_phase = "[[phases]]\nid = \"final\"\nstarts = 2026-02-05T00:00:00Z\ntasks = [\"t\"]\n[[tasks]]";
    let toml = TOML.replace("2026-03-01T00:00:00Z", "2026-02-01T12:00:01Z").replace("[[tasks]]", final_phase);
    world.publish(&toml).unwrap();
    let door =
        |phase: &str| world.app.door(&anna, &challenge(), &phase.parse().unwrap(), Some("k"), world.app.clock.now());
    assert!(door("dev").is_ok());
    assert_eq!(door("final").unwrap_err().code(), "phase-not-open");
}

#[test]
fn a_token_that_is_revoked_on_the_way_brings_nothing_in() {
    let world = world();
    world.publish(TOML).unwrap();
    let anna = world.entrant("anna");
    let door = || world.app.door(&anna, &challenge(), &"dev".parse().unwrap(), None, world.app.clock.now());
    door().unwrap();
    world.app.revoke(&world.operator, anna.id).unwrap();
    assert_eq!(door().unwrap_err().code(), "invalid-token");
}

#[test]
fn a_waiting_submission_is_cancelled_for_nothing_and_a_running_one_stops() {
    let world = world();
    world.publish(TOML).unwrap();
    let (anna, ben) = (world.entrant("anna"), world.entrant("ben"));
    let waiting = world.submit(&anna, "score 1").unwrap();
    assert!(world.app.cancel(&ben, waiting).is_err(), "not his");
    assert_eq!(world.app.cancel(&anna, waiting).unwrap().state, State::Cancelled);
    assert_eq!(world.remaining(&anna), 3);
    assert_eq!(world.app.cancel(&anna, waiting).unwrap_err().code(), "illegal-transition");
    let running = world.submit(&anna, "wait").unwrap();
    let app = Arc::clone(&world.app);
    let worker = std::thread::spawn(move || app.work("w", Stage::Score).unwrap());
    while world.job(running).state != State::Scoring {
        std::thread::yield_now();
    }
    assert_eq!(world.app.cancel(&anna, running).unwrap().state, State::Cancelled);
    assert!(dropped(&worker.join().unwrap(), running));
    assert_eq!(world.remaining(&anna), 2, "it ran, so it counts");
}

#[test]
fn a_host_that_died_leaves_nothing_stuck() {
    let world = world();
    world.publish(TOML).unwrap();
    let anna = world.entrant("anna");
    let id = world.submit(&anna, "wait").unwrap();
    let app = Arc::clone(&world.app);
    let dead = std::thread::spawn(move || app.work("dead", Stage::Score).unwrap());
    while world.job(id).state != State::Scoring {
        std::thread::yield_now();
    }
    // Another host opens the same store.
    let next = world.next_host();
    next.recover().unwrap();
    assert_eq!(world.job(id).state, State::Queued);
    next.cancel(&anna, id).unwrap();
    // What the dead one still brings is dropped.
    world.app.renew().unwrap();
    assert!(dropped(&dead.join().unwrap(), id));
    assert_eq!(world.job(id).state, State::Cancelled);
}

#[test]
fn a_submission_that_brings_hosts_down_ends_and_costs_nothing() {
    let world = world();
    world.publish(TOML).unwrap();
    let anna = world.entrant("anna");
    let id = world.submit(&anna, "panic").unwrap();
    for attempt in 1..=MAX_HOSTS {
        // The panic takes the host with it, in the middle of the run.
        let host = world.next_host();
        let left = host.recover().unwrap();
        assert_eq!((left.operations, left.cut_off.len()), (vec![], usize::from(attempt > 1)));
        world.clock.pass(SignedDuration::from_secs(600));
        let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| host.work("w", Stage::Score)));
        assert!(died.is_err() && world.job(id).state == State::Scoring, "attempt {attempt}");
    }
    world.next_host().recover().unwrap();
    let job = world.job(id);
    assert_eq!((job.state, job.attempts, job.outcome.unwrap().word()), (State::Failed, MAX_HOSTS, "platform"));
    assert_eq!(world.remaining(&anna), 3);
}

#[test]
fn a_panic_in_a_turn_leaves_its_job_to_the_reaper() {
    let world = world();
    world.publish(TOML).unwrap();
    let anna = world.entrant("anna");
    let id = world.submit(&anna, "panic").unwrap();
    let turn = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.app.work("w", Stage::Score)));
    assert!(turn().is_err());
    world.clock.pass(LEASE);
    // Nobody is at it, so nobody renews it.
    world.app.renew().unwrap();
    assert_eq!(world.app.reap().unwrap(), 1);
    assert_eq!((world.job(id).state, world.job(id).attempts), (State::Queued, 1));
    world.clock.pass(SignedDuration::from_secs(20));
    assert!(turn().is_err(), "it is in the queue again, and its seat is free");
    assert_eq!(world.job(id).epoch, 2);
}

#[test]
fn a_result_that_cannot_be_kept_is_an_attempt_of_ours_and_tried_again() {
    let world = world();
    world.publish(TOML).unwrap();
    let anna = world.entrant("anna");
    let id = world.submit(&anna, "attach 0.9").unwrap();
    world.blobs.full.store(true, Ordering::SeqCst);
    let Worked::Did { job, trouble, .. } = world.app.work("w", Stage::Score).unwrap() else {
        panic!("there is something to do")
    };
    assert!(trouble.unwrap().contains("could not write a blob"));
    assert_eq!((job.unwrap().state, world.board(None)), (State::Queued, vec![]));
    world.blobs.full.store(false, Ordering::SeqCst);
    world.clock.pass(SignedDuration::from_secs(20));
    world.work();
    assert_eq!((world.job(id).state, world.board(None)), (State::Scored, vec![(1, "anna".into(), 0.9)]));
    let seen = world.app.see_submission(&world.operator, id).unwrap();
    assert_eq!(world.app.attachment(&seen, "big.txt").unwrap().1.len(), 65_537);
}

#[test]
fn a_claim_that_is_not_renewed_is_taken_back() {
    let world = world();
    world.publish(TOML).unwrap();
    let anna = world.entrant("anna");
    let id = world.submit(&anna, "wait").unwrap();
    let app = Arc::clone(&world.app);
    let worker = std::thread::spawn(move || app.work("w", Stage::Score).unwrap());
    while world.job(id).state != State::Scoring {
        std::thread::yield_now();
    }
    world.clock.pass(LEASE - SignedDuration::from_secs(1));
    world.app.renew().unwrap();
    world.clock.pass(SignedDuration::from_secs(2));
    assert_eq!(world.app.reap().unwrap(), 0, "it was renewed");
    world.clock.pass(LEASE);
    assert_eq!(world.app.reap().unwrap(), 0, "who is at it knows better");
    // Another host has nobody who is. The stale result is dropped.
    assert_eq!(world.next_host().reap().unwrap(), 1);
    assert_eq!(world.job(id).state, State::Queued);
    world.app.renew().unwrap();
    worker.join().unwrap();
    assert_eq!((world.job(id).state, world.job(id).attempts), (State::Queued, 1));
}

#[test]
fn a_version_goes_live_only_when_its_solutions_hold() {
    let world = world();
    let wrong = TOML.replace("0.75", "0.9");
    let OperationState::Failed { problems } = world.publish(&wrong).unwrap() else { panic!("it must not go live") };
    assert_eq!(problems, ["good.txt: accuracy is 0.75, expected 0.9 to 2 decimal places"]);
    assert!(world.app.see(None, &challenge()).is_err());
    let bad = TOML
        .replace("stock = \"fake\"", "stock = \"bad\"")
        .replace("ref.csv", "rev.csv")
        .replace("accuracy\"", "acc\"");
    let Err(Refusal::Challenge(problems)) = world.publish(&bad) else { panic!("it must be refused") };
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "challenge.toml:15: tasks.t.reference: there is no file or folder `rev.csv`",
            "challenge.toml:16: tasks.t.scorer: it is bad"
        ]
    );
    let bad = TOML.replace("stock = \"fake\" }", "stock = \"fake\" }\nparams = { how = \"bad\" }");
    let Err(Refusal::Challenge(problems)) = world.publish(&bad) else { panic!("it must be refused") };
    assert_eq!(problems[0].to_string(), "challenge.toml:17: tasks.t.params: they are bad");
}

#[test]
fn a_board_that_is_defined_anew_is_filled_from_the_reports() {
    let world = world();
    world.publish(TOML).unwrap();
    let (anna, ben) = (world.entrant("anna"), world.entrant("ben"));
    world.submit(&anna, "score 0.9").unwrap();
    world.work();
    world.clock.pass(SignedDuration::from_secs(1));
    world.submit(&anna, "score 0.1").unwrap();
    world.submit(&ben, "score 0.5").unwrap();
    world.work();
    assert_eq!(world.board(None), [(1, "anna".into(), 0.9), (2, "ben".into(), 0.5)]);
    world.publish(&TOML.replace("rule = \"best\"", "rule = \"last\"")).unwrap();
    assert_eq!(world.board(None), [(1, "ben".into(), 0.5), (2, "anna".into(), 0.1)]);
}

#[test]
fn a_host_that_dies_while_boards_are_filled_loses_no_row() {
    let world = world();
    world.publish(TOML).unwrap();
    let (anna, ben) = (world.entrant("anna"), world.entrant("ben"));
    world.submit(&anna, "score 0.9").unwrap();
    world.work();
    let operation = world.stage(&TOML.replace("rule = \"best\"", "rule = \"last\""), "score 0.75").unwrap();
    // Scored while the new boards were filled the first time: it went where the old version says.
    world.submit(&ben, "score 0.5").unwrap();
    world.work();
    world.app.store.settle_operation(operation.id, OperationState::Live).unwrap();
    assert_eq!(world.board(None), [], "the host died here");

    let next = world.next_host();
    let left = next.recover().unwrap().operations;
    assert_eq!(left.iter().map(|left| left.id).collect::<Vec<_>>(), [operation.id]);
    assert_eq!(next.run_operation(&left[0]).unwrap(), OperationState::Done);
    assert_eq!(World::board_of(&next, None), [(1, "anna".into(), 0.9), (2, "ben".into(), 0.5)]);
    assert_eq!(next.recover().unwrap().operations, []);
}

#[test]
fn a_board_whose_split_no_scorer_reports_does_not_go_live() {
    for (split, good, told) in [
        (
            "split = \"pubic\"",
            "split 0.75",
            "the scorer reports no split `pubic` (did you mean `public`?); it reports: private, public",
        ),
        ("split = \"public\"", "score 0.75", "the scorer reports no splits, and so no `public`; remove it"),
        ("", "split 0.75", "is missing: the scorer reports the splits private, public; name one"),
    ] {
        let world = world();
        let metric = if good.starts_with("split") { "\"accuracy@public\"" } else { "accuracy" };
        let toml = TOML.replace("rule = \"best\"", &format!("rule = \"best\"\n{split}"));
        let toml = toml.replace("{ accuracy = 0.75 }", &format!("{{ {metric} = 0.75 }}"));
        let operation = world.stage(&toml, good).unwrap();
        let OperationState::Failed { problems } = world.app.run_operation(&operation).unwrap() else {
            panic!("{split}: the board would stay empty")
        };
        assert_eq!(problems, [format!("challenge.toml: leaderboards.main.split: {told}")]);
    }
}

#[test]
fn a_score_that_is_read_back_is_the_score() {
    let world = world();
    world.publish(TOML).unwrap();
    let (anna, ben) = (world.entrant("anna"), world.entrant("ben"));
    // Of 114 rows: what a quick parser reads one unit in the last place off.
    for (of, value) in [(&anna, 108.0 / 114.0), (&ben, 104.0 / 114.0), (&ben, 108.0 / 114.0)] {
        world.submit(of, &format!("score {value:?}")).unwrap();
        world.work();
        world.clock.pass(SignedDuration::from_secs(1));
    }
    let exact = [(1, "anna".to_owned(), 108.0 / 114.0), (2, "ben".to_owned(), 108.0 / 114.0)];
    assert_eq!(world.board(Some(&world.operator)), exact, "of two that are equal the earlier one is first");
    world.publish(&TOML.replace("rule = \"best\"", "rule = \"last\"")).unwrap();
    assert_eq!(world.board(Some(&world.operator)), exact, "and so it is when the board was filled from reports");
}

#[test]
fn a_cursor_is_of_the_entry_and_not_of_its_entrant() {
    let world = world();
    world.publish(TOML).unwrap();
    let (anna, ben) = (world.entrant("anna"), world.entrant("ben"));
    world.submit(&anna, "score 0.9").unwrap();
    world.submit(&ben, "score 0.5").unwrap();
    world.work();
    let page = |after: Option<&Place>| {
        let seen = world.app.see(None, &challenge()).unwrap();
        world.app.leaderboard(&seen, None, &"main".parse().unwrap(), after, 1)
    };
    let place = page(None).unwrap().next.unwrap();
    assert_eq!(page(Some(&place)).unwrap().entries[0].entrant.as_str(), "ben");
    let far = Place { rank: u64::MAX, ..place.clone() };
    assert!(page(Some(&far)).is_ok_and(|page| page.entries[0].rank == u64::MAX), "no number is too big");
    world.submit(&anna, "score 0.95").unwrap();
    world.work();
    let Err(Refusal::Unknown(what)) = page(Some(&place)) else { panic!("rows would be told twice, or not at all") };
    assert!(what.contains("begin again"), "{what}");
}

#[test]
fn what_waits_by_its_row_is_found_without_a_restart() {
    let world = world();
    world.publish(TOML).unwrap();
    let anna = world.entrant("anna");
    let id = world.submit(&anna, "score 1").unwrap();
    // A host that lost its picture of the queue, or a read that failed when the row was to be put into it.
    let host = world.next_host();
    assert_eq!(host.work("w", Stage::Score).unwrap(), Worked::Idle);
    assert_eq!(host.reap().unwrap(), 0);
    assert!(matches!(host.work("w", Stage::Score).unwrap(), Worked::Did { .. }));
    assert_eq!(world.job(id).state, State::Scored);
    assert_eq!(host.reap().unwrap(), 0);
    assert_eq!(host.work("w", Stage::Score).unwrap(), Worked::Idle, "once");
}

#[test]
fn a_solution_that_took_too_long_gets_the_machine_for_itself_once() {
    let world = world();
    let toml = TOML.replace("scores = { accuracy = 0.75 }", "outcome = \"limit\"");
    let operation = world.stage(&toml, "wall").unwrap();
    assert_eq!(world.app.run_operation(&operation).unwrap(), OperationState::Done);
    assert_eq!(world.scorer.runs.load(Ordering::SeqCst), 2);
}

#[test]
fn who_may_not_see_is_told_that_there_is_nothing() {
    let world = world();
    world.publish(&TOML.replace("title", "visibility = \"private\"\ntitle")).unwrap();
    let (anna, organizer) =
        (world.entrant("anna"), world.app.grant(None, Role::Organizer, "olga".parse().unwrap(), vec![]));
    assert!(matches!(world.app.see(None, &challenge()), Err(Refusal::UnknownChallenge(_))));
    assert!(matches!(world.app.see(Some(&anna), &challenge()), Err(Refusal::UnknownChallenge(_))));
    assert!(matches!(world.app.see(Some(&organizer.unwrap().0), &challenge()), Err(Refusal::UnknownChallenge(_))));
    let (invited, _) = world.app.grant(None, Role::Participant, "ivan".parse().unwrap(), vec![challenge()]).unwrap();
    let seen = world.app.see(Some(&invited), &challenge()).unwrap();
    assert!(world.app.file(&seen, "page.md").is_ok());
    for hidden in ["ref.csv", "good.txt", "challenge.toml", "../ref.csv", "/ref.csv", ""] {
        assert!(world.app.file(&seen, hidden).is_err(), "{hidden}");
    }
    let id = world.submit(&invited, "score 1").unwrap();
    assert!(matches!(world.app.see_submission(&anna, id), Err(Refusal::Unknown(_))));
    world.work();
    let seen = world.app.see_submission(&invited, id).unwrap();
    assert!(world.app.log(&seen).is_err(), "the scorer's log is for organizers");
    let seen = world.app.see_submission(&world.operator, id).unwrap();
    assert_eq!(world.app.log(&seen).unwrap(), b"a word for organizers");
}

/// Calls each submission off at the moment that a worker has claimed it, before the worker knows.
#[derive(Default)]
struct CallsOff(OnceLock<(Arc<App>, Token)>);

impl Signals for CallsOff {
    fn logged(&self, events: &[Event]) {
        let Some((app, token)) = self.0.get() else { return };
        for event in events.iter().filter(|event| matches!(event.kind, EventKind::State { state: State::Scoring, .. }))
        {
            app.cancel(token, event.submission).unwrap();
        }
    }

    fn progress(&self, _: SubmissionId, _: u64, _: u64) {}

    fn steered(&self) {}
    fn queued(&self) {}
    fn pushed(&self) {}
    fn owed(&self) {}
    fn posted(&self) {}
}

#[test]
fn what_is_called_off_just_as_it_is_claimed_is_not_graded() {
    let world = world();
    world.publish(TOML).unwrap();
    let anna = world.entrant("anna");
    let id = world.submit(&anna, "score 1").unwrap();
    let signals = Arc::new(CallsOff::default());
    let (store, blobs, scorer) = (Arc::clone(&world.app.store), Arc::clone(&world.blobs), Arc::clone(&world.scorer));
    let clock = Arc::clone(&world.clock) as _;
    let app = App::new(store, blobs, scorer, clock, Arc::clone(&signals) as _, &[("fake", b"good")]);
    app.recover().unwrap();
    let app = Arc::new(app);
    assert!(signals.0.set((Arc::clone(&app), anna)).is_ok());
    let before = world.scorer.runs.load(Ordering::SeqCst);
    assert!(dropped(&app.work("w", Stage::Score).unwrap(), id));
    assert_eq!(world.scorer.runs.load(Ordering::SeqCst), before, "nobody wants its score");
    assert_eq!(world.job(id).state, State::Cancelled);
    assert!(app.load().is_empty());
}
