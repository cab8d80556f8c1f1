//! A process that is killed while it writes: what it acknowledged is there, whole.

use super::*;
use gradus_core::domain::event::EventKind;
use gradus_core::ports::store::{Admitted, Advanced};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

const ROUNDS: u64 = 10;
const CHILD: &str = "adapters::store_sled::tests::kill::writes_until_it_is_killed";

/// The child: takes submissions in and ends them, with four threads, and says so once each is acknowledged.
#[test]
#[ignore = "the child of `what_was_acknowledged_survives_a_kill`, which feeds and kills it"]
fn writes_until_it_is_killed() {
    let mut told = String::new();
    std::io::stdin().read_line(&mut told).unwrap();
    let (first, dir) = told.trim_end().split_once(' ').unwrap();
    let first: u64 = first.parse().unwrap();
    let store = open(Path::new(dir)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for n in (first + thread..).step_by(4) {
                    let tracked = rows::admitted(store, n, "c", &format!("e{}", n % 8));
                    say("in", n);
                    let mut end = rows::to(&tracked, State::Scored, n);
                    end.settle = rows::settle(&tracked, Settlement::Charge);
                    end.events = vec![EventKind::Report { outcome: "scored".into() }];
                    end.report = Some(Body::Inline("r".repeat(n as usize % 3_000)));
                    end.placements = vec![placement(&rows::board("c", "1"), n, &tracked.submission)];
                    assert!(matches!(store.advance(end).unwrap(), Advanced::Stored { .. }));
                    say("end", n);
                }
            });
        }
    });
}

/// Where the `n`th submission goes.
fn placement(board: &BoardKey, n: u64, submission: &Submission) -> Placement {
    rows::placement(board, Rule::Best, n, submission.entrant.as_str(), (n % 101) as f64)
}

fn say(what: &str, n: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "acknowledged {what} {n}").unwrap();
    out.flush().unwrap();
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([CHILD, "--exact", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{} {}", round * 1_000_000 + 1, folder.path().display()).unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
        let mut wanted = 20 + round * 23;
        let mut take = |line: String| {
            let ack = line.strip_prefix("acknowledged ").and_then(|ack| ack.split_once(' '));
            acknowledged.extend(ack.map(|(what, n)| (what == "end", n.parse::<u64>().unwrap())));
            ack.is_some()
        };
        for line in lines.by_ref() {
            wanted -= u64::from(take(line));
            if wanted == 0 {
                break;
            }
        }
        assert_eq!(wanted, 0, "the child ended by itself");
        std::thread::sleep(Duration::from_micros(round * 700));
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died counts too; its last line may be cut.
        let mut rest: Vec<_> = lines.collect();
        rest.pop();
        rest.into_iter().for_each(|line| _ = take(line));
        all_is_there(&open(folder.path()).unwrap(), &acknowledged);
    }
    assert!(acknowledged.len() > 1_000);
}

fn all_is_there(store: &SledStore, acknowledged: &[(bool, u64)]) {
    for (ended, n) in acknowledged {
        let id = rows::submission_id(*n);
        let tracked = store.submission(id).unwrap().unwrap_or_else(|| panic!("{n} was lost"));
        if *ended {
            assert_eq!(tracked.job.state, State::Scored, "{n}");
        }
    }
    // Nothing is there by half: rows of one change are all there or none is.
    let everything = store.submissions(&"c".parse().unwrap(), None, None, usize::MAX).unwrap();
    let (mut open, mut by_entrant) = (0, [(0_u64, 0_u32); 8]);
    let mut best: [Option<Entry>; 8] = Default::default();
    let board = rows::board("c", "1");
    for Tracked { submission, job, .. } in &everything {
        let ended = job.state == State::Scored;
        let entrant: usize = submission.entrant.as_str()[1..].parse().unwrap();
        let n = submission.submitted_at.as_second() as u64 - rows::at(0).as_second() as u64;
        open += usize::from(!ended);
        by_entrant[entrant].0 += 1;
        by_entrant[entrant].1 += u32::from(!ended);
        if ended {
            let entry = placement(&board, n, submission).entry;
            if best[entrant].as_ref().is_none_or(|best| entry.key < best.key) {
                best[entrant] = Some(entry);
            }
        }
        assert_eq!(store.report(submission.id).unwrap().is_some(), ended);
        assert_eq!(store.events(submission.id, 0, 9).unwrap().len(), 1 + usize::from(ended));
    }
    assert_eq!(store.open_jobs().unwrap().len(), open);
    for (entrant, (total, open)) in by_entrant.into_iter().enumerate() {
        let submission = rows::submission(1, "c", &format!("e{entrant}"));
        let ledger = store.ledger(&LedgerKey::of(&submission)).unwrap();
        assert_eq!((ledger.total, ledger.open), (total, open), "ledger of e{entrant}");
        assert_eq!(store.entry(&board, &submission.entrant).unwrap(), best[entrant]);
    }
    let mut listed: Vec<Entry> = best.into_iter().flatten().collect();
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(store.entries(&board, None, 100).unwrap(), listed);
    // And it goes on.
    let fresh = acknowledged.len() as u64 + 500_000_000;
    assert!(matches!(store.admit(rows::admission(fresh, "other", "anna")).unwrap(), Admitted::Accepted { .. }));
}
