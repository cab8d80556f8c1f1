//! What happens while a body is on its way, and to bodies that nobody reads to their end.

use gradus_e2e::{Api, Raw, Server, example, variant};
use std::time::{Duration, Instant};

const SUBMISSIONS: &str = "/api/v1/challenges/breast-cancer/phases/dev/submissions?filename=good.csv";

fn good() -> Vec<u8> {
    std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the example has a good sample")
}

/// Hands the good sample in, and does something when half of it is sent.
fn hand_in_and(api: &Api, meanwhile: impl FnOnce()) -> String {
    let body = good();
    let mut slow = Raw::begin(api, "POST", SUBMISSIONS, &format!("Content-Length: {}\r\n", body.len()));
    let (first, second) = body.split_at(body.len() / 2);
    slow.send(first);
    std::thread::sleep(Duration::from_millis(100));
    meanwhile();
    slow.send(second);
    slow.answer()
}

#[test]
fn what_holds_is_what_holds_when_the_last_byte_is_here() {
    let server = Server::start();
    server.publish_example("breast-cancer");
    let (anna, ben) = (server.participant("anna"), server.participant("ben"));
    let operator = server.operator();
    let me = anna.get("/api/v1/me").json();
    let id = me["id"].as_str().expect("a token has an id").to_owned();
    let revoke = || {
        let answer = operator.send("DELETE", &format!("/api/v1/tokens/{id}"), &[], &[]).expect("the server answers");
        assert!(answer.status < 300, "{}", answer.text());
    };
    let answer = hand_in_and(&anna, revoke);
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("invalid-token"), "{answer}");

    let home = tempfile::tempdir().expect("there is room for a folder");
    let over = "starts = 2020-01-01T00:00:00Z\nends = 2020-02-01T00:00:00Z\n";
    let dates = "starts = 2026-01-01T00:00:00Z\nends = 2036-01-01T00:00:00Z\n";
    let folder = variant("breast-cancer", home.path(), &[(dates, over)]);
    let answer = hand_in_and(&ben, || server.publish(&folder));
    assert!(answer.starts_with("HTTP/1.1 409") && answer.contains("phase-closed"), "{answer}");
    let kept = operator.get("/api/v1/challenges/breast-cancer/submissions").json();
    assert_eq!(kept["items"].as_array().map(Vec::len), Some(0), "{kept}");
}

#[test]
fn who_asks_first_is_told_before_the_body_is_sent() {
    let server = Server::start();
    server.publish_example("breast-cancer");
    let anna = server.participant("anna");
    let began = Instant::now();
    let headers = "Expect: 100-continue\r\nContent-Length: 900000000000\r\n";
    let answer = Raw::begin(&anna, "POST", SUBMISSIONS, headers).answer();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("too-large"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(2), "nothing is read on");
    let body = good();
    let headers = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len());
    let mut slow = Raw::begin(&anna, "POST", SUBMISSIONS, &headers);
    slow.send(&body);
    let answer = slow.answer();
    assert!(answer.starts_with("HTTP/1.1 100") && answer.contains("HTTP/1.1 202"), "{answer}");
}

#[test]
fn a_refusal_reaches_those_who_send_all_before_they_look() {
    let server = Server::start();
    let stranger = server.api().with(Some("gradus_none"));
    for path in [SUBMISSIONS, "/api/v1/challenges/c"] {
        let method = if path == SUBMISSIONS { "POST" } else { "PUT" };
        let mut slow = Raw::begin(&stranger, method, path, "Content-Length: 4000000\r\n");
        slow.send(&vec![b'x'; 4_000_000]);
        let answer = slow.answer();
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("invalid-token"), "{path}: {answer}");
    }
}

#[test]
fn small_json_is_small() {
    let server = Server::start();
    let anna = server.participant("anna");
    let headers = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    let mut slow = Raw::begin(&anna, "POST", "/api/v1/tokens", headers);
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    // Without an end: it is not read for long, and never kept.
    let began = Instant::now();
    while slow.try_send(chunk.as_bytes()) {
        assert!(began.elapsed() < Duration::from_secs(10), "it is read for ever");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the server runs");
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim().to_owned();
    let most: u64 = most.trim_end_matches(" kB").parse().expect("a size in kB");
    assert!(most < 200_000, "{most} kB");
}
