//! The loops over in-memory ports: a bug in one turn ends neither the loop nor what comes after it.

use super::*;
use gradus_core::app::check::Pending;
use gradus_core::domain::id::ChallengeId;
use gradus_core::domain::token::Role;
use gradus_core::ports::blobs::{Blobs as _, Part};
use gradus_core::ports::store::Store as _;
use gradus_core::testing::fake_clock::FakeClock;
use gradus_core::testing::fake_scorer::FakeScorer;
use gradus_core::testing::memory_blobs::MemoryBlobs;
use gradus_core::testing::memory_store::MemoryStore;
use std::io::Write as _;

const TOML: &str = r#"
id = "c"
title = "C"
[[phases]]
id = "dev"
starts = 2026-01-01T00:00:00Z
tasks = ["t"]
[[tasks]]
id = "t"
accepts = ["results"]
reference = "ref.csv"
scorer = { stock = "fake" }
[[solutions]]
path = "good.txt"
outcome = "scored"
"#;

#[test]
fn a_publication_that_panics_is_tried_again_and_holds_no_other_up() {
    let (hub, blobs, store) = (Arc::<Hub>::default(), Arc::<MemoryBlobs>::default(), Arc::<MemoryStore>::default());
    let app = Arc::new(App::new(
        Arc::clone(&store) as _,
        Arc::clone(&blobs) as _,
        Arc::new(FakeScorer::default()),
        Arc::new(FakeClock::at("2026-02-01T12:00:00Z".parse().unwrap())),
        Arc::clone(&hub) as _,
        &[("fake", b"good")],
    ));
    let (operator, _) = app.grant(None, Role::Operator, "operator".parse().unwrap(), vec![]).unwrap();
    let stage = |id: &str, good: &str| {
        let toml = TOML.replace("id = \"c\"", &format!("id = \"{id}\""));
        let part = |(path, text): (&str, &str)| {
            let mut blob = blobs.create().unwrap();
            blob.write_all(text.as_bytes()).unwrap();
            Part::Own(path.parse().unwrap(), blob)
        };
        let parts = [("challenge.toml", toml.as_str()), ("ref.csv", "secret"), ("good.txt", good)].map(part);
        let id: ChallengeId = id.parse().unwrap();
        app.publish(&operator, &id, Pending::new(parts.into()).unwrap()).unwrap()
    };
    let workers = Workers::start(Arc::clone(&app), hub, 1, 1, Box::new(|| true), None).unwrap();
    let (bad, good) = (stage("bad", "panic"), stage("good", "score 1"));
    workers.enqueue(bad.clone());
    workers.enqueue(good.clone());
    let until = Instant::now() + Duration::from_secs(20);
    let state = |operation: &Operation| store.operation(operation.id).unwrap().unwrap().state;
    while state(&good) != OperationState::Done {
        assert!(Instant::now() < until, "the publisher is gone");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(state(&bad), OperationState::Running, "it comes again");
    assert_eq!(workers.publications().iter().map(|waiting| waiting.attempts).collect::<Vec<_>>(), [1]);
    // After the last attempt.
    assert!(workers.give_up(&bad));
    let OperationState::Failed { problems } = state(&bad) else { panic!("it has an end") };
    assert!(problems[0].contains("on our side"), "{problems:?}");
    workers.stop();
}
