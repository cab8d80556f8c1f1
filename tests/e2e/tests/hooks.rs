//! Web hooks out: another server is told what becomes of submissions, signed, at least once, whatever dies in between.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gradus_e2e::{Api, Options, Ran, Server, example, run, until, variant};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What arrived.
#[derive(Debug, Clone)]
struct Arrived {
    headers: BTreeMap<String, String>,
    body: String,
    /// What was answered.
    status: u16,
}

impl Arrived {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("it is JSON")
    }

    /// Whether who sent it has the secret.
    fn is_signed_with(&self, secret: &str) -> bool {
        let key = BASE64.decode(secret.trim().strip_prefix("whsec_").expect("a secret")).expect("Base64");
        let mut code = Hmac::<Sha256>::new_from_slice(&key).expect("any key will do");
        let text = format!("{}.{}.{}", self.headers["webhook-id"], self.headers["webhook-timestamp"], self.body);
        code.update(text.as_bytes());
        self.headers["webhook-signature"] == format!("v1,{}", BASE64.encode(code.finalize().into_bytes()))
    }
}

/// A server that is told.
struct Sink {
    url: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    /// What it answers.
    status: Arc<Mutex<u16>>,
    over: Arc<AtomicBool>,
}

impl Sink {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}/told", listener.local_addr().expect("it has one"));
        let sink = Self { url, arrived: Arc::default(), status: Arc::new(Mutex::new(204)), over: Arc::default() };
        let (arrived, status, over) = (Arc::clone(&sink.arrived), Arc::clone(&sink.status), Arc::clone(&sink.over));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let status = *status.lock().expect("nothing panics");
                // Somebody who goes in the middle is nobody's trouble.
                if let Some(one) = take(stream, status) {
                    arrived.lock().expect("nothing panics").push(one);
                }
            }
        });
        sink
    }

    fn answers(&self, status: u16) {
        *self.status.lock().expect("nothing panics") = status;
    }

    fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().expect("nothing panics").clone()
    }

    /// Waits for one more than `count`, which was taken.
    fn next(&self, count: usize) -> Arrived {
        until("a letter arrives", || self.arrived().iter().filter(|one| one.status == 204).count() > count);
        self.arrived().into_iter().filter(|one| one.status == 204).nth(count).expect("it arrived")
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.url.trim_start_matches("http://").trim_end_matches("/told")));
    }
}

fn take(mut stream: TcpStream, status: u16) -> Option<Arrived> {
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    assert!(line.starts_with("POST /told HTTP/1.1"), "{line}");
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    lines.read_exact(&mut body).ok()?;
    write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nlocation: http://127.0.0.1:1/\r\n\r\n").ok()?;
    Some(Arrived { headers, body: String::from_utf8(body).ok()?, status })
}

struct Setting {
    server: Server,
    token: std::path::PathBuf,
}

impl Setting {
    fn start() -> Self {
        let server = Server::start_with(Options { config: "[hooks]\nprivate = true\n".to_owned(), under: Vec::new() });
        server.publish_example("breast-cancer");
        let token = server.data().join("operator.token");
        Self { server, token }
    }

    fn command(&self, words: &[&str]) -> Ran {
        let token = self.token.to_str().expect("UTF-8");
        run(words, &[("GRADUS_SERVER", self.server.base.as_str()), ("GRADUS_TOKEN_FILE", token)])
    }

    fn hooks(&self) -> Vec<Value> {
        let listed = self.command(&["challenge", "hook", "list", "breast-cancer", "--json"]);
        assert_eq!(listed.code, 0, "{listed:?}");
        serde_json::from_str::<Value>(&listed.out).expect("JSON").as_array().expect("a list").clone()
    }

    fn hand_in(&self, api: &Api) -> String {
        let good = std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the example has it");
        let answer = api.submit("breast-cancer", "dev", "good.csv", &good);
        answer.json()["id"].as_str().expect("an id").to_owned()
    }
}

