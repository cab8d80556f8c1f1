//! How runs end: by themselves, by a signal, by a limit, by us.

use super::support::{DONE, Real, limit, said, seconds, soon};
use gradus_core::domain::report::LimitKind;
use gradus_core::domain::units::{Bytes, MilliCpus, Millis};
use gradus_core::ports::runner::{Ended, Output, Ran, RefusalCode, Runner as _};
use gradus_core::testing::runner_contract::{Bench as _, Deed, run};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

#[test]
fn codes_and_signals_are_told_apart() {
    let Some(real) = Real::new() else { return };
    for (script, ended) in [
        ("exit 0", DONE),
        ("exit 1", Ended::Exited { code: 1 }),
        ("exit 127", Ended::Exited { code: 127 }),
        ("exit 255", Ended::Exited { code: 255 }),
        ("kill -SEGV $$", Ended::Signal { signal: 11 }),
        ("kill -KILL $$", Ended::Signal { signal: 9 }),
    ] {
        let ran = real.sh(script, |_| {});
        assert_eq!(ran.ended, ended, "{script}: {}", said(&ran));
        assert_eq!(ran.image.as_deref(), Some(real.image.as_str()));
    }
}

#[test]
fn the_wall_time_ends_all_of_it_within_two_seconds() {
    let Some(real) = Real::new() else { return };
    for script in [
        "sleep 1000",
        "trap '' TERM INT HUP; while true; do sleep 1; done",
        "setsid sh -c 'trap \"\" TERM; setsid sleep 1000 & sleep 1000' & sleep 1000",
        "kill -STOP $$",
        "while true; do (true &); done",
    ] {
        let since = Instant::now();
        let ran = real.sh(script, |run| run.limits.wall = Millis(1_000));
        let (kind, used, allowed) = limit(&ran);
        assert_eq!((kind, allowed), (LimitKind::Wall, 1_000), "{script}");
        assert!(u128::from(used) < 1_000 + soon(500).as_millis(), "{script}: {used} ms");
        assert!(since.elapsed() < soon(4_000), "{script}: {:?}", since.elapsed());
        assert!(matches!(ran.output, Output::NotTaken));
        // What was used until then is known all the same.
        assert!(ran.used.peak_memory.0 > 0 && ran.used.wall.0 >= 1_000, "{:?}", ran.used);
    }
}

#[test]
fn a_child_that_outlives_its_parent_is_ended_with_the_run() {
    let Some(real) = Real::new() else { return };
    let script =
        "setsid sh -c 'trap \"\" TERM HUP; sleep 1000; echo late > /out/late' > /dev/null 2>&1 & echo now > /out/now";
    let ran = real.sh(script, |_| {});
    assert_eq!(ran.ended, DONE);
    assert_eq!(super::support::files(&ran), [("now".to_owned(), "now\n".to_owned())]);
}

#[test]
fn a_herd_of_zombies_is_no_trouble() {
    let Some(real) = Real::new() else { return };
    let ran = real.sh("i=0; while [ $i -lt 200 ]; do (sleep 0 &) ; i=$((i+1)); done; echo all", |_| {});
    assert_eq!((ran.ended, ran.stdout.as_slice()), (DONE, &b"all\n"[..]));
}

#[test]
fn the_cpu_time_is_counted_over_all_processes() {
    let Some(real) = Real::new() else { return };
    let ran = real.sh("(while true; do :; done) & while true; do :; done", |run| {
        run.limits.cpu = seconds(1);
        // Two of them where there are two.
        run.limits.cpus =
            MilliCpus(if std::thread::available_parallelism().unwrap().get() > 1 { 2_000 } else { 1_000 });
    });
    let (kind, used, allowed) = limit(&ran);
    assert_eq!((kind, allowed), (LimitKind::Cpu, 1_000));
    assert!((1_000..2_500).contains(&used), "{used}");
}

#[test]
fn no_more_cpus_at_once_than_allowed() {
    let Some(real) = Real::new() else { return };
    let ran = real.sh("(while true; do :; done) & while true; do :; done", |run| {
        run.limits.wall = seconds(2);
        run.limits.cpus = MilliCpus(500);
    });
    assert_eq!(limit(&ran).0, LimitKind::Wall);
    // What starting it takes is counted, and not held.
    assert!(u128::from(ran.used.cpu.0) < 1_500 + soon(100).as_millis(), "{:?}", ran.used);
}

#[test]
fn a_stop_ends_it_within_two_seconds() {
    let Some(real) = Real::new() else { return };
    let asked = run(&real, Deed::Sleep);
    let stop = Arc::clone(&asked.stop);
    let (ran, late) = std::thread::scope(|scope| {
        let told = scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(1_000));
            stop.store(true, SeqCst);
            Instant::now()
        });
        let ran = real.wait(real.runner.run(asked)).unwrap();
        (ran, told.join().unwrap().elapsed())
    });
    assert_eq!(ran.ended, Ended::Stopped);
    assert!(late < soon(2_000), "{late:?}");
}

#[test]
fn a_run_that_nobody_waits_for_is_ended_and_cleared() {
    let Some(real) = Real::new() else { return };
    for patience in [1, 30, 150, 300, 600] {
        let asked = run(&real, Deed::Sleep);
        let waited = real.runtime.block_on(async {
            tokio::time::timeout(Duration::from_millis(patience), real.runner.run(asked)).await.is_err()
        });
        assert!(waited, "it ended by itself");
        real.until_nothing_is_left();
    }
}

#[test]
fn two_runs_of_one_id_are_one_too_many() {
    let Some(real) = Real::new() else { return };
    let mut asked = run(&real, Deed::Sleep);
    asked.limits.wall = seconds(1);
    let (one, two) =
        real.runtime.block_on(async { tokio::join!(real.runner.run(asked.clone()), real.runner.run(asked)) });
    let (ran, failed) = if one.is_ok() { (one, two) } else { (two, one) };
    assert_eq!(limit(&ran.unwrap()).0, LimitKind::Wall);
    assert!(failed.unwrap_err().to_string().contains("under way already"));
}

#[test]
fn what_cannot_be_started_is_refused_with_its_reason() {
    let Some(real) = Real::new() else { return };
    let refused = |ran: Ran| {
        let Ended::Refused { code, text } = ran.ended else { panic!("{:?}", ran.ended) };
        (code, text)
    };
    let command = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    for (words, word) in [
        (&["no-such-program", "--flag"][..], "No such file"),
        (&["/etc/passwd"], "Permission denied"),
        (&["/tmp"], "Permission denied"),
    ] {
        let (code, text) = refused(real.sh("", |run| run.program.command = command(words)));
        assert!(code == RefusalCode::NoEntryPoint && text.contains(word), "{words:?}: {text}");
    }
    // The image has no program of its own.
    let (code, text) = refused(real.sh("", |run| run.program.command = None));
    assert_eq!(code, RefusalCode::NoEntryPoint, "{text}");
    let (code, text) = refused(real.sh("", |run| run.program.workdir = Some("/etc/passwd".parse().unwrap())));
    assert_eq!(code, RefusalCode::NoEntryPoint, "{text}");
    // A folder to start in that is not there is made by the engine.
    assert_eq!(
        real.sh("pwd", |run| run.program.workdir = Some("/no/such/folder".parse().unwrap())).stdout,
        b"/no/such/folder\n"
    );
    // Too little memory to even begin.
    let ran = real.sh("exit 0", |run| run.limits.memory = Bytes(1 << 20));
    assert_eq!(limit(&ran).0, LimitKind::Memory);
}
