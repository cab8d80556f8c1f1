//! What a server takes for the same with more and more submissions stored: boards, claims, statuses, quotas, the start, memory.
//!
//! Most of them are put into the store as a server does it, many at once, and without their files: they are not what is
//! measured.

use super::Plan;
use super::conn::Conn;
use super::data;
use super::figures::{Times, heading, line, ms};
use super::line::{hand_in, until_scored};
use super::start::{memory, mib, resident};
use gradus::adapters::store_sled::{Options, SledStore};
use gradus_core::domain::board::placements;
use gradus_core::domain::challenge::Version;
use gradus_core::domain::digest::Digest;
use gradus_core::domain::event::EventKind;
use gradus_core::domain::id::{SubmissionId, TokenId};
use gradus_core::domain::job::{Job, State};
use gradus_core::domain::kept::Kept;
use gradus_core::domain::quota::Settlement;
use gradus_core::domain::report::{Cost, Digests, Outcome, Problems, Report, Score};
use gradus_core::domain::submission::{About, Body, Lane, Submission, Upload};
use gradus_core::domain::tree::Tree;
use gradus_core::ports::store::{Admission, Admitted, Advance, Advanced, LedgerKey, Settle, Store as _};
use gradus_e2e::{Api, Server, size_of, unpaced};
use jiff::{SignedDuration, Timestamp};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use ulid::Ulid;

const ROWS: usize = 1000;
/// Who they are of.
const ENTRANTS: u64 = 10_000;
/// That many are put in at once: they share their syncs.
const THREADS: usize = 64;
const READERS: usize = 4;
const WATCHERS: usize = 500;

/// Measures and prints.
pub fn run(plan: &Plan) {
    let sizes: &[u64] = if plan.quick { &[1_000, 10_000] } else { &[1_000, 10_000, 100_000, 1_000_000] };
    heading(&format!("with so many submissions stored, of {ENTRANTS} entrants at most"));
    let home = tempfile::tempdir().expect("there is room for a folder");
    let (folder, challenge) = (home.path().join("data"), home.path().join("challenge"));
    let mut server = Server::start_in(&folder, unpaced(""));
    data::write(&challenge, ROWS);
    server.publish(&challenge);
    let anna = server.participant("anna");
    assert_eq!(server.stop(), Some(0));
    let mut stored = 0;
    for size in sizes {
        let began = Instant::now();
        let live = fill(&folder, stored, *size);
        let took = began.elapsed();
        let rate = (*size - stored) as f64 / took.as_secs_f64();
        stored = *size;
        println!("\n  {size} submissions (put in at {rate:.0} a second)");
        line(
            "store on the disk",
            format!(
                "{}, {:.1} times what is in its rows",
                mib(size_of(&folder)),
                size_of(&folder) as f64 / live as f64
            ),
        );
        measure(plan, &mut server, &anna);
    }
}

/// Counts what is written to it.
struct Count(std::sync::Arc<AtomicU64>);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Puts submissions in until there are `until`; bytes in all rows then.
fn fill(folder: &Path, from: u64, until: u64) -> u64 {
    use gradus_core::ports::store::Snapshot as _;
    let store = SledStore::open(&folder.join("store"), Options::default()).expect("the server has stopped");
    let version = store.version(&"bench".parse().expect("a name"), 1).expect("it reads").expect("it was published");
    let next = AtomicU64::new(from);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= until {
                        return;
                    }
                    put(&store, &version, number);
                }
            });
        }
    });
    let bytes = std::sync::Arc::new(AtomicU64::new(0));
    store.snapshot(Box::new(Count(std::sync::Arc::clone(&bytes)))).expect("it reads");
    bytes.load(Ordering::Relaxed)
}

/// One that was handed in and scored.
fn put(store: &SledStore, version: &Version, number: u64) {
    let at = Timestamp::UNIX_EPOCH
        + SignedDuration::from_hours(50 * 365 * 24)
        + SignedDuration::from_millis(number.cast_signed());
    let id = SubmissionId(Ulid::from_parts(at.as_millisecond().cast_unsigned(), u128::from(number)));
    let submission = Submission {
        id,
        challenge: version.challenge.id.clone(),
        version: 1,
        phase: "dev".parse().expect("a name"),
        task: "main".parse().expect("a name"),
        entrant: format!("entrant-{}", number % ENTRANTS).parse().expect("a name"),
        by: Some(TokenId(Ulid::nil())),
        pushed: None,
        lane: Lane::Results,
        submitted_at: at,
        upload: Upload { name: "p.csv".to_owned(), len: 20_000, digest: Digest::of(b"") },
        files: Body::Inline(Kept::apart(Tree::new(Vec::new()).expect("no files are a tree")).to_text()),
        about: About::default(),
        organizers: false,
    };
    let admission = Admission {
        submission: submission.clone(),
        small: Vec::new(),
        job: Job::new(Lane::Results),
        rules: version.challenge.phases[0].quota.clone(),
        max_open: 10_000,
        idempotency: None,
        once: None,
        push: None,
    };
    assert!(matches!(store.admit(admission).expect("it is kept"), Admitted::Accepted { .. }));
    // Scores that differ, in no order.
    let value = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / f64::from(1 << 24);
    let score = |metric: &str| Score { metric: metric.to_owned(), split: None, value };
    let empty = Digest::of(b"");
    let report = Report {
        report: 1,
        outcome: Outcome::Scored,
        fault: None,
        detail: None,
        scores: ["roc_auc", "f1", "accuracy", "log_loss"].map(score).into(),
        cases: Vec::new(),
        problems: Problems::default(),
        notes: Vec::new(),
        attachments: Vec::new(),
        digests: Digests { predictions: empty, reference: empty, scorer: empty, params: empty },
        engine: "bench".to_owned(),
        cost: Cost::default(),
    };
    let job = Job { state: State::Scored, generation: 2, outcome: Some(Outcome::Scored), ..Job::new(Lane::Results) };
    let advance = Advance {
        id,
        seen: 1,
        events: vec![
            EventKind::Report { outcome: "scored".to_owned() },
            EventKind::State { state: State::Scored, reason: None },
        ],
        job,
        at,
        settle: Some(Settle { ledger: LedgerKey::of(&submission), reserved_at: at, settlement: Settlement::Charge }),
        report: Some(Body::Inline(String::from_utf8(report.to_bytes()).expect("JSON"))),
        log: None,
        run: None,
        small: Vec::new(),
        placements: placements(version, &submission, &report),
        live: Some(1),
        deed: None,
        letters: Vec::new(),
        owed: None,
    };
    assert!(matches!(store.advance(advance).expect("it is kept"), Advanced::Stored { .. }));
}

