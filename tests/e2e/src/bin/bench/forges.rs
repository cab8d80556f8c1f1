//! Hooks of forges: how soon one is answered, and durable then, while many come; and how soon a pushed tag's forge is told that
//! it is graded, and what its score is.

use super::Plan;
use super::conn::Conn;
use super::data;
use super::figures::{Times, heading, line};
use gradus_e2e::git::{GitServer, Repos};
use gradus_e2e::{Api, Forge, NEW, Server, object, unpaced};
use serde_json::json;
use std::time::{Duration, Instant};

const ROWS: usize = 1000;
const TOKEN: &str = "token-of-the-bench";

/// Measures and prints.
pub fn run(plan: &Plan) {
    hooks(plan);
    pushed(plan);
}

/// A tag of a project, as a GitLab tells of it.
fn told(project: usize, tag: &str, id: &str, commit: &str) -> String {
    json!({ "event_name": "tag_push", "ref": format!("refs/tags/{tag}"), "before": NEW, "after": id, "checkout_sha": commit,
        "user_id": 3, "user_username": "anna", "project_id": project,
        "project": { "path_with_namespace": format!("course/p{project}") } })
    .to_string()
}

/// A request with its proof.
fn request(api: &Api, forge: &Forge, body: &str) -> Vec<u8> {
    let plain = Conn::request(api, "POST", &forge.path, body.as_bytes());
    let proof: String = forge.proof(body, 0).iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let at = plain.windows(2).position(|pair| pair == b"\r\n").expect("a request has a first line") + 2;
    [&plain[..at], proof.as_bytes(), &plain[at..]].concat()
}

/// From the first byte of a hook to its answer, while 300 come each second, of 200 projects.
fn hooks(plan: &Plan) {
    const EACH_SECOND: usize = 300;
    const SENDERS: usize = 32;
    let seconds = if plan.quick { 3 } else { 30 };
    heading(&format!("{EACH_SECOND} hooks a second for {seconds} s: until one is answered, and durable"));
    let server = Server::start_with(unpaced(""));
    let (forge, api) = (Forge::make(&server, "forge", "gitlab"), server.api());
    let every = Duration::from_secs_f64(SENDERS as f64 / EACH_SECOND as f64);
    let began = Instant::now();
    let end = began + Duration::from_secs(seconds);
    let times: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (forge, api) = (&forge, &api);
                scope.spawn(move || {
                    let (mut conn, mut times, mut round) = (Conn::open(api), Vec::new(), 0);
                    let mut due = began + every.mul_f64(sender as f64 / SENDERS as f64);
                    while due < end {
                        let number = round * SENDERS + sender;
                        let body = told(number % 200, &format!("v{number}"), &object(number), &object(number));
                        let request = request(api, forge, &body);
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        let (status, answer) = conn.ask(&request);
                        assert_eq!(status, 202, "{}", String::from_utf8_lossy(answer));
                        times.push(due.elapsed());
                        due += every;
                        round += 1;
                    }
                    times
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no forge panics")).collect()
    });
    let count = times.len();
    Times::new(times).print("from when it was to be sent");
    line("  sent", format!("{:.0} a second", count as f64 / seconds as f64));
}

/// From a hook to what its forge is told, one tag after the other, with nothing else to do.
fn pushed(plan: &Plan) {
    heading(&format!("a pushed tag with {ROWS} predictions, over HTTP, on this machine"));
    let server = Server::start_with(unpaced(""));
    let home = tempfile::tempdir().expect("there is room for a folder");
    data::write(home.path(), ROWS);
    let manifest = home.path().join("challenge.toml");
    let text = std::fs::read_to_string(&manifest).expect("it is there");
    let git = "\n[git]\nsources = [\"forge\"]\nprojects = [\"course/*\"]\nresults = \"p.csv\"\n";
    std::fs::write(manifest, text + git).expect("there is room");
    server.publish(home.path());
    let repos = Repos::default();
    let git = GitServer::start(&repos.root(), "oauth2", TOKEN);
    let forge = Forge::make_at(&server, "forge", "gitlab", &git.base, &json!({ "token": TOKEN, "private": true }));
    let repo = repos.make("course/p7.git");
    repo.write("gradus.json", json!({ "challenge_id": "bench" }).to_string());
    let api = server.api();
    let (mut running, mut scored) = (Vec::new(), Vec::new());
    for round in 0..plan.rounds(40) {
        repo.write("p.csv", data::predictions(ROWS, round as u64));
        let tag = format!("v{round}");
        let pushed = repo.push(&tag, true);
        let hook = request(&api, &forge, &told(7, &tag, &pushed.object, &pushed.commit));
        let mut conn = Conn::open(&api);
        let began = Instant::now();
        assert_eq!(conn.ask(&hook).0, 202);
        let mut told_running = None;
        loop {
            let states = git.mood.lab.states(&tag);
            if told_running.is_none() && states.iter().any(|(state, _)| state == "running" || state == "success") {
                told_running = Some(began.elapsed());
            }
            if states.iter().any(|(state, _)| state == "success") {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "it is not told: {states:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        scored.push(began.elapsed());
        running.extend(told_running);
    }
    Times::new(running).print("until its forge is told that it is graded, or was");
    Times::new(scored).print("until its forge is told its score and rank");
    // What of it is not ours: the same tag, fetched by git itself.
    let mut fetched = Vec::new();
    for round in 0..plan.rounds(20) {
        let to = home.path().join(format!("clone-{round}"));
        let began = Instant::now();
        let config = format!("http.extraHeader=Authorization: Basic {}", git.basic());
        let url = format!("{}/course/p7.git", git.base);
        gradus_e2e::git::git(
            home.path(),
            &[
                "-c",
                &config,
                "clone",
                "--quiet",
                "--bare",
                "--depth=1",
                "--branch=v0",
                &url,
                to.to_str().expect("UTF-8"),
            ],
        );
        fetched.push(began.elapsed());
    }
    Times::new(fetched).print("the same tag fetched by `git clone --depth 1`, beside it");
}
