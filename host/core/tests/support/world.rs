//! What tests of the use cases share: a server's use cases over in-memory ports.

#![allow(clippy::unwrap_used, dead_code, reason = "this is test code, and not each test needs all of it")]

use gradus_core::app::check::Pending;
use gradus_core::app::launch::{Allows, Containers};
use gradus_core::app::submit::Offer;
use gradus_core::app::work::Worked;
use gradus_core::app::{App, Refusal};
use gradus_core::domain::id::{ChallengeId, SubmissionId};
use gradus_core::domain::job::{Job, Stage};
use gradus_core::domain::operation::{Operation, OperationState};
use gradus_core::domain::queue::Room;
use gradus_core::domain::submission::{About, Upload};
use gradus_core::domain::token::{Role, Token};
use gradus_core::domain::units::{Bytes, MilliCpus};
use gradus_core::ports::blobs::{Blobs as _, Part};
use gradus_core::testing::fake_clock::{FakeClock, Silence};
use gradus_core::testing::fake_runner::FakeRunner;
use gradus_core::testing::fake_scorer::FakeScorer;
use gradus_core::testing::memory_blobs::MemoryBlobs;
use gradus_core::testing::memory_store::MemoryStore;
use std::io::Write as _;
use std::sync::Arc;

/// A challenge that takes programs and results.
pub const PROGRAMS: &str = r#"
id = "c"
title = "C"
[[phases]]
id = "dev"
starts = 2026-01-01T00:00:00Z
ends = 2026-03-01T00:00:00Z
tasks = ["t"]
quota = [{ limit = 3, per = "day" }]
[[tasks]]
id = "t"
accepts = ["code", "results"]
reference = "ref.csv"
input = "in.csv"
scorer = { stock = "fake" }
runner = { memory = "1GiB", wall = "20ms", logs = "participant" }
[[leaderboards]]
id = "main"
phases = ["dev"]
rule = "best"
columns = [{ metric = "accuracy" }]
[[solutions]]
path = "good.txt"
scores = { accuracy = 0.75 }
"#;

/// Use cases over in-memory ports, and what tests do with them.
pub struct World {
    pub app: Arc<App>,
    pub clock: Arc<FakeClock>,
    pub scorer: Arc<FakeScorer>,
    pub blobs: Arc<MemoryBlobs>,
    pub runner: Arc<FakeRunner>,
    pub operator: Token,
}

fn containers(runner: &Arc<FakeRunner>) -> Containers {
    let room = Room { cpus: MilliCpus(2_000), memory: Bytes(4 << 30), disk: Bytes(1 << 40), gpus: 0 };
    Containers {
        runner: Arc::clone(runner) as _,
        image: Some("usual".parse().unwrap()),
        room,
        allows: Allows { runtimes: vec!["safe".to_owned()], networks: vec!["mirror".to_owned()], gpus: Vec::new() },
    }
}

/// A fresh one.
pub fn world() -> World {
    let clock = Arc::new(FakeClock::at("2026-02-01T12:00:00Z".parse().unwrap()));
    let (scorer, blobs) = (Arc::new(FakeScorer::default()), Arc::new(MemoryBlobs::default()));
    let app = App::new(
        Arc::new(MemoryStore::default()),
        Arc::clone(&blobs) as _,
        Arc::clone(&scorer) as _,
        Arc::clone(&clock) as _,
        Arc::new(Silence),
        &[("fake", b"good"), ("bad", b"bad")],
    );
    let runner = Arc::new(FakeRunner::new(Arc::clone(&blobs) as _));
    let app = app.with_containers(Ok(containers(&runner)));
    let (operator, _) = app.grant(None, Role::Operator, "operator".parse().unwrap(), vec![]).unwrap();
    World { app: Arc::new(app), clock, scorer, blobs, runner, operator }
}

