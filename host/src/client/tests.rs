//! The client against a server that says what each test wants.

use super::*;
use crate::http::dto::AboutInfo;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

/// The lines of a request's head, and its body.
type Asked = (Vec<String>, Vec<u8>);

/// Answers one connection after the other; gives back what was asked: the head's lines and the body.
fn server(answers: Vec<String>) -> (String, JoinHandle<Vec<Asked>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let run = move || {
        let serve = |answer: String| {
            let (mut stream, _) = listener.accept().unwrap();
            let asked = request(&mut stream);
            stream.write_all(answer.as_bytes()).unwrap();
            asked
        };
        answers.into_iter().map(serve).collect()
    };
    (address, thread::spawn(run))
}

fn request(stream: &mut TcpStream) -> Asked {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_ascii_lowercase()),
        }
    }
    let len = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    if head.contains(&"expect: 100-continue".to_owned()) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    }
    let mut body = vec![0; len.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    (head, body)
}

fn answer(status: &str, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn submission(state: &str) -> String {
    let file = r#"{"path":"p.csv","len":3,"digest":"sha256:00"}"#;
    let info = format!(
        r#"{{"id":"01","challenge":"c","version":1,"phase":"dev","entrant":"anna","submitted_at":"2026-01-01T00:00:00Z",
            "lane":"results","state":"{state}","file":{file},"about":{{}}}}"#
    );
    answer("202 Accepted", "application/json", &info)
}

fn event(seq: u64, rest: &str) -> String {
    let id = "00000000010000000000000001";
    format!("id: {seq}\ndata: {{\"seq\":{seq},\"at\":\"2026-01-01T00:00:00Z\",\"submission\":\"{id}\",{rest}}}\n\n")
}

fn stream(events: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{events}")
}

#[test]
fn a_submission_is_sent_raw_with_its_name_key_and_token_and_again_when_the_connection_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my file.csv");
    let content = "x".repeat(2 << 20);
    std::fs::write(&path, &content).unwrap();
    let (address, asked) = server(vec![String::new(), submission("queued")]);
    let client = Client::new(&address, Some("gradus_x".into())).unwrap();
    let about = AboutInfo { description: Some("a&b".into()), ..AboutInfo::default() };
    let mut last = (0, 0);
    let file = Upload::new(&path).unwrap();
    let made = client.submit("c", "dev", &file, &about, &Key("k1".into()), &mut |sent, of| last = (sent, of)).unwrap();
    assert_eq!((made.id.as_str(), last), ("01", (2 << 20, 2 << 20)));
    let asked = asked.join().unwrap();
    assert_eq!(asked.len(), 2);
    for (head, body) in asked {
        let target =
            "post /api/v1/challenges/c/phases/dev/submissions?filename=my%20file.csv&description=a%26b http/1.1";
        assert_eq!(head[0], target);
        assert!(head.contains(&"idempotency-key: k1".into()), "{head:?}");
        assert!(head.contains(&"authorization: bearer gradus_x".into()), "{head:?}");
        assert!(!head.iter().any(|line| line.starts_with("transfer-encoding")), "{head:?}");
        assert_eq!(body, content.as_bytes());
    }
}

#[test]
fn refusals_are_told_in_full_and_with_their_problems() {
    let body = r#"{"type":"about:blank","title":"Unprocessable","status":422,"detail":"the format check found 3 problems",
        "code":"invalid-submission","problems":{"first":[{"file":"p.csv","line":4,"message":"not a number"},
        {"file":null,"line":null,"message":"too few rows"}],"total":3},"errors":["challenge.toml:3: id: is wrong"]}"#;
    let (address, _) = server(vec![answer("422 Unprocessable", "application/problem+json", body)]);
    let error = Client::new(&address, None).unwrap().me().unwrap_err();
    assert_eq!((error.code(), error.status()), (Some("invalid-submission"), Some(422)));
    assert_eq!(
        error.to_string(),
        "the format check found 3 problems\n  p.csv:4: not a number\n  too few rows\n  … and 1 more\n  \
         challenge.toml:3: id: is wrong"
    );
}

