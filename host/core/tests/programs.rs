//! The use cases of programs, over in-memory ports: a run's whole way, and each way it can end.

use gradus_core::app::Refusal;
use gradus_core::app::launch::{Allows, Containers};
use gradus_core::app::work::Worked;
use gradus_core::domain::id::SubmissionId;
use gradus_core::domain::job::{Stage, State};
use gradus_core::domain::operation::OperationState;
use gradus_core::domain::run_record::Stream;
use gradus_core::domain::submission::Lane;
use gradus_core::domain::token::{Role, Token};
use jiff::SignedDuration;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

#[path = "support/world.rs"]
mod world;

use world::{PROGRAMS, World, challenge, dropped, world};

/// A program that does what the words say.
fn submit(world: &World, token: &Token, command: &str, answer: &str) -> Result<SubmissionId, Refusal> {
    let metadata = format!("command: {command}\n");
    world.submit_files(token, &[("metadata", &metadata), ("answer", answer)], None).map(|(id, _)| id)
}

const COPY: &str = "copy $program/answer p.txt";

#[test]
fn the_file_that_makes_it_a_program_has_three_names() {
    let world = world();
    world.publish(PROGRAMS).unwrap();
    let anna = world.entrant("anna");
    for name in ["metadata", "metadata.yaml", "metadata.yml"] {
        let (id, _) = world.submit_files(&anna, &[(name, "command: x\n")], None).unwrap();
        assert_eq!(world.app.store.submission(id).unwrap().unwrap().submission.lane, Lane::Code, "{name}");
        world.app.cancel(&anna, id).unwrap();
    }
}

#[test]
fn a_program_runs_and_what_it_leaves_is_scored() {
    let world = world();
    assert_eq!(world.publish(PROGRAMS).unwrap(), OperationState::Done);
    let anna = world.entrant("anna");
    let id = submit(&world, &anna, COPY, "score 0.5").unwrap();
    let tracked = world.app.store.submission(id).unwrap().unwrap();
    assert_eq!((tracked.submission.lane, tracked.job.stage()), (Lane::Code, Stage::Run));
    assert_eq!(world.app.work("grader", Stage::Score).unwrap(), Worked::Idle, "graders run no programs");
    world.work();
    let job = world.job(id);
    assert_eq!((job.state, job.run.unwrap().exit_code), (State::Scored, Some(0)));
    assert_eq!(world.board(None), [(1, "anna".into(), 0.5)]);
    let states: Vec<_> = world.app.store.events(id, 0, 10).unwrap().into_iter().map(|event| event.kind).collect();
    let states = format!("{states:?}");
    assert!(states.find("Running") < states.find("Scoring") && states.contains("Scored"), "{states}");
}

#[test]
fn the_same_task_takes_predictions_and_says_what_is_wrong_with_a_program() {
    let world = world();
    world.publish(PROGRAMS).unwrap();
    let anna = world.entrant("anna");
    let id = world.submit(&anna, "score 0.25").unwrap();
    world.work();
    assert_eq!(world.job(id).state, State::Scored);
    let refused = submit(&world, &anna, "cat $hidden/ref.csv", "").unwrap_err();
    let Refusal::Format(problems) = refused else { panic!("{refused:?}") };
    assert!(problems.first[0].message.contains("no container"), "{problems:?}");
    assert_eq!(world.remaining(&anna), 2, "what is refused at the door costs nothing");
    let Refusal::Format(problems) = world.submit(&anna, "malformed").unwrap_err() else { panic!("it is malformed") };
    assert!(problems.first[0].message.contains("needs a file `metadata`") && problems.total == 2, "{problems:?}");

    let folder = [("mine/a.txt", "malformed"), ("mine/metadata", "command: x")];
    let Refusal::Format(problems) = world.submit_files(&anna, &folder, None).unwrap_err() else {
        panic!("it is packed")
    };
    assert!(problems.first[0].message.contains("`mine/metadata` lies in a folder"), "{problems:?}");

    let only = PROGRAMS.replace("[\"code\", \"results\"]", "[\"code\"]").replace("[[solutions]]", "[[x]]");
    let only = &only[..only.find("[[x]]").unwrap()];
    assert_eq!(world.publish(only).unwrap(), OperationState::Done);
    let Refusal::Format(problems) = world.submit(&anna, "score 0.25").unwrap_err() else { panic!("it takes programs") };
    assert!(problems.first[0].message.contains("`metadata`"), "{problems:?}");
}

