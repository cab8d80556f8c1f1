//! Floods of processes, memory, files, bytes and log lines.

use super::support::{DONE, Real, limit, mib, said, seconds};
use gradus_core::domain::printed::Printed;
use gradus_core::domain::report::LimitKind;
use gradus_core::domain::units::Bytes;
use gradus_core::ports::runner::Runner as _;
use gradus_core::ports::runner::{Ended, Scratch};
use gradus_core::testing::runner_contract::{Bench as _, Deed, run};
use std::sync::Arc;

#[test]
fn a_fork_bomb_reaches_its_limit() {
    let Some(real) = Real::new() else { return };
    let ran = real.sh("b() { b | b & }; b; b; while sleep 1; do :; done", |run| run.limits.wall = seconds(3));
    // The shell gives up where it cannot fork, or goes on until its time is up.
    let (kind, used, _) = limit(&ran);
    assert!(matches!(kind, LimitKind::Pids | LimitKind::Wall), "{kind:?}");
    assert!(ran.used.peak_pids <= 32, "{used} {:?}", ran.used);
    let ran = real.sh("i=0; while [ $i -lt 100 ]; do sleep 100 & i=$((i+1)); done", |_| {});
    assert_eq!(limit(&ran), (LimitKind::Pids, 32, 32));
}

#[test]
fn a_thread_bomb_reaches_its_limit() {
    let Some(real) = Real::new() else { return };
    let ran = real.sh("exec hostile threads 1000", |_| {});
    assert_eq!(limit(&ran).0, LimitKind::Pids);
    assert_eq!(said(&ran), "31 threads\n");
    let ran = real.sh("exec hostile threads 20", |_| {});
    assert_eq!(ran.ended, DONE);
}

#[test]
fn a_memory_bomb_reaches_its_limit() {
    let Some(real) = Real::new() else { return };
    for script in ["exec hostile eat 300", "exec tail /dev/zero", "hostile eat 300"] {
        let ran = real.sh(script, |_| {});
        let (kind, used, allowed) = limit(&ran);
        assert_eq!(kind, LimitKind::Memory, "{script}");
        assert!(used <= allowed && used > allowed - (1 << 20), "{script}: {used} of {allowed}");
    }
    // What fits is no bomb, and is seen.
    let ran = real.sh("exec hostile eat 40", |_| {});
    assert_eq!(ran.ended, DONE);
    assert!(ran.used.peak_memory >= mib(40) && ran.used.oom_kills == 0, "{:?}", ran.used);
}

#[test]
fn a_child_that_was_killed_for_memory_is_told_apart() {
    let Some(real) = Real::new() else { return };
    let ran = real.sh("hostile eat 300; echo went on; exit 0", |_| {});
    assert_eq!(ran.ended, DONE, "{}", said(&ran));
    assert!(ran.used.oom_kills >= 1, "{:?}", ran.used);
    assert!(said(&ran).contains("went on"));
    let ran = real.sh("hostile eat 300; hostile eat 300; exit 3", |_| {});
    assert_eq!(ran.ended, Ended::Exited { code: 3 });
    assert!(ran.used.oom_kills >= 2, "{:?}", ran.used);
    // Not for memory: by itself.
    let ran = real.sh("sh -c 'kill -9 $$'; exit 0", |_| {});
    assert_eq!((ran.ended, ran.used.oom_kills), (DONE, 0));
}

#[test]
fn a_flood_of_bytes_in_the_output_reaches_its_limit_while_it_goes() {
    let Some(real) = Real::new() else { return };
    let ran = real.sh("hostile fill /out/flood; sleep 100", |_| {});
    let (kind, used, allowed) = limit(&ran);
    assert_eq!((kind, allowed), (LimitKind::Output, 1 << 20));
    assert!(used <= (1 << 20) + (64 << 10), "{used}");
    assert!(ran.used.wall < seconds(5), "it was ended when the place was full: {:?}", ran.used);
    // A flood that is taken away again was one all the same.
    let ran = real.sh("while true; do hostile fill /out/flood; sleep 0.06; rm /out/flood; done", |_| {});
    assert_eq!(limit(&ran).0, LimitKind::Output);
    // Also when the program ends before anybody looks.
    let ran = real.sh("hostile fill /out/flood; exit 0", |_| {});
    assert_eq!(limit(&ran).0, LimitKind::Output);
}

#[test]
fn a_flood_of_files_in_the_output_reaches_its_limit() {
    let Some(real) = Real::new() else { return };
    for script in ["hostile files 100000 /out; sleep 100", "cd /out; i=0; while mkdir d; do cd d; done; sleep 100"] {
        let ran = real.sh(script, |_| {});
        assert_eq!(limit(&ran), (LimitKind::Files, 101, 100), "{script}");
    }
    let ran = real.sh("hostile files 100 /out", |_| {});
    assert_eq!((ran.ended.clone(), super::support::files(&ran).len()), (DONE, 100));
}

