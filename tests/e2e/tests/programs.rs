//! Programs of participants, through the real server and the real container engine: run, scored, limited, told, and gone.

use gradus_e2e::programs::{Engine, alone};
use gradus_e2e::rows::{self, SECRET, hand_in};
use gradus_e2e::{Api, Options, Server, example, root, run, skip, until};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder, and the turn to run programs.
struct Folder {
    home: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Folder {
    fn path(&self) -> &Path {
        self.home.path()
    }
}

/// A challenge that gives half of its rows away in its input, or `None` where nothing can be run.
fn challenge(limits: &str) -> Option<Folder> {
    let alone = alone();
    let image = match Engine::default().image("") {
        Ok(image) => image,
        Err(why) => {
            skip(&why);
            return None;
        }
    };
    Some(Folder { home: rows::challenge(&image, limits), _alone: alone })
}

/// A server with the challenge on it.
fn serving(limits: &str) -> Option<(Server, Folder)> {
    let folder = challenge(limits)?;
    let server = Server::start();
    server.publish(folder.path());
    Some((server, folder))
}

fn info(api: &Api, id: &str) -> Value {
    api.get(&format!("/api/v1/submissions/{id}")).json()
}

fn printed(api: &Api, id: &str, stream: &str) -> String {
    api.get(&format!("/api/v1/submissions/{id}/logs/{stream}")).text()
}

fn is(api: &Api, id: &str, state: &str) {
    until(state, || info(api, id)["state"] == state);
}

const HONEST: &str = "cp /app/input_data/rows.csv /app/output/predictions.csv; echo done; echo $PWD $HOME >&2";

#[test]
fn a_program_is_run_and_what_it_leaves_is_scored() {
    let Some((server, folder)) = serving("") else { return };
    let anna = server.participant("anna");
    let id = hand_in(&anna, HONEST);
    let ended = anna.ended(&id);
    assert_eq!((&ended["outcome"], &ended["lane"]), (&"scored".into(), &"code".into()), "{ended}");
    let ran = &ended["run"];
    assert_eq!(ran["exit_code"], 0, "{ran}");
    assert!(ran["image"].as_str().is_some_and(|image| image.starts_with("sha256:")), "{ran}");
    assert!(ran["wall_ms"].as_u64() > Some(0) && ran["peak_memory"].as_u64() > Some(0), "{ran}");
    assert_eq!(ran["allowed"]["memory"], 64 << 20, "{ran}");
    assert_eq!(printed(&anna, &id, "stdout"), "done\n");
    assert_eq!(printed(&anna, &id, "stderr"), "/app/program /tmp\n");
    let told = anna.get(&format!("/api/v1/submissions/{id}/events")).text();
    assert!(told.find("\"running\"") < told.find("\"scoring\""), "{told}");

    // The same predictions, handed in as such, get the same scores; only what is known of the run is read besides.
    let rows = std::fs::read(folder.path().join("input/rows.csv")).expect("it is there");
    let other = anna.submit("rows", "dev", "predictions.csv", &rows).json();
    let other = other["id"].as_str().expect("it was taken").to_owned();
    assert_eq!(anna.ended(&other)["lane"], "results");
    let report = |id: &str| {
        let mut report = server.operator().get(&format!("/api/v1/submissions/{id}/report")).json();
        report["cost"] = Value::Null;
        report
    };
    assert_eq!(report(&id), report(&other));

    let phase = anna.get("/api/v1/challenges/rows").json()["phases"][0].clone();
    assert_eq!(phase["accepts"], serde_json::json!(["code", "results"]));
    assert_eq!(phase["run"]["memory"], 64 << 20);
    // The input is for programs, not for downloads.
    assert_eq!(anna.get("/api/v1/challenges/rows/files/input/rows.csv").status, 404);
}

#[test]
fn each_end_is_told_and_leaves_nothing_behind() {
    let Some((server, _folder)) = serving(", pids = 20") else { return };
    let anna = server.participant("anna");
    for (script, outcome, code, text) in [
        ("echo because >&2; exit 3", "run-failed", "exit", "exit code 3"),
        ("kill -SEGV $$", "run-failed", "signal", "signal 11"),
        ("tail /dev/zero", "limit", "memory", "MiB of memory"),
        ("head -c 8000000 /dev/zero > /app/output/x", "limit", "output", "4 MiB of output"),
        ("cd /app/output; i=0; while :; do i=$((i+1)); : > $i || exit; done", "limit", "files", "100 files"),
        ("while :; do sh -c 'sleep 9' & done", "limit", "pids", "20 processes"),
        ("ln -s /etc/passwd /app/output/predictions.csv", "run-failed", "bad-output", "symbolic link"),
        ("mkfifo /app/output/predictions.csv", "run-failed", "bad-output", "no regular file"),
        ("echo 'elapsedTime: 0' > /app/output/metadata", "run-failed", "bad-output", "the runner's"),
        ("exec /no/such/program", "run-failed", "exit", "exit code 127"),
        (":", "invalid-submission", "", ""),
        (
            "echo id,label > /app/output/p.csv; echo '{\"scores\":[]}' > /app/output/report.json",
            "invalid-submission",
            "",
            "",
        ),
    ] {
        let id = hand_in(&anna, script);
        let ended = anna.ended(&id);
        assert_eq!(ended["outcome"], outcome, "{script}: {ended}");
        assert_eq!((&ended["fault"], &ended["charged"]), (&"participant".into(), &true.into()), "{script}: {ended}");
        let (told, why) = (&ended["run"]["code"], &ended["run"]["failure"]);
        assert_eq!(told.as_str().unwrap_or_default(), code, "{script}: {ended}");
        assert!(why.as_str().unwrap_or_default().contains(text), "{script}: {ended}");
        assert_eq!(ended["report"].is_null(), !text.is_empty(), "{script}: {ended}");
        Engine::default().assert_nothing_is_left(server.data(), script);
    }
    let why = info(&anna, &hand_in(&anna, "echo because >&2; exit 3"));
    let id = why["id"].as_str().expect("it has an id");
    anna.ended(id);
    assert_eq!(printed(&anna, id, "stderr"), "because\n");
    let id = hand_in(&anna, HONEST);
    assert_eq!(anna.ended(&id)["outcome"], "scored", "the next honest one");
}

#[test]
fn what_a_program_prints_is_followed_while_it_runs() {
    let Some((server, _folder)) = serving("") else { return };
    let (anna, ben) = (server.participant("anna"), server.participant("ben"));
    let id = hand_in(&anna, &format!("echo begun; sleep 3; printf 'h\\303'; sleep 1; printf '\\244lt\\n'; {HONEST}"));
    let (listener, path) = (anna.clone(), format!("/api/v1/submissions/{id}/events"));
    let stream = std::thread::spawn(move || listener.get(&path).text());
    until("it is heard", || printed(&anna, &id, "stdout") == "begun\n");
    assert_eq!(info(&anna, &id)["state"], "running", "it was heard while it ran");
    assert_eq!(ben.get(&format!("/api/v1/submissions/{id}/logs/stdout")).status, 404);
    let told = stream.join().expect("the stream ends with the submission");
    let pieces = told.lines().filter_map(|line| line.strip_prefix("data:")).filter_map(|data| {
        let event: Value = serde_json::from_str(data).expect("JSON");
        (event["kind"] == "log" && event["stream"] == "stdout").then(|| event["text"].as_str().unwrap_or("").to_owned())
    });
    let pieces: Vec<_> = pieces.collect();
    assert_eq!(pieces.concat(), "begun\nhält\ndone\n", "{pieces:?}");
    assert!(pieces.len() > 1 && told.find("begun") < told.find("\"scoring\""), "{told}");
}

#[test]
fn what_is_hidden_is_nowhere_to_be_found() {
    let Some((server, _folder)) = serving("") else { return };
    let (anna, ben) = (server.participant("anna"), server.participant("ben"));
    let marked = "ben-was-here-7d1e";
    let other = hand_in(&ben, &format!("{HONEST}; : {marked}; sleep 3"));
    is(&ben, &other, "running");
    // Whatever is readable, of any process, at any place that the container has.
    let looks = "cp /app/input_data/rows.csv /app/output/predictions.csv
        for top in /[!a]* /app/[!p]*; do case $top in /proc|/sys|/dev) ;; *) grep -rslF -e id,label -e class-of-2c6f0d -e ben-was-here-7d1e $top;; esac; done
        cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/[0-9]*/maps 2>/dev/null | grep -aF -e class-of-2c6f0d -e GRADUS -e TOKEN
        for fd in /proc/[0-9]*/fd/*; do readlink $fd; done | grep -v -e '^/dev/null$' -e '^pipe:' -e '^/proc/' -e '^/app/program/run.sh$'
        find / -xdev -name '*.sock' -o -xdev -type s 2>/dev/null | grep -v '^/proc/'
        cat /proc/mounts | grep -i -e reference -e blobs -e store
        ls /app
        true";
    let id = hand_in(&anna, looks);
    let ended = anna.ended(&id);
    assert_eq!(ended["outcome"], "scored", "{ended}");
    // Its own input and output are found, so that it did look.
    let found = "/app/input_data/rows.csv\n/app/output/predictions.csv\ninput_data\noutput\nprogram\n";
    assert_eq!(printed(&anna, &id, "stdout"), found);
    let err = printed(&anna, &id, "stderr");
    assert!(!err.contains(SECRET) && !err.contains(marked), "{err}");
    assert_eq!(ben.ended(&other)["outcome"], "scored");
    assert_eq!(ben.get(&format!("/api/v1/submissions/{id}/logs/stdout")).status, 404, "nobody else's");
}

#[test]
fn a_program_that_is_cancelled_is_gone_within_two_seconds() {
    let Some((server, _folder)) = serving("") else { return };
    let anna = server.participant("anna");
    let script = "trap '' TERM INT; echo so far; while :; do sleep 1; done & while :; do :; done";
    let id = hand_in(&anna, script);
    is(&anna, &id, "running");
    until("it is in a container", || printed(&anna, &id, "stdout") == "so far\n");
    let began = Instant::now();
    assert_eq!(anna.post(&format!("/api/v1/submissions/{id}/cancel"), b"").status, 200);
    until("the container goes", || Engine::default().containers(server.data()) == 0);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(info(&anna, &id)["state"], "cancelled");
    assert_eq!(printed(&anna, &id, "stdout"), "so far\n");
    let id = hand_in(&anna, HONEST);
    assert_eq!(anna.ended(&id)["outcome"], "scored");
    Engine::default().assert_nothing_is_left(server.data(), "cancelled");
}

#[test]
fn a_host_that_dies_in_a_run_does_it_again_and_counts_it_once() {
    let Some((mut server, _folder)) = serving("") else { return };
    let anna = server.participant("anna");
    let id = hand_in(&anna, &format!("sleep 2; {HONEST}"));
    until("it is in a container", || Engine::default().containers(server.data()) > 0);
    server.kill();
    assert_eq!(Engine::default().containers(server.data()), 1, "nobody was there to remove it");
    server.again();
    let anna = Api::new(&server.base, anna.token.as_deref());
    let ended = anna.ended(&id);
    assert_eq!(ended["outcome"], "scored", "{ended}");
    let quota = anna.get("/api/v1/challenges/rows/quota").json();
    assert_eq!(quota["phases"][0]["rules"][0]["used"], 1, "{quota}");
    let told = anna.get(&format!("/api/v1/submissions/{id}/events")).text();
    assert_eq!(told.matches("\"kind\":\"report\"").count(), 1, "{told}");
    Engine::default().assert_nothing_is_left(server.data(), "killed");

    let id = hand_in(&anna, &format!("sleep 2; {HONEST}"));
    until("it is in a container", || Engine::default().containers(server.data()) > 0);
    assert_eq!(server.stop(), Some(0), "it stops in order");
    Engine::default().assert_nothing_is_left(server.data(), "stopped");
    server.again();
    let anna = Api::new(&server.base, anna.token.as_deref());
    assert_eq!(anna.ended(&id)["outcome"], "scored");
}

#[test]
fn scoring_does_not_wait_behind_runs() {
    let Some((server, folder)) = serving("") else { return };
    let busy = ["a", "b", "c"].map(|name| server.participant(name));
    let ids = busy.each_ref().map(|api| hand_in(api, &format!("sleep 4; {HONEST}")));
    is(&busy[0], &ids[0], "running");
    let rows = std::fs::read(folder.path().join("input/rows.csv")).expect("it is there");
    let anna = server.participant("anna");
    let began = Instant::now();
    let id = anna.submit("rows", "dev", "predictions.csv", &rows).json()["id"].as_str().expect("taken").to_owned();
    assert_eq!(anna.ended(&id)["outcome"], "scored");
    assert!(busy.iter().zip(&ids).any(|(api, id)| info(api, id)["state"] == "running"), "after {:?}", began.elapsed());
    for (api, id) in busy.iter().zip(&ids) {
        assert_eq!(api.ended(id)["outcome"], "scored");
    }
}

#[test]
fn a_server_without_an_engine_takes_no_code_and_says_so() {
    let Some(folder) = challenge("") else { return };
    let server = Server::start_with(Options { config: "[runner]\nengine = \"off\"\n".into(), under: Vec::new() });
    let token = server.data().join("operator.token");
    let environment = [("GRADUS_SERVER", server.base.as_str()), ("GRADUS_TOKEN_FILE", token.to_str().expect("UTF-8"))];
    let path = folder.path().to_str().expect("UTF-8");
    let ran = run(&["challenge", "publish", "--no-check", path], &environment);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!((ran.out + &ran.err).contains("tasks.main.accepts: takes programs, and none can be run here"));
}

/// What was taken before its server lost the engine waits, says why, and is done when there is one again.
#[test]
fn what_waits_for_an_engine_says_so() {
    let Some((mut server, _folder)) = serving("") else { return };
    let anna = server.participant("anna");
    server.stop();
    server.configure("[runner]\nengine = \"off\"\n");
    server.again();
    let api = Api::new(&server.base, anna.token.as_deref());
    let id = hand_in(&api, HONEST);
    let waits = info(&api, &id);
    assert_eq!(waits["state"], "queued");
    assert!(waits["reason"].as_str().is_some_and(|reason| reason.contains("waits for a container engine")), "{waits}");
    let queues = |server: &Server| {
        let token = server.data().join("operator.token");
        let token = token.to_str().expect("UTF-8");
        run(&["admin", "queue"], &[("GRADUS_SERVER", server.base.as_str()), ("GRADUS_TOKEN_FILE", token)]).out
    };
    let shown = queues(&server);
    let why = "rows                 1  it waits for a container engine, which the server does not have now: ";
    assert!(shown.lines().last().is_some_and(|line| line.starts_with(why) && line.len() > why.len()), "{shown}");
    server.stop();
    // Nor is it begun where there is no room for what it may leave.
    server.configure("[limits]\nfree_disk = \"1000000GiB\"\n");
    server.again();
    let api = Api::new(&server.base, anna.token.as_deref());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(info(&api, &id)["state"], "queued");
    let told = std::fs::read_to_string(server.data().with_file_name("server.log")).expect("it logs");
    let reason = "it waits until the server has more room on its disk";
    assert_eq!(info(&api, &id)["reason"], reason);
    let shown = queues(&server);
    assert!(shown.lines().last().is_some_and(|line| line.ends_with(reason)), "{shown}");
    let ready = api.get("/readyz").json();
    assert!(ready["programs"].as_str().is_some_and(|programs| programs != "ok"), "{ready}");
    assert!(told.contains("no program is begun until there is room") && !told.contains("an attempt failed"), "{told}");
    server.stop();
    server.configure("");
    server.again();
    let api = Api::new(&server.base, anna.token.as_deref());
    assert_eq!(api.ended(&id)["outcome"], "scored");
}

#[test]
fn an_ingestion_program_calls_what_was_handed_in() {
    let Some(folder) = challenge("") else { return };
    let change = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("there is room");
        std::fs::write(path, text).expect("there is room");
    };
    let toml = std::fs::read_to_string(folder.path().join("challenge.toml")).expect("it is there");
    change("challenge.toml", &toml.replace("input = \"input\"", "input = \"input\"\ningestion = \"ingestion\""));
    change("ingestion/metadata", "command: sh $program/call.sh $submission_program $input $output\n");
    change("ingestion/call.sh", "pwd; sh $1/run.sh; code=$?; echo called; exit $code");
    change("solutions/copies/run.sh", HONEST);
    change("solutions/fails/run.sh", "exit 3");
    let server = Server::start();
    server.publish(folder.path());
    let anna = server.participant("anna");
    let id = hand_in(&anna, HONEST);
    assert_eq!(anna.ended(&id)["outcome"], "scored");
    assert_eq!(printed(&anna, &id, "stdout"), "/app/program\ndone\ncalled\n");
    // What is the organizer's is not for downloads.
    assert_eq!(anna.get("/api/v1/challenges/rows/files/ingestion/call.sh").status, 404);
}

#[test]
fn a_challenge_is_checked_with_its_programs_on_this_computer() {
    let Some(folder) = challenge("") else { return };
    let path = folder.path().to_str().expect("UTF-8");
    let ran = run(&["challenge", "check", path], &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("solutions/copies") && ran.out.contains("accuracy 0.5"), "{}", ran.out);
    wrong(folder.path());
    let ran = run(&["challenge", "check", path], &[]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("exit code 3: because"), "{}", ran.out);
}

#[test]
fn a_program_is_scored_on_this_computer_as_on_a_server() {
    let Some((server, folder)) = serving("") else { return };
    let anna = server.participant("anna");
    let id = hand_in(&anna, HONEST);
    anna.ended(&id);
    let there = server.operator().get(&format!("/api/v1/submissions/{id}/report")).json();
    let archive = folder.path().join("program.zip");
    std::fs::write(&archive, rows::program(HONEST)).expect("there is room");
    let words = ["score", folder.path().to_str().expect("UTF-8"), archive.to_str().expect("UTF-8"), "--json"];
    let ran = run(&words, &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let here: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!((&here["scores"], &here["digests"]), (&there["scores"], &there["digests"]));
    std::fs::write(&archive, rows::program("echo why; exit 4")).expect("there is room");
    let ran = run(&words, &[]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let here: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(
        (&here["outcome"], &here["error"]),
        (&"run-failed".into(), &"the program ended with exit code 4".into())
    );
}

#[test]
fn the_examples_with_programs_hold() {
    let _alone = alone();
    let built = Command::new("bash").arg(root().join("tests/images/python.sh")).output().expect("bash is there");
    if !built.status.success() {
        return skip(&format!("the image with Python: {}", String::from_utf8_lossy(&built.stderr)));
    }
    for name in ["digits-code", "corridors"] {
        let ran = run(&["challenge", "check", example(name).to_str().expect("UTF-8")], &[]);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    }
    // As its page says.
    let engine = Engine::default();
    let room = tempfile::tempdir().expect("there is room for a folder");
    let (saved, name) = (room.path().join("reader.tar"), format!("gradus-test-reader:{}", std::process::id()));
    engine.build(&name, &example("digits-code").join("data/public/image"));
    engine.save(&name, &saved);
    engine.forget(&name);
    let server = Server::start();
    server.publish_example("digits-code");
    let token = server.data().join("operator.token");
    let environment = [("GRADUS_SERVER", server.base.as_str()), ("GRADUS_TOKEN_FILE", token.to_str().expect("UTF-8"))];
    let ran = run(&["submit", "digits-code", saved.to_str().expect("UTF-8"), "--wait"], &environment);
    assert!(ran.code == 0 && ran.out.contains("0.98"), "{}{}", ran.out, ran.err);
    engine.assert_nothing_is_left(server.data(), "an image example");
    assert_eq!(engine.images(server.data()), [""; 0]);
}

/// An operator removed the image: that is nobody's fault who hands in, and it is put right by loading it again.
#[test]
fn an_image_that_is_gone_is_waited_for() {
    let _alone = alone();
    let engine = Engine::default();
    let image = match engine.image("LABEL test=gone") {
        Ok(image) => image,
        Err(why) => return skip(&why),
    };
    let folder = rows::challenge(&image, "");
    let room = tempfile::tempdir().expect("there is room for a folder");
    let saved = room.path().join("saved.tar");
    engine.save(&image, &saved);
    let server = Server::start();
    server.publish(folder.path());
    let anna = server.participant("anna");
    engine.forget(&image);
    let (kept, called_off) = (hand_in(&anna, HONEST), hand_in(&anna, HONEST));
    for id in [&kept, &called_off] {
        until("it is said why", || info(&anna, id)["reason"].as_str().is_some_and(|why| why.contains("the image")));
    }
    assert_eq!(anna.post(&format!("/api/v1/submissions/{called_off}/cancel"), b"").status, 200);
    engine.load(&saved);
    assert_eq!(anna.ended(&kept)["outcome"], "scored");
    let quota = anna.get("/api/v1/challenges/rows/quota").json();
    assert_eq!(quota["phases"][0]["rules"][0]["used"], 1, "{quota}");
    engine.assert_nothing_is_left(server.data(), "image gone");
    engine.forget(&image);
}

/// Expects scores of the solution that fails.
fn wrong(folder: &Path) {
    let path = folder.join("challenge.toml");
    let text = std::fs::read_to_string(&path).expect("it is there");
    std::fs::write(path, text.replace("outcome = \"run-failed\"", "scores = { accuracy = 1.0 }"))
        .expect("there is room");
}

#[test]
fn what_participants_see_of_a_program_follows_the_task() {
    let Some(folder) = challenge("") else { return };
    let path = folder.path().join("challenge.toml");
    let text = std::fs::read_to_string(&path).expect("it is there");
    std::fs::write(&path, text.replace(", logs = \"participant\"", "")).expect("there is room");
    let server = Server::start();
    server.publish(folder.path());
    let anna = server.participant("anna");
    let id = hand_in(&anna, HONEST);
    anna.ended(&id);
    assert_eq!(anna.get(&format!("/api/v1/submissions/{id}/logs/stdout")).status, 404);
    assert_eq!(printed(&server.operator(), &id, "stdout"), "done\n");
    let environment = [("GRADUS_SERVER", server.base.as_str()), ("GRADUS_TOKEN_FILE", "operator.token")];
    let ran = Command::new(gradus_e2e::gradus())
        .args(["logs", &id])
        .envs(environment)
        .current_dir(server.data())
        .output()
        .expect("the binary can be started");
    assert!(String::from_utf8_lossy(&ran.stdout).contains("done"), "{ran:?}");
}

#[test]
fn what_needs_a_gpu_waits_for_one_and_says_so() {
    let _alone = alone();
    let engine = Engine::default();
    let image = match engine.image("") {
        Ok(image) => image,
        Err(why) => return skip(&why),
    };
    let folder = rows::challenge(&image, ", gpus = 1");
    let path = folder.path().join("challenge.toml");
    let text = std::fs::read_to_string(&path).expect("it is there");
    let (text, _) = text.split_once("[[solutions]]").expect("it has solutions");
    std::fs::write(&path, text).expect("there is room");
    // One that the configuration lists, and the engine has not.
    let config = "[runner]\ngpus = [\"0\"]\n".to_owned();
    let mut server = Server::start_with(Options { config, under: Vec::new() });
    server.publish(folder.path());
    // None is listed any more.
    assert_eq!(server.stop(), Some(0));
    server.configure("[runner]\ngpus = []\n");
    server.again();
    let (anna, operator) = (server.participant("anna"), server.data().join("operator.token"));
    let id = hand_in(&anna, HONEST);
    std::thread::sleep(Duration::from_secs(1));
    let waits = info(&anna, &id);
    assert_eq!(waits["state"], "queued", "{waits}");
    assert!(waits["reason"].as_str().is_some_and(|why| why.contains("waits for GPUs")), "{waits}");
    let environment =
        [("GRADUS_SERVER", server.base.as_str()), ("GRADUS_TOKEN_FILE", operator.to_str().expect("UTF-8"))];
    let refused = run(&["challenge", "publish", folder.path().to_str().expect("UTF-8")], &environment);
    assert!((refused.out + &refused.err).contains("runs get at most 0 GPUs here"), "it says what there is");
    // One that is listed and not there: the engine's trouble, and the submission waits on.
    assert_eq!(server.stop(), Some(0));
    server.configure("[runner]\ngpus = [\"0\"]\n");
    server.again();
    let anna = Api::new(&server.base, anna.token.as_deref());
    until("it was tried", || {
        info(&anna, &id)["reason"].as_str().is_some_and(|why| why.contains("cannot be run on this server"))
    });
    engine.assert_nothing_is_left(server.data(), "no GPU");
}
