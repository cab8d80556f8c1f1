//! The door: phases, quotas, tokens, bodies, idempotency keys. A refusal has a code and leaves nothing.

use gradus_e2e::{Answer, Api, Kept, Options, Raw, Server, example, variant, wide};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Barrier;
use std::time::{Duration, Instant};

fn good() -> Vec<u8> {
    std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the example has a good sample")
}

/// The example under another id, with a quota of five in all.
fn five_in_all(server: &Server) {
    let home = tempfile::tempdir().expect("there is room for a folder");
    let quota = "quota = [{ limit = 20, per = \"day\", zone = \"UTC\" }, { limit = 100 }]";
    let changes = [("id = \"breast-cancer\"", "id = \"five\""), (quota, "quota = [{ limit = 5 }]")];
    server.publish(&variant("breast-cancer", home.path(), &changes));
}

#[test]
fn unknown_closed_and_future_places() {
    let server = Server::start();
    let home = tempfile::tempdir().expect("there is room for a folder");
    let phase = |id: &str, starts: u32, ends: u32| {
        format!(
            "[[phases]]\nid = \"{id}\"\ntitle = \"{id}\"\nstarts = {starts}-01-01T00:00:00Z\nends = {ends}-01-01T00:00:00Z\ntasks = [\"main\"]\n\n"
        )
    };
    let past = phase("past", 2020, 2021) + "[[phases]]\nid = \"dev\"";
    let later = phase("later", 2036, 2037) + "[[tasks]]";
    let changes = [("[[phases]]\nid = \"dev\"", past.as_str()), ("[[tasks]]", &later)];
    server.publish(&variant("breast-cancer", home.path(), &changes));
    let anna = server.participant("anna");
    let before = Kept::now(&server, &anna, "breast-cancer");
    for (challenge, phase, status, code, detail) in [
        ("no-such", "dev", 404, "unknown-challenge", "`no-such`"),
        ("No Such", "dev", 404, "not-found", "challenge"),
        ("breast-cancer", "final", 404, "unknown-phase", "its phases: past, dev, later"),
        ("breast-cancer", "FINAL!", 404, "not-found", "phase"),
        ("breast-cancer", "past", 409, "phase-closed", "ended at 2021-01-01T00:00:00Z"),
        ("breast-cancer", "later", 409, "phase-not-open", "starts at 2036-01-01T00:00:00Z"),
    ] {
        let what = format!("{challenge}/{phase}");
        let challenge = challenge.replace(' ', "%20");
        anna.submit(&challenge, phase, "good.csv", &good()).refuses(&what, status, code, detail);
        let check = format!("/api/v1/challenges/{challenge}/phases/{phase}/check?filename=good.csv");
        anna.post(&check, &good()).refuses(&what, status, code, detail);
    }
    let path = "/api/v1/challenges/breast-cancer/phases/dev/submissions";
    for (query, code, detail) in [
        ("", "bad-request", "?filename=predictions.csv"),
        ("?filename=", "bad-request", "file name is empty"),
        ("?filename=..", "bad-request", "file name is empty"),
        ("?filename=a.csv&filename=b.csv", "bad-request", "filename"),
        ("?filename=a.csv&project_url=ftp://x", "bad-request", "`project_url` must begin with https://"),
    ] {
        anna.post(&format!("{path}{query}"), &good()).refuses(query, 400, code, detail);
    }
    let form = "--x\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a.csv\"\r\n\r\nid\r\n--x--\r\n";
    for (what, body, detail) in [
        ("another field", form, "unknown field `files`; known are file, description"),
        ("no field", "--x--\r\n", "no field `file`"),
        ("cut form", &form[..60], "ended early"),
    ] {
        let kind = [("content-type", "multipart/form-data; boundary=x")];
        let answer = anna.send("POST", path, &kind, body.as_bytes()).expect("the server answers");
        answer.refuses(what, 400, "bad-request", detail);
    }
    before.is_all(&server, &anna, "breast-cancer", "the wrong place");
}

#[test]
fn tokens_that_do_not_open() {
    let server = Server::start();
    server.publish_example("breast-cancer");
    let anna = server.participant("anna");
    let revoked = server.participant("anna");
    let id = revoked.get("/api/v1/me").json()["id"].as_str().expect("a token has an id").to_owned();
    let answer = server.operator().send("DELETE", &format!("/api/v1/tokens/{id}"), &[], b"");
    assert_eq!(answer.expect("the server answers").status, 204);
    let foreign = server.operator().grant("participant", "anna", &["digits"]);
    let mut wrong = anna.token.clone().expect("anna has a token");
    let last = if wrong.pop() == Some('0') { '1' } else { '0' };
    wrong.push(last);
    let before = Kept::now(&server, &anna, "breast-cancer");
    for (what, token, status, code, detail) in [
        ("none", None, 401, "missing-token", "Authorization: Bearer"),
        ("nonsense", Some("abc"), 401, "invalid-token", "ask the operator"),
        ("wrong secret", Some(wrong.as_str()), 401, "invalid-token", "ask the operator"),
        ("revoked", revoked.token.as_deref(), 401, "invalid-token", "was revoked"),
        ("for another challenge", Some(foreign.as_str()), 403, "forbidden", "for another challenge"),
    ] {
        let answer = anna.with(token).submit("breast-cancer", "dev", "good.csv", &good());
        answer.refuses(what, status, code, detail);
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{what}");
    }
    let publish = anna.send("PUT", "/api/v1/challenges/breast-cancer", &[], b"x").expect("the server answers");
    publish.refuses("publishing", 403, "forbidden", "");
    before.is_all(&server, &anna, "breast-cancer", "a token");
}

