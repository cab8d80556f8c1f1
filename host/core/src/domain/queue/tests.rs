//! Turns, room, GPUs and delays; and that nothing is lost, whatever happens in whatever order.

use super::*;
use crate::domain::units::{Bytes, MilliCpus};
use proptest::collection::vec;
use proptest::prelude::*;

fn id(n: u64) -> SubmissionId {
    SubmissionId(ulid::Ulid::from_parts(n, 0))
}

fn seat(challenge: &str, entrant: &str) -> Seat {
    (challenge.parse().unwrap(), "dev".parse().unwrap(), entrant.parse().unwrap())
}

fn item(n: u64, challenge: &str, entrant: &str) -> Waiting {
    Waiting {
        id: id(n),
        seat: seat(challenge, entrant),
        organizers: false,
        concurrent: 2,
        not_before: None,
        reason: None,
        stage: Stage::Score,
        room: Room::default(),
    }
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

#[test]
fn one_with_many_does_not_hold_up_others() {
    let mut queue = Queue::default();
    for n in 0..100 {
        queue.push(item(n, "c", "many"));
    }
    queue.push(item(200, "c", "one"));
    queue.push(item(201, "d", "other"));
    let first: Vec<_> = (0..3).map_while(|_| queue.take(Stage::Score, NOW)).collect();
    assert!(first.contains(&id(200)) && first.contains(&id(201)), "{first:?}");
    assert_eq!((queue.waiting(), queue.running()), (99, 3));
}

#[test]
fn what_has_no_room_beside_what_runs_is_seen() {
    let room = Room { cpus: MilliCpus(2), memory: Bytes(9), ..Room::default() };
    let mut queue = Queue::with_room(room);
    queue.push(run(0, "a", 1));
    queue.push(run(1, "b", 2));
    assert_eq!(queue.take(Stage::Run, NOW), Some(id(0)));
    assert!(!queue.is_cramped(), "nobody has looked");
    assert_eq!(queue.take(Stage::Run, NOW), None);
    assert!(queue.is_cramped());
    queue.done(id(0), None);
    assert_eq!(queue.take(Stage::Run, NOW), Some(id(1)));
    assert!(!queue.is_cramped());
}

#[test]
fn reasons_are_told_of_those_that_wait_for_a_time() {
    let mut queue = Queue::default();
    let later = NOW + jiff::SignedDuration::from_secs(1);
    for n in 0..100 {
        let reason = Some(format!("{}", n % 20));
        queue.push(Waiting { not_before: Some(later), reason, ..item(n, "c", "a") });
    }
    queue.push(Waiting { stage: Stage::Run, ..item(100, "c", "b") });
    queue.push(item(101, "c", "b"));
    let load = &queue.load()[&"c".parse().unwrap()];
    assert_eq!((load.delayed, load.entrants, load.runs), (100, 2, 1));
    assert_eq!((load.reasons.len(), load.reasons.values().sum::<u64>(), load.reasons["0"]), (20, 100, 5));
}

#[test]
fn ten_thousand_of_one_hold_a_hundred_others_up_for_a_turn() {
    let mut queue = Queue::default();
    for n in 0..10_000 {
        queue.push(item(n, "c", "many"));
    }
    for n in 0..100 {
        queue.push(item(20_000 + n, "c", &format!("e{n}")));
    }
    for n in 0..100 {
        let place = queue.place(id(20_000 + n), &seat("c", &format!("e{n}"))).unwrap();
        assert_eq!(place.ahead, n + 1, "one of the many, and those who came before");
    }
    let taken: Vec<_> = (0..101).filter_map(|_| queue.take(Stage::Score, NOW)).collect();
    assert_eq!(taken.iter().filter(|id| **id >= self::id(20_000)).count(), 100);
}

fn run(n: u64, entrant: &str, cpus: u64) -> Waiting {
    let room = Room { cpus: MilliCpus(cpus), memory: Bytes(1), disk: Bytes(0), gpus: 0 };
    Waiting { stage: Stage::Run, room, ..item(n, "c", entrant) }
}

#[test]
fn runs_and_scorers_have_lines_of_their_own_and_count_together() {
    let mut queue = Queue::with_room(Room { cpus: MilliCpus(2_000), memory: Bytes(10), disk: Bytes(0), gpus: 0 });
    queue.push(run(0, "a", 1_000));
    queue.push(item(1, "c", "a"));
    queue.push(item(2, "c", "a"));
    assert_eq!(queue.take(Stage::Score, NOW), Some(id(1)), "it does not wait behind the run");
    assert_eq!(queue.take(Stage::Run, NOW), Some(id(0)));
    assert_eq!(queue.take(Stage::Score, NOW), None, "two of this entrant's are under way");
}

#[test]
fn runs_share_the_machine_and_a_big_one_gets_its_turn() {
    let mut queue = Queue::with_room(Room { cpus: MilliCpus(2_000), memory: Bytes(10), disk: Bytes(0), gpus: 0 });
    for (n, entrant, cpus) in [(0, "a", 1_000), (1, "b", 2_000), (2, "d", 1_000), (3, "e", 9_000)] {
        queue.push(run(n, entrant, cpus));
    }
    assert_eq!(queue.take(Stage::Run, NOW), Some(id(0)));
    assert_eq!(queue.take(Stage::Run, NOW), None, "the big one is next, and has no room");
    assert_eq!(queue.take(Stage::Run, NOW), None, "nobody overtakes it");
    queue.done(id(0), None);
    assert_eq!(queue.take(Stage::Run, NOW), Some(id(1)));
    assert_eq!(queue.take(Stage::Run, NOW), None);
    queue.done(id(1), None);
    assert_eq!(queue.take(Stage::Run, NOW), Some(id(2)));
    queue.done(id(2), None);
    assert_eq!(queue.take(Stage::Run, NOW), Some(id(3)), "what never fits runs alone");
    queue.done(id(3), None);
    assert!(
        queue.lend(Room { cpus: MilliCpus(9_000), memory: Bytes(1), disk: Bytes(0), gpus: 0 })
            && !queue.lend(Room { cpus: MilliCpus(1), memory: Bytes(1), disk: Bytes(0), gpus: 0 })
    );
    queue.give_back(Room { cpus: MilliCpus(9_000), memory: Bytes(1), disk: Bytes(0), gpus: 0 });
    assert_eq!(queue.free, queue.total);
}

#[test]
fn who_waits_to_be_lent_room_is_next() {
    let all = Room { cpus: MilliCpus(2_000), ..Room::default() };
    let mut queue = Queue::with_room(Room { memory: Bytes(10), ..all });
    for n in 0..3 {
        queue.push(run(n, "a", 1_000));
    }
    assert_eq!(queue.take(Stage::Run, NOW), Some(id(0)));
    assert!(!queue.lend(all), "half of it is in use");
    assert_eq!(queue.take(Stage::Run, NOW), None, "nobody overtakes it");
    queue.done(id(0), None);
    assert!(queue.lend(all));
    assert_eq!(queue.take(Stage::Run, NOW), None, "there is no room");
    queue.give_back(all);
    assert_eq!(queue.take(Stage::Run, NOW), Some(id(1)));
    // It may also give up.
    assert!(!queue.lend(all));
    queue.unwant();
    queue.set_room(Room { cpus: MilliCpus(1_000), memory: Bytes(10), disk: Bytes(0), gpus: 0 });
    assert_eq!(queue.take(Stage::Run, NOW), None, "there is less now, and one is under way");
    queue.done(id(1), None);
    assert_eq!(queue.take(Stage::Run, NOW), Some(id(2)));
}

#[test]
fn what_needs_a_gpu_waits_for_one_and_holds_nobody_up() {
    let room = |gpus| Room { cpus: MilliCpus(4_000), memory: Bytes(10), disk: Bytes(0), gpus };
    let mut queue = Queue::with_room(room(0));
    let needs = |n: u64, gpus: u32| {
        let item = run(n, &format!("e{n}"), 1_000);
        Waiting { room: Room { gpus, ..item.room }, ..item }
    };
    for item in [needs(0, 1), needs(1, 0), needs(2, 2), needs(3, 1)] {
        assert!(queue.push(item));
    }
    assert!(!queue.push(needs(0, 1)), "it waits already");
    assert_eq!(queue.take(Stage::Run, NOW), Some(id(1)));
    assert_eq!((queue.take(Stage::Run, NOW), queue.waiting()), (None, 3));
    assert!(queue.is_parked(id(0)) && queue.remove(id(3), &seat("c", "e3")));
    // One comes: whoever needs no more gets its turn.
    queue.set_room(room(1));
    assert_eq!(queue.take(Stage::Run, NOW), Some(id(0)));
    assert!(queue.is_parked(id(2)) && !queue.is_parked(id(0)));
    queue.set_room(room(2));
    assert_eq!(queue.take(Stage::Run, NOW), None, "one of the two is in use");
    queue.done(id(0), None);
    assert_eq!(queue.take(Stage::Run, NOW), Some(id(2)));
    assert_eq!(queue.waiting(), 0);
}

#[test]
fn no_more_of_one_run_at_once_than_allowed() {
    let mut queue = Queue::default();
    for n in 0..3 {
        queue.push(item(n, "c", "a"));
    }
    assert_eq!(queue.take(Stage::Score, NOW), Some(id(0)));
    assert_eq!(queue.take(Stage::Score, NOW), Some(id(1)));
    assert_eq!(queue.take(Stage::Score, NOW), None);
    queue.done(id(0), None);
    assert_eq!(queue.take(Stage::Score, NOW), Some(id(2)));
}

#[test]
fn a_delayed_one_waits_for_its_time_and_a_cancelled_one_is_gone() {
    let mut queue = Queue::default();
    let later = NOW + jiff::SignedDuration::from_secs(1);
    queue.push(Waiting { not_before: Some(later), ..item(0, "c", "a") });
    queue.push(item(1, "c", "a"));
    assert_eq!(queue.due(), Some(later));
    assert!(queue.remove(id(1), &seat("c", "a")));
    assert!(!queue.remove(id(1), &seat("c", "a")));
    assert_eq!(queue.take(Stage::Score, NOW), None);
    assert_eq!(queue.take(Stage::Score, later), Some(id(0)));
    assert_eq!(queue.waiting(), 0);
}

#[test]
fn what_is_in_is_not_put_in_twice() {
    let mut queue = Queue::default();
    queue.push(item(0, "c", "a"));
    queue.push(item(0, "c", "a"));
    assert_eq!((queue.take(Stage::Score, NOW), queue.take(Stage::Score, NOW)), (Some(id(0)), None));
    queue.push(item(0, "c", "a"));
    assert_eq!(queue.waiting(), 0, "it runs");
}

#[test]
fn after_a_cancellation_the_seat_lines_up_again() {
    let mut queue = Queue::default();
    queue.push(item(0, "c", "a"));
    queue.remove(id(0), &seat("c", "a"));
    queue.push(item(1, "c", "a"));
    assert_eq!(queue.take(Stage::Score, NOW), Some(id(1)));
    assert_eq!(queue.take(Stage::Score, NOW), None);
}

#[test]
fn organizers_come_first_and_a_paused_challenge_waits() {
    let mut queue = Queue::default();
    for n in 0..3 {
        queue.push(item(n, "c", &format!("e{n}")));
    }
    queue.push(Waiting { organizers: true, ..item(10, "c", "olga") });
    queue.push(item(20, "d", "e0"));
    assert_eq!(queue.place(id(10), &seat("c", "olga")).unwrap().ahead, 0);
    assert_eq!(queue.place(id(0), &seat("c", "e0")).unwrap().ahead, 2);
    assert_eq!(queue.take(Stage::Score, NOW), Some(id(10)));
    queue.set_paused(&"c".parse().unwrap(), true);
    assert_eq!(queue.place(id(20), &seat("d", "e0")).unwrap().ahead, 0);
    assert_eq!(queue.take(Stage::Score, NOW), Some(id(20)));
    assert_eq!(queue.take(Stage::Score, NOW), None);
    let load = queue.load();
    let held = Load { running: 1, entrants: 3, seats: 3, paused: true, ..Load::default() };
    assert_eq!(load[&"c".parse().unwrap()], held);
    assert_eq!(load[&"d".parse().unwrap()], Load { running: 1, ..Load::default() });
    queue.set_paused(&"c".parse().unwrap(), false);
    assert_eq!(queue.take(Stage::Score, NOW), Some(id(0)));
}

#[test]
fn when_it_begins_and_ends_is_told_from_what_was_measured() {
    let mut queue = Queue::default();
    queue.set_workers(1, 2);
    let at = |ms: i64| NOW + jiff::SignedDuration::from_millis(ms);
    let place = |queue: &Queue, n: u64| queue.place(id(n), &seat("c", &format!("e{n}"))).unwrap();
    for n in 0..3 {
        queue.push(item(n, "c", &format!("e{n}")));
        let place = place(&queue, n);
        assert_eq!((place.starts_in, place.ends_in), (Some(Span::default()), None), "nobody is before it");
        queue.take(Stage::Score, NOW);
        queue.done(id(n), Some(at(100 * (n as i64 + 1))));
    }
    // Measured: 100, 200 and 300 ms.
    for n in 10..16 {
        queue.push(item(n, "c", &format!("e{n}")));
    }
    queue.take(Stage::Score, NOW);
    queue.take(Stage::Score, NOW);
    let last = place(&queue, 15);
    assert_eq!(last.ahead, 3);
    // Three before it and two that run, by two at once.
    assert_eq!(last.starts_in, Some(Span { least: Millis(150), most: Millis(750) }));
    assert_eq!(last.ends_in, Some(Span { least: Millis(250), most: Millis(1_050) }));
    // Of another challenge nothing is known.
    queue.push(item(30, "d", "x"));
    queue.push(item(31, "d", "y"));
    assert_eq!(queue.place(id(31), &seat("d", "y")).unwrap().starts_in, None);
    // What was put off says nothing of how long such ones take, nor does a clock that jumped back.
    queue.done(id(10), None);
    queue.done(id(11), Some(at(-1)));
    assert_eq!(queue.span(&"c".parse().unwrap(), Stage::Score).unwrap().most, Millis(300));
    queue.set_paused(&"c".parse().unwrap(), true);
    let paused = place(&queue, 15);
    assert_eq!((paused.ahead, paused.starts_in), (5, None), "it may go on at any time");
}

proptest! {
    /// A place is the number of those that are taken before, when all take their turns and nothing new comes.
    #[test]
    fn a_place_is_how_many_are_taken_before(
        pushed in vec((0..4u8, 0..3u8, any::<bool>()), 1..40),
        taken in 0..10usize,
        cancelled in vec(0..40usize, 0..4),
    ) {
        let mut queue = Queue::default();
        let mut all = Vec::new();
        for (n, (entrant, challenge, organizers)) in pushed.into_iter().enumerate() {
            let item = item(n as u64, &format!("c{challenge}"), &format!("e{entrant}"));
            let item = Waiting { organizers, concurrent: 100, ..item };
            queue.push(item.clone());
            all.push(item);
            // Turns are somewhere in the middle.
            if n < taken {
                queue.take(Stage::Score, NOW);
            }
        }
        for at in cancelled {
            if let Some(item) = all.get(at) {
                queue.remove(item.id, &item.seat);
            }
        }
        let places: HashMap<SubmissionId, u64> =
            all.iter().filter_map(|item| Some((item.id, queue.place(item.id, &item.seat)?.ahead))).collect();
        prop_assert_eq!(places.len(), queue.waiting());
        let order: Vec<_> = std::iter::from_fn(|| queue.take(Stage::Score, NOW)).collect();
        for (at, id) in order.iter().enumerate() {
            prop_assert_eq!(places[id], at as u64, "{:?} of {:?}", id, order);
        }
    }
}

#[derive(Debug, Clone)]
enum Deed {
    Push { entrant: u8, challenge: u8, run: bool, cpus: u64, delay: i64 },
    Take(bool),
    Done(usize),
    Cancel(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (0..3u8, 0..2u8, any::<bool>(), 1..30u64, 0..3i64).prop_map(|(entrant, challenge, run, cpus, delay)| {
            Deed::Push { entrant, challenge, run, cpus: cpus * 100, delay }
        }),
        3 => any::<bool>().prop_map(Deed::Take),
        2 => (0..8usize).prop_map(Deed::Done),
        1 => (0..8usize).prop_map(Deed::Cancel),
    ]
}

proptest! {
    /// Whatever happens: nothing is lost or taken twice, nobody runs more than they may, no more room is taken than
    /// there is, and in the end everything is taken.
    #[test]
    fn nothing_is_lost_and_no_more_is_taken_than_there_is(deeds in vec(deed(), 1..80)) {
        let total = Room { cpus: MilliCpus(2_000), memory: Bytes(10), disk: Bytes(0), gpus: 0 };
        let mut queue = Queue::with_room(total);
        let (mut waiting, mut running): (Vec<Waiting>, Vec<Waiting>) = (Vec::new(), Vec::new());
        let late = NOW + jiff::SignedDuration::from_secs(10);
        let take = |queue: &mut Queue, waiting: &mut Vec<Waiting>, running: &mut Vec<Waiting>, run, now| {
            let stage = if run { Stage::Run } else { Stage::Score };
            let Some(taken) = queue.take(stage, now) else { return false };
            let at = waiting.iter().position(|item| item.id == taken).expect("it waited");
            let item = waiting.remove(at);
            assert_eq!(item.stage, stage);
            assert!(item.not_before.is_none_or(|at| at <= now));
            running.push(item);
            true
        };
        for (n, deed) in deeds.into_iter().enumerate() {
            match deed {
                Deed::Push { entrant, challenge, run, cpus, delay } => {
                    let item = Waiting {
                        not_before: (delay > 0).then(|| NOW + jiff::SignedDuration::from_secs(delay)),
                        stage: if run { Stage::Run } else { Stage::Score },
                        room: if run { Room { cpus: MilliCpus(cpus), memory: Bytes(1), disk: Bytes(0), gpus: 0 } } else { Room::default() },
                        ..item(n as u64, &format!("c{challenge}"), &format!("e{entrant}"))
                    };
                    prop_assert!(queue.push(item.clone()) && !queue.push(item.clone()));
                    waiting.push(item);
                }
                Deed::Take(run) => {
                    take(&mut queue, &mut waiting, &mut running, run, NOW);
                }
                Deed::Done(at) if at < running.len() => queue.done(running.remove(at).id, None),
                Deed::Cancel(at) if at < waiting.len() => {
                    let item = waiting.remove(at);
                    prop_assert!(queue.remove(item.id, &item.seat));
                }
                Deed::Done(_) | Deed::Cancel(_) => {}
            }
            prop_assert_eq!((queue.waiting(), queue.running()), (waiting.len(), running.len()));
            let used: u64 = running.iter().map(|item| item.room.cpus.0.min(total.cpus.0)).sum();
            prop_assert_eq!(queue.free.cpus.0 + used, total.cpus.0);
            for item in &running {
                let same = running.iter().filter(|other| other.seat == item.seat).count();
                prop_assert!(same <= 2, "{} of {:?}", same, item.seat);
            }
        }
        while !waiting.is_empty() {
            let run = take(&mut queue, &mut waiting, &mut running, true, late);
            let score = take(&mut queue, &mut waiting, &mut running, false, late);
            prop_assert!(run || score || !running.is_empty(), "{:?} wait and nothing runs", waiting);
            while let Some(item) = running.pop() {
                queue.done(item.id, None);
            }
        }
    }
}
