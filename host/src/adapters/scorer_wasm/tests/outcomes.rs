//! A row of the table of outcomes each: what the guest did, and what is made of it.

use super::*;
use gradus_core::domain::report::{Cost, LimitKind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn failed(run: &Run) -> String {
    let ended = score(run).ended;
    let Ended::Failed(text) = ended else { panic!("{ended:?}") };
    text
}

fn limit<T: std::fmt::Debug>(ended: Ended<T>) -> (LimitKind, u64, u64) {
    let Ended::Limit { limit, used, allowed } = ended else { panic!("{ended:?}") };
    (limit, used, allowed)
}

#[test]
fn a_report_comes_back_whole() {
    let ran = score(&told("nothing", 1));
    let Ended::Value(returned) = ran.ended else { panic!("{:?}", ran.ended) };
    assert_eq!((returned.scores[0].metric.as_str(), returned.scores[0].value), ("value", 0.5));
    assert!(ran.cost.fuel > 1000 && ran.cost.peak_memory >= 1 << 16, "{:?}", ran.cost);
    assert!(ran.log.is_empty() && ran.notes.is_empty() && ran.attachments.is_empty());
}

#[test]
fn failures_that_the_scorer_names_are_its_word() {
    let Ended::InvalidSubmission(problems) = score(&told("problems", 1000)).ended else { panic!() };
    assert_eq!((problems.first.len(), problems.total), (20, 1000));
    assert_eq!((problems.first[2].file.as_deref(), problems.first[2].line), (Some("p.csv"), Some(3)));
    let ended = score(&told("challenge", 1)).ended;
    assert_eq!(ended, Ended::InvalidChallenge("the reference has no rows".into()));
}

#[test]
fn fuel_ends_a_loop_exactly() {
    let mut run = told("loop", 1);
    run.limits.fuel = Fuel(10_000_000);
    let ran = score(&run);
    assert_eq!(limit(ran.ended), (LimitKind::Fuel, 10_000_000, 10_000_000));
    assert_eq!(ran.cost.fuel, 10_000_000);
}

#[test]
fn too_little_fuel_to_start_is_the_same_limit() {
    let mut run = told("nothing", 1);
    run.limits.fuel = Fuel(10);
    assert_eq!(limit(score(&run).ended), (LimitKind::Fuel, 10, 10));
}

#[test]
fn memory_is_a_limit_and_no_crash() {
    let mut run = told("memory", 1);
    run.limits.memory = Bytes(16 << 20);
    let ran = score(&run);
    let (kind, used, allowed) = limit(ran.ended);
    assert_eq!((kind, allowed), (LimitKind::Memory, 16 << 20));
    assert!(used > allowed && ran.cost.peak_memory <= allowed && ran.cost.peak_memory > allowed / 2);
}

#[test]
fn the_wall_ends_what_fuel_would_let_run() {
    let mut run = told("loop", 1);
    run.limits.fuel = Limits::MOST.fuel;
    run.limits.wall = Millis(60);
    let start = Instant::now();
    let (kind, used, allowed) = limit(score(&run).ended);
    assert_eq!((kind, allowed), (LimitKind::Wall, 60));
    assert!((60..2000).contains(&used) && start.elapsed() < Duration::from_secs(5), "{used}");
}

#[test]
fn stop_ends_a_run_soon() {
    let mut run = told("loop", 1);
    run.limits.fuel = Limits::MOST.fuel;
    let stop = Arc::clone(&run.stop);
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(score(&run).ended, Ended::Stopped);
    stopper.join().unwrap();
}

#[test]
fn waiting_takes_no_time_and_is_no_way_around() {
    let start = Instant::now();
    assert_eq!(found(&told("sleep", 24)), "86400", "a virtual day");
    assert!(start.elapsed() < Duration::from_secs(5));
    let mut run = told("sleep", u64::MAX);
    run.limits.fuel = Fuel(10_000_000);
    assert_eq!(limit(score(&run).ended).0, LimitKind::Fuel);
}

#[test]
fn stacks_overflow_as_limit_or_with_a_hint() {
    assert_eq!(limit(score(&told("deep", 1)).ended).0, LimitKind::Stack);
    let text = failed(&told("wide", 1));
    assert!(
        text.contains("out of bounds") && text.contains("Possible stack overflow") && text.contains("wide"),
        "{text}"
    );
}

#[test]
fn a_panic_says_where_and_leaves_its_log() {
    let ran = score(&told("panic", 1));
    let Ended::Failed(text) = ran.ended else { panic!("{:?}", ran.ended) };
    assert!(
        text.contains("unreachable")
            && text.contains("\n  at <gradus_guest_misbehaving::Misbehaving as gradus_sdk::Scorer>::score\n"),
        "{text}"
    );
    assert!(!text.contains("/home") && !text.contains("/root") && !text.contains("/tmp"), "{text}");
    assert!(String::from_utf8_lossy(&ran.log).contains("this is the panic's text"));
}

#[test]
fn leaving_early_is_a_failure_even_with_code_0() {
    for code in [0, 3] {
        let text = failed(&told("exit", code));
        assert!(text.contains("instead of returning"), "{text}");
    }
}

#[test]
fn scores_must_be_finite() {
    assert!(failed(&told("nan", 1)).contains("`value` is NaN"));
    assert!(failed(&told("infinite-case", 1)).contains("`value` of case `c7` is inf"));
}

#[test]
fn reports_have_a_size() {
    let (kind, used, allowed) = limit(score(&told("cases", 100_001)).ended);
    assert_eq!((kind, used, allowed), (LimitKind::Output, 100_001, 100_000));
    let mut run = told("message", 5000);
    run.limits.report = Bytes(4096);
    let (kind, used, allowed) = limit(score(&run).ended);
    assert_eq!((kind, allowed), (LimitKind::Output, 4096));
    assert!((5000..6000).contains(&used), "{used}");
    // So big that it is not even copied.
    let mut run = told("message", 20 << 20);
    run.limits.report = Bytes(4096);
    run.limits.attachments = Bytes(0);
    assert_eq!(limit(score(&run).ended).0, LimitKind::Output);
}

#[test]
fn a_flood_of_log_is_cut_and_never_a_failure() {
    let mut run = told("log", 20_000);
    run.limits.log = Bytes(2000);
    let ran = score(&run);
    assert!(matches!(ran.ended, Ended::Value(_)), "{:?}", ran.ended);
    let log = String::from_utf8(ran.log).unwrap();
    assert!(log.starts_with("the first line\nline 0\n") && log.ends_with("line 19999\nthe last line\n"), "{log}");
    assert!(log.contains("bytes were cut here") && log.len() <= 2000);
}

#[test]
fn attachments_are_kept_or_refused_in_words() {
    let mut run = told("attach", 1000);
    let ran = score(&run);
    assert_eq!(ran.attachments.len(), 1);
    let attached = &ran.attachments[0];
    assert_eq!((attached.about.name.as_str(), attached.about.len, attached.bytes.len()), ("a.bin", 1000, 1000));
    assert_eq!(attached.about.digest, Digest::of(&attached.bytes));
    assert_eq!(found(&run), "Ok(()) true");
    run.limits.attachments = Bytes(999);
    assert!(found(&run).starts_with(r#"Err("attachments may be 999 B together"#));
    assert!(score(&run).attachments.is_empty());
    // As much as the SDK hands over is answered too, and with more it does not ask.
    run.limits.report = Bytes(4096);
    for (bytes, start) in
        [(16 << 20, "Err(\"attachments may be 999 B"), ((16 << 20) + 1, "Err(\"an attachment of 16777217")]
    {
        let mut run = Run { limits: run.limits, ..told("attach", bytes) };
        run.limits.memory = Bytes(256 << 20);
        assert!(found(&run).starts_with(start), "{}", found(&run));
    }
}

#[test]
fn notes_are_heard_and_kept_within_their_cap() {
    #[derive(Default)]
    struct Heard(Vec<String>, u64);
    impl Listener for Heard {
        fn progress(&mut self, done: u64, _: u64) {
            self.1 = done;
        }
        fn note(&mut self, to: Audience, text: &str) {
            assert_eq!(to, Audience::Participant);
            self.0.push(text.into());
        }
    }
    let mut run = told("notes", 1000);
    run.limits.notes = Bytes(230);
    let mut heard = Heard::default();
    let ran = engine().score(&run, &mut heard).unwrap();
    assert_eq!(ran.notes.len(), 10, "each of the first ten costs 22 bytes");
    assert_eq!(heard.0, ran.notes.iter().map(|note| note.text.clone()).collect::<Vec<_>>());
    engine().score(&told("progress", 500), &mut heard).unwrap();
    assert_eq!(heard.1, 499);
}

#[test]
fn handles_are_counted() {
    assert_eq!(found(&told("handles", 1000)), "1000");
    assert_eq!(limit(score(&told("handles", 50_000)).ended).0, LimitKind::Handles);
}

#[test]
fn reads_are_exact_and_clamped() {
    let mut run = told("read", 1);
    run.predictions.push(file("q/big.bin", vec![1; 3 << 20]));
    run.reference.clear();
    let seen = found(&run);
    assert_eq!(seen, "p.csv=17:[4, 2, 0, 0, 17] q/big.bin=3145728:[4, 2, 0, 0, 1048576]");
}

#[test]
fn validate_sees_no_reference_data() {
    let run = told("nothing", 1);
    assert_eq!(run.reference.len(), 1);
    assert_eq!(engine().validate(&run).unwrap().ended, Ended::InvalidChallenge("seen: 1".into()));
}

#[test]
fn bytes_that_are_not_those_of_the_digest_are_ours() {
    let mut run = told("nothing", 1);
    run.component = Digest::of(b"another");
    let error = engine().score(&run, &mut ()).unwrap_err();
    assert!(error.to_string().contains("not those of its digest"), "{error}");
}

#[test]
fn a_disk_that_fails_is_ours() {
    struct Broken;
    impl gradus_core::ports::blobs::ReadAt for Broken {
        fn len(&self) -> u64 {
            100
        }
        fn read_at(&self, _: u64, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::Other.into())
        }
    }
    let mut run = told("read", 1);
    run.predictions = vec![InputFile { path: "p.csv".into(), bytes: Arc::new(Broken) }];
    let error = engine().score(&run, &mut ()).unwrap_err();
    assert!(error.to_string().contains("the scorer's data"), "{error}");
}

#[test]
fn a_component_that_is_no_scorer_any_more_fails_and_is_not_retried() {
    let ran = engine().score(&run_of(b"\0asm\x01\0\0\0", "{}"), &mut ()).unwrap();
    assert!(matches!(&ran.ended, Ended::Failed(text) if text.contains("cannot be used any more")), "{:?}", ran.ended);
    assert_eq!(ran.cost, Cost::default());
}
