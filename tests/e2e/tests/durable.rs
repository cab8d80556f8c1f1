//! What is acknowledged is on the disk: seen from outside, in the order of the server's system calls. A kill cannot show
//! this, as it leaves the kernel's buffers alone; only a power cut or a trace can.

use gradus_e2e::{Options, Server, example, skip};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

const CALLS: &str = "trace=openat,close,fdatasync,fsync,rename,renameat,renameat2,link,linkat,\
                     read,recvfrom,recvmsg,sendto,sendmsg,write,writev";
const ROUNDS: usize = 5;

/// A system call: where in the trace it began and ended.
#[derive(Debug)]
struct Call {
    text: String,
    began: usize,
    ended: usize,
}

/// The calls of a trace by `strace -f -y`. A call that others interrupt is in two lines, told apart by the thread.
fn calls(trace: &str) -> Vec<Call> {
    let mut open: HashMap<&str, (String, usize)> = HashMap::new();
    let mut calls = Vec::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            open.insert(thread, (begun.to_owned(), at));
        } else if let Some((_, end)) = rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            if let Some((begun, began)) = open.remove(thread) {
                calls.push(Call { text: begun + end, began, ended: at });
            }
        } else {
            calls.push(Call { text: rest.to_owned(), began: at, ended: at });
        }
    }
    calls.sort_by_key(|call| call.began);
    calls
}

impl Call {
    fn is(&self, names: &[&str]) -> bool {
        self.text.split_once('(').is_some_and(|(name, _)| names.contains(&name))
    }

    fn done(&self) -> bool {
        self.text.rsplit_once(" = ").is_some_and(|(_, result)| !result.starts_with('-'))
    }
}

#[test]
fn a_trace_is_read_thread_by_thread() {
    let trace =
        "7 fsync(3 <unfinished ...>\n8 write(4, \"HTTP\", 4) = 4\n7 <... fsync resumed>) = 0\n8 fsync(9) = -1 EIO\n";
    let calls = calls(trace);
    let shape: Vec<_> = calls.iter().map(|call| (call.text.as_str(), call.began, call.ended, call.done())).collect();
    let expected =
        [("fsync(3 ) = 0", 0, 2, true), ("write(4, \"HTTP\", 4) = 4", 1, 1, true), ("fsync(9) = -1 EIO", 3, 3, false)];
    assert_eq!(shape, expected);
}

/// Ends the server below its tracer, which takes no signals, and waits until the trace is whole.
fn end(server: &Server) {
    let tracer = server.pid();
    let children = std::fs::read_to_string(format!("/proc/{tracer}/task/{tracer}/children"));
    let children = children.expect("the tracer runs");
    let traced = children.split_whitespace().next().expect("it has a child");
    let sent = std::process::Command::new("kill").args(["-TERM", traced]).status();
    assert!(sent.expect("kill is there").success());
    let until = Instant::now() + Duration::from_secs(30);
    // The tracer ends with it, and is a zombie until it is waited for.
    let ended = || {
        let stat = std::fs::read_to_string(format!("/proc/{tracer}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
    };
    while !ended() {
        assert!(Instant::now() < until, "the traced server does not stop");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn no_submission_is_acknowledged_before_it_is_on_the_disk() {
    if !Path::new("/usr/bin/strace").exists() {
        return skip("strace is not installed (apt-get install strace)");
    }
    let home = tempfile::tempdir().expect("there is room for a folder");
    let file = home.path().join("trace");
    let under = ["strace", "-f", "-y", "-s", "256", "-o", file.to_str().expect("UTF-8"), "-e", CALLS];
    let under = under.iter().map(|word| (*word).to_owned()).collect();
    let server = Server::start_with(Options { under, ..Options::default() });
    server.publish_example("breast-cancer");
    let anna = server.participant("anna");
    let good = std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the example has it");
    let good = String::from_utf8(good).expect("it is text");
    for round in 0..ROUNDS {
        // Other bytes each time, or there would be nothing new to keep.
        let (header, rows) = good.split_once('\n').expect("it has a header");
        let rows: Vec<&str> = rows.lines().collect();
        let turned = [&rows[round + 1..], &rows[..=round]].concat();
        // Wide enough to be a blob: few bytes go into the row, and are covered by its sync.
        let turned: Vec<String> = turned.iter().map(|row| format!("{row},{}", "x".repeat(400))).collect();
        let turned = turned.join("\n");
        let name = format!("round-{round}.csv");
        let answer = anna.submit("breast-cancer", "dev", &name, format!("{header},pad\n{turned}\n").as_bytes());
        assert_eq!(answer.status, 202, "{}", answer.text());
        anna.ended(answer.json()["id"].as_str().expect("an id"));
    }
    end(&server);
    let trace = std::fs::read_to_string(&file).expect("strace wrote it");
    let calls = calls(&trace);
    let mut from = 0;
    for round in 0..ROUNDS {
        let arrival = format!("filename=round-{round}.csv");
        let find = |from: usize, what: &str, test: &dyn Fn(&Call) -> bool| {
            let found = calls.iter().find(|call| call.began >= from && test(call));
            found.unwrap_or_else(|| panic!("round {round}: no {what} after line {from} of the trace"))
        };
        let arrived =
            find(from, "arrival", &|call| call.is(&["read", "recvfrom", "recvmsg"]) && call.text.contains(&arrival));
        let told = find(arrived.ended, "answer", &|call| {
            call.is(&["sendto", "sendmsg", "write", "writev"]) && call.text.contains("HTTP/1.1 202")
        });
        // All that the answer rests on began after the arrival, and had succeeded when the answer was begun.
        let within: Vec<&Call> =
            calls.iter().filter(|call| call.began > arrived.began && call.ended < told.began && call.done()).collect();
        let shown = || within.iter().map(|call| call.text.as_str()).collect::<Vec<_>>().join("\n");
        let synced = within.iter().rposition(|call| call.is(&["fdatasync", "fsync"]) && call.text.contains("/db>"));
        let synced = synced.unwrap_or_else(|| panic!("round {round}: the store was not synced:\n{}", shown()));
        let named = within.iter().position(|call| {
            call.is(&["rename", "renameat", "renameat2", "link", "linkat"]) && call.text.contains("blobs")
        });
        let named = named.unwrap_or_else(|| panic!("round {round}: no blob got its name:\n{}", shown()));
        let file = within[..named].iter().any(|call| call.is(&["fsync", "fdatasync"]) && call.text.contains("blobs"));
        assert!(file, "round {round}: the blob got its name before its bytes were safe:\n{}", shown());
        let folder = within[named..].iter().any(|call| call.is(&["fsync", "fdatasync"]) && call.text.contains("blobs"));
        assert!(folder, "round {round}: the blob's name was not made safe:\n{}", shown());
        let (named, synced) = (within[named], within[synced]);
        assert!(synced.began > named.ended, "round {round}: the row was there before its blob:\n{}", shown());
        from = told.ended;
    }
}
