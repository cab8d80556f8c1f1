//! Stopping in order and not in order, in the middle of a run: nothing is lost, nothing is done twice.

use gradus_e2e::{Api, Options, Server, misbehaving_challenge};
use serde_json::Value;
use std::time::{Duration, Instant};

/// A run of several seconds, on a slow machine of some more: long enough to be met in the middle.
const SLOW: &str = "{ do = \"compute\", n = 2000000000, admit = true }";

fn server() -> Server {
    let server = Server::start_with(Options { config: "[workers]\ngraders = 1\n".into(), under: Vec::new() });
    let folder = tempfile::tempdir().expect("there is room for a folder");
    misbehaving_challenge(folder.path(), "slow", SLOW, "truth", "public");
    server.publish(folder.path());
    server
}

fn state(api: &Api, id: &str) -> String {
    api.get(&format!("/api/v1/submissions/{id}")).json()["state"].as_str().unwrap_or_default().to_owned()
}

fn hand_in(api: &Api) -> String {
    let answer = api.submit("slow", "dev", "p.csv", b"x");
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["id"].as_str().expect("a submission has an id").to_owned()
}

/// Waits until the run is on.
fn running(api: &Api, id: &str) {
    let until = Instant::now() + Duration::from_secs(30);
    while state(api, id) != "scoring" {
        assert!(Instant::now() < until, "it is {}", state(api, id));
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(state(api, id), "scoring", "the run is too short for this test");
}

/// One result, told once, charged once, ranked once.
fn once(api: &Api, id: &str, used: u64) {
    assert_eq!(api.ended(id)["outcome"], "scored");
    let events = api.get(&format!("/api/v1/submissions/{id}/events")).text();
    assert_eq!(events.matches("\"kind\":\"report\"").count(), 1, "{events}");
    let ends = events.lines().filter_map(|line| line.strip_prefix("data:")).filter_map(|data| {
        let event: Value = serde_json::from_str(data).expect("JSON");
        (event["state"] == "scored").then_some(event)
    });
    assert_eq!(ends.count(), 1, "{events}");
    let quota = api.get("/api/v1/challenges/slow/quota").json();
    assert_eq!(quota["phases"][0]["rules"][0]["used"], used, "{quota}");
    assert_eq!(quota["phases"][0]["open"], 0, "{quota}");
    let board = api.get("/api/v1/challenges/slow/leaderboards/main").json();
    assert_eq!(board["items"].as_array().map(Vec::len), Some(1), "{board}");
}

#[test]
fn a_stop_in_the_middle_of_a_run_puts_it_back() {
    let mut server = server();
    let anna = server.participant("anna");
    let (id, waiting) = (hand_in(&anna), hand_in(&anna));
    running(&anna, &id);
    let (listener, path) = (anna.clone(), format!("/api/v1/submissions/{id}/events"));
    let stream = std::thread::spawn(move || listener.get(&path).text());
    std::thread::sleep(Duration::from_millis(200));
    assert!(!stream.is_finished(), "the stream goes on with the run");
    // Twice: the second finds it stopping, or gone.
    let twice = std::process::Command::new("kill").args(["-TERM", &server.pid().to_string()]).status();
    assert!(twice.expect("kill is there").success());
    let began = Instant::now();
    assert_eq!(server.stop(), Some(0), "it stops in order");
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    let told = stream.join().expect("the stream ends in order");
    assert!(told.contains("\"scoring\"") && !told.contains("\"kind\":\"report\""), "{told}");

    server.again();
    let anna = Api::new(&server.base, anna.token.as_deref());
    once(&anna, &waiting, 2);
    once(&anna, &id, 2);
}

#[test]
fn a_kill_in_the_middle_of_a_run_costs_nothing_but_time() {
    let mut server = server();
    let anna = server.participant("anna");
    let id = hand_in(&anna);
    for _ in 0..2 {
        let anna = Api::new(&server.base, anna.token.as_deref());
        running(&anna, &id);
        server.kill();
        server.again();
    }
    once(&Api::new(&server.base, anna.token.as_deref()), &id, 1);
}

#[test]
fn a_stop_in_the_middle_of_a_publication_leaves_it_to_the_next_start() {
    let mut server = Server::start();
    let folder = tempfile::tempdir().expect("there is room for a folder");
    misbehaving_challenge(folder.path(), "slow", SLOW, "truth", "public");
    let manifest = folder.path().join("challenge.toml");
    let text = std::fs::read_to_string(&manifest).expect("it has a manifest");
    let solution = "[[solutions]]\npath = \"sample.txt\"\noutcome = \"scored\"\n";
    std::fs::write(&manifest, text + solution).expect("there is room");
    std::fs::write(folder.path().join("sample.txt"), "x").expect("there is room");
    let mut packed = tar::Builder::new(Vec::new());
    packed.append_dir_all("folder", folder.path()).expect("it can be packed");
    let packed = packed.into_inner().expect("it can be packed");
    let answer = server.operator().send("PUT", "/api/v1/challenges/slow", &[], &packed).expect("the server answers");
    assert_eq!(answer.status, 202, "{}", answer.text());
    let place = answer.header("location").expect("it says where the operation is").to_owned();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.operator().get(&place).json()["state"], "running", "the solution is too fast for this test");
    let began = Instant::now();
    assert_eq!(server.stop(), Some(0), "it stops in order");
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());

    server.again();
    let until = Instant::now() + Duration::from_secs(60);
    let state = || server.operator().get(&place).json()["state"].clone();
    while state() == "running" {
        assert!(Instant::now() < until, "it goes on by itself");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(state(), "done");
    assert_eq!(server.api().get("/api/v1/challenges/slow").status, 200, "it is live");
}
