//! Programs while the host or the container engine is killed at any moment: nothing is lost, doubled or left behind.
//!
//! A few rounds, to be done each time; `cargo xtask torture` does as many as `GRADUS_ROUNDS` says.

use gradus_e2e::programs::{Engine, alone};
use gradus_e2e::{Api, Options, OwnEngine, Server, rows, run, skip, until};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn rounds(few: u64) -> u64 {
    std::env::var("GRADUS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(few)
}

/// A moment up to `most` milliseconds from now; which, follows from the round.
fn moment(round: u64, most: u64) -> Duration {
    Duration::from_millis((round.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % most)
}

const PROGRAM: &str = "cp /app/input_data/rows.csv /app/output/predictions.csv; sleep 0.4";

/// A server with a challenge, on an engine of the test's own.
struct Served {
    own: OwnEngine,
    engine: Engine,
    anna: Api,
    server: Server,
}

fn served() -> Result<Served, String> {
    let own = OwnEngine::start()?;
    let engine = own.engine();
    let image = engine.image("")?;
    let config = format!("[runner]\nengine = \"{}\"\n", own.socket().display());
    let folder = rows::challenge(&image, "");
    let server = Server::start_with(Options { config, under: Vec::new() });
    server.publish(folder.path());
    let anna = server.participant("anna");
    Ok(Served { own, engine, anna, server })
}

/// Each ended as it should, told once, charged once.
fn all_are_scored_once(api: &Api, ids: &[String], used: u64) {
    for id in ids {
        let ended = api.ended(id);
        assert_eq!(ended["outcome"], "scored", "{ended}");
        let told = api.get(&format!("/api/v1/submissions/{id}/events")).text();
        assert_eq!(told.matches("\"kind\":\"report\"").count(), 1, "{told}");
    }
    let quota = api.get("/api/v1/challenges/rows/quota").json();
    assert_eq!(quota["phases"][0]["rules"][0]["used"], used, "{quota}");
    assert_eq!(quota["phases"][0]["open"], 0, "{quota}");
}

#[test]
fn a_host_that_is_killed_at_any_moment_loses_nothing() {
    let _alone = alone();
    let engine = Engine::default();
    let image = match engine.image("") {
        Ok(image) => image,
        Err(why) => return skip(&why),
    };
    let folder = rows::challenge(&image, "");
    let mut server = Server::start();
    server.publish(folder.path());
    let mut anna = server.participant("anna");
    let mut used = 0;
    for round in 1..=rounds(3) {
        let ids: Vec<_> = (0..2).map(|_| rows::hand_in(&anna, PROGRAM)).collect();
        used += ids.len() as u64;
        std::thread::sleep(moment(round, 1_600));
        server.kill();
        server.again();
        anna = Api::new(&server.base, anna.token.as_deref());
        all_are_scored_once(&anna, &ids, used);
        engine.assert_nothing_is_left(server.data(), &format!("round {round}"));
    }
}

#[test]
fn an_engine_that_is_killed_at_any_moment_loses_nothing() {
    let _alone = alone();
    let Served { mut own, engine, server, anna } = match served() {
        Ok(served) => served,
        Err(why) => return skip(&why),
    };
    let mut used = 0;
    for round in 1..=rounds(2) {
        let ids: Vec<_> = (0..2).map(|_| rows::hand_in(&anna, PROGRAM)).collect();
        used += ids.len() as u64;
        std::thread::sleep(moment(round, 1_600));
        own.kill();
        std::thread::sleep(moment(round + 1_000, 3_000));
        own.again();
        all_are_scored_once(&anna, &ids, used);
        engine.assert_nothing_is_left(server.data(), &format!("round {round}"));
    }
}

#[test]
fn without_its_engine_no_program_goes_on() {
    let _alone = alone();
    let Served { mut own, engine, server, anna } = match served() {
        Ok(served) => served,
        Err(why) => return skip(&why),
    };
    let id = rows::hand_in(&anna, "echo here; sleep 4711");
    until("it prints", || anna.get(&format!("/api/v1/submissions/{id}/logs/stdout")).text() == "here\n");
    own.kill();
    let goes_on = || Command::new("pgrep").args(["-f", "^sleep 4711$"]).stdout(Stdio::null()).status();
    until("it is ended", || !goes_on().expect("pgrep is there").success());
    assert_eq!(anna.post(&format!("/api/v1/submissions/{id}/cancel"), b"").status, 200);
    own.again();
    engine.assert_nothing_is_left(server.data(), "without an engine");
}

#[test]
fn an_engine_that_comes_late_and_goes_is_waited_for() {
    let _alone = alone();
    let mut own = match OwnEngine::start() {
        Ok(own) => own,
        Err(why) => return skip(&why),
    };
    let engine = own.engine();
    let image = match engine.image("") {
        Ok(image) => image,
        Err(why) => return skip(&why),
    };
    own.kill();
    let config = format!("[runner]\nengine = \"{}\"\n", own.socket().display());
    let folder = rows::challenge(&image, "");
    let server = Server::start_with(Options { config, under: Vec::new() });
    let operator = server.data().join("operator.token");
    let environment =
        [("GRADUS_SERVER", server.base.as_str()), ("GRADUS_TOKEN_FILE", operator.to_str().expect("UTF-8"))];
    let publish = || run(&["challenge", "publish", "--no-check", folder.path().to_str().expect("UTF-8")], &environment);
    let refused = publish();
    assert!(refused.code != 0 && refused.err.contains("none can be run here"), "{}{}", refused.out, refused.err);
    let ready = || server.api().get("/readyz").json();
    let told = ready();
    assert_eq!((&told["ready"], told["programs"] != "ok"), (&true.into(), true), "results are graded: {told}");
    // It comes, and the server takes it up by itself.
    own.again();
    let end = Instant::now() + Duration::from_secs(30);
    while publish().code != 0 {
        assert!(Instant::now() < end, "the server does not see its engine");
        std::thread::sleep(Duration::from_millis(200));
    }
    until("it says so", || ready()["programs"] == "ok");
    let anna = server.participant("anna");
    own.kill();
    let id = rows::hand_in(&anna, PROGRAM);
    std::thread::sleep(Duration::from_secs(3));
    let waits = anna.get(&format!("/api/v1/submissions/{id}")).json();
    assert_eq!(waits["state"], "queued", "{waits}");
    assert!(waits["reason"].as_str().is_some_and(|reason| reason.contains("cannot be run on this server")), "{waits}");
    own.again();
    all_are_scored_once(&anna, &[id], 1);
    engine.assert_nothing_is_left(server.data(), "at the end");
}
