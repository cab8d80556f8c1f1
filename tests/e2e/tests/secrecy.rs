//! Nobody reads what is not theirs, by any route: each route of the API's own description is asked by everybody, with
//! everything that there is in the place of its parameters. A route that is new, or a parameter, is asked without anybody
//! remembering it, or stops this test.

#[path = "secrecy/world.rs"]
mod world;

use gradus_e2e::{Answer, Api};
use serde_json::Value;
use std::collections::BTreeSet;
use world::{Actor, CHALLENGES, WORD, World, secret};

/// Ways to say the path of a file that is not public.
const FILES: [&str; 24] = [
    "challenge.toml",
    "challenge%2etoml",
    "challenge.toml/",
    "%2fchallenge.toml",
    "./challenge.toml",
    "data/public/../../challenge.toml",
    "hidden/truth.txt",
    "HIDDEN/truth.txt",
    "hidden",
    "scorer.wasm",
    "solutions/good.csv",
    "data/reference",
    "data/reference/reference.csv",
    "data%2freference%2freference.csv",
    "data//reference/reference.csv",
    "data/public/../reference/reference.csv",
    "data/public/%2e%2e/reference/reference.csv",
    "data/public/..%2freference%2freference.csv",
    "data/public%5c..%5creference%5creference.csv",
    "data/reference/reference.csv%00.md",
    "..%2f..%2foperator.token",
    "../../operator.token",
    "%2e%2e/%2e%2e/%2e%2e/operator.token",
    "%252e%252e/operator.token",
];
/// A submission, an operation or a token that is not there.
const ABSENT: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// All that can stand in the place of a parameter.
fn values(world: &World, parameter: &str) -> Vec<String> {
    let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
    match parameter {
        "challenge" => texts(&CHALLENGES),
        "phase" => texts(&["dev"]),
        "board" => texts(&["main"]),
        "submission" => world.submissions.iter().map(|theirs| theirs.id.clone()).collect(),
        "operation" => world.operations.clone(),
        "path" => texts(&FILES),
        "stream" => texts(&["scorer", "stdout", "stderr", "scorer%2f"]),
        "name" => texts(&["hidden.txt", "confusion-public.csv", "confusion-private.csv", "report", "..%2freport"]),
        "token" => {
            let all = world.server.operator().get("/api/v1/tokens").json();
            let ids = all["items"].as_array().expect("a list").iter().filter_map(|token| token["id"].as_str());
            ids.take(2).map(ToOwned::to_owned).collect()
        }
        "hook" => {
            let (operator, path) = (world.server.operator(), format!("/api/v1/challenges/{}/hooks", CHALLENGES[0]));
            let hooks = || operator.get(&path).json()["items"].as_array().expect("a list").clone();
            if hooks().is_empty() {
                let (kind, body) = ([("content-type", "application/json")], br#"{"url":"https://hooks.invalid/"}"#);
                let made = operator.send("POST", &path, &kind, body).expect("the server answers");
                assert_eq!(made.status, 201, "{}", made.text());
            }
            hooks().iter().filter_map(|hook| hook["id"].as_str()).map(ToOwned::to_owned).collect()
        }
        "source" => {
            let (operator, path) = (world.server.operator(), "/api/v1/sources");
            let sources = || operator.get(path).json()["items"].as_array().expect("a list").clone();
            if sources().is_empty() {
                let kind = [("content-type", "application/json")];
                let body = format!(
                    r#"{{"name":"forge","kind":"gitea","base":"https://forge.invalid","secret":"{0}","token":"{0}"}}"#,
                    FORGES
                );
                let made = operator.send("POST", path, &kind, body.as_bytes()).expect("the server answers");
                assert_eq!(made.status, 201, "{}", made.text());
            }
            sources().iter().filter_map(|source| source["name"].as_str()).map(ToOwned::to_owned).collect()
        }
        "user" => texts(&["7", "anna"]),
        other => panic!("teach this test what can stand in the place of `{other}`"),
    }
}

/// What a forge proves its hooks with, and what it is asked with.
const FORGES: &str = "the-secret-of-the-forge";

/// Every way to fill a path's parameters.
fn filled(world: &World, path: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for part in path.split('/').skip(1) {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        let values = name.map_or_else(|| vec![part.to_owned()], |name| values(world, name));
        all = all.iter().flat_map(|path| values.iter().map(move |value| format!("{path}/{value}"))).collect();
    }
    all
}

/// Queries that a route is asked with, too.
fn queries(path: &str) -> &'static [&'static str] {
    if path.ends_with("{board}") {
        &["", "?limit=1", "?format=csv", "?limit=1&cursor=1.anna.0123456789abcdef", "?cursor=0.zoe.0&format=csv"]
    } else if path.ends_with("/phases/{phase}/submissions") || path.ends_with("/check") {
        &["?filename=p.csv"]
    } else {
        &[""]
    }
}

