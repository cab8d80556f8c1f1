//! From the first byte of a file to its score, over HTTP, as a client sees it: on an idle server, and with many clients.

use super::Plan;
use super::data;
use super::figures::{Times, heading, line, ms};
use gradus_e2e::{Api, Server, unpaced};
use std::time::{Duration, Instant};

const ROWS: usize = 1000;
const CLIENTS: usize = 16;

/// Measures and prints.
pub fn run(plan: &Plan) {
    heading("submit until the score is visible: 1000 rows, one client, an idle server");
    let server = Server::start_with(unpaced(""));
    let home = tempfile::tempdir().expect("there is room for a folder");
    data::write(home.path(), ROWS);
    server.publish(home.path());
    let anna = server.participant("anna");
    let rounds = plan.rounds(1000);
    let body = |seed: usize| data::predictions(ROWS, seed as u64).into_bytes();
    for seed in 0..20 {
        until_scored(&anna, &hand_in(&anna, &body(seed)));
    }

    let mut answered = Vec::with_capacity(rounds);
    let before = Jobs::of(&server);
    let mut times = |first: usize, wait: fn(&Api, &str)| {
        let round = |number| {
            let body = body(first + number);
            let began = Instant::now();
            let id = hand_in(&anna, &body);
            answered.push(began.elapsed());
            wait(&anna, &id);
            began.elapsed()
        };
        Times::new((0..rounds).map(round).collect())
    };
    times(100, until_told).print("by its event stream");
    times(100_000, until_scored).print("by asking every 0.5 ms");
    Times::new(answered).print("  of it: until the 202");
    let after = Jobs::of(&server);
    line("  of it: claim, grade and store, mean", ms(after.mean_since(&before)));
    let sample = body(1);
    Times::of(rounds, |_| {
        anna.post("/api/v1/challenges/bench/phases/dev/check?filename=p.csv", &sample);
    })
    .print("the format check alone");
    Times::of(rounds, |_| drop(anna.get("/livez"))).print("a request that does nothing");

    heading(&format!("{CLIENTS} clients at once, 1000 rows"));
    let each = plan.rounds(1000).div_ceil(CLIENTS);
    let clients: Vec<_> = (0..CLIENTS).map(|number| server.participant(&format!("client-{number}"))).collect();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for (number, client) in clients.iter().enumerate() {
            scope.spawn(move || {
                let ids: Vec<_> =
                    (0..each).map(|seed| hand_in(client, &body(1_000_000 * (number + 1) + seed))).collect();
                ids.iter().for_each(|id| until_scored(client, id));
            });
        }
    });
    let rate = (each * CLIENTS) as f64 / began.elapsed().as_secs_f64();
    line("handed in and scored", format!("{rate:.0} a second"));
}

/// Hands in and returns the id.
pub fn hand_in(api: &Api, body: &[u8]) -> String {
    let answer = api.submit("bench", "dev", "p.csv", body);
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["id"].as_str().expect("a submission has an id").to_owned()
}

/// Asks until it is scored.
pub fn until_scored(api: &Api, id: &str) {
    let path = format!("/api/v1/submissions/{id}");
    loop {
        let submission = api.get(&path).json();
        match submission["state"].as_str() {
            Some("scored") => return,
            Some("queued" | "scoring") => std::thread::sleep(Duration::from_micros(500)),
            _ => panic!("it should be scored: {submission}"),
        }
    }
}

/// Listens until it is scored.
fn until_told(api: &Api, id: &str) {
    // The stream ends with the submission.
    let told = api.get(&format!("/api/v1/submissions/{id}/events")).text();
    assert!(told.contains(r#""state":"scored""#), "{told}");
}

/// What the server says of its jobs.
struct Jobs {
    seconds: f64,
    count: f64,
}

impl Jobs {
    fn of(server: &Server) -> Self {
        let text = server.operator().get("/metrics").text();
        let sum = |name: &str| -> f64 {
            let lines = text.lines().filter(|line| line.starts_with(name));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        Self { seconds: sum("gradus_job_seconds_sum"), count: sum("gradus_job_seconds_count") }
    }

    fn mean_since(&self, before: &Self) -> Duration {
        let count = self.count - before.count;
        Duration::try_from_secs_f64((self.seconds - before.seconds) / count).unwrap_or_default()
    }
}