#[test]
fn what_is_no_gradus_or_nobody_is_called_so() {
    let (address, _) = server(vec![
        answer("200 OK", "text/html", "<html>"),
        answer("404 Not Found", "text/html", "<html>"),
        "SSH-2.0-OpenSSH_9.9\r\n".into(),
    ]);
    let client = Client::new(&address, None).unwrap();
    for _ in 0..3 {
        let error = client.me().unwrap_err();
        assert!(matches!(error, ClientError::NotGradus { .. }), "{error:?}");
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Client::new(&format!("http://{free}"), None).unwrap().me().unwrap_err();
    assert!(error.to_string().contains("no server answers at http://127.0.0.1:"), "{error}");
    let error = Client::new(&format!("https://{free}"), None).unwrap().me().unwrap_err();
    assert!(matches!(error, ClientError::NoServer { .. }), "{error:?}");
}

#[test]
fn pages_are_followed_to_their_end_and_no_further() {
    let page =
        |items: &str, next: &str| answer("200 OK", "application/json", &format!(r#"{{"items":[{items}]{next}}}"#));
    let item = |id: &str| {
        format!(r#"{{"id":"{id}","title":"","summary":"","visibility":"public","open_phase":null,"version":1}}"#)
    };
    let pages = vec![page(&item("a"), r#","next_cursor":"a b""#), page(&item("b"), "")];
    let (address, asked) = server(pages);
    let all = Client::new(&address, None).unwrap().challenges(10).unwrap();
    assert_eq!(all.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(asked.join().unwrap()[1].0[0], "get /api/v1/challenges?cursor=a%20b http/1.1");
}

#[test]
fn a_board_that_is_cut_has_the_cursor_of_what_follows() {
    let page = |entrants: &[&str], next: &str| {
        let item = |entrant: &&str| {
            format!(r#"{{"rank":1,"entrant":"{entrant}","submitted_at":"2026-01-01T00:00:00Z","values":[]}}"#)
        };
        let items: Vec<_> = entrants.iter().map(item).collect();
        let body = format!(r#"{{"columns":[],"items":[{}]{next}}}"#, items.join(","));
        answer("200 OK", "application/json", &body)
    };
    let pages = [page(&["a", "b"], r#","next_cursor":"2.b""#), page(&["c"], r#","next_cursor":"3.c""#)];
    for (most, more) in [(3, Some("3.c")), (2, Some("2.b"))] {
        let (address, asked) = server(pages[..most - 1].to_vec());
        let board = Client::new(&address, None).unwrap().leaderboard("c", "main", most.try_into().unwrap()).unwrap();
        assert_eq!((board.items.len(), board.next_cursor.as_deref()), (most, more));
        let asked: Vec<_> = asked.join().unwrap().into_iter().map(|(head, _)| head[0].clone()).collect();
        let path = "get /api/v1/challenges/c/leaderboards/main?limit";
        let expected = [format!("{path}={most} http/1.1"), format!("{path}=1&cursor=2.b http/1.1")];
        assert_eq!(asked, expected[..most - 1]);
    }
    let (address, _) = server(vec![page(&["a"], "")]);
    let board = Client::new(&address, None).unwrap().leaderboard("c", "main", 10.try_into().unwrap()).unwrap();
    assert_eq!((board.items.len(), board.next_cursor), (1, None));
}

#[test]
fn texts_that_are_too_long_are_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.csv");
    std::fs::write(&path, "x").unwrap();
    let file = Upload::new(&path).unwrap();
    // Nobody listens there: whatever is sent fails in another way.
    let client = Client::new("http://127.0.0.1:9", None).unwrap();
    let long = |len: usize| Some("ä".repeat(len / 2));
    for (about, words) in [
        (AboutInfo { description: long(10_002), ..AboutInfo::default() }, "`description` is 10002 bytes long"),
        (
            AboutInfo { description: long(10_000), method_description: long(10_000), ..AboutInfo::default() },
            "too long together",
        ),
    ] {
        let error = client.submit("c", "dev", &file, &about, &Key("k".into()), &mut |_, _| {}).unwrap_err();
        assert!(matches!(error, ClientError::TooLong { .. }) && error.to_string().contains(words), "{error:?}");
    }
}

#[test]
fn only_a_broken_connection_is_tried_again() {
    let of = |error: ureq::Error| ClientError::of("http://a".into(), error);
    let io = |kind: std::io::ErrorKind| of(std::io::Error::from(kind).into());
    assert!(io(std::io::ErrorKind::ConnectionReset).is_lost() && io(std::io::ErrorKind::TimedOut).is_lost());
    let no_address = Request::builder().uri("http://a b").body(()).unwrap_err();
    for (error, words) in [
        (of(no_address.into()), "could not be made"),
        (of(ureq::Error::InvalidProxyUrl), "could not be made"),
        (of(ureq::Error::RedirectFailed), "no Gradus server"),
        (of(ureq::Error::TooManyRedirects), "no Gradus server"),
    ] {
        assert!(!error.is_lost() && error.to_string().contains(words), "{error:?}");
    }
}

#[test]
fn events_resume_where_the_connection_broke_and_end_with_the_last_state() {
    let queued = event(1, r#""kind":"state","state":"queued""#);
    let later = event(2, r#""kind":"place","place":3"#);
    // Progress is not logged: it has no number, and nothing is resumed at it.
    let progress = "data: {\"kind\":\"progress\",\"done\":1,\"total\":2}\n\n";
    let scoring = event(3, r#""kind":"state","state":"scoring""#);
    let scored = event(4, r#""kind":"state","state":"scored""#);
    let after = event(5, r#""kind":"report","outcome":"scored""#);
    let (address, asked) = server(vec![
        stream(&format!("{queued}{later}{progress}id: 3\ndata: cut")),
        submission("scoring"),
        stream(&format!(": alive\n\n{scoring}{scored}{after}")),
    ]);
    let client = Client::new(&address, None).unwrap();
    let seen: Vec<_> = client.events("01").collect::<Result<_, _>>().unwrap();
    let seqs: Vec<_> = seen.iter().map(|seen| seen.raw["seq"].as_u64()).collect();
    assert_eq!(seqs, [Some(1), Some(2), None, Some(3), Some(4)]);
    assert!(seen[1].kind.is_none() && seen[4].is_end());
    assert_eq!(seen[2].kind, Some(gradus_core::domain::event::EventKind::Progress { done: 1, total: 2 }));
    let asked = asked.join().unwrap();
    assert!(asked[2].0.contains(&"last-event-id: 2".into()), "{:?}", asked[2].0);
}
