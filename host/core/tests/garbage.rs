//! Blobs that nothing refers to go, and no others.

#![expect(clippy::unwrap_used, reason = "this is test code; the lint knows only functions under #[test]")]

use gradus_core::app::work::Worked;
use gradus_core::domain::digest::Digest;
use gradus_core::domain::job::{Stage, State};
use gradus_core::domain::operation::OperationState;
use gradus_core::ports::blobs::{BlobError, Blobs as _};
use std::io::Write as _;

#[path = "support/world.rs"]
mod world;

use world::{PROGRAMS, World, world};

fn keep(world: &World, bytes: &[u8]) -> Digest {
    let mut blob = world.blobs.create().unwrap();
    blob.write_all(bytes).unwrap();
    blob.keep().unwrap()
}

fn count(world: &World) -> usize {
    (0..=u8::MAX).map(|first| world.blobs.list(first).unwrap().len()).sum()
}

#[test]
fn what_no_row_refers_to_goes_and_all_else_stays() {
    let world = world();
    assert_eq!(world.publish(PROGRAMS).unwrap(), OperationState::Done);
    let anna = world.entrant("anna");
    // Bodies of each kind that are too big for a row: handed in, attached to a report, left by a program.
    let big = "x".repeat(70_000);
    let results = world.submit_files(&anna, &[("p.txt", "attach 0.5"), ("z.txt", &big)], None).unwrap().0;
    let other = "y".repeat(70_000);
    let files = [("metadata", "command: copy $program/big p.txt\n"), ("big", &*other)];
    let program = world.submit_files(&anna, &files, None).unwrap().0;
    world.work();
    assert_eq!(world.job(results).state, State::Scored);
    assert!(world.job(program).run.is_some());
    // One that waits, and a version that is not live yet.
    let waits = world.submit_files(&anna, &[("p.txt", "score 1"), ("z.txt", &"z".repeat(70_000))], None).unwrap().0;
    let changed = PROGRAMS.replace("\"C\"", "\"D\"");
    let staged = world.stage(&changed, &("score 0.75\n".to_owned() + &"w".repeat(70_000))).unwrap();
    assert_eq!(world.app.garbage().unwrap().count(), 0);

    let needed = count(&world);
    assert!(needed >= 5, "{needed}");
    let (gone, again) = (keep(&world, b"of a host that died"), keep(&world, b"handed in once more"));
    let garbage = world.app.garbage().unwrap();
    assert_eq!(garbage.count(), 2);
    // Somebody keeps one of them meanwhile, and somebody a new one.
    keep(&world, b"handed in once more");
    let new = keep(&world, b"on its way to its row");
    assert_eq!(world.app.collect(&garbage).unwrap(), 1);
    assert!(matches!(world.blobs.open(gone), Err(BlobError::Missing(_))));
    for kept in [again, new] {
        world.blobs.open(kept).unwrap();
    }
    assert_eq!(count(&world), needed + 2);
    assert_eq!(world.app.collect(&garbage).unwrap(), 0);
    let garbage = world.app.garbage().unwrap();
    assert_eq!(world.app.collect(&garbage).unwrap(), 2);
    // All that is left is whole, and what waited goes on.
    let mut wrong = Vec::new();
    world.app.verify(&mut |what| wrong.push(what)).unwrap();
    assert_eq!(wrong, [""; 0]);
    while world.app.work("w", Stage::Score).unwrap() != Worked::Idle {}
    assert_eq!(world.job(waits).state, State::Scored);
    drop(world.app.run_operation(&staged).unwrap());
}

/// A version that never went live is a version all the same.
#[test]
fn what_a_publication_left_that_failed_stays() {
    let world = world();
    let bad = PROGRAMS.replace("accuracy = 0.75", "accuracy = 0.5");
    let big = "score 0.75".to_owned() + &"\n".repeat(70_000);
    let failed = world.app.run_operation(&world.stage(&bad, &big).unwrap()).unwrap();
    assert!(matches!(failed, OperationState::Failed { .. }), "{failed:?}");
    let before = count(&world);
    assert_eq!(world.app.garbage().unwrap().count(), 0);
    assert_eq!(world.publish(PROGRAMS).unwrap(), OperationState::Done);
    assert!(before > 0 && count(&world) >= before);
    assert_eq!(world.app.garbage().unwrap().count(), 0);
    let mut wrong = Vec::new();
    assert_eq!(world.app.verify(&mut |what| wrong.push(what)).unwrap().versions, 2);
    assert_eq!(wrong, [""; 0]);
}

/// A host that stops does not wait for it.
#[test]
fn who_stops_collects_nothing() {
    let world = world();
    world.publish(PROGRAMS).unwrap();
    keep(&world, b"garbage");
    let garbage = world.app.garbage().unwrap();
    assert_eq!(garbage.count(), 1);
    world.app.stop();
    assert_eq!((world.app.garbage().unwrap().count(), world.app.collect(&garbage).unwrap()), (0, 0));
    world.blobs.open(Digest::of(b"garbage")).unwrap();
}

#[test]
fn nothing_is_garbage_while_a_list_cannot_be_read() {
    let world = world();
    world.publish(PROGRAMS).unwrap();
    let anna = world.entrant("anna");
    // So many files that their list is a blob.
    let names: Vec<_> = (0..900).map(|number| format!("a-file-with-a-longer-name-{number:04}")).collect();
    let mut files: Vec<_> = names.iter().map(|name| (&**name, "x")).collect();
    files.push(("p.txt", "score 1"));
    let id = world.submit_files(&anna, &files, None).unwrap().0;
    world.work();
    keep(&world, b"garbage");
    let garbage = world.app.garbage().unwrap();
    assert_eq!(garbage.count(), 1);
    let gradus_core::domain::submission::Body::Blob(list) =
        world.app.store.submission(id).unwrap().unwrap().submission.files
    else {
        panic!("the list is too long for a row")
    };
    let stamp = world.blobs.stamp(list).unwrap().unwrap();
    assert!(world.blobs.remove(list, stamp).unwrap());
    assert!(world.app.garbage().is_err());
    assert!(world.app.collect(&garbage).is_err());
    world.blobs.open(Digest::of(b"garbage")).unwrap();
}
