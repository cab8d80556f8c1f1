//! Web hooks that do not take their letters: what waits for them is bounded, and what is not written is told.

#![expect(clippy::unwrap_used, reason = "this is test code; the lint knows only functions under #[test]")]

use gradus_core::app::hooks::Carried;
use gradus_core::domain::hook::{Hook, Letter};
use gradus_core::domain::id::SubmissionId;
use gradus_core::ports::courier::{Courier, Undelivered};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

#[path = "support/world.rs"]
mod world;

use world::{PROGRAMS, World, challenge, world};

/// Letters that wait for a hook, at most.
const MOST: usize = 10_000;

/// Goes to hooks that take nothing, unless they are told to.
#[derive(Default)]
struct Deaf {
    hears: AtomicBool,
}

impl Courier for Deaf {
    fn may_be_at(&self, _url: &str) -> Result<(), String> {
        Ok(())
    }

    fn deliver(&self, _hook: &Hook, _letter: &Letter, _now: Timestamp) -> Result<(), Undelivered> {
        if self.hears.load(SeqCst) {
            return Ok(());
        }
        Err(Undelivered { text: "nobody hears".to_owned(), after: None, gone: false })
    }
}

fn grade(world: &World) -> SubmissionId {
    let id = world.submit(&world.operator, "score 0.5").unwrap();
    world.work();
    assert!(world.job(id).state.is_terminal());
    id
}

#[test]
fn what_waits_for_a_hook_that_takes_nothing_is_bounded_and_told() {
    let mut world = world();
    let deaf = Arc::new(Deaf::default());
    let host = |world: &World| Arc::new(world.next_host().with_courier(Arc::clone(&deaf) as _));
    world.app = host(&world);
    world.publish(&PROGRAMS.replace("limit = 3", "limit = 1000")).unwrap();
    let app = Arc::clone(&world.app);
    let hook = app.add_hook(&world.operator, &challenge(), "https://example.org/").unwrap();
    let store = Arc::clone(&app.store);
    let waiting = || store.letter_counts(hook.id, 2 * MOST).unwrap().0;
    grade(&world);
    assert!(matches!(app.carry().unwrap(), Carried::Not { given_up: false, .. }));
    assert_eq!((app.carry().unwrap(), waiting()), (Carried::Nothing, 1), "the hook rests");
    // As if much had ended meanwhile.
    let letter = app.store.letters(hook.id, 1).unwrap().remove(0);
    for n in 1..MOST - 1 {
        let id = gradus_core::domain::id::LetterId(ulid::Ulid::from_parts(n as u64, 1));
        app.store.post(Letter { id, ..letter.clone() }).unwrap();
    }
    // The next host counts them.
    world.app = host(&world);
    let app = Arc::clone(&world.app);
    grade(&world);
    assert_eq!((waiting(), app.unwritten_letters()), (MOST, 0));
    grade(&world);
    grade(&world);
    assert_eq!((waiting(), app.unwritten_letters()), (MOST, 2));
    assert_eq!(app.unwritten_letters(), 0, "it is told once");
    // One that is given up makes room for one.
    world.clock.pass(SignedDuration::from_hours(4 * 24));
    assert!(matches!(app.carry().unwrap(), Carried::Not { given_up: true, .. }));
    grade(&world);
    grade(&world);
    assert_eq!((waiting(), app.unwritten_letters()), (MOST, 1));
    // It hears again, slowly: each that is taken makes room for one.
    deaf.hears.store(true, SeqCst);
    world.clock.pass(SignedDuration::from_hours(24));
    assert_eq!(app.carry().unwrap(), Carried::Taken);
    grade(&world);
    grade(&world);
    assert_eq!((waiting(), app.unwritten_letters()), (MOST, 1));
}
