//! The whole line, on real data: publish, hand in, grade, show; the same bits offline; and after a kill.

use gradus_e2e::{Api, Server, example, run, zip};
use serde_json::Value;
use std::time::Duration;

fn good() -> Vec<u8> {
    std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the example has a good sample")
}

fn submitted(answer: &gradus_e2e::Answer) -> String {
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()["id"].as_str().expect("a submission has an id").to_owned();
    assert_eq!(answer.header("location"), Some(format!("/api/v1/submissions/{id}").as_str()));
    id
}

#[test]
fn both_examples_hold_and_can_be_published() {
    for name in ["breast-cancer", "digits"] {
        let ran = run(&["challenge", "check", example(name).to_str().expect("UTF-8")], &[]);
        assert_eq!(ran.code, 0, "{name}: {}{}", ran.out, ran.err);
    }
    let server = Server::start();
    server.publish_example("digits");
    let sample = std::fs::read(example("digits").join("solutions/good.csv")).expect("the example has a good sample");
    let anna = server.participant("anna");
    let phase =
        anna.get("/api/v1/challenges/digits").json()["phases"][0]["id"].as_str().expect("it has a phase").to_owned();
    let id = submitted(&anna.submit("digits", &phase, "good.csv", &sample));
    assert_eq!(anna.ended(&id)["outcome"], "scored");
}

#[test]
fn the_report_is_the_same_here_there_and_after_a_restart() {
    let mut server = Server::start();
    server.publish_example("breast-cancer");
    let anna = server.participant("anna");
    let first = submitted(&anna.submit("breast-cancer", "dev", "good.csv", &good()));
    anna.ended(&first);
    let report = |server: &Server, id: &str| server.operator().get(&format!("/api/v1/submissions/{id}/report")).body;
    let here = report(&server, &first);
    let second = submitted(&anna.submit("breast-cancer", "dev", "good.csv", &good()));
    anna.ended(&second);
    assert_eq!(String::from_utf8_lossy(&here), String::from_utf8_lossy(&report(&server, &second)), "twice");

    let folder = example("breast-cancer");
    let file = folder.join("solutions/good.csv");
    let offline = run(&["score", folder.to_str().expect("UTF-8"), file.to_str().expect("UTF-8"), "--json"], &[]);
    assert_eq!(offline.code, 0, "{}", offline.err);
    assert_eq!(String::from_utf8_lossy(&here), offline.out, "offline");

    assert_eq!(server.stop(), Some(0), "it stops in order");
    // A lost operator's token is made again: `participant` below needs it.
    std::fs::remove_file(server.data().join("operator.token")).expect("the first start wrote it");
    server.again();
    assert_eq!(String::from_utf8_lossy(&here), String::from_utf8_lossy(&report(&server, &first)), "after a restart");
    let anna = server.participant("anna");
    let third = submitted(&anna.submit("breast-cancer", "dev", "good.csv", &good()));
    anna.ended(&third);
    assert_eq!(
        String::from_utf8_lossy(&here),
        String::from_utf8_lossy(&report(&server, &third)),
        "by the next process"
    );
}

#[test]
fn a_single_file_and_archives_of_it_are_one() {
    let server = Server::start();
    server.publish_example("breast-cancer");
    let zipped = zip(&[("good.csv", &good())]);
    let mut packed = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default()));
    let mut header = tar::Header::new_gnu();
    header.set_size(good().len() as u64);
    header.set_mode(0o644);
    packed.append_data(&mut header, "outer/good.csv", good().as_slice()).expect("tar");
    let packed = packed.into_inner().expect("tar").finish().expect("gzip");
    let anna = server.participant("anna");
    let digest = |name: &str, bytes: &[u8]| -> Value {
        let id = submitted(&anna.submit("breast-cancer", "dev", name, bytes));
        assert_eq!(anna.ended(&id)["outcome"], "scored");
        server.operator().get(&format!("/api/v1/submissions/{id}/report")).json()["digests"]["predictions"].clone()
    };
    let bare = digest("good.csv", &good());
    assert_eq!(digest("x.zip", &zipped), bare);
    assert_eq!(digest("x.tar.gz", &packed), bare);
}

#[test]
fn events_are_told_in_order_and_from_any_point() {
    let server = Server::start();
    server.publish_example("breast-cancer");
    let anna = server.participant("anna");
    let id = submitted(&anna.submit("breast-cancer", "dev", "good.csv", &good()));
    // The stream ends with the submission.
    let all = anna.get(&format!("/api/v1/submissions/{id}/events")).text();
    let events = |text: &str| -> Vec<Value> {
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        let logged = data.map(|data| serde_json::from_str::<Value>(data).expect("JSON"));
        logged.filter(|event| event["seq"].is_u64()).collect()
    };
    let told = events(&all);
    let seqs: Vec<u64> = told.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=told.len() as u64).collect::<Vec<_>>(), "{all}");
    let words: Vec<_> = told.iter().map(|e| e["state"].as_str().or(e["outcome"].as_str()).unwrap_or("?")).collect();
    assert_eq!(words, ["queued", "scoring", "scored", "scored"], "{all}");
    let path = format!("/api/v1/submissions/{id}/events");
    let rest = anna.send("GET", &path, &[("last-event-id", "2")], b"").expect("the server answers").text();
    assert_eq!(events(&rest), told[2..]);
    // From the last one, and from beyond it: the stream ends, as nothing can follow.
    for last in ["4", "99999"] {
        let answer = anna.send("GET", &path, &[("last-event-id", last)], b"").expect("the stream ends");
        assert_eq!(events(&answer.text()), [Value::Null; 0], "{last}");
    }
}

#[test]
fn a_killed_server_goes_on_where_it_was() {
    let mut server = Server::start();
    server.publish_example("breast-cancer");
    let token = server.participant("anna").token;
    for round in 0..5 {
        // Acknowledged, and killed at once: before, in or after the run.
        let anna = Api::new(&server.base, token.as_deref());
        let id = submitted(&anna.submit("breast-cancer", "dev", "good.csv", &good()));
        std::thread::sleep(Duration::from_millis(round));
        server.kill();
        server.again();
        let anna = Api::new(&server.base, token.as_deref());
        assert_eq!(anna.ended(&id)["outcome"], "scored", "round {round}");
        let events = anna.get(&format!("/api/v1/submissions/{id}/events")).text();
        assert_eq!(events.matches("\"kind\":\"report\"").count(), 1, "one result: {events}");
        let board = anna.get("/api/v1/challenges/breast-cancer/leaderboards/main").json();
        assert_eq!(board["items"].as_array().map(Vec::len), Some(1), "{board}");
        let quota = anna.get("/api/v1/challenges/breast-cancer/quota").json();
        assert_eq!(quota["phases"][0]["rules"][0]["used"], round + 1, "charged once each: {quota}");
    }
}