#[test]
fn each_end_of_a_run_settles_the_quota_as_the_table_says() {
    for (command, answer, state, outcome, text, remaining) in [
        (COPY, "score 1", State::Scored, "scored", "", 2),
        (COPY, "malformed", State::Failed, "invalid-submission", "", 2),
        (COPY, "check-trap", State::Failed, "scorer-failed", "", 3),
        (COPY, "trap", State::Failed, "scorer-failed", "", 3),
        ("exit 3", "", State::Failed, "run-failed", "exit code 3", 2),
        ("signal 9", "", State::Failed, "run-failed", "signal 9", 2),
        ("link", "", State::Failed, "run-failed", "symbolic link", 2),
        ("copy $program/answer metadata", "score 1", State::Failed, "run-failed", "the runner's", 2),
        ("sleep", "", State::Failed, "limit", "20 ms of wall time", 2),
        ("/no/such/program", "", State::Failed, "run-failed", "no such program", 2),
    ] {
        let world = world();
        world.publish(PROGRAMS).unwrap();
        let anna = world.entrant("anna");
        let id = submit(&world, &anna, command, answer).unwrap();
        world.work();
        let job = world.job(id);
        assert_eq!((job.state, job.outcome.unwrap().word()), (state, outcome), "{command} {answer}");
        assert_eq!(world.remaining(&anna), remaining, "{command} {answer}");
        let failed = job.run.unwrap().failed.map(|failed| failed.text).unwrap_or_default();
        assert!(failed.contains(text) && failed.is_empty() == text.is_empty(), "{command}: {failed}");
    }
}

#[test]
fn an_engine_that_is_away_costs_nobody_anything() {
    let world = world();
    world.publish(PROGRAMS).unwrap();
    let anna = world.entrant("anna");
    let id = submit(&world, &anna, COPY, "score 0.5").unwrap();
    world.runner.down.store(true, SeqCst);
    for _ in 0..20 {
        world.work();
        let job = world.job(id);
        assert_eq!((job.state, job.attempts), (State::Queued, 0));
        assert!(job.reason.unwrap().contains("cannot be run on this server"));
        world.clock.pass(SignedDuration::from_secs(61));
    }
    world.work();
    // One that comes meanwhile stands in line, and is told the same; what is wrong with the engine is for the operator.
    let other = submit(&world, &world.entrant("other"), COPY, "score 0.5").unwrap();
    let told = world.app.waits_in_vain(&world.app.store.submission(other).unwrap().unwrap()).unwrap();
    assert_eq!(world.job(id).reason.as_ref(), Some(&told));
    let organizer = world.app.grant(None, Role::Organizer, "olga".parse().unwrap(), vec![challenge()]).unwrap().0;
    let reasons = |token: &Token| world.app.queue_of(token, &challenge()).unwrap().1.reasons;
    assert_eq!(reasons(&organizer), [(told.clone(), 2)].into());
    let shown = reasons(&world.operator);
    let (more, count) = shown.last_key_value().unwrap();
    assert!(more.starts_with(&format!("{told}: ")) && more.len() > told.len() + 3, "{shown:?}");
    assert_eq!((shown.len(), *count), (1, 2), "{shown:?}");
    assert_eq!(world.app.queues().unwrap()[&challenge()].1.reasons, shown);
    world.runner.down.store(false, SeqCst);
    world.clock.pass(SignedDuration::from_secs(61));
    world.work();
    for id in [id, other] {
        assert_eq!((world.job(id).state, world.job(id).attempts), (State::Scored, 0));
    }
    assert!(reasons(&world.operator).is_empty());
}

#[test]
fn what_alone_cannot_be_run_has_an_end() {
    let world = world();
    world.publish(PROGRAMS).unwrap();
    let anna = world.entrant("anna");
    let id = submit(&world, &anna, "platform", "score 0.5").unwrap();
    for round in 0..20 {
        world.work();
        if world.job(id).state == State::Failed {
            let job = world.job(id);
            assert_eq!((job.attempts, job.outcome.unwrap().word(), world.remaining(&anna)), (5, "platform", 3));
            assert!(round >= 5, "the first attempt told nothing");
            return;
        }
        world.clock.pass(SignedDuration::from_secs(61));
        // Somebody else's goes well.
        let other = submit(&world, &world.entrant(&format!("o{round}")), COPY, "score 0.5").unwrap();
        world.work();
        assert_eq!(world.job(other).state, State::Scored);
        world.clock.pass(SignedDuration::from_secs(61));
    }
    panic!("it goes on for ever: {:?}", world.job(id));
}

