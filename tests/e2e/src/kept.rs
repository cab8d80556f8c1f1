//! What a server keeps, as a tester sees it from outside: to show that a refused request left nothing.

use super::gradus::example;
use super::http::{Answer, Api};
use super::server::Server;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is kept of a participant's and all others' submissions to a challenge.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The participant's quotas.
    pub quota: Value,
    /// All submissions, as the operator sees them.
    pub submissions: Value,
    /// Every file below `data/blobs`, whole or in the making.
    pub blobs: BTreeSet<PathBuf>,
}

impl Kept {
    /// As it is now.
    pub fn now(server: &Server, api: &Api, challenge: &str) -> Self {
        let quota = api.get(&format!("/api/v1/challenges/{challenge}/quota"));
        let submissions = server.operator().get(&format!("/api/v1/challenges/{challenge}/submissions"));
        assert_eq!((quota.status, submissions.status), (200, 200), "{} {}", quota.text(), submissions.text());
        let (quota, submissions) = (quota.json()["phases"].clone(), submissions.json()["items"].clone());
        assert!(quota.is_array() && submissions.is_array(), "{quota} {submissions}");
        Self { quota, submissions, blobs: files(&server.data().join("blobs")) }
    }

    /// Fails unless it is so again. What is thrown away may take a moment.
    pub fn is_all(&self, server: &Server, api: &Api, challenge: &str, what: &str) {
        let until = Instant::now() + Duration::from_secs(3);
        loop {
            let now = Self::now(server, api, challenge);
            if now == *self {
                return;
            }
            assert!(Instant::now() < until, "{what} left something: {now:#?}\nbefore: {self:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Answer {
    /// Fails unless this is a problem document with that status and code, whose detail has these words.
    pub fn refuses(&self, what: &str, status: u16, code: &str, detail: &str) {
        let problem = self.json();
        assert_eq!((self.status, self.code().as_str()), (status, code), "{what}: {}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{what}");
        assert_eq!(problem["status"], status, "{what}");
        let told = problem["detail"].as_str().unwrap_or_default();
        assert!(told.contains(detail), "{what}: {told:?} does not say {detail:?}");
    }
}

/// Every file below `folder`.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder can be listed").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                found.insert(entry.path());
            }
        }
    }
    found
}

/// The good sample of `breast-cancer` with a wide column more and its rows in another order for each `number`: bytes that
/// nobody else sends, and too many to go in with their row, so that each one that is kept is a file.
pub fn wide(number: usize) -> Vec<u8> {
    let text = std::fs::read_to_string(example("breast-cancer").join("solutions/good.csv"));
    let text = text.expect("the example has a good sample");
    let mut lines = text.lines();
    let header = lines.next().expect("it has a header");
    let mut rows: Vec<String> = lines.map(|row| format!("{row},{}\n", "x".repeat(500))).collect();
    let turn = number % rows.len();
    rows.rotate_left(turn);
    format!("{header},pad\n{}", rows.concat()).into_bytes()
}

/// A copy of an example in `into`, its manifest without solutions and with each text replaced by another.
pub fn variant(name: &str, into: &Path, changes: &[(&str, &str)]) -> PathBuf {
    let (from, to) = (example(name), into.join("folder"));
    for file in files(&from) {
        let place = to.join(file.strip_prefix(&from).expect("it lies in the example"));
        std::fs::create_dir_all(place.parent().expect("it lies in a folder")).expect("there is room");
        std::fs::copy(&file, &place).expect("there is room");
    }
    let manifest = std::fs::read_to_string(from.join("challenge.toml")).expect("the example has a manifest");
    let mut text = manifest.split("# ---- samples").next().unwrap_or_default().to_owned();
    for (old, new) in changes {
        assert!(text.contains(old), "the example has no {old:?}");
        text = text.replacen(old, new, 1);
    }
    std::fs::write(to.join("challenge.toml"), text).expect("there is room");
    to
}