#[test]
fn thirty_race_for_a_quota_of_five() {
    let server = Server::start();
    five_in_all(&server);
    let (anna, start) = (server.participant("anna"), Barrier::new(30));
    let blobs = Kept::now(&server, &anna, "five").blobs.len();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let race = |number| {
            let (anna, start) = (Api::new(&anna.base, anna.token.as_deref()), &start);
            move || {
                let bytes = wide(number);
                start.wait();
                anna.submit("five", "dev", "good.csv", &bytes)
            }
        };
        let racers: Vec<_> = (0..30).map(|number| scope.spawn(race(number))).collect();
        racers.into_iter().map(|racer| racer.join().expect("it ends")).collect()
    });
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 202);
    assert_eq!((accepted.len(), refused.len()), (5, 25));
    for answer in refused {
        answer.refuses("one too many", 429, "over-quota", "quota of 5 submissions in this phase is used up");
        assert_eq!(answer.json()["rule"]["remaining"], 0);
    }
    for answer in accepted {
        assert_eq!(anna.ended(answer.json()["id"].as_str().expect("it has an id"))["outcome"], "scored");
    }
    let after = Kept::now(&server, &anna, "five");
    assert_eq!(after.quota[0]["rules"][0]["used"], 5);
    assert_eq!(after.submissions.as_array().map(Vec::len), Some(5));
    let (six, all) = (anna.submit("five", "dev", "good.csv", &wide(40)), after.blobs.len());
    six.refuses("the sixth", 429, "over-quota", "used up");
    after.is_all(&server, &anna, "five", "the sixth");
    // Each accepted one may keep a file, a list of files and a report: never more than 5 of each.
    assert!((blobs..=blobs + 15).contains(&all), "{blobs} → {all}");
    // Of twenty-five files, none is there: they are too large to lie in a row, and no other blob is of their length.
    let len = wide(0).len() as u64;
    let kept = after.blobs.iter().filter(|path| std::fs::metadata(path).is_ok_and(|about| about.len() == len));
    assert_eq!(kept.count(), 5, "the five, and no loser's: {:?}", after.blobs);
}

#[test]
fn a_key_stands_for_one_body() {
    let server = Server::start();
    server.publish_example("breast-cancer");
    let anna = server.participant("anna");
    let path = "/api/v1/challenges/breast-cancer/phases/dev/submissions?filename=good.csv";
    let send = |key: &str, body: &[u8]| {
        anna.send("POST", path, &[("idempotency-key", key)], body).expect("the server answers")
    };
    // A refused one is not remembered: the mended body may come under the same key.
    send("k", b"id\n").refuses("wrong", 422, "invalid-submission", "");
    let first = send("k", &good());
    assert_eq!(first.status, 202, "{}", first.text());
    let id = first.json()["id"].clone();
    anna.ended(id.as_str().expect("it has an id"));
    let before = Kept::now(&server, &anna, "breast-cancer");
    let again = send("k", &good());
    assert_eq!((again.status, &again.json()["id"]), (202, &id));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    send("k", &wide(1)).refuses("other body", 422, "idempotency-mismatch", "use a new key");
    send("", &good()).refuses("empty key", 400, "bad-request", "1 to 255");
    send(&"k".repeat(256), &good()).refuses("long key", 400, "bad-request", "1 to 255");
    before.is_all(&server, &anna, "breast-cancer", "a used key");
    // All at once with one key: one submission.
    let ids: Vec<_> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..8).map(|_| scope.spawn(|| send("race", &wide(2)).json()["id"].clone())).collect();
        racers.into_iter().map(|racer| racer.join().expect("it ends")).collect()
    });
    assert!(ids[0].is_string() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(Kept::now(&server, &anna, "breast-cancer").submissions.as_array().map(Vec::len), Some(2));
}

/// Sends a request's head and part of its body on a connection of its own.
fn begin(anna: &Api, said: usize, body: &[u8]) -> TcpStream {
    let host = anna.base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("the server listens");
    let token = anna.token.as_deref().expect("anna has a token");
    let path = "/api/v1/challenges/breast-cancer/phases/dev/submissions?filename=good.csv";
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-length: {said}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("the server takes it");
    stream
}