#[test]
fn another_server_is_told_what_becomes_of_submissions() {
    let mut setting = Setting::start();
    let sink = Sink::start();
    let added = setting.command(&["challenge", "hook", "add", "breast-cancer", &sink.url]);
    assert!(added.code == 0 && added.err.contains("not shown again"), "{added:?}");
    let secret = added.out.trim().to_owned();
    let hook = setting.hooks()[0]["id"].as_str().expect("an id").to_owned();
    assert!(!setting.hooks()[0].to_string().contains(&secret), "the secret is shown once");

    // One that says nothing.
    let tried = setting.command(&["challenge", "hook", "test", "breast-cancer", &hook]);
    assert!(tried.code == 0, "{tried:?}");
    let first = sink.next(0);
    assert!(first.is_signed_with(&secret) && !first.is_signed_with("whsec_AAAA"), "{first:?}");
    assert_eq!(first.json()["type"], "hook.test");
    assert_eq!(first.headers["content-type"], "application/json");
    assert!(tried.err.contains(&first.headers["webhook-id"]), "{tried:?}");

    // A score.
    let anna = setting.server.participant("anna");
    let id = setting.hand_in(&anna);
    let told = sink.next(1);
    assert!(told.is_signed_with(&secret));
    let told = told.json();
    assert_eq!((&told["type"], &told["data"]["submission"]), (&"submission.scored".into(), &id.clone().into()));
    let data = &told["data"];
    assert_eq!((&data["entrant"], &data["phase"], &data["outcome"]), (&"anna".into(), &"dev".into(), &"scored".into()));
    assert!(data["scores"].as_array().is_some_and(|scores| scores.len() > 1), "{told}");
    until("nothing waits", || setting.hooks()[0]["waiting"] == 0);

    // It has trouble: sent again, the same letter. Then the host dies while one waits.
    sink.answers(500);
    let id = setting.hand_in(&anna);
    anna.ended(&id);
    until("it is known", || setting.hooks()[0]["error"].as_str().is_some_and(|error| error.contains("500")));
    assert_eq!(setting.hooks()[0]["waiting"], 1);
    let refused = sink.arrived().pop().expect("it came");
    setting.server.kill();
    sink.answers(204);
    setting.server.again();
    let again = sink.next(2);
    assert_eq!(again.headers["webhook-id"], refused.headers["webhook-id"]);
    assert_eq!((again.json()["data"]["submission"].as_str(), &again.body), (Some(&*id), &refused.body));
    assert!(again.is_signed_with(&secret));
    until("nothing waits", || setting.hooks()[0]["waiting"] == 0);

    // Who never wants to hear of it again; and redirects.
    let anna = setting.server.api().with(anna.token.as_deref());
    for (status, given_up, word) in [(410, 1, "410"), (302, 0, "redirects are not followed")] {
        sink.answers(status);
        setting.hand_in(&anna);
        until("it is known", || setting.hooks()[0]["error"].as_str().is_some_and(|error| error.contains(word)));
        assert_eq!(setting.hooks()[0]["given_up"], given_up.max(1), "{:?}", setting.hooks());
    }
    sink.answers(204);
    let came = sink.arrived().len();
    let removed = setting.command(&["challenge", "hook", "remove", "breast-cancer", &hook]);
    assert_eq!(removed.code, 0, "{removed:?}");
    assert_eq!(setting.hooks(), [Value::Null; 0]);
    let id = setting.hand_in(&anna);
    anna.ended(&id);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(sink.arrived().len(), came, "nobody is told any more");
    let log = setting.command(&["challenge", "audit", "breast-cancer"]);
    assert!(log.out.contains("hook-made") && log.out.contains("hook-removed"), "{}", log.out);
    assert!(!setting.server.log().contains(&secret[6..]), "the secret is in the log");
    assert_eq!(setting.server.stop(), Some(0));
    let checked = run(&["admin", "check", "--data", setting.server.data().to_str().expect("UTF-8")], &[]);
    assert_eq!(checked.code, 0, "{checked:?}");
}

#[test]
fn a_hook_that_hangs_holds_up_itself_alone() {
    let setting = Setting::start();
    // They take connections and say nothing.
    let silent: Vec<_> = (0..5).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port is free")).collect();
    let add = |challenge: &str, url: &str| {
        let added = setting.command(&["challenge", "hook", "add", challenge, url]);
        assert_eq!(added.code, 0, "{added:?}");
    };
    let url = |silent: &TcpListener| format!("http://{}/", silent.local_addr().expect("it has one"));
    silent.iter().for_each(|silent| add("breast-cancer", &url(silent)));
    // Another challenge's, and one more of the same.
    let home = tempfile::tempdir().expect("there is room for a folder");
    setting.server.publish(&variant("breast-cancer", home.path(), &[("id = \"breast-cancer\"", "id = \"other\"")]));
    let (same, other) = (Sink::start(), Sink::start());
    add("other", &other.url);
    let anna = setting.server.participant("anna");
    setting.hand_in(&anna);
    add("breast-cancer", &same.url);
    let good = std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the example has it");
    for count in 0..4 {
        let began = Instant::now();
        assert_eq!(anna.submit("other", "dev", "good.csv", &good).status, 202);
        assert_eq!(other.next(count).json()["data"]["challenge"], "other");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
    // Its own wait for two of its five, once.
    setting.hand_in(&anna);
    assert_eq!(same.next(0).json()["type"], "submission.scored");
}

#[test]
fn hooks_are_made_by_organizers_at_public_addresses() {
    let server = Server::start();
    server.publish_example("breast-cancer");
    let path = "/api/v1/challenges/breast-cancer/hooks";
    let kind = [("content-type", "application/json")];
    let make = |api: &Api, url: &str| {
        let body = json!({ "url": url }).to_string();
        api.send("POST", path, &kind, body.as_bytes()).expect("the server answers")
    };
    let (anna, operator) = (server.participant("anna"), server.operator());
    assert_eq!(make(&anna, "https://example.org/").status, 403);
    assert_eq!((anna.get(path).status, server.api().get(path).status), (403, 401));
    for (url, words) in [
        ("http://example.org/", "another scheme"),
        ("https://127.0.0.1/", "private network"),
        ("https://[::1]:8400/", "private network"),
        ("https://169.254.169.254/latest/meta-data", "private network"),
        ("https://a:b@example.org/", "password"),
        ("not an address", "no address"),
    ] {
        make(&operator, url).refuses(url, 422, "invalid-hook", words);
    }
    // What a name stands for is seen when a letter goes there.
    let made = make(&operator, "https://localhost:1/");
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    let tried = operator.post(&format!("{path}/{id}/test"), b"");
    assert_eq!(tried.status, 202, "{}", tried.text());
    until("it is refused", || {
        let listed = operator.get(path).json();
        listed["items"][0]["error"].as_str().is_some_and(|error| error.contains("private network"))
    });
    for number in 1..10 {
        assert_eq!(make(&operator, &format!("https://example.org/{number}")).status, 201);
    }
    make(&operator, "https://example.org/x").refuses("one too many", 422, "invalid-hook", "10 web hooks at most");
}