#[test]
fn an_image_that_was_removed_is_waited_for_and_holds_nobody_up() {
    let world = world();
    world.publish(PROGRAMS).unwrap();
    let anna = world.entrant("anna");
    let id = submit(&world, &anna, COPY, "score 0.5").unwrap();
    world.runner.gone.store(true, SeqCst);
    world.work();
    let job = world.job(id);
    assert_eq!((job.state, job.attempts), (State::Queued, 0));
    let reason = job.reason.unwrap();
    assert!(reason.contains("image"));
    assert_eq!(world.app.queue_of(&world.operator, &challenge()).unwrap().1.reasons, [(reason, 1)].into());
    world.runner.gone.store(false, SeqCst);
    let other = submit(&world, &world.entrant("other"), COPY, "score 0.5").unwrap();
    world.work();
    assert_eq!(
        (world.job(other).state, world.job(id).state),
        (State::Scored, State::Queued),
        "the lane does not pause"
    );
    world.clock.pass(SignedDuration::from_secs(31));
    world.work();
    assert_eq!(world.job(id).state, State::Scored);
}

#[test]
fn what_was_printed_is_for_whom_the_task_says() {
    let world = world();
    world.publish(PROGRAMS).unwrap();
    let (anna, ben) = (world.entrant("anna"), world.entrant("ben"));
    let id = submit(&world, &anna, "say hello oops", "").unwrap();
    world.work();
    let printed = |token, stream| {
        let seen = world.app.see_submission(token, id)?;
        world.app.printed(&seen, stream)
    };
    assert_eq!(printed(&anna, Stream::Stdout).unwrap(), b"hello");
    assert_eq!(printed(&world.operator, Stream::Stderr).unwrap(), b"oops");
    assert!(printed(&ben, Stream::Stdout).is_err());

    world.publish(&PROGRAMS.replace(", logs = \"participant\"", "")).unwrap();
    let id = submit(&world, &anna, "say hello oops", "").unwrap();
    world.work();
    let seen = world.app.see_submission(&anna, id).unwrap();
    assert!(matches!(world.app.printed(&seen, Stream::Stdout), Err(Refusal::Unknown(_))), "may be hidden input");
}

/// A worker that is at the run of `id`.
fn running(world: &World, id: SubmissionId) -> std::thread::JoinHandle<Worked> {
    let app = Arc::clone(&world.app);
    let worker = std::thread::spawn(move || app.work("w", Stage::Run).expect("the store answers"));
    while world.job(id).state != State::Running {
        std::thread::yield_now();
    }
    worker
}

#[test]
fn cancelling_ends_the_run() {
    let world = world();
    world.publish(&PROGRAMS.replace("20ms", "1min")).unwrap();
    let anna = world.entrant("anna");
    let id = submit(&world, &anna, "sleep", "").unwrap();
    let worker = running(&world, id);
    world.app.cancel(&anna, id).unwrap();
    assert!(dropped(&worker.join().unwrap(), id));
    assert_eq!((world.job(id).state, world.remaining(&anna)), (State::Cancelled, 2));
}

#[test]
fn a_task_may_ask_for_no_neighbour() {
    let world = world();
    world.publish(&PROGRAMS.replace("20ms", "1min").replace("logs =", "alone = true, logs =")).unwrap();
    let (anna, ben) = (world.entrant("anna"), world.entrant("ben"));
    let ids = [&anna, &ben].map(|token| submit(&world, token, "sleep", "").unwrap());
    let app = Arc::clone(&world.app);
    let worker = std::thread::spawn(move || app.work("w", Stage::Run).unwrap());
    while world.job(ids[0]).state != State::Running {
        std::thread::yield_now();
    }
    assert_eq!(world.app.work("v", Stage::Run).unwrap(), Worked::Idle, "there is room, but it wants all of it");
    world.app.cancel(&anna, ids[0]).unwrap();
    worker.join().unwrap();
    assert_eq!(world.app.load()[&challenge()].waiting(), 1);
    assert_eq!(world.app.load()[&challenge()].running, 0);
}

