//! Two programs at once, in two containers that meet in one place.

use super::support::{DONE, Real, files, limit, mib, said, seconds, slow, soon};
use gradus_core::domain::report::LimitKind;
use gradus_core::domain::units::{Bytes, MilliCpus, Millis};
use gradus_core::ports::runner::{Beside, Ended, Input, Program, Ran, RefusalCode, Run, RunFile, Runner as _, Scratch};
use gradus_core::testing::runner_contract::{Bench as _, Deed, program};
use std::sync::Arc;
use std::time::Instant;

fn shell(script: &str) -> Option<Vec<String>> {
    Some(["sh", "-c", script].map(ToOwned::to_owned).into())
}

impl Real {
    /// Runs `first` with `beside`, and checks that nothing is left.
    fn two(&self, first: &str, beside: &str, change: impl FnOnce(&mut Run)) -> Ran {
        let shared = Scratch { at: "/app/shared".parse().unwrap(), bytes: mib(4), files: 100 };
        let mut run = gradus_core::testing::runner_contract::run(self, Deed::Exit(0));
        let second = Program { command: shell(beside), ..program(self, Deed::Exit(0), &run.limits) };
        run.program.command = shell(first);
        run.beside = Some(Beside { program: second, shared });
        run.limits.cpus = MilliCpus(500);
        run.limits.wall.0 *= slow();
        change(&mut run);
        let (wall, since) = (run.limits.wall.duration(), Instant::now());
        let ran = self.wait(self.runner.run(run)).unwrap();
        assert!(since.elapsed() < wall + soon(8_000), "it took {:?}", since.elapsed());
        self.nothing_is_left();
        ran
    }
}

fn other(ran: &Ran) -> &Ended {
    &ran.beside.as_ref().unwrap().ended
}

#[test]
fn they_talk_and_the_first_ones_output_is_taken() {
    let Some(real) = Real::new() else { return };
    let input = |at: &str, text: &str| Input {
        at: at.parse().unwrap(),
        files: vec![RunFile { path: "file".parse().unwrap(), bytes: Arc::new(text.as_bytes().to_vec()) }],
    };
    let first = "cd /app/shared; mkfifo ask tell; ls /mine; cat /mine/file > ask; cat tell > /out/answer; while [ ! -e told ]; do sleep 0.05; done; id -u";
    let beside = "cd /app/shared; while [ ! -p tell ]; do sleep 0.05; done; read line < ask
        echo \"$line, $(cat /mine/file)\" > tell; touch /out/x 2>&1; id -u; echo x > told; sleep 100";
    let ran = real.two(first, beside, |run| {
        run.program.inputs = vec![input("/mine", "hello\n")];
        run.beside.as_mut().unwrap().program.inputs = vec![input("/mine", "and you")];
    });
    let beside = ran.beside.as_ref().unwrap();
    assert_eq!((&ran.ended, other(&ran)), (&DONE, &Ended::Stopped), "{}", said(&ran));
    assert_eq!(files(&ran), [("answer".to_owned(), "hello, and you\n".to_owned())]);
    // Each prints for itself, and neither has the other's places.
    let printed = String::from_utf8_lossy(&beside.stdout);
    assert!(printed.contains("/out/x: Read-only"), "{printed}");
    let first = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(first.starts_with("file\n"), "{first}");
    // As one user, so that what one makes the other may use.
    assert_eq!(first.lines().last(), printed.lines().last());
    assert!(beside.used.peak_memory > Bytes(0) && beside.image == ran.image);
}

#[test]
fn they_see_nothing_of_each_other_elsewhere() {
    let Some(real) = Real::new() else { return };
    let first = "touch /dev/shm/mine /tmp/mine; touch /app/shared/go; sleep 1.234; ls /app/shared";
    let beside = "while [ ! -e /app/shared/go ]; do sleep 0.1; done; ps -o args | grep -v sh; ls /dev/shm /tmp; \
                  ls /proc/*/root/dev/shm 2>/dev/null; nc -z 127.0.0.1 80 && echo open; ip link | grep -v lo:; exit 0";
    let ran = real.two(first, beside, |_| {});
    let printed = String::from_utf8_lossy(&ran.beside.as_ref().unwrap().stdout).into_owned();
    assert!(printed.contains("COMMAND"), "{printed}");
    for word in ["1.234", "mine", "open", "eth"] {
        assert!(!printed.contains(word), "{word}: {printed}");
    }
    assert_eq!(ran.ended, DONE);
}