#[test]
fn bodies_too_large_too_slow_and_cut() {
    let config = "[limits]\nsubmission = \"64KiB\"\nbody_idle = \"2s\"\n".to_owned();
    let server = Server::start_with(Options { config, ..Options::default() });
    server.publish_example("breast-cancer");
    let anna = server.participant("anna");
    let before = Kept::now(&server, &anna, "breast-cancer");
    let left_nothing = |what: &str| before.is_all(&server, &anna, "breast-cancer", what);

    // A little too large, twice too large, and without saying how large.
    for len in [(64 << 10) + 1, 128 << 10, 10 << 20] {
        let answer = anna.submit("breast-cancer", "dev", "good.csv", &vec![b'a'; len]);
        answer.refuses(&format!("{len} bytes"), 413, "too-large", "larger than the 64 KiB");
        left_nothing("too large");
    }
    let host = anna.base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("the server listens");
    let path = "/api/v1/challenges/breast-cancer/phases/dev/submissions?filename=good.csv";
    let token = anna.token.as_deref().expect("anna has a token");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("the server takes it");
    let chunk = [b"1000\r\n".as_slice(), &[b'a'; 4096], b"\r\n"].concat();
    for _ in 0..17 {
        stream.write_all(&chunk).expect("the server takes it");
    }
    assert!(answer(&mut stream).contains("too-large"));
    left_nothing("a body that does not say how large it is");

    // Half a body, and then nothing.
    let began = Instant::now();
    let mut stream = begin(&anna, good().len(), &good()[..1000]);
    let text = answer(&mut stream);
    assert!(
        text.starts_with("HTTP/1.1 408 ") && text.contains("too-slow") && text.contains("paused for 2 s"),
        "{text}"
    );
    // Not before its time, and not for as long as a body may take in all. How much later is the machine's matter.
    let took = began.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(20)).contains(&took), "{took:?}");
    left_nothing("too slow");
    // A small body of JSON has no more time.
    let headers = "Content-Type: application/json\r\nContent-Length: 100\r\n";
    let mut json = Raw::begin(&server.operator(), "POST", "/api/v1/tokens", headers);
    json.send(b"{\"name\": ");
    let text = json.answer();
    assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("too-slow"), "{text}");

    // The client goes, at once or in good order.
    drop(begin(&anna, good().len(), &good()[..1000]));
    left_nothing("a cut connection");
    let mut stream = begin(&anna, good().len(), &good()[..1000]);
    stream.shutdown(Shutdown::Write).expect("it can be closed");
    let text = answer(&mut stream);
    assert!(text.is_empty() || text.contains("ended before it was complete"), "{text}");
    left_nothing("a connection closed in the middle");
    assert_eq!(anna.submit("breast-cancer", "dev", "good.csv", &good()).status, 202);
}

/// What the server says until it closes, or has said its problem. A server that says nothing fails here, in its own time.
fn answer(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        text.extend_from_slice(&buffer[..count]);
        if text.ends_with(b"}") {
            break;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn who_asks_too_often_is_told_when_to_come_again() {
    let config =
        "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[limits]\nrequests = 2\nrequests_of_address = 5\n".to_owned();
    let server = Server::start_with(Options { config, ..Options::default() });
    let from = |api: &Api, address: &str, path: &str| {
        api.send("GET", path, &[("x-forwarded-for", address)], b"").expect("the server answers")
    };
    let (anna, operator) = (server.participant("anna"), server.operator());
    // One after the other, twenty at once and two a second.
    let first = from(&anna, "198.51.100.1", "/api/v1/me");
    assert_eq!((first.status, first.header("ratelimit-policy")), (200, Some("\"token\";q=20;w=10")));
    assert_eq!(first.header("ratelimit"), Some("\"token\";r=19;t=1"));
    let answers: Vec<_> = (0..30).map(|n| from(&anna, &format!("198.51.100.{n}"), "/api/v1/me")).collect();
    let refused = answers.iter().find(|answer| answer.status == 429).expect("it is too much");
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("too-fast", Some("1")), "{}", refused.text());
    assert!(refused.header("ratelimit").is_some_and(|left| left.contains("r=0")), "{refused:?}");
    assert_eq!(from(&operator, "198.51.100.1", "/api/v1/me").status, 200, "others are not held up");
    // A made-up token costs its address, and no other one.
    let stranger = server.api().with(Some("gradus_x_y"));
    let statuses: Vec<_> = (0..60).map(|_| from(&stranger, "203.0.113.7", "/api/v1/me").status).collect();
    assert!(statuses[0] == 401 && statuses.contains(&429), "{statuses:?}");
    // One may have come back meanwhile.
    let mut without = (0..60).map(|_| from(&server.api(), "203.0.113.7", "/api/v1/challenges").status);
    assert!(without.any(|status| status == 429));
    assert_eq!(from(&server.api(), "203.0.113.8", "/api/v1/challenges").status, 200);
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    assert_eq!(from(&anna, "198.51.100.1", "/api/v1/me").status, 200);
}