fn ask(api: &Api, method: &str, path: &str) -> Answer {
    let body: &[u8] = if matches!(method, "POST" | "PUT") { b"id,label,p\nnobody,benign,0.5\n" } else { b"" };
    api.send(method, path, &[], body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

fn everything(answer: &Answer) -> String {
    let headers: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    headers + &answer.text()
}

/// All requests that the description lets one think of: method, path with its parameters, path filled.
fn requests(world: &World) -> Vec<(String, String, String)> {
    let described = world.server.api().get("/api/openapi.json").json();
    let paths = described["paths"].as_object().expect("there are paths");
    let mut all = vec![("GET".to_owned(), String::new(), "/api/openapi.json".to_owned())];
    for (path, methods) in paths {
        let full = filled(world, path);
        for method in methods.as_object().expect("a path has methods").keys() {
            for full in &full {
                for query in queries(path) {
                    all.push((method.to_uppercase(), path.clone(), format!("{full}{query}")));
                }
            }
        }
        if methods.get("get").is_some() {
            all.extend(full.iter().map(|full| ("HEAD".to_owned(), path.clone(), full.clone())));
        }
    }
    all
}

/// What nobody but its owner may read is answered as if it were not there, word for word.
fn as_if_absent(actor: &Actor, method: &str, path: &str, absent: &str, id: &str, answer: &Answer) {
    let there = ask(&actor.api, method, absent);
    let got = (answer.status, answer.text().replace(id, "…"));
    let wanted = (there.status, there.text().replace(ABSENT, "…").replace("nothere", "…"));
    assert_eq!(got, wanted, "{} {method} {path}", actor.name);
    assert!([401, 403, 404].contains(&answer.status), "{} {method} {path}: {}", actor.name, answer.status);
}

#[test]
fn nobody_reads_what_is_not_theirs_by_any_route() {
    let world = World::new();
    let requests = requests(&world);
    // Where a rule below is for some routes only, there are such.
    for kind in ["/files/{path}", "/logs/{stream}", "/artifacts/{name}"] {
        assert!(requests.iter().any(|(_, pattern, _)| pattern.ends_with(kind)), "{kind}");
    }
    for actor in &world.actors {
        for (method, pattern, path) in &requests {
            let answer = ask(&actor.api, method, path);
            let text = everything(&answer);
            for (secret, what) in &world.secrets {
                // The description says that there are costs, and nobody's.
                let word = path == "/api/openapi.json" && what == WORD;
                assert!(word || !text.contains(secret), "{} reads {what} at {method} {path}: {text}", actor.name);
            }
            assert!(answer.status < 500, "{} {method} {path}: {text}", actor.name);
            assert!(!text.contains(FORGES), "{} reads a forge's secret at {method} {path}", actor.name);
            if let Some(theirs) = world.submissions.iter().find(|theirs| path.contains(&theirs.id))
                && theirs.owner != actor.name
            {
                as_if_absent(actor, method, path, &path.replace(&theirs.id, ABSENT), &theirs.id, &answer);
            }
            if let Some(id) = world.operations.iter().find(|id| path.contains(*id)) {
                as_if_absent(actor, method, path, &path.replace(id, ABSENT), id, &answer);
            }
            if path.contains("/sealed") && !actor.insider && method != "PUT" {
                as_if_absent(actor, method, path, &path.replace("/sealed", "/nothere"), "sealed", &answer);
            }
            if pattern.ends_with("/files/{path}") || pattern.contains("/logs/") || pattern.contains("/artifacts/") {
                assert!([401, 404].contains(&answer.status), "{} {method} {path}: {}", actor.name, answer.status);
            }
        }
    }
    // The same requests by one who may: each secret shows, so that looking for it means something.
    let operator = world.server.operator();
    let mut missing: BTreeSet<&str> = world.secrets.iter().map(|(secret, _)| secret.as_str()).collect();
    for (_, _, path) in requests.iter().filter(|(method, ..)| method == "GET") {
        let text = everything(&ask(&operator, "GET", path));
        missing.retain(|secret| !text.contains(secret));
        // That nobody reads, once it is given; a backup has everything, so that it can be restored.
        assert!(path.ends_with("/backup") || !text.contains(FORGES), "a forge's secret is read at {path}");
    }
    let tokens: Vec<&str> = world.tokens.iter().map(|token| secret(token)).collect();
    missing.retain(|missing| !tokens.contains(missing));
    // Nobody reads tokens' secrets, not even an operator: that of its own file is left, too.
    assert!(missing.len() == 1 && missing.iter().all(|left| left.len() == 64), "{missing:?}");
    at_rest(&world);
    what_participants_do_read(&world);
}

/// No token's secret and no reference data in the log; no token's secret at rest, but for the operator's own file.
fn at_rest(world: &World) {
    let log = world.server.data().parent().expect("it has a parent").join("server.log");
    let log = std::fs::read_to_string(log).expect("there is a log");
    assert!(log.contains("graded") && !log.contains(FORGES), "{log}");
    for (text, what) in &world.secrets {
        let listed = what.contains("token") || what.contains("reference data") || what.contains("a row");
        assert!(!listed || !log.contains(text), "{what} is in the log");
    }
    let operators = std::fs::read_to_string(world.server.data().join("operator.token")).expect("it is there");
    let mut folders = vec![world.server.data().to_owned()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it can be read").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = std::fs::read(entry.path()).expect("it can be read");
            let own = entry.file_name() == "operator.token";
            seen += usize::from(own);
            for token in world.tokens.iter().map(String::as_str).chain([operators.trim()]) {
                let text = secret(token).as_bytes();
                let raw: Vec<u8> = text.chunks(2).filter_map(|pair| Some(hex(pair[0])? * 16 + hex(pair[1])?)).collect();
                assert_eq!(raw.len(), 32);
                let holds = |needle: &[u8]| {
                    let mut rest = bytes.as_slice();
                    while let Some(at) = rest.iter().position(|byte| *byte == needle[0]) {
                        if rest[at..].starts_with(needle) {
                            return true;
                        }
                        rest = &rest[at + 1..];
                    }
                    false
                };
                let may = own && token == operators.trim();
                assert!(!holds(&raw) && (may || !holds(text)), "a token lies in {}", entry.path().display());
            }
        }
    }
    assert_eq!(seen, 1);
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// What is theirs they do read, cut: no private split, no hidden column, each value rounded.
fn what_participants_do_read(world: &World) {
    let anna = &world.actors.iter().find(|actor| actor.name == "anna").expect("she is there").api;
    let ours = |challenge: &str| {
        let found = world.submissions.iter().find(|theirs| theirs.challenge == challenge && theirs.owner == "anna");
        format!("/api/v1/submissions/{}", found.expect("she handed in").id)
    };
    let report = anna.get(&format!("{}/report", ours("breast-cancer"))).json();
    let scores = report["scores"].as_array().expect("there are scores");
    assert_eq!(scores.len(), 3, "{report}");
    for score in scores {
        assert_eq!(score["split"], "public", "{report}");
        assert_ne!(score["metric"], "accuracy", "{report}");
        let value = score["value"].as_f64().expect("a number");
        assert_eq!(format!("{value:.4}").parse::<f64>().ok(), Some(value), "{report}");
    }
    for absent in ["cost", "detail", "used", "allowed"] {
        assert_eq!(report[absent], Value::Null, "{absent}: {report}");
    }
    assert!(report["digests"]["reference_keyed"].is_string(), "{report}");
    let board = "/api/v1/challenges/breast-cancer/leaderboards/main";
    let page = anna.get(&format!("{board}?limit=1")).json();
    let cursor = page["next_cursor"].as_str().expect("ben is there, too").strip_prefix("1.anna.");
    // A mark by which a row is known again, and not the key that it is ordered by.
    assert!(cursor.is_some_and(|mark| mark.len() <= 16), "the cursor holds no key: {page}");
    let columns = page["columns"].as_array().expect("there are columns");
    assert!(columns.iter().all(|column| column["split"] == "public" && column["metric"] != "accuracy"), "{page}");
    let csv = anna.get(&format!("{board}?format=csv")).text();
    assert!(csv.contains("roc_auc@public") && !csv.contains("private") && !csv.contains("accuracy"), "{csv}");
    let shown = anna.get("/api/v1/challenges/breast-cancer").text();
    assert!(shown.contains("roc_auc") && !shown.contains("accuracy") && !shown.contains("data/reference"), "{shown}");

    let told = anna.get(&format!("{}/report", ours("tell"))).json();
    assert_eq!(told["scores"][0]["value"], 0.123, "{told}");
    assert_eq!(told["notes"].as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(told["cases"].as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(anna.get(&format!("{}/artifacts/open.txt", ours("tell"))).text(), "a file for all");
    for (challenge, outcome) in [("tell-fault", "invalid-challenge"), ("tell-panic", "scorer-failed")] {
        let failed = anna.get(&format!("{}/report", ours(challenge))).json();
        assert_eq!(failed["outcome"], outcome, "{failed}");
        assert!(failed["message"].as_str().is_some_and(|text| text.contains("cost you nothing")), "{failed}");
    }
}

#[test]
fn a_refusal_does_not_repeat_a_token() {
    let server = gradus_e2e::Server::start();
    let token = server.operator().token.expect("the operator has one");
    let (head, _) = token.rsplit_once('_').expect("it has halves");
    let other = format!("{head}_{}", "ab".repeat(32));
    let texts: Vec<String> = [other.as_str(), "gradus_x_y", "nonsense", &token.replace("gradus", "gradua")]
        .iter()
        .map(|wrong| {
            let answer = server.api().with(Some(wrong)).get("/api/v1/me");
            assert_eq!((answer.status, answer.code().as_str()), (401, "invalid-token"));
            assert!(!answer.text().contains(wrong) && !answer.text().contains(head), "{}", answer.text());
            answer.text()
        })
        .collect();
    assert!(texts.iter().all(|text| *text == texts[0]), "which half is wrong is not told: {texts:?}");
}
