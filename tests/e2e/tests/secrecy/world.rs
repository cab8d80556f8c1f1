//! A server with secrets of every kind, those who ask for them, and the list of what none of them may read.

use gradus_e2e::{Answer, Api, Server, example, misbehaving_challenge, zip};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the scorer of the challenges of our own is given as reference data, and says wherever organizers read.
pub const HIDDEN: &str = "HIDDEN-6b1d-the-truth-is-42";

/// What a report that was not cut has a word for.
pub const WORD: &str = "the word for a cost";

/// Somebody who asks.
pub struct Actor {
    pub name: &'static str,
    pub api: Api,
    /// May know of the private challenge.
    pub insider: bool,
}

/// A submission, and whose it is.
pub struct Theirs {
    pub id: String,
    pub owner: &'static str,
    pub challenge: &'static str,
}

pub struct World {
    pub server: Server,
    pub actors: Vec<Actor>,
    pub submissions: Vec<Theirs>,
    pub operations: Vec<String>,
    /// What nobody of the actors may read, with a word on what it is.
    pub secrets: Vec<(String, String)>,
    pub tokens: Vec<String>,
}

pub const CHALLENGES: [&str; 5] = ["breast-cancer", "tell", "tell-fault", "tell-panic", "sealed"];

/// The example with a hidden column.
fn breast_cancer(folder: &Path) {
    copy(&example("breast-cancer"), folder);
    let path = folder.join("challenge.toml");
    let text = std::fs::read_to_string(&path).expect("it was copied");
    let (shown, hidden) = ("{ metric = \"accuracy\" }", "{ metric = \"accuracy\", hidden = true }");
    assert!(text.contains(shown), "the example has a column to hide");
    std::fs::write(&path, text.replace(shown, hidden)).expect("there is room for a file");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("there is room for a folder");
    for entry in std::fs::read_dir(from).expect("the example is there") {
        let entry = entry.expect("it can be read");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy(&from, &to) } else { std::fs::copy(&from, &to).map(|_| ()).expect("there is room") }
    }
}

