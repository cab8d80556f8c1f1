//! The same bits everywhere: whatever allocates, whoever else runs, and however a guest looks for a difference.

use super::*;
use gradus_core::domain::report::LimitKind;

/// What must not differ, as one value.
fn bits(ran: Ran<Returned>) -> (Ended<Returned>, u64, u64, Vec<u8>) {
    (ran.ended, ran.cost.fuel, ran.cost.peak_memory, ran.log)
}

#[test]
fn a_guest_finds_nothing_that_differs() {
    let run = told("senses", 1);
    let first = bits(score(&run));
    assert!(matches!(first.0, Ended::Value(_)), "{:?}", first.0);
    for _ in 0..5 {
        assert_eq!(bits(score(&run)), first);
    }
    let other = Run { seed: Digest::of(b"other predictions"), ..run };
    assert_ne!(bits(score(&other)), first, "the seed is of the predictions");
}

#[test]
fn a_guest_finds_nothing_that_is_not_its_own() {
    assert_eq!(found(&told("denied", 1)), "");
}

#[test]
fn fuel_is_the_same_in_every_run_and_under_load() {
    let run = told("compute", 300_000);
    let first = bits(score(&run));
    let runs: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn({
                let run = run.clone();
                move || bits(score(&run))
            })
        })
        .collect();
    for ran in runs {
        assert_eq!(ran.join().unwrap(), first);
    }
}

#[test]
fn where_memories_lie_does_not_show() {
    use super::super::engine::{Allocation, config as engine_config};
    let runs = [told("compute", 1000), told("senses", 1), told("nothing", 1), told("memory", 1), classification(100)];
    for allocation in [Allocation::OnDemand, Allocation::Frugal] {
        let other = WasmScorer {
            library: Library::with(config(), allocation, wasmtime::Engine::new(&engine_config(allocation)).unwrap())
                .unwrap(),
        };
        // No ticker runs for this engine, and none is needed: fuel ends all of these.
        for run in &runs {
            assert_eq!(bits(other.score(run, &mut ()).unwrap()), bits(score(run)), "{allocation:?} {}", run.params);
        }
    }
}

#[test]
fn a_full_pool_is_ours_and_leaves_no_trace() {
    let small = WasmScorer::new(EngineConfig { slots: 1, ..config() }).unwrap();
    let mut long = told("loop", 1);
    long.limits.fuel = Limits::MOST.fuel;
    let stop = Arc::clone(&long.stop);
    std::thread::scope(|scope| {
        let held = scope.spawn(|| {
            loop {
                // The short runs may be first to take the slot.
                if let Ok(ran) = small.score(&long, &mut ()) {
                    break ran;
                }
            }
        });
        let run = told("nothing", 1);
        let error = (0..1000).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            small.score(&run, &mut ()).err()
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(held.join().unwrap().ended, Ended::Stopped);
        assert!(error.unwrap().to_string().contains("slots"));
        assert!(matches!(small.score(&run, &mut ()).unwrap().ended, Ended::Value(_)));
    });
}

#[test]
fn runs_leave_nothing_to_the_next() {
    let mut bomb = told("memory", 1);
    bomb.limits.memory = Bytes(8 << 20);
    let clean = bits(score(&told("nothing", 1)));
    for _ in 0..50 {
        let ended = score(&bomb).ended;
        assert!(matches!(ended, Ended::Limit { limit: LimitKind::Memory, .. }), "{ended:?}");
        assert_eq!(bits(score(&told("nothing", 1))), clean);
    }
}

#[test]
fn the_stock_scorer_scores() {
    let ran = score(&classification(1000));
    let Ended::Value(returned) = &ran.ended else { panic!("{:?}", ran.ended) };
    assert_eq!(returned.scores[0].value, 1.0);
    assert!(matches!(engine().validate(&classification(10)).unwrap().ended, Ended::Value(())));
}
