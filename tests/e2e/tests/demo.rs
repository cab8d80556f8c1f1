//! `gradus demo`: it shows the whole line, stays as long as it is wanted, and leaves nothing.

use gradus_e2e::{gradus, run};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// A demo that stays, with its temporary folder in `home`; returns when it waits.
fn keep(home: &Path, stdin: Stdio) -> Child {
    let mut command = Command::new(gradus());
    command.args(["demo", "--keep"]).env("TMPDIR", home).stdin(stdin).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the binary can be started");
    let mut lines = BufReader::new(child.stdout.take().expect("its output is piped"));
    let (mut text, mut line) = (String::new(), String::new());
    while !line.contains("ends it") {
        line.clear();
        assert!(lines.read_line(&mut line).expect("it writes text") > 0, "it ended: {text}");
        text.push_str(&line);
    }
    // Whatever else it prints is read away, so that a closed pipe is no reason to end.
    std::thread::spawn(move || drop(lines.read_to_end(&mut Vec::new())));
    child
}

fn ended(child: &mut Child) -> Option<i32> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            return status.code();
        }
        assert!(Instant::now() < until, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_demo_that_stays_ends_when_it_is_told_and_leaves_nothing() {
    let signal = |name: &'static str| {
        move |child: &Child, _: Option<ChildStdin>| {
            let sent = Command::new("kill").args([name, &child.id().to_string()]).status();
            assert!(sent.expect("kill is there").success());
        }
    };
    let enter = |_: &Child, stdin: Option<ChildStdin>| {
        stdin.expect("its input is piped").write_all(b"\n").expect("it reads");
    };
    type Tell<'a> = &'a dyn Fn(&Child, Option<ChildStdin>);
    let all: [(&str, Tell); 3] = [("SIGINT", &signal("-INT")), ("SIGTERM", &signal("-TERM")), ("Enter", &enter)];
    for (what, tell) in all {
        let home = tempfile::tempdir().expect("there is room for a folder");
        let left = || std::fs::read_dir(home.path()).expect("it is there").count();
        let mut child = keep(home.path(), if what == "Enter" { Stdio::piped() } else { Stdio::null() });
        std::thread::sleep(Duration::from_millis(300));
        // A closed input, as under a service manager, is nobody's wish to end.
        assert!(child.try_wait().expect("it can be waited for").is_none() && left() > 0, "{what}");
        let stdin = child.stdin.take();
        tell(&child, stdin);
        assert_eq!((ended(&mut child), left()), (Some(0), 0), "{what}");
    }
}

#[test]
fn what_it_showed_can_be_had_as_a_document() {
    let ran = run(&["demo", "--json"], &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let shown: serde_json::Value = serde_json::from_str(&ran.out).expect("one document");
    assert_eq!(shown["published"]["state"], "done", "{shown}");
    let samples = shown["submissions"].as_array().expect("there are samples");
    let of = |name: &str| samples.iter().find(|sample| sample["entrant"] == name).expect("the sample is there");
    assert_eq!((&of("good")["state"], &of("missing-rows")["state"]), (&"scored".into(), &"refused".into()), "{shown}");
    let rows = shown["leaderboards"][0]["board"]["items"].as_array().expect("there are rows");
    assert!(rows.iter().any(|row| row["entrant"] == "good"), "{shown}");
}

/// Where no engine can be used, the rest is shown, and why it is all.
#[test]
fn a_demo_without_an_engine_shows_the_rest() {
    let home = tempfile::tempdir().expect("there is room for a folder");
    // Mounts of its own, in which nothing is where the engine's socket would be.
    let script = "mount -t tmpfs nothing /run && exec \"$0\" demo";
    let ran =
        Command::new("unshare").args(["--mount", "sh", "-c", script]).arg(gradus()).env("TMPDIR", home.path()).output();
    let Ok(ran) = ran else { return gradus_e2e::skip("there is no unshare") };
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    if err.contains("Operation not permitted") {
        return gradus_e2e::skip("only root may hide the engine");
    }
    assert_eq!(ran.status.code(), Some(0), "{out}{err}");
    assert!(out.contains("Programs in containers are not shown: ") && out.contains("is not there"), "{out}");
    assert!(out.contains("What to try next"), "{out}");
}