/// Publishes a folder over HTTP; returns the operation, ended.
fn put(api: &Api, id: &str, folder: &Path) -> Value {
    let read = |name: &str| std::fs::read(folder.join(name)).expect("it was written");
    let (toml, scorer, truth) = (read("challenge.toml"), read("scorer.wasm"), read("hidden/truth.txt"));
    let files = [("challenge.toml", &*toml), ("scorer.wasm", &*scorer), ("hidden/truth.txt", &*truth)];
    let answer = api.send("PUT", &format!("/api/v1/challenges/{id}"), &[], &zip(&files)).expect("the server answers");
    assert_eq!(answer.status, 202, "{}", answer.text());
    let place = answer.header("location").expect("it says where").to_owned();
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let operation = api.get(&place).json();
        if operation["state"] != "running" {
            return operation;
        }
        assert!(Instant::now() < until, "{operation}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("it is a text").to_owned()
}

fn submitted(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{}", answer.text());
    text(&answer.json()["id"])
}

impl World {
    pub fn new() -> Self {
        let server = Server::start();
        let operator = server.operator();
        let home = tempfile::tempdir().expect("there is room for a folder");
        let folder = home.path().join("breast-cancer");
        breast_cancer(&folder);
        server.publish(&folder);
        let mut operations = Vec::new();
        for (id, visibility) in
            [("tell", "public"), ("tell-fault", "public"), ("tell-panic", "public"), ("sealed", "private")]
        {
            let folder = home.path().join(id);
            let deed = if id == "sealed" { "tell" } else { id };
            misbehaving_challenge(&folder, id, &format!("{{ do = \"{deed}\", admit = true }}"), HIDDEN, visibility);
            let operation = put(&operator, id, &folder);
            assert_eq!(operation["state"], "done", "{operation}");
            operations.push(text(&operation["id"]));
        }
        // One that never goes live: its problems say what a solution scores.
        let folder = home.path().join("unborn");
        misbehaving_challenge(&folder, "unborn", "{ do = \"tell\", admit = true }", HIDDEN, "public");
        let toml = std::fs::read_to_string(folder.join("challenge.toml")).expect("it was written");
        let toml = toml + "[[solutions]]\npath = \"hidden/truth.txt\"\nscores = { value = 0.875 }\n";
        std::fs::write(folder.join("challenge.toml"), toml).expect("there is room for a file");
        let operation = put(&operator, "unborn", &folder);
        assert_eq!(operation["state"], "failed", "{operation}");
        operations.push(text(&operation["id"]));

        let mut tokens = Vec::new();
        let mut actors = vec![Actor { name: "nobody", api: server.api(), insider: false }];
        for (name, role, challenges, insider) in [
            ("anna", "participant", vec![], false),
            ("ben", "participant", vec![], false),
            ("cleo", "participant", vec!["sealed"], true),
            // Of the same person as the operator's first token, and a participant's all the same.
            ("operator", "participant", vec![], false),
            ("otto", "organizer", vec!["other"], false),
            ("olga", "organizer", vec![], false),
            ("narrow", "operator", vec!["other"], false),
        ] {
            let token = operator.grant(role, name, &challenges);
            actors.push(Actor { name, api: server.api().with(Some(&token)), insider });
            tokens.push(token);
        }
        let api = |name: &str| &actors.iter().find(|actor| actor.name == name).expect("an actor").api;
        let sample = |name: &str| {
            std::fs::read(example("breast-cancer").join("solutions").join(name)).expect("the example has it")
        };
        let mut submissions = Vec::new();
        for (owner, challenge, file) in [
            ("anna", "breast-cancer", sample("good.csv")),
            ("ben", "breast-cancer", sample("mediocre.csv")),
            ("anna", "tell", b"x".to_vec()),
            ("anna", "tell-fault", b"x".to_vec()),
            ("anna", "tell-panic", b"x".to_vec()),
            ("cleo", "sealed", b"x".to_vec()),
        ] {
            let id = submitted(&api(owner).submit(challenge, "dev", "p.csv", &file));
            api(owner).ended(&id);
            submissions.push(Theirs { id, owner, challenge });
        }
        let mut world = Self { server, actors, submissions, operations, secrets: Vec::new(), tokens };
        world.secrets = world.list();
        world
    }

    /// Each secret, as text that would show.
    fn list(&self) -> Vec<(String, String)> {
        let mut secrets = vec![
            (HIDDEN.to_owned(), "reference data".to_owned()),
            ("[[tasks]]".to_owned(), "challenge.toml".to_owned()),
        ];
        let read = |path: &str| {
            let text = std::fs::read_to_string(example("breast-cancer").join(path));
            text.expect("the example has it")
        };
        let rows = read("data/reference/reference.csv");
        secrets.extend(rows.lines().skip(1).take(20).map(|row| (row.to_owned(), "a row of the reference".to_owned())));
        let good = read("solutions/good.csv");
        secrets.extend(good.lines().skip(1).take(5).map(|row| (row.to_owned(), "a row of a solution".to_owned())));
        let confusion = "truth,malignant,benign".to_owned();
        secrets.push((confusion, "the confusion matrix".to_owned()));
        let operator = self.server.operator();
        for Theirs { id, challenge, .. } in &self.submissions {
            let report = operator.get(&format!("/api/v1/submissions/{id}/report")).json();
            assert!(report["cost"]["fuel"].is_u64(), "{report}");
            for cost in ["fuel", "peak_memory"] {
                secrets.push((report["cost"][cost].to_string(), format!("{cost} of {challenge}")));
            }
            let digest = text(&report["digests"]["reference"]);
            secrets.push((digest.trim_start_matches("sha256:").to_owned(), "the bare digest".to_owned()));
            for score in report["scores"].as_array().into_iter().flatten() {
                let value = score["value"].to_string();
                // What is short is round already, and its rounded form may be anything's.
                if value.len() > 9 {
                    secrets.push((value, format!("unrounded: {score}")));
                }
            }
        }
        secrets.push(("\"fuel\"".to_owned(), WORD.to_owned()));
        secrets.push(("0.875".to_owned(), "what an unpublished solution should score".to_owned()));
        let operators = std::fs::read_to_string(self.server.data().join("operator.token")).expect("it is there");
        for token in self.tokens.iter().map(String::as_str).chain([operators.trim()]) {
            secrets.push((secret(token).to_owned(), "a token's secret".to_owned()));
        }
        secrets
    }
}

/// The secret half of a token.
pub fn secret(token: &str) -> &str {
    token.rsplit('_').next().expect("a token has halves")
}
