//! Hostile programs, handed in as a participant would: `tests/hostile/container` has one in each file, with what it must
//! come to. After each nothing of it is left, and in the end an honest one is scored.

use gradus_e2e::programs::{Engine, alone};
use gradus_e2e::{Options, OwnEngine, Server, root, rows, skip};
use std::fmt::Write as _;
use tempfile::TempDir;

/// A program, and what must come of it.
struct Case {
    name: String,
    script: String,
    /// Outcome and code, any of these.
    expected: Vec<(String, String)>,
    /// All that it may print, when that is said.
    prints: Vec<String>,
}

impl Case {
    fn read(name: String, script: String) -> Self {
        let said = |key: &str| -> Vec<String> {
            script.lines().filter_map(|line| line.strip_prefix(key)).map(|text| text.trim().to_owned()).collect()
        };
        let mut expected: Vec<(String, String)> = Vec::new();
        for one in
            said("# expect:").first().unwrap_or_else(|| panic!("{name} does not say what it must come to")).split('|')
        {
            let (outcome, code) = match one.split_once(' ') {
                Some((outcome, code)) => (outcome.to_owned(), code.to_owned()),
                // Another code of the same outcome, or an outcome without one.
                None => match expected.last() {
                    Some((outcome, code)) if !code.is_empty() => (outcome.clone(), one.to_owned()),
                    Some(_) | None => (one.to_owned(), String::new()),
                },
            };
            expected.push((outcome, code));
        }
        let prints = said("# prints:");
        Self { name, script, expected, prints }
    }
}

fn cases() -> Vec<Case> {
    let folder = root().join("tests/hostile/container");
    let entries = std::fs::read_dir(folder).expect("the programs are there").flatten();
    let read = |entry: std::fs::DirEntry| {
        let script = std::fs::read_to_string(entry.path()).expect("a program is text");
        Case::read(entry.file_name().to_string_lossy().into_owned(), script)
    };
    let mut cases: Vec<_> = entries.map(read).collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(cases.len() > 40, "{}", cases.len());
    cases
}

#[test]
fn hostile_programs_come_to_what_they_must_and_leave_nothing() {
    let _alone = alone();
    let engine = Engine::default();
    match engine.image("") {
        Ok(image) => all(&engine, &rows::challenge(&image, ", pids = 32"), String::new(), &[]),
        Err(why) => skip(&why),
    }
}

/// Whether this is the machine of `cargo xtask machine`.
fn slow() -> bool {
    std::env::var_os("GRADUS_TEST_SLOW").is_some()
}

/// What the one program that calls the kernel prints there: Linux in user mode takes a call by `int 0x80` for one of 64 bits,
/// and the filter sees that one.
const IN_USER_MODE: &str = "int80 allowed";