#[test]
fn one_that_fails_ends_both_soon() {
    let Some(real) = Real::new() else { return };
    let since = Instant::now();
    let ran = real.two("sleep 100", "exit 7", |_| {});
    assert_eq!((&ran.ended, other(&ran)), (&Ended::Stopped, &Ended::Exited { code: 7 }));
    assert!(since.elapsed() < soon(8_000), "{:?}", since.elapsed());
    let ran = real.two("sleep 100", "kill -9 $$", |_| {});
    assert_eq!((&ran.ended, other(&ran)), (&Ended::Stopped, &Ended::Signal { signal: 9 }));
    // The first one was over anyway. So close together they begin only where that takes no time.
    if slow() == 1 {
        let ran = real.two("sleep 1; echo x > /out/x", "sleep 0.5; exit 1", |_| {});
        assert_eq!((&ran.ended, other(&ran)), (&DONE, &Ended::Exited { code: 1 }));
        assert_eq!(files(&ran).len(), 1);
    }
    // And one that is done holds nothing up.
    let ran = real.two("sleep 1; exit 3", "exit 0", |_| {});
    assert_eq!((&ran.ended, other(&ran)), (&Ended::Exited { code: 3 }, &DONE));
}

#[test]
fn each_has_the_limits_for_itself() {
    let Some(real) = Real::new() else { return };
    let ran = real.two("sleep 100", "exec hostile eat 300", |_| {});
    assert!(matches!(other(&ran), Ended::Limit { limit: LimitKind::Memory, .. }), "{:?}", ran.beside);
    let ran = real.two("exec hostile eat 300", "sleep 100", |_| {});
    assert_eq!((limit(&ran).0, other(&ran)), (LimitKind::Memory, &Ended::Stopped));
    let ran = real.two("hostile eat 40", "hostile eat 40; sleep 100", |_| {});
    assert_eq!(ran.ended, DONE, "both together have more than one may have: {}", said(&ran));
    let ran = real.two("sleep 100", "while :; do :; done", |run| {
        run.limits.cpu = Millis(700);
        run.limits.cpus = MilliCpus(1_000);
    });
    assert!(matches!(other(&ran), Ended::Limit { limit: LimitKind::Cpu, .. }), "{:?}", ran.beside);
    let ran = real.two("sleep 100", "sleep 100", |run| run.limits.wall = seconds(1));
    assert_eq!((limit(&ran).0, other(&ran)), (LimitKind::Wall, &Ended::Stopped));
    let ran = real.two("sleep 100", "i=0; while [ $i -lt 100 ]; do sleep 100 & i=$((i+1)); done", |_| {});
    assert!(matches!(other(&ran), Ended::Limit { limit: LimitKind::Pids, .. }), "{:?}", ran.beside);
}

#[test]
fn the_place_where_they_meet_has_a_cap() {
    let Some(real) = Real::new() else { return };
    let flood = "hostile fill /app/shared/flood; du -k /app/shared/flood | cut -f1; \
                 i=0; while touch /app/shared/$i 2>/dev/null; do i=$((i+1)); done; echo $i; exit 0";
    let ran = real.two("while [ ! -e /app/shared/flood ]; do sleep 0.1; done; sleep 2", flood, |_| {});
    let printed = String::from_utf8_lossy(&ran.beside.as_ref().unwrap().stdout).into_owned();
    let numbers: Vec<u64> = printed.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(numbers[0] <= 4096 && numbers[1] <= 100, "{printed}");
    assert_eq!(ran.ended, DONE);
}

#[test]
fn one_that_cannot_be_started_is_refused_and_the_other_is_not_left() {
    let Some(real) = Real::new() else { return };
    let missing = real.missing();
    let ran = real.two("sleep 100", "", |run| run.beside.as_mut().unwrap().program.image = missing.clone().into());
    assert!(matches!(other(&ran), Ended::Refused { code: RefusalCode::ImageMissing, .. }), "{:?}", ran.beside);
    let words = Some(vec!["/no/such/program".to_owned()]);
    let ran = real.two("sleep 100", "", |run| run.beside.as_mut().unwrap().program.command = words.clone());
    assert!(matches!(other(&ran), Ended::Refused { code: RefusalCode::NoEntryPoint, .. }), "{:?}", ran.beside);
    let ran = real.two("", "sleep 100", |run| run.program.command = words.clone());
    assert!(matches!(ran.ended, Ended::Refused { code: RefusalCode::NoEntryPoint, .. }), "{:?}", ran.ended);
}