#[test]
fn a_host_that_dies_in_a_run_runs_it_again_and_one_that_dies_in_scoring_does_not() {
    let world = world();
    world.publish(&PROGRAMS.replace("20ms", "1min")).unwrap();
    let anna = world.entrant("anna");
    let id = submit(&world, &anna, COPY, "wait").unwrap();
    let app = Arc::clone(&world.app);
    let dead = std::thread::spawn(move || app.work("dead", Stage::Run).unwrap());
    while world.job(id).state != State::Scoring {
        std::thread::yield_now();
    }
    let next = world.next_host();
    next.recover().unwrap();
    let job = world.job(id);
    assert_eq!((job.state, job.stage(), job.attempts), (State::Queued, Stage::Score, 1));
    // The dead host's result comes too late.
    world.app.stop();
    assert!(matches!(dead.join().unwrap(), Worked::Did { job: None, .. }));
    world.clock.pass(SignedDuration::from_secs(2));
    assert_eq!(next.work("w", Stage::Run).unwrap(), Worked::Idle, "the run is done");
    assert_eq!(world.job(id).epoch, 1);
}

#[test]
fn images_are_kept_while_a_live_version_or_one_that_waits_needs_them() {
    let world = world();
    let with = |image: &str| PROGRAMS.replace("memory = \"1GiB\"", &format!("image = \"{image}\""));
    let pinned = |version: u32| {
        let version = world.app.store.version(&challenge(), version).unwrap().unwrap();
        version.images.into_values().next().unwrap()
    };
    let needed = || {
        world.app.prune_images().unwrap();
        world.runner.needed.lock().unwrap().clone()
    };
    world.publish(&with("first")).unwrap();
    assert_eq!(needed(), [pinned(1)]);
    let id = submit(&world, &world.entrant("anna"), COPY, "score 0.5").unwrap();
    world.publish(&with("second")).unwrap();
    assert_eq!(needed(), [pinned(1), pinned(2)], "one waits for the first");
    world.work();
    assert_eq!(world.job(id).state, State::Scored);
    assert_eq!(needed(), [pinned(2)]);
}

#[test]
fn images_are_named_by_their_digest_from_where_they_may() {
    let world = world();
    let (task, _) = PROGRAMS.split_once("[[solutions]]").unwrap();
    let task = task.replace("limit = 3,", "limit = 9,");
    let images = task.replace("[\"code\", \"results\"]", "[\"image\", \"code\"]");
    assert_eq!(world.publish(&images).unwrap(), OperationState::Done);
    let anna = world.entrant("anna");
    let hand_in = |text: &str| world.submit_files(&anna, &[("metadata", text)], None).map(|(id, _)| id);
    let name = |name: &str| format!("image: {name}@sha256:{}\n", "1".repeat(64));
    for (text, word) in [
        ("image: here/1:latest\n".to_owned(), "by its digest"),
        (name("there/1"), "image-not-allowed"),
        (format!("image: here/1@sha256:{}\n", "0".repeat(64)), "image-missing"),
        (name("here/1") + "command: x\n", "remove one"),
    ] {
        let Err(Refusal::Format(problems)) = hand_in(&text) else { panic!("{text}") };
        assert!(problems.first[0].message.contains(word), "{problems:?}");
    }
    assert_eq!(world.remaining(&anna), 9);
    // Its registry does not answer: it is taken in all the same, and waits.
    world.runner.down.store(true, SeqCst);
    let id = hand_in(&name("here/3")).unwrap();
    world.runner.down.store(false, SeqCst);
    let tracked = world.app.store.submission(id).unwrap().unwrap();
    assert_eq!((tracked.submission.lane, tracked.job.stage()), (Lane::Image, Stage::Run));
    world.work();
    let job = world.job(id);
    assert_eq!((job.state, job.run.unwrap().exit_code), (State::Failed, Some(3)));
    // Where nothing else is taken, too.
    world.publish(&task.replace("[\"code\", \"results\"]", "[\"image\"]")).unwrap();
    let id = hand_in(&name("here/3")).unwrap();
    assert_eq!(world.app.store.submission(id).unwrap().unwrap().submission.lane, Lane::Image);
    let Err(Refusal::Format(problems)) = hand_in("command: x\n") else { panic!("no programs are taken") };
    assert!(problems.first[0].message.contains("takes no programs"), "{problems:?}");
    world.publish(&images).unwrap();
    // A program still goes its own way; where no images are taken, that is said.
    let id = submit(&world, &anna, COPY, "score 0.5").unwrap();
    world.work();
    assert_eq!(world.job(id).state, State::Scored);
    world.publish(&PROGRAMS.replace("limit = 3,", "limit = 9,")).unwrap();
    let Err(Refusal::Format(problems)) = hand_in(&name("here/3")) else { panic!("no images are taken") };
    assert!(problems.first[0].message.contains("takes no images"), "{problems:?}");
}

