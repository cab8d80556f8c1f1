//! The server is killed at any moment while everybody hands in: nothing acknowledged is lost, nothing is doubled or stuck, and
//! quotas and boards are what a person with pencil and paper would make of it.
//!
//! A few rounds, to be done each time; `cargo xtask torture` does as many as `GRADUS_ROUNDS` says.

use gradus_e2e::{Api, Server, example, run, unpaced, variant};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// So often all is stopped and looked over.
const LOOK: u64 = 25;
const ENTRANTS: [&str; 4] = ["anna", "ben", "carl", "dora"];

fn rounds(few: u64) -> u64 {
    std::env::var("GRADUS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(few)
}

/// A number below `most`; which, follows from `seed`.
fn number(seed: u64, most: u64) -> u64 {
    (seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % most
}

/// One who hands in, and what they know of it.
struct Entrant {
    name: &'static str,
    token: String,
    /// Sent so far, each under a key of its own: the last may not be acknowledged yet.
    sent: u64,
    /// Acknowledged: the submission of each key.
    known: Vec<String>,
}

impl Entrant {
    /// Sends the one that was not acknowledged yet. `false`: nobody answers.
    fn send(&mut self, base: &str, files: &[Vec<u8>]) -> bool {
        let api = Api::new(base, Some(&self.token));
        let key = format!("{}-{}", self.name, self.sent);
        let file = &files[usize::try_from(number(self.sent, files.len() as u64)).expect("it is small")];
        let path = "/api/v1/challenges/breast-cancer/phases/dev/submissions?filename=p.csv";
        let Ok(answer) = api.send("POST", path, &[("idempotency-key", &key)], file) else { return false };
        match answer.status {
            202 => self.known.push(answer.json()["id"].as_str().expect("an id").to_owned()),
            // Much waits.
            429 | 503 => std::thread::sleep(Duration::from_millis(20)),
            status => panic!("{status}: {}", answer.text()),
        }
        true
    }

    /// Hands in until `over`, or until nobody answers.
    fn work(&mut self, base: &str, files: &[Vec<u8>], over: &AtomicBool) {
        while !over.load(Ordering::SeqCst) {
            if self.known.len() as u64 == self.sent {
                self.sent += 1;
            }
            if !self.send(base, files) {
                return;
            }
        }
    }
}

struct Setting {
    server: Server,
    entrants: Vec<Arc<Mutex<Entrant>>>,
    files: Vec<Vec<u8>>,
    /// What each of the files gets, as the board's first column has it.
    scores: Vec<f64>,
    /// Submissions of each that were found well, and are not looked at again.
    looked: usize,
}

fn ids(entrant: &Mutex<Entrant>) -> Vec<String> {
    entrant.lock().expect("nothing panics").known.clone()
}

/// The board: who, and what they have in its first column.
fn rows(operator: &Api) -> Vec<(String, f64)> {
    let board = operator.get("/api/v1/challenges/breast-cancer/leaderboards/main").json();
    let row = |row: &Value| {
        let value = row["values"][0].as_f64().expect("a value");
        (row["entrant"].as_str().expect("a name").to_owned(), value)
    };
    board["items"].as_array().expect("rows").iter().map(row).collect()
}

impl Setting {
    fn api(&self, entrant: &Mutex<Entrant>) -> Api {
        Api::new(&self.server.base, Some(&entrant.lock().expect("nothing panics").token))
    }

    /// Everybody hands in, until the server is killed after `wait`.
    fn round(&mut self, wait: Duration, backup: bool) {
        let over = Arc::new(AtomicBool::new(false));
        let mut working: Vec<_> = self
            .entrants
            .iter()
            .map(|entrant| {
                let (entrant, over) = (Arc::clone(entrant), Arc::clone(&over));
                let (base, files) = (self.server.base.clone(), self.files.clone());
                std::thread::spawn(move || entrant.lock().expect("nothing panics").work(&base, &files, &over))
            })
            .collect();
        if backup {
            let operator = self.server.operator();
            // Nobody needs it; it is in the way.
            working.push(std::thread::spawn(move || drop(operator.send("GET", "/api/v1/backup", &[], b""))));
        }
        std::thread::sleep(wait);
        self.server.kill();
        over.store(true, Ordering::SeqCst);
        working.into_iter().for_each(|worker| worker.join().expect("nobody is told what is wrong"));
        self.server.again();
    }

    /// Each acknowledged one has one result; quotas and the board are right. Then what is stored is looked over.
    fn look(&mut self) {
        // What was not acknowledged is sent again, so that it counts once.
        for entrant in &self.entrants {
            let mut entrant = entrant.lock().expect("nothing panics");
            while (entrant.known.len() as u64) < entrant.sent {
                assert!(entrant.send(&self.server.base, &self.files), "the server answers");
            }
        }
        let operator = self.server.operator();
        let end = Instant::now() + Duration::from_secs(60);
        while operator.get("/api/v1/queue").json()["items"].as_array().is_none_or(|items| !items.is_empty()) {
            assert!(Instant::now() < end, "something is stuck: {}", operator.get("/api/v1/queue").text());
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut expected = Vec::new();
        let mut looked = usize::MAX;
        for entrant in &self.entrants {
            let (api, ids) = (self.api(entrant), ids(entrant));
            let unique: std::collections::BTreeSet<_> = ids.iter().collect();
            assert_eq!(unique.len(), ids.len(), "two keys are two submissions");
            for id in ids.iter().skip(self.looked) {
                let info = api.get(&format!("/api/v1/submissions/{id}")).json();
                assert_eq!(info["outcome"], "scored", "{info}");
                let told = api.get(&format!("/api/v1/submissions/{id}/events")).text();
                assert_eq!(told.matches("\"kind\":\"report\"").count(), 1, "{told}");
            }
            looked = looked.min(ids.len());
            let quota = api.get("/api/v1/challenges/breast-cancer/quota").json();
            let phase = &quota["phases"][0];
            assert_eq!((&phase["rules"][0]["used"], &phase["open"]), (&ids.len().into(), &0.into()), "{quota}");
            let sent = 1..=ids.len() as u64;
            let best =
                sent.map(|key| self.scores[usize::try_from(number(key, self.scores.len() as u64)).expect("small")]);
            let name = entrant.lock().expect("nothing panics").name;
            expected.extend(best.max_by(f64::total_cmp).map(|best| (name.to_owned(), best)));
        }
        self.looked = looked;
        let mut rows = rows(&operator);
        assert!(rows.is_sorted_by(|a, b| a.1 >= b.1), "{rows:?}");
        rows.retain(|row| !row.0.starts_with("probe"));
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(rows, expected);
        assert_eq!(self.server.stop(), Some(0));
        let checked = run(&["admin", "check", "--data", self.server.data().to_str().expect("UTF-8")], &[]);
        assert_eq!(checked.code, 0, "{checked:?}");
        self.server.again();
    }
}

#[test]
fn a_server_that_is_killed_while_all_hand_in_loses_nothing() {
    let home = tempfile::tempdir().expect("there is room for a folder");
    let quota = "quota = [{ limit = 20, per = \"day\", zone = \"UTC\" }, { limit = 100 }]";
    let folder = variant("breast-cancer", home.path(), &[(quota, "quota = [{ limit = 1000000 }]")]);
    let server = Server::start();
    server.publish(&folder);
    let names = ["mediocre.csv", "cheat-majority.csv", "good.csv", "mediocre.csv"];
    let file = |name| std::fs::read(example("breast-cancer").join("solutions").join(name)).expect("the example has it");
    let files: Vec<Vec<u8>> = names.into_iter().map(file).collect();
    // What each of them gets.
    for (number, file) in files.iter().enumerate() {
        let probe = server.participant(&format!("probe{number}"));
        let answer = probe.submit("breast-cancer", "dev", "p.csv", file);
        probe.ended(answer.json()["id"].as_str().expect("an id"));
    }
    let rows = rows(&server.operator());
    let of = |number: usize| rows.iter().find(|row| row.0 == format!("probe{number}")).expect("it is there").1;
    let scores = (0..files.len()).map(of).collect();
    let entrant = |name| {
        let token = server.participant(name).token.expect("a participant has a token");
        Arc::new(Mutex::new(Entrant { name, token, sent: 0, known: Vec::new() }))
    };
    let entrants = ENTRANTS.into_iter().map(entrant).collect();
    let mut setting = Setting { server, entrants, files, scores, looked: 0 };
    let rounds = rounds(4);
    for round in 1..=rounds {
        let wait = Duration::from_millis(number(round, 400));
        setting.round(wait, round % 7 == 0);
        if round % LOOK == 0 || round == rounds {
            setting.look();
        }
    }
    let handed_in: usize = setting.entrants.iter().map(|entrant| ids(entrant).len()).sum();
    println!("{rounds} rounds, {handed_in} submissions");
    assert!(handed_in as u64 >= rounds, "hardly anything was handed in");
}

/// 200 clients hand in at once where five may: five are taken, and all others are told by which rule.
#[test]
fn no_race_of_clients_passes_a_quota() {
    let home = tempfile::tempdir().expect("there is room for a folder");
    let quota = "quota = [{ limit = 20, per = \"day\", zone = \"UTC\" }, { limit = 100 }]";
    let folder = variant(
        "breast-cancer",
        home.path(),
        &[(quota, "quota = [{ limit = 5 }]"), ("max_queued = 20", "max_queued = 100")],
    );
    let server = Server::start_with(unpaced(""));
    server.publish(&folder);
    let anna = server.participant("anna");
    let good = std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the example has it");
    let all = std::sync::Barrier::new(200);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..200)
            .map(|_| {
                scope.spawn(|| {
                    let api = Api::new(&server.base, anna.token.as_deref());
                    all.wait();
                    loop {
                        let answer = api.submit("breast-cancer", "dev", "p.csv", &good);
                        // Much is taken in at once: it says when to come again.
                        if answer.code() == "over-quota" || answer.status == 202 {
                            return answer;
                        }
                        assert!([429, 503].contains(&answer.status), "{}", answer.text());
                        std::thread::sleep(Duration::from_millis(50));
                    }
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("nobody panics")).collect()
    });
    let ids: Vec<_> =
        answers.iter().filter(|answer| answer.status == 202).map(|answer| answer.json()["id"].clone()).collect();
    assert_eq!(ids.len(), 5);
    for answer in answers.iter().filter(|answer| answer.status != 202) {
        assert_eq!((answer.status, &answer.json()["rule"]["limit"]), (429, &5.into()), "{}", answer.text());
    }
    for id in &ids {
        assert_eq!(anna.ended(id.as_str().expect("an id"))["outcome"], "scored");
    }
    let used = anna.get("/api/v1/challenges/breast-cancer/quota").json();
    assert_eq!(used["phases"][0]["rules"][0]["used"], 5, "{used}");
}

/// The server sleeps for longer than its claims last, as a machine that is suspended does, while much waits and some are worked
/// on: nothing is graded twice, and nothing is stuck.
#[test]
fn a_server_that_sleeps_past_its_claims_grades_all_once() {
    let home = tempfile::tempdir().expect("there is room for a folder");
    let quota = "quota = [{ limit = 20, per = \"day\", zone = \"UTC\" }, { limit = 100 }]";
    let changes = [(quota, "quota = [{ limit = 1000000 }]"), ("max_queued = 20", "max_queued = 10000")];
    let folder = variant("breast-cancer", home.path(), &changes);
    let server = Server::start_with(unpaced(""));
    server.publish(&folder);
    let anna = server.participant("anna");
    let good = std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the example has it");
    let signal = |name: &str| {
        let sent = std::process::Command::new("kill").args([name, &server.pid().to_string()]).status();
        assert!(sent.is_ok_and(|sent| sent.success()));
    };
    let mut known = Vec::new();
    let mut hand_in = |count: usize| {
        for _ in 0..count {
            let answer = anna.submit("breast-cancer", "dev", "p.csv", &good);
            assert_eq!(answer.status, 202, "{}", answer.text());
            known.push(answer.json()["id"].as_str().expect("an id").to_owned());
        }
    };
    let queue = |state: &str| {
        let body = format!(r#"{{"state":"{state}"}}"#);
        let kind = [("content-type", "application/json")];
        let set = server.operator().send("PUT", "/api/v1/challenges/breast-cancer/queue", &kind, body.as_bytes());
        assert_eq!(set.expect("the server answers").status, 200);
    };
    queue("paused");
    hand_in(100);
    queue("open");
    signal("-STOP");
    // Longer than a claim lasts.
    std::thread::sleep(Duration::from_secs(32));
    signal("-CONT");
    let load = server.operator().get("/api/v1/challenges/breast-cancer/queue").json();
    assert!(load["waiting"].as_u64().is_some_and(|waiting| waiting > 0), "it was asleep in the middle of it: {load}");
    hand_in(60);
    for round in 0..5_u64 {
        signal("-STOP");
        std::thread::sleep(Duration::from_millis(50 + number(round, 300)));
        signal("-CONT");
        hand_in(10);
    }
    for id in &known {
        assert_eq!(anna.ended(id)["outcome"], "scored");
        let told = anna.get(&format!("/api/v1/submissions/{id}/events")).text();
        assert_eq!(told.matches("\"kind\":\"report\"").count(), 1, "{told}");
    }
    let quota = anna.get("/api/v1/challenges/breast-cancer/quota").json();
    let phase = &quota["phases"][0];
    assert_eq!((&phase["rules"][0]["used"], &phase["open"]), (&known.len().into(), &0.into()), "{quota}");
}