impl World {
    pub fn pending(&self, files: &[(&str, &str)]) -> Pending {
        let part = |(path, text): &(&str, &str)| {
            let mut blob = self.blobs.create().unwrap();
            blob.write_all(text.as_bytes()).unwrap();
            Part::Own(path.parse().unwrap(), blob)
        };
        Pending::new(files.iter().map(part).collect()).unwrap()
    }

    pub fn stage(&self, toml: &str, good: &str) -> Result<Operation, Refusal> {
        let files = [
            ("challenge.toml", toml),
            ("ref.csv", "secret"),
            ("good.txt", good),
            ("page.md", "hello"),
            ("in.csv", "rows"),
        ];
        self.app.publish(&self.operator, &challenge(), self.pending(&files))
    }

    pub fn publish(&self, toml: &str) -> Result<OperationState, Refusal> {
        self.app.run_operation(&self.stage(toml, "score 0.75")?)
    }

    /// Another host on the same store, after this one died.
    pub fn next_host(&self) -> App {
        App::new(
            Arc::clone(&self.app.store),
            Arc::clone(&self.blobs) as _,
            Arc::clone(&self.scorer) as _,
            Arc::clone(&self.clock) as _,
            Arc::new(Silence),
            &[("fake", b"good")],
        )
        .with_containers(Ok(containers(&self.runner)))
    }

    pub fn entrant(&self, name: &str) -> Token {
        self.app.grant(None, Role::Participant, name.parse().unwrap(), vec![]).unwrap().0
    }

    pub fn submit_with(&self, token: &Token, text: &str, key: Option<&str>) -> Result<(SubmissionId, bool), Refusal> {
        self.submit_files(token, &[("p.txt", text)], key)
    }

    pub fn submit_files(
        &self,
        token: &Token,
        files: &[(&str, &str)],
        key: Option<&str>,
    ) -> Result<(SubmissionId, bool), Refusal> {
        let door = self.app.door(token, &challenge(), &"dev".parse().unwrap(), key, self.app.clock.now())?;
        let files = self.pending(files);
        let about = &files.folder().files()[0].about;
        let upload = Upload { name: "p.txt".into(), len: about.len, digest: about.digest };
        let arrived = self.app.clock.now();
        let offer = Offer { upload, files, about: About::default(), key: key.map(Into::into), arrived };
        self.app.submit(token.into(), &door, offer).map(|submitted| (submitted.id, submitted.before))
    }

    pub fn submit(&self, token: &Token, text: &str) -> Result<SubmissionId, Refusal> {
        self.submit_with(token, text, None).map(|(id, _)| id)
    }

    pub fn job(&self, id: SubmissionId) -> Job {
        self.app.store.submission(id).unwrap().unwrap().job
    }

    /// Works until nothing is left to do now.
    pub fn work(&self) {
        for stage in [Stage::Run, Stage::Score] {
            while self.app.work("w", stage).unwrap() != Worked::Idle {}
        }
    }

    pub fn remaining(&self, token: &Token) -> u64 {
        let seen = self.app.see(Some(token), &challenge()).unwrap();
        self.app.standings(&seen, token).unwrap()[0].2[0].remaining
    }

    pub fn board(&self, token: Option<&Token>) -> Vec<(u64, String, f64)> {
        Self::board_of(&self.app, token)
    }

    /// As a host shows it.
    pub fn board_of(host: &App, token: Option<&Token>) -> Vec<(u64, String, f64)> {
        let seen = host.see(token, &challenge()).unwrap();
        let page = host.leaderboard(&seen, token, &"main".parse().unwrap(), None, 100).unwrap();
        let row = |entry: &gradus_core::app::read::ShownEntry| {
            (entry.rank, entry.entrant.to_string(), entry.values[0].unwrap())
        };
        page.entries.iter().map(row).collect()
    }
}

/// Whether what a worker's turn brought of `id` was not wanted any more.
pub fn dropped(worked: &Worked, id: SubmissionId) -> bool {
    matches!(worked, Worked::Did { id: of, job: None, trouble: None, .. } if *of == id)
}

/// The only challenge.
pub fn challenge() -> ChallengeId {
    "c".parse().unwrap()
}
