//! The disk fails under the server: system calls of it return errors, as those of a broken or a full disk do. Nothing that was
//! acknowledged is lost, nothing is doubled, and a store that could not write ends the server instead of going on.
//!
//! A few faults, to be made each time; `cargo xtask torture` makes as many as `GRADUS_ROUNDS` says.

use gradus_e2e::{Api, Server, example, run, size_of, skip, unpaced, variant, wide};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Calls that the store and the blobs make, each with the errors that a disk may answer with.
const FAULTS: [(&str, &str); 9] = [
    ("fdatasync", "EIO"),
    ("pwrite64", "ENOSPC"),
    ("fsync", "EIO"),
    ("renameat", "EIO"),
    ("pwrite64", "EIO"),
    ("sync_file_range", "EIO"),
    ("openat2", "EIO"),
    ("fdatasync", "ENOSPC"),
    ("mkdirat", "ENOSPC"),
];

/// Has calls of a running process fail from now on.
struct Faults(Child);

impl Faults {
    /// What it does goes to `trace`.
    fn inject(pid: u32, what: &str, trace: &Path) -> Self {
        let mut tracer = Command::new("strace");
        let call = what.split(':').next().expect("it begins with the call");
        tracer.args(["-f", "-q", "-e", &format!("trace={call}"), "-e", &format!("inject={what}")]);
        tracer.arg("-o").arg(trace).args(["-p", &pid.to_string()]);
        let mut tracer = Self(tracer.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it was there"));
        let end = Instant::now() + Duration::from_secs(20);
        while !traced(pid) {
            let ended = tracer.0.try_wait().expect("it can be waited for");
            assert!(ended.is_none() && Instant::now() < end, "{what}: the tracer does not come: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        tracer
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        // In order: it lets go of whom it traces.
        drop(Command::new("kill").args(["-INT", &self.0.id().to_string()]).status());
        drop(self.0.wait());
    }
}

/// Whether each thread of a process is traced, or it is gone.
fn traced(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut status = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
    status.all(|status| !status.contains("TracerPid:\t0\n"))
}

struct Setting {
    server: Server,
    token: String,
    /// Sent so far, each under a key of its own.
    sent: u64,
    /// Those that are known to be taken in.
    known: Vec<String>,
}

impl Setting {
    /// Hands in number `number`. `None`: nobody answered. `Some(false)`: it was refused.
    fn send(&mut self, number: u64) -> Option<bool> {
        let api = Api::new(&self.server.base, Some(&self.token));
        let key = format!("key-{number}");
        let path = "/api/v1/challenges/breast-cancer/phases/dev/submissions?filename=p.csv";
        // Every other one is a blob, the others are in their rows.
        let body =
            if number.is_multiple_of(2) { wide(usize::try_from(number).expect("it is small")) } else { small(number) };
        let answer = api.send("POST", path, &[("idempotency-key", &key)], &body).ok()?;
        match answer.status {
            202 => self.known.push(answer.json()["id"].as_str().expect("an id").to_owned()),
            500 | 503 | 507 => {}
            status => panic!("{status}: {}", answer.text()),
        }
        Some(answer.status == 202)
    }

    /// Has calls fail, and sees what the server does: how often they did, whether the server refused anything, and whether it
    /// ended.
    fn suffer(&mut self, what: &str) -> (usize, bool, bool) {
        let trace = self.server.data().with_file_name("trace");
        let faults = Faults::inject(self.server.pid(), what, &trace);
        let (refused, ended) = self.go_on(what, || drop(faults));
        let made = std::fs::read_to_string(&trace).unwrap_or_default().matches("(INJECTED)").count();
        (made, refused, ended)
    }

    /// Hands in under a fault, and again after `mended` was called on what is left. Whether the server refused anything, and
    /// whether it ended.
    fn go_on(&mut self, what: &str, mended: impl FnOnce()) -> (bool, bool) {
        let (before, told) = (self.known.len(), self.server.log().len());
        let mut unknown = Vec::new();
        for _ in 0..6 {
            self.sent += 1;
            match self.send(self.sent) {
                Some(true) => {}
                Some(false) => unknown.push(self.sent),
                None => {
                    unknown.push(self.sent);
                    break;
                }
            }
        }
        // A store that is broken is seen within a moment, and the server ends when all that it is at has.
        let lost = self.server.log()[told..].contains("no further change is taken");
        let end = Instant::now() + Duration::from_millis(if lost { 10_000 } else { 700 });
        let mut code = self.server.ended();
        while code.is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
            code = self.server.ended();
        }
        mended();
        match code {
            Some(code) => {
                assert_eq!(code, Some(1), "{what}: {}", self.server.log());
                assert!(self.server.log().contains("the store takes no more changes"), "{what}: {}", self.server.log());
            }
            None => self.server.kill(),
        }
        // The disk is well again.
        self.server.again();
        for number in &unknown {
            assert_eq!(self.send(*number), Some(true), "{what}");
        }
        let api = Api::new(&self.server.base, Some(&self.token));
        for id in &self.known[before..] {
            assert_eq!(api.ended(id)["outcome"], "scored", "{what}");
            let told = api.get(&format!("/api/v1/submissions/{id}/events")).text();
            assert_eq!(told.matches("\"kind\":\"report\"").count(), 1, "{what}: {told}");
        }
        (!unknown.is_empty(), code.is_some())
    }

    /// All that was sent counts once, and what is stored is whole.
    fn end(mut self) {
        let anna = Api::new(&self.server.base, Some(&self.token));
        let used = anna.get("/api/v1/challenges/breast-cancer/quota").json();
        let phase = &used["phases"][0];
        let known = self.known.len() as u64;
        assert_eq!((&phase["rules"][0]["used"], &phase["open"], known), (&self.sent.into(), &0.into(), self.sent));
        assert_eq!(self.server.stop(), Some(0));
        let checked = run(&["admin", "check", "--data", self.server.data().to_str().expect("UTF-8")], &[]);
        assert_eq!(checked.code, 0, "{checked:?}");
    }
}

fn rounds() -> usize {
    std::env::var("GRADUS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// A server with a challenge that takes any number of submissions.
fn setting() -> Setting {
    let home = tempfile::tempdir().expect("there is room for a folder");
    let quota = "quota = [{ limit = 20, per = \"day\", zone = \"UTC\" }, { limit = 100 }]";
    let folder = variant("breast-cancer", home.path(), &[(quota, "quota = [{ limit = 1000000 }]")]);
    let server = Server::start_with(unpaced(""));
    server.publish(&folder);
    let token = server.participant("anna").token.expect("a participant has a token");
    Setting { server, token, sent: 0, known: Vec::new() }
}

/// From now on nothing is written behind this byte of any file: a write across it falls short, and the next one fails.
fn cut(server: &Server, at: Option<u64>) {
    let limit = at.map_or_else(|| "unlimited".to_owned(), |at| at.to_string());
    let mut set = Command::new("prlimit");
    set.args(["--pid", &server.pid().to_string(), &format!("--fsize={limit}:unlimited")]);
    assert!(set.status().is_ok_and(|status| status.success()), "prlimit is of util-linux");
}

/// Where the store's log ends: its file has zeros behind that.
fn end_of_log(server: &Server) -> usize {
    let log = std::fs::read(server.data().join("store/db")).expect("the store has a log");
    log.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// A file that goes into its row, and is no other's.
fn small(number: u64) -> Vec<u8> {
    let good = std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the example has it");
    let good = String::from_utf8(good).expect("it is text");
    let (header, rows) = good.split_once('\n').expect("it has a header");
    let mut rows: Vec<&str> = rows.lines().collect();
    let at = usize::try_from(number).expect("it is small") % rows.len();
    rows.rotate_left(at);
    format!("{header}\n{}\n", rows.join("\n")).into_bytes()
}

#[test]
fn a_disk_that_fails_loses_nothing_that_was_acknowledged() {
    if !Path::new("/usr/bin/strace").exists() {
        return skip("strace is not installed (apt-get install strace)");
    }
    let rounds = rounds();
    let mut setting = setting();
    let (mut refused, mut ended) = (0, 0);
    let mut made: BTreeMap<&str, usize> = BTreeMap::new();
    for round in 0..rounds {
        for (number, (call, error)) in FAULTS.iter().enumerate() {
            // For good, or once; from one of its calls on.
            // Threads are counted for themselves, and some make few calls.
            let from = if round == 0 { 1 + number % 2 } else { (round * 3 + number) % 7 + 1 };
            for when in [format!("{from}+"), from.to_string()].iter().take(if rounds > 1 { 2 } else { 1 }) {
                let what = format!("{call}:error={error}:when={when}");
                let (count, said_no, went) = setting.suffer(&what);
                let then = [["took all", "refused"], ["ended", "ended"]][usize::from(went)][usize::from(said_no)];
                println!("{what}: made {count} times, {then}");
                refused += usize::from(said_no);
                ended += usize::from(went);
                *made.entry(call).or_default() += count;
            }
        }
    }
    println!("{made:?}: {refused} times something was refused, {ended} times the server ended");
    assert!(refused > 0 && ended > 0, "nothing failed");
    assert!(["fdatasync", "fsync", "pwrite64", "renameat"].iter().all(|call| made[call] > 0), "{made:?}");
    setting.end();
}

/// The disk takes the first part of a record of the store's log and no more.
#[test]
fn a_write_to_the_log_that_falls_short_loses_nothing_that_was_acknowledged() {
    let mut setting = setting();
    let rounds = 4 * rounds();
    let (mut short, mut ended) = (0_usize, 0_usize);
    for round in 0..rounds {
        let log = setting.server.data().join("store/db");
        // Behind some that are taken in, in the midst of one, or of what becomes of one.
        let at = end_of_log(&setting.server) + 100 + round * 7_919 % 30_000;
        cut(&setting.server, Some(at as u64));
        // The next start takes the limit with it, and puts away what is no whole record.
        let seen = || {
            let log = std::fs::read(&log).expect("the store has a log");
            short += usize::from(log.get(at - 16..at).is_some_and(|end| end != [0; 16]));
        };
        let (refused, went) = setting.go_on(&format!("nothing behind {at}"), seen);
        // The log may go on in a place before its end that has become free: then there is room for all.
        assert!(went || !refused, "{at}: it refused, and went on");
        ended += usize::from(went);
    }
    println!("{short} of {rounds} times the log ended in part of a record, {ended} times the server ended");
    assert!(short > 0 && ended > 0, "no write fell short");
    setting.end();
}

/// A file that was handed in is written in part and no more: it is refused, and nothing of it stays.
#[test]
fn a_file_that_is_written_in_part_is_refused_and_leaves_nothing() {
    let mut setting = setting();
    for number in [2, 4, 6] {
        cut(&setting.server, Some(1_000 * number));
        let before = size_of(&setting.server.data().join("blobs"));
        assert_eq!(setting.send(number), Some(false), "only the limit's first bytes were written");
        cut(&setting.server, None);
        assert_eq!(size_of(&setting.server.data().join("blobs")), before);
        // The store was not touched: the same server goes on.
        assert_eq!(setting.send(number), Some(true), "{}", setting.server.log());
        setting.sent += 1;
        // Nothing is under way when the next limit comes.
        Api::new(&setting.server.base, Some(&setting.token)).ended(setting.known.last().expect("it was taken in"));
    }
    setting.end();
}