fn measure(plan: &Plan, server: &mut Server, anna: &Api) {
    let starts: Vec<_> = (0..3)
        .map(|_| {
            let began = Instant::now();
            server.again();
            let took = began.elapsed();
            assert_eq!(server.stop(), Some(0));
            took
        })
        .collect();
    Times::new(starts).print("spawn until ready, after a stop");
    server.again();
    server.kill();
    let began = Instant::now();
    server.again();
    line("spawn until ready, after a kill", ms(began.elapsed()));
    line("memory when ready (VmRSS)", memory(server));
    let anna = server.api().with(anna.token.as_deref());
    let rounds = plan.rounds(2000);
    let id = hand_in(&anna, data::predictions(ROWS, 1).as_bytes());
    until_scored(&anna, &id);
    let mut conn = Conn::open(&anna);
    let board = Conn::request(&anna, "GET", "/api/v1/challenges/bench/leaderboards/main", b"");
    let reads = reads(&anna, &board, Duration::from_secs(if plan.quick { 2 } else { 8 }));
    line(&format!("a page of the board, {READERS} clients"), format!("{:.0} a second, p99 {}", reads.0, ms(reads.1)));
    for (what, path) in [
        ("a page of the board", "/api/v1/challenges/bench/leaderboards/main".to_owned()),
        ("a status", format!("/api/v1/submissions/{id}")),
        ("a quota", "/api/v1/challenges/bench/quota".to_owned()),
        ("one's own submissions, a page", "/api/v1/challenges/bench/submissions".to_owned()),
    ] {
        let request = Conn::request(&anna, "GET", &path, b"");
        Times::of(rounds, |_| {
            let (status, body) = conn.ask(&request);
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(body));
        })
        .print(what);
    }
    let body = data::predictions(ROWS, 2).into_bytes();
    Times::of(plan.rounds(300), |_| until_scored(&anna, &hand_in(&anna, &body))).print("handed in, claimed and scored");
    watchers(server, &anna);
    assert_eq!(server.stop(), Some(0));
}

/// How often a request is answered in a second, and within what time 99 of 100 are.
fn reads(api: &Api, request: &[u8], time: Duration) -> (f64, Duration) {
    let began = Instant::now();
    let all: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..READERS)
            .map(|_| {
                scope.spawn(|| {
                    let (mut conn, mut times) = (Conn::open(api), Vec::new());
                    while began.elapsed() < time {
                        let asked = Instant::now();
                        let (status, _) = conn.ask(request);
                        assert_eq!(status, 200);
                        times.push(asked.elapsed());
                    }
                    times
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no reader panics")).collect()
    });
    let rate = all.len() as f64 / began.elapsed().as_secs_f64();
    (rate, Times::new(all).within(990))
}

/// What those cost who follow a submission that waits.
fn watchers(server: &Server, anna: &Api) {
    use std::io::{Read as _, Write as _};
    let operator = server.operator();
    let hold = |state: &str| {
        let body = format!(r#"{{"state":"{state}"}}"#);
        let kind = [("content-type", "application/json")];
        drop(operator.send("PUT", "/api/v1/challenges/bench/queue", &kind, body.as_bytes()));
    };
    hold("paused");
    let before = resident(server);
    let each = 10;
    let mut streams = Vec::new();
    // Of as many people: one may follow a few only.
    for number in 0..WATCHERS / each {
        let one = server.participant(&format!("watcher-{number}"));
        let id = hand_in(&one, data::predictions(ROWS, 3).as_bytes());
        let request = Conn::request(&one, "GET", &format!("/api/v1/submissions/{id}/events"), b"");
        for _ in 0..each {
            let mut stream = std::net::TcpStream::connect(anna.base.trim_start_matches("http://")).expect("it listens");
            stream.write_all(&request).expect("it reads");
            let mut piece = [0; 4096];
            assert!(stream.read(&mut piece).is_ok_and(|count| count > 0));
            assert!(piece.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&piece));
            streams.push(stream);
        }
    }
    let count = streams.len();
    line(&format!("memory for {count} who follow"), mib(resident(server).saturating_sub(before)));
    drop(streams);
    hold("open");
}