#[test]
fn what_is_within_the_limits_is_taken_to_the_last_byte() {
    let Some(real) = Real::new() else { return };
    let ran = real.sh("head -c 1048576 /dev/zero > /out/all", |_| {});
    assert_eq!(ran.ended, DONE, "{}", said(&ran));
    assert_eq!(super::support::files(&ran)[0].1.len(), 1 << 20);
}

#[test]
fn scratch_places_are_capped() {
    let Some(real) = Real::new() else { return };
    let scratch = |at: &str| Scratch { at: at.parse().unwrap(), bytes: mib(4), files: 64 };
    let script = "for d in /tmp /dev/shm; do
        hostile fill $d/flood; stat -c %s $d/flood; rm $d/flood
        mkdir $d/many && hostile files 1000 $d/many; ls $d/many | wc -l; rm -r $d/many
        dd if=/dev/zero of=$d/again bs=1M count=2 2>/dev/null || echo full; rm -rf $d/*
        done; exit 0";
    let ran = real.sh(script, |run| run.program.scratch = vec![scratch("/tmp"), scratch("/dev/shm")]);
    assert_eq!(ran.ended, DONE, "{}", said(&ran));
    let lines: Vec<_> = String::from_utf8_lossy(&ran.stdout).lines().map(ToOwned::to_owned).collect();
    assert_eq!(lines, ["4194304", "63", "4194304", "63"], "{}", said(&ran));
    // Unasked for, /dev/shm has caps all the same, and there is no other place to write to.
    let ran = real.sh("mkdir /dev/shm/m; hostile files 5000 /dev/shm/m; ls /dev/shm/m | wc -l; echo > /tmp/x", |_| {});
    assert!(said(&ran).contains("1023\n") && said(&ran).contains("create /tmp/x"), "{}", said(&ran));
    // It counts as memory: no way around that limit.
    let ran = real.sh("exec hostile fill /tmp/flood", |run| {
        run.program.scratch = vec![Scratch { at: "/tmp".parse().unwrap(), bytes: mib(1_000), files: 64 }];
    });
    assert_eq!(limit(&ran).0, LimitKind::Memory);
}

#[test]
fn a_flood_of_log_is_cut_in_the_middle_and_fails_nothing() {
    let Some(real) = Real::new() else { return };
    let script = "echo first; echo first-error >&2; yes | head -c 200000000; echo; echo last; echo last-error >&2";
    let ran = real.sh(script, |run| run.program.printed = Arc::new(Printed::new(Bytes(64 << 10))));
    assert_eq!(ran.ended, DONE);
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        out.starts_with("first\ny\n") && out.ends_with("y\n\nlast\n"),
        "{} … {}",
        &out[..20],
        &out[out.len() - 20..]
    );
    assert!(out.contains("bytes were cut here") && out.len() <= 32 << 10, "{}", out.len());
    assert_eq!(ran.stderr, b"first-error\nlast-error\n");
    // One that never ends.
    let ran = real.sh("yes", |run| run.limits.wall = seconds(1));
    assert_eq!(limit(&ran).0, LimitKind::Wall);
    assert!(ran.stdout.starts_with(b"y\ny\n"));
    // Bytes that are no text come as they are.
    let ran = real.sh(r"printf '\033[31m\377\000x'", |_| {});
    assert_eq!(ran.stdout, b"\x1b[31m\xff\0x");
}

#[test]
fn what_would_fill_the_disk_is_ended_and_is_nobodys_fault() {
    let free = crate::disk::free_space(&std::env::temp_dir()).unwrap();
    // More than is free: nothing is begun.
    let Some(real) = Real::with(|settings| settings.reserve = Bytes(free.saturating_mul(2))) else { return };
    let asked = run(&real, Deed::Exit(0));
    let error = real.wait(real.runner.run(asked)).unwrap_err();
    assert!(error.what.contains("the disk is nearly full"), "{error}");
    real.nothing_is_left();
    // It fills while the run goes.
    let real = Real::with(|settings| {
        settings.reserve = Bytes(free - mib(200).0);
        settings.output_in_memory = Bytes(0);
    })
    .unwrap();
    let mut asked = run(&real, Deed::Exit(0));
    asked.program.command = Some(["sh", "-c", "hostile fill /out/flood; sleep 100"].map(ToOwned::to_owned).into());
    asked.limits.output = mib(600);
    asked.limits.memory = mib(256);
    let error = real.wait(real.runner.run(asked)).unwrap_err();
    assert!(error.what.contains("the disk is nearly full"), "{error}");
    real.nothing_is_left();
}
