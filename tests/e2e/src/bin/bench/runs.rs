//! A program's way through its container to its score, beside the same container by bare calls of the engine's.

use super::Plan;
use super::figures::{Times, heading, line, ms, ratio};
use gradus_e2e::programs::{Engine, alone};
use gradus_e2e::{Api, Server, rows, skip, unpaced};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const SOCKET: &str = "/var/run/docker.sock";
const HONEST: &str = "cp /app/input_data/rows.csv /app/output/predictions.csv";
/// Some seconds of work for one processor: beside them, what a container costs the engine, which also has but these
/// processors, is little.
const BUSY: &str = "i=0; while [ $i -lt 1600000 ]; do i=$((i+1)); done";

/// Measures and prints.
pub fn run(plan: &Plan) {
    heading("a program in a container: a copy of three lines, scored");
    let _alone = alone();
    let image = match Engine::default().image("") {
        Ok(image) => image,
        Err(why) => return skip(&why),
    };
    let folder = rows::challenge(&image, "");
    let server = Server::start_with(unpaced(""));
    server.publish(folder.path());
    let anna = server.participant("anna");
    let (mut lane, mut bare, mut inside) = (Vec::new(), Vec::new(), Vec::new());
    // In turn, so that what else goes on meets both.
    for _ in 0..plan.rounds(50) {
        let began = Instant::now();
        let id = rows::hand_in(&anna, HONEST);
        let ended = told(&anna, &id);
        lane.push(began.elapsed());
        inside.push(Duration::from_millis(ended["run"]["wall_ms"].as_u64().unwrap_or_default()));
        let began = Instant::now();
        barely(&image, "true");
        bare.push(began.elapsed());
    }
    let (lane, bare) = (Times::new(lane), Times::new(bare));
    lane.print("hand in until the score is told");
    Times::new(inside).print("  of it: the container itself");
    bare.print("create, start, wait, remove by bare calls");
    line("  the lane over them", ms(lane.median().saturating_sub(bare.median())));
    line("  ratio", ratio(lane.median(), bare.median()));

    heading("programs that keep a processor busy, side by side");
    let count = plan.rounds(8).max(4);
    for (name, time) in [("scored", &scored as &dyn Fn(&str, usize, usize) -> Duration), ("by bare calls", &bare_busy)]
    {
        let [one, two] = [1, 2].map(|runs| time(&image, count, runs));
        line(&format!("{count} {name}, one at a time"), ms(one));
        line(&format!("{count} {name}, two at a time"), ms(two));
        line("  so many times as fast", ratio(one, two));
    }
}

fn told(api: &Api, id: &str) -> Value {
    // The stream ends with the submission.
    let told = api.get(&format!("/api/v1/submissions/{id}/events")).text();
    assert!(told.contains(r#""state":"scored""#), "{told}");
    api.get(&format!("/api/v1/submissions/{id}")).json()
}

/// The time for `count` of them, `runs` at once.
fn scored(image: &str, count: usize, runs: usize) -> Duration {
    let folder = rows::challenge(image, "");
    let server = Server::start_with(unpaced(&format!("[runner]\nruns = {runs}\n")));
    server.publish(folder.path());
    let clients = ["anna", "ben"].map(|name| server.participant(name));
    let script = format!("{BUSY}; cp /app/input_data/rows.csv /app/output/p.csv");
    let began = Instant::now();
    let ids: Vec<_> = (0..count).map(|n| (n % 2, rows::hand_in(&clients[n % 2], &script))).collect();
    for (client, id) in &ids {
        told(&clients[*client], id);
    }
    began.elapsed()
}

/// The same without a server.
fn bare_busy(image: &str, count: usize, runs: usize) -> Duration {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..runs {
            scope.spawn(|| (0..count / runs).for_each(|_| barely(image, BUSY)));
        }
    });
    began.elapsed()
}

/// The least that running `script` in a container takes.
fn barely(image: &str, script: &str) {
    let body = json!({ "Image": image, "Cmd": ["sh", "-c", script], "HostConfig": { "NetworkMode": "none" } });
    let made: Value = serde_json::from_str(&call("POST", "/containers/create", &body.to_string())).expect("JSON");
    let id = made["Id"].as_str().expect("a container has an id");
    call("POST", &format!("/containers/{id}/start"), "");
    call("POST", &format!("/containers/{id}/wait"), "");
    call("DELETE", &format!("/containers/{id}"), "");
}

/// One call; the answer's body, as it is when it comes in one chunk.
fn call(method: &str, path: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(SOCKET).expect("the engine is there");
    let head = format!(
        "{method} /v1.41{path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("the engine listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the engine answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let code = head.split(' ').nth(1).unwrap_or_default();
    assert!(code.starts_with('2'), "{answer}");
    body.to_owned()
}
