//! Hours of use, pressed into rounds: what the server holds does not grow with what it has done.
//!
//! A few rounds, to be done each time; `cargo xtask torture` does as many as `GRADUS_ROUNDS` says.

use gradus_e2e::{Api, Raw, Server, example, size_of, unpaced, variant, wide};
use std::time::Duration;

/// Submissions of a round, and as much of everything else.
const EACH: usize = 60;
/// Rounds before the first look, at least; of many it is half, as the store's cache fills through the first hundred.
const WARM: u64 = 2;
/// Memory may grow by so much between the first look and the last: allocators and the store's cache are never quite still.
const MAX_GROWTH: u64 = 40 << 20;
/// And there is never more, whatever was done: the cache, and what an empty server has.
const MAX_MEMORY: u64 = 192 << 20;
/// Bytes of the store for each byte in its rows, at most, and what an empty one has.
const MAX_FACTOR: u64 = 12;
const EMPTY: u64 = 64 << 20;

/// What a server holds.
#[derive(Debug)]
struct Holds {
    memory: u64,
    files: usize,
    threads: usize,
    store: u64,
}

impl Holds {
    fn of(server: &Server) -> Self {
        let process = format!("/proc/{}", server.pid());
        let files = std::fs::read_dir(format!("{process}/fd")).expect("it is ours").count();
        let threads = usize::try_from(server.status("Threads")).expect("few");
        Self { memory: server.status("VmRSS") << 10, files, threads, store: size_of(&server.data().join("store")) }
    }
}

/// A round of all that people do. Ids of what was handed in.
fn round(server: &Server, anna: &Api, good: &[u8], number: usize) {
    let operator = server.operator();
    let mut ids = Vec::new();
    for count in 0..EACH {
        let body = if count % 3 == 0 { wide(number * EACH + count) } else { good.to_vec() };
        let answer = anna.submit("breast-cancer", "dev", "p.csv", &body);
        assert_eq!(answer.status, 202, "{}", answer.text());
        ids.push(answer.json()["id"].as_str().expect("an id").to_owned());
        // What is refused, what is broken off, and what is only looked at.
        assert_eq!(anna.submit("breast-cancer", "dev", "p.csv", b"id,label\n1,x\n").status, 422);
        let headers = "Content-Length: 1000000\r\n";
        let path = "/api/v1/challenges/breast-cancer/phases/dev/submissions?filename=p.csv";
        let mut raw = Raw::begin(anna, "POST", path, headers);
        raw.send(b"id,label,p\n");
        drop(raw);
        for path in ["/api/v1/challenges/breast-cancer/leaderboards/main", "/readyz", "/api/v1/challenges"] {
            assert_eq!(anna.get(path).status, 200);
        }
        let token = operator.grant("participant", &format!("guest-{number}-{count}"), &[]);
        assert_eq!(server.api().with(Some(&token)).get("/api/v1/challenges").status, 200);
    }
    for id in &ids {
        assert_eq!(anna.ended(id)["outcome"], "scored");
        assert!(anna.get(&format!("/api/v1/submissions/{id}/events")).text().contains("scored"));
    }
}

#[test]
fn what_a_server_holds_does_not_grow_with_what_it_has_done() {
    let rounds: u64 = std::env::var("GRADUS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(4);
    let first = WARM.max(rounds / 2);
    let rounds = rounds.max(first + 1);
    let home = tempfile::tempdir().expect("there is room for a folder");
    let quota = "quota = [{ limit = 20, per = \"day\", zone = \"UTC\" }, { limit = 100 }]";
    let changes = [(quota, "quota = [{ limit = 1000000 }]"), ("max_queued = 20", "max_queued = 10000")];
    let server = Server::start_with(unpaced(""));
    server.publish(&variant("breast-cancer", home.path(), &changes));
    let anna = server.participant("anna");
    let good = std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the example has it");
    let mut number = 0;
    let mut next = || {
        round(&server, &anna, &good, number);
        number += 1;
        // What was broken off is put away.
        std::thread::sleep(Duration::from_millis(500));
        Holds::of(&server)
    };
    let mut warm = next();
    for _ in 1..first {
        warm = next();
    }
    let mut last = next();
    for _ in first + 1..rounds {
        last = next();
    }
    println!("after {first} rounds: {warm:?}\nafter {rounds}: {last:?}");
    assert!(last.memory <= MAX_MEMORY.min(warm.memory + MAX_GROWTH), "memory grows: {warm:?} {last:?}");
    assert!(last.files <= warm.files + 16 && last.threads <= warm.threads + 16, "{warm:?} {last:?}");
    // What is in the rows, as a backup has it.
    let rows: u64 = {
        let backup = server.operator().get("/api/v1/backup");
        assert_eq!(backup.status, 200);
        let mut entries = tar::Archive::new(&backup.body[..]);
        let mut entries = entries.entries().expect("it is a tar").flatten();
        let rows = entries.find(|entry| entry.path().is_ok_and(|path| path.ends_with("rows"))).expect("it has rows");
        rows.size()
    };
    println!("store: {} bytes for {rows} in its rows", last.store);
    assert!(last.store <= EMPTY + rows * MAX_FACTOR, "{last:?} for {rows}");
}