#[test]
fn a_challenge_that_cannot_be_run_here_is_refused() {
    let world = world();
    for (from, to, key, word) in [
        ("memory = \"1GiB\"", "image = \"missing\"", "runner.image", "not here"),
        ("memory = \"1GiB\"", "cpus = 3", "runner", "3 CPUs"),
        ("memory = \"1GiB\"", "memory = \"5GiB\"", "runner", "4 GiB"),
        ("input = \"in.csv\"", "input = \"nothing\"", "input", "no file or folder"),
        ("input = \"in.csv\"", "input = \"ref.csv\"", "input", "programs"),
        ("input = \"in.csv\"", "input = \"page.md\"", "input", "page at the top"),
        ("input = \"in.csv\"", "input = \"in.csv\"\npublic = \"in.csv\"", "public", "overlaps with `input`"),
        ("memory = \"1GiB\"", "memory = \"1MiB\"", "runner.scratch", "memory"),
        ("memory = \"1GiB\"", "gpus = 1", "runner", "asks for 1 GPU; runs get at most 0 GPUs here"),
        ("memory = \"1GiB\"", "gpu_memory = \"1GiB\"", "runner.gpu_memory", "add `gpus`"),
        ("memory = \"1GiB\"", "runtime = \"fast\"", "runner.runtime", "these are: safe"),
        ("memory = \"1GiB\"", "runtime = \"a b\"", "runner.runtime", "such as"),
        ("memory = \"1GiB\"", "network = \"host\"", "runner.network", "these are: mirror"),
        ("memory = \"1GiB\"", "network = \"container:x\"", "runner.network", "engine's networks"),
        ("memory = \"1GiB\"", "cpus = 1.5, pinned = true", "runner.pinned", "whole number"),
        ("memory = \"1GiB\"", "image = \"a b\"", "runner.image", "names no image"),
        ("[\"code\", \"results\"]", "[\"results\"]", "runner", "add \"code\""),
        ("[\"code\", \"results\"]", "[\"git\"]", "accepts", "yet"),
    ] {
        let refused = world.stage(&PROGRAMS.replace(from, to), "score 0.75").unwrap_err();
        let Refusal::Challenge(problems) = refused else { panic!("{refused:?}") };
        let key = format!("tasks.t.{key}");
        assert!(problems.iter().any(|p| p.key == key && p.message.contains(word)), "{to}: {problems:?}");
    }
    let without = gradus_core::app::App::new(
        Arc::clone(&world.app.store),
        Arc::clone(&world.blobs) as _,
        Arc::clone(&world.scorer) as _,
        Arc::clone(&world.clock) as _,
        Arc::new(gradus_core::testing::fake_clock::Silence),
        &[("fake", b"good")],
    );
    let files = [("challenge.toml", PROGRAMS), ("ref.csv", "secret"), ("good.txt", "score 0.75"), ("in.csv", "rows")];
    let Err(Refusal::Challenge(problems)) = without.publish(&world.operator, &challenge(), world.pending(&files))
    else {
        panic!("there is no engine")
    };
    assert!(problems[0].message.contains("without a container engine"), "{problems:?}");
}