/// A program, and what else it may come to, whatever it prints then.
type Otherwise = (&'static str, &'static str, &'static str);

/// What gVisor's own kernel answers otherwise than Linux: system calls that it carries out within itself, variables of the
/// container's that it shows by other names, pipes and sockets that never reach the machine's file system. It has no cap on
/// the number of files in memory and of threads: memory holds both.
const UNDER_GVISOR: [Otherwise; 8] = [
    ("calls.sh", "", ""),
    ("environment.sh", "", ""),
    ("fifo.sh", "invalid-submission", ""),
    ("flood-scratch-files.sh", "limit", "memory"),
    ("setuid.sh", "run-failed", "signal"),
    ("socket.sh", "invalid-submission", ""),
    ("thread-bomb.sh", "invalid-submission", ""),
    ("write-everywhere.sh", "", ""),
];

/// The same under gVisor.
#[test]
fn hostile_programs_are_held_by_gvisor() {
    let own = || match OwnEngine::start() {
        Ok(own) if own.has_gvisor() => Ok(own),
        Ok(_) => Err("there is no runsc".to_owned()),
        Err(why) => Err(why),
    };
    // Its own threads are counted among the run's: 32 are too few.
    let runner = ", runtime = \"runsc\"";
    under(own, "runtimes = [\"runsc\"]\n", runner, &UNDER_GVISOR, "dmesg", |printed| printed.contains("gVisor"));
}

/// What differs under Podman: it sets two variables more, and its init has a descriptor that goes on to the program, and shows
/// the program's command as its own.
const UNDER_PODMAN: [Otherwise; 2] = [("environment.sh", "", ""), ("other-processes.sh", "", "")];

/// The same by Podman.
#[test]
fn hostile_programs_are_held_by_podman() {
    let is_podman = |printed: &str| printed.contains("container=podman");
    under(OwnEngine::podman, "", ", pids = 32", &UNDER_PODMAN, "env", is_podman);
}

/// The same under an engine that maps users.
#[test]
fn hostile_programs_are_held_where_users_are_mapped() {
    // Inside, outside, how many; and who it is.
    let is_mapped = |printed: &str| {
        let words: Vec<_> = printed.split_whitespace().collect();
        words[0] == "0" && words[1] != "0" && words[3].starts_with('6')
    };
    under(OwnEngine::mapping_users, "", ", pids = 32", &[], "cat /proc/self/uid_map; id -u; touch /tmp/x", is_mapped);
}

/// With an engine of the test's own, a `config` for it and more of the task's `runner`: all of them, which takes minutes, in
/// `cargo xtask torture`. Else one honest program each time, of which `holds` sees what its last `words` print.
fn under(
    engine: impl Fn() -> Result<OwnEngine, String>,
    config: &str,
    runner: &str,
    otherwise: &[Otherwise],
    words: &str,
    holds: impl Fn(&str) -> bool,
) {
    let _alone = alone();
    let own = match engine() {
        Ok(own) => own,
        Err(why) => return skip(&why),
    };
    let engine = own.engine();
    let image = match engine.image("") {
        Ok(image) => image,
        Err(why) => return skip(&why),
    };
    let config = format!("[runner]\nengine = \"{}\"\n{config}", own.socket().display());
    let folder = rows::challenge(&image, runner);
    if std::env::var("GRADUS_ROUNDS").is_ok() {
        return all(&engine, &folder, config, otherwise);
    }
    let server = Server::start_with(Options { config, under: Vec::new() });
    server.publish(folder.path());
    let anna = server.participant("anna");
    let id = rows::hand_in(&anna, &format!("cp /app/input_data/rows.csv /app/output/predictions.csv; {words}"));
    let ended = anna.ended(&id);
    assert_eq!(ended["outcome"], "scored", "{ended}");
    let printed = anna.get(&format!("/api/v1/submissions/{id}/logs/stdout")).text();
    assert!(holds(&printed), "{printed}");
    engine.assert_nothing_is_left(server.data(), "an honest one");
}

/// Hands each in, one after the other, to a server with `config`. `otherwise`: what else some may come to.
fn all(engine: &Engine, folder: &TempDir, config: String, otherwise: &[Otherwise]) {
    let toml = folder.path().join("challenge.toml");
    let text = std::fs::read_to_string(&toml).expect("it is there");
    let wall = if slow() { "wall = \"30s\"" } else { "wall = \"8s\"" };
    std::fs::write(&toml, text.replace("wall = \"20s\"", wall)).expect("there is room");
    let server = Server::start_with(Options { config, under: Vec::new() });
    server.publish(folder.path());
    let anna = server.participant("anna");
    let mut wrong = String::new();
    for Case { name, script, expected, prints } in cases() {
        let id = rows::hand_in(&anna, &script);
        let ended = anna.ended(&id);
        let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let got = (word(&ended["outcome"]), word(&ended["run"]["code"]));
        let also = otherwise.iter().find(|(other, ..)| *other == name);
        if !expected.contains(&got) && also.is_none_or(|(_, outcome, code)| (*outcome, *code) != (&*got.0, &*got.1)) {
            let log = anna.get(&format!("/api/v1/submissions/{id}/logs/stderr")).text();
            let _ = writeln!(wrong, "{name}: {got:?}, expected {expected:?}: {ended} {log}");
        }
        if !prints.is_empty() && also.is_none() {
            let printed = anna.get(&format!("/api/v1/submissions/{id}/logs/stdout")).text();
            let lines = printed.lines().map(str::trim);
            let printed: Vec<_> = lines.filter(|line| !slow() || *line != IN_USER_MODE).collect();
            if printed != prints {
                let _ = writeln!(wrong, "{name}: it printed {printed:?}, expected {prints:?}");
            }
        }
        engine.assert_nothing_is_left(server.data(), &name);
    }
    assert!(wrong.is_empty(), "{wrong}");
    let honest = rows::hand_in(&anna, "cp /app/input_data/rows.csv /app/output/predictions.csv");
    assert_eq!(anna.ended(&honest)["outcome"], "scored", "the next honest one");
}