#[test]
fn an_ingestion_program_is_started_and_reads_what_was_handed_in() {
    let world = world();
    let toml = PROGRAMS.replace("input = \"in.csv\"", "ingestion = \"ingestion\"").replace("good.txt", "good");
    let publish = |toml: &str, command: &str| {
        let files = [
            ("challenge.toml", toml),
            ("ref.csv", "secret"),
            ("good/metadata", ""),
            ("good/answer", "score 0.75"),
            ("ingestion/metadata.yaml", command),
        ];
        world.app.publish(&world.operator, &challenge(), world.pending(&files))
    };
    let operation = publish(&toml, "command: copy $submission_program/answer p.txt\n").unwrap();
    assert_eq!(world.app.run_operation(&operation).unwrap(), OperationState::Done);
    let anna = world.entrant("anna");
    let id = submit(&world, &anna, "whatever $hidden", "score 0.5").unwrap();
    world.work();
    assert_eq!(world.job(id).state, State::Scored);
    for (toml, command, word) in [
        (toml.clone(), "x: 1\n", "ingestion/metadata.yaml has no `command`"),
        (toml.clone(), "command: cat $hidden\n", "no container"),
        (toml.replace("\"ingestion\"", "\"nothing\""), "command: x\n", "nothing/metadata is not there"),
    ] {
        let Err(Refusal::Challenge(problems)) = publish(&toml, command) else { panic!("{command}") };
        assert!(problems[0].key == "tasks.t.ingestion" && problems[0].message.contains(word), "{problems:?}");
    }
}

#[test]
fn solutions_may_be_programs() {
    let world = world();
    let toml = PROGRAMS.replace("good.txt", "good");
    let publish = |toml: &str, command: &str| {
        let metadata = format!("command: {command}\n");
        let files = [
            ("challenge.toml", toml),
            ("ref.csv", "secret"),
            ("good/metadata", &metadata),
            ("good/answer", "score 0.75"),
            ("in.csv", "rows"),
        ];
        let operation = world.app.publish(&world.operator, &challenge(), world.pending(&files)).unwrap();
        world.app.run_operation(&operation).unwrap()
    };
    assert_eq!(publish(&toml, COPY), OperationState::Done);
    let OperationState::Failed { problems } = publish(&toml, "exit 4") else { panic!("it fails") };
    assert_eq!(problems, ["good: it is `run-failed` (the program ended with exit code 4), expected scores"]);
    let expected = toml.replace("scores = { accuracy = 0.75 }", "outcome = \"run-failed\"");
    assert_eq!(publish(&expected, "exit 4"), OperationState::Done);
}

#[test]
fn a_publication_waits_for_what_others_have() {
    let world = world();
    let toml = PROGRAMS.replace("good.txt", "good");
    let metadata = format!("command: {COPY}\n");
    let files = [
        ("challenge.toml", toml.as_str()),
        ("ref.csv", "secret"),
        ("good/metadata", &metadata),
        ("good/answer", "score 0.75"),
        ("in.csv", "rows"),
    ];
    let operation = world.app.publish(&world.operator, &challenge(), world.pending(&files)).unwrap();
    world.runner.busy.store(true, SeqCst);
    for _ in 0..10 {
        assert_eq!(world.app.run_operation(&operation).unwrap(), OperationState::Running);
    }
    world.runner.busy.store(false, SeqCst);
    assert_eq!(world.app.run_operation(&operation).unwrap(), OperationState::Done);
}

#[test]
fn what_the_operator_allows_no_more_is_not_run() {
    let world = world();
    world.publish(&PROGRAMS.replace("logs =", "network = \"mirror\", logs =")).unwrap();
    let anna = world.entrant("anna");
    let allowed = world.app.containers().unwrap();
    world.app.open_lane(Ok(Containers { allows: Allows::default(), ..allowed.clone() }));
    let id = submit(&world, &anna, COPY, "score 0.5").unwrap();
    world.work();
    let job = world.job(id);
    assert_eq!(job.state, State::Queued);
    let reason = job.reason.as_ref().unwrap();
    assert!(reason.contains("asks for what this server does not allow now") && !reason.contains("mirror"), "{job:?}");
    world.app.open_lane(Ok(allowed));
    world.clock.pass(SignedDuration::from_secs(10));
    world.work();
    assert_eq!(world.job(id).state, State::Scored);
}

#[test]
fn a_claim_that_is_renewed_late_is_not_taken_back() {
    let world = world();
    world.publish(&PROGRAMS.replace("20ms", "1min")).unwrap();
    let anna = world.entrant("anna");
    let id = submit(&world, &anna, "sleep", "").unwrap();
    let worker = running(&world, id);
    // Longer than a lease, as when all writes wait for a backup.
    world.clock.pass(SignedDuration::from_secs(60));
    assert_eq!((world.app.reap().unwrap(), world.job(id).state), (0, State::Running));
    world.app.renew().unwrap();
    assert_eq!(world.job(id).attempts, 0);
    world.app.cancel(&anna, id).unwrap();
    worker.join().unwrap();
}
