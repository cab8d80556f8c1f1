//! What clients can make the server hold, whoever they are: threads, open files, memory, labels of metrics. Bounded, and
//! given back when they go.

use gradus_e2e::{Answer, Api, Options, Raw, Server, example, misbehaving_challenge, variant, zip};
use std::time::{Duration, Instant};

const SUBMISSIONS: &str = "/api/v1/challenges/breast-cancer/phases/dev/submissions";

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn slow_uploads_hold_no_threads_and_their_places_come_back() {
    let server = Server::start();
    server.publish_example("breast-cancer");
    let anna = server.participant("anna");
    let threads = server.status("Threads");
    let begin = |number: usize| {
        let path = format!("{SUBMISSIONS}?filename=slow-{number}.csv");
        let mut slow = Raw::begin(&anna, "POST", &path, "Content-Length: 1000000\r\n");
        // More than is gathered before it is written, and than is held in memory.
        slow.send(&b"id,label\n".repeat(40_000));
        slow
    };
    let open: Vec<_> = (0..64).map(begin).collect();
    let tmp = || std::fs::read_dir(server.data().join("blobs/tmp")).expect("the folder is there").count();
    eventually("all uploads are under way", || tmp() == 64);
    // The HTTP runtime lends a thread to what blocks and takes it back: none stays with an upload that waits.
    eventually("the threads are back", || server.status("Threads") < threads + 20);
    assert_eq!(tmp(), 64, "and all are still under way");
    let more = anna.submit("breast-cancer", "dev", "more.csv", b"id,label\n");
    more.refuses("one more", 429, "too-many-uploads", "64 uploads of yours");
    assert_eq!(more.header("retry-after"), Some("5"));
    let ben = server.participant("ben");
    assert_eq!(ben.submit("breast-cancer", "dev", "b.csv", b"x").status, 422, "others are not held up");
    drop(open);
    eventually("what was half-sent is gone", || tmp() == 0);
    assert_eq!(anna.submit("breast-cancer", "dev", "more.csv", b"x").status, 422, "her places are hers again");
}

#[test]
fn an_archive_may_hold_more_files_than_a_process_may_open() {
    let under = ["bash", "-c", "ulimit -n 128; exec \"$@\"", "bash"].map(ToOwned::to_owned).to_vec();
    let mut server = Server::start_with(Options { under, ..Options::default() });
    let home = tempfile::tempdir().expect("there is room for a folder");
    // The challenge has as many, and public ones among them.
    misbehaving_challenge(home.path(), "many", "{ do = \"read\", admit = true }", "truth", "public");
    let bodies: Vec<(String, String)> =
        (0..1000).map(|n| (format!("part/{n}.txt"), format!("{n} ").repeat(100))).collect();
    for (name, body) in &bodies {
        for place in ["hidden", "open"] {
            let path = home.path().join(place).join(name);
            std::fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("there is room");
            std::fs::write(path, body).expect("there is room");
        }
    }
    let manifest = home.path().join("challenge.toml");
    let text = std::fs::read_to_string(&manifest).expect("it has a manifest");
    std::fs::write(&manifest, text.replace("params =", "public = \"open\"\nparams =")).expect("there is room");
    server.publish(home.path());
    let anna = server.participant("anna");
    let files: Vec<(&str, &[u8])> = bodies.iter().map(|(name, body)| (name.as_str(), body.as_bytes())).collect();
    let mut reports = Vec::new();
    for _ in 0..2 {
        let (anna, operator) = (Api::new(&server.base, anna.token.as_deref()), server.operator());
        let answer = anna.submit("many", "dev", "many.zip", &zip(&files));
        assert_eq!(answer.status, 202, "{}", answer.text());
        let id = answer.json()["id"].as_str().expect("it has an id").to_owned();
        let ended = anna.ended(&id);
        assert_eq!(ended["outcome"], "scored", "{}", operator.get(&format!("/api/v1/submissions/{id}/report")).text());
        reports.push(operator.get(&format!("/api/v1/submissions/{id}/report")).text());
        for (name, body) in bodies.iter().step_by(97) {
            let read = anna.get(&format!("/api/v1/challenges/many/files/open/{name}"));
            assert_eq!((read.status, &read.text()), (200, body), "{name}");
        }
        server.kill();
        server.again();
    }
    assert_eq!(reports[0], reports[1], "after a restart they are read from the disk again");
}

#[test]
fn a_form_whose_part_never_begins_is_cut() {
    let server = Server::start();
    server.publish_example("breast-cancer");
    let anna = server.participant("anna");
    let before = server.status("VmRSS");
    let kind = "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000000\r\n";
    let mut form = Raw::begin(&anna, "POST", SUBMISSIONS, kind);
    form.send(b"--x\r\nContent-Disposition: form-data; name=\"");
    // The header of a part without an end: its reader would hold it all.
    let chunk = [b'a'; 64 << 10];
    let sent = (0..1_500).take_while(|_| form.try_send(&chunk)).count();
    let answer = form.answer();
    assert!(sent < 1_500 || answer.starts_with("HTTP/1.1 400"), "{sent} chunks taken: {answer}");
    let after = server.status("VmHWM");
    assert!(after < before + 80_000, "{before} kB before, {after} kB at most");
    assert_eq!(anna.get("/livez").status, 200);
}

#[test]
fn a_publication_goes_on_when_its_client_goes() {
    let server = Server::start();
    let home = tempfile::tempdir().expect("there is room for a folder");
    let mut packed = tar::Builder::new(Vec::new());
    packed.append_dir_all("folder", variant("breast-cancer", home.path(), &[])).expect("it can be packed");
    let packed = packed.into_inner().expect("it can be packed");
    let operator = server.operator();
    let length = format!("Content-Length: {}\r\n", packed.len());
    let mut sent = Raw::begin(&operator, "PUT", "/api/v1/challenges/breast-cancer", &length);
    sent.send(&packed);
    // Long enough to take the body in, too short to look it over: a component is compiled.
    std::thread::sleep(Duration::from_millis(200));
    drop(sent);
    eventually("it is live", || operator.get("/api/v1/challenges/breast-cancer").status == 200);
}

#[test]
fn what_clients_make_up_is_no_label() {
    let server = Server::start();
    let operator = server.operator();
    for number in 0..50 {
        operator.get(&format!("/made/up/{number}"));
        operator.get(&format!("/api/v1/submissions/made-up-{number}"));
        Raw::begin(&operator, &format!("MADEUP{number}"), "/livez", "").answer();
    }
    let metrics = operator.get("/metrics").text();
    assert!(metrics.contains("gradus_http_requests_total"), "{metrics}");
    assert!(!metrics.to_lowercase().contains("made"), "{metrics}");
    let series = metrics.lines().filter(|line| line.starts_with("gradus_http_requests_total")).count();
    assert!(series < 20, "{metrics}");
}

/// How often the store was asked to take a write for the sake of readiness alone.
#[test]
fn asking_for_readiness_again_and_again_writes_once_a_second() {
    let server = Server::start();
    let written = || std::fs::read_to_string(format!("/proc/{}/io", server.pid())).expect("the server runs");
    let calls = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        line.and_then(|number| number.parse::<u64>().ok()).expect("the line is there")
    };
    let api = server.api();
    assert_eq!(api.get("/readyz").status, 200);
    let (before, began) = (calls(&written()), Instant::now());
    for _ in 0..300 {
        assert_eq!(api.get("/readyz").status, 200);
    }
    let (bytes, seconds) = (calls(&written()) - before, began.elapsed().as_secs() + 2);
    // A durable write of the store is some blocks; three hundred of them would be a mebibyte and more.
    assert!(bytes <= seconds * 64 * 1024, "{bytes} bytes in {seconds} s");
}

#[test]
fn a_log_level_that_is_none_is_told() {
    let home = tempfile::tempdir().expect("there is room for a folder");
    let data = home.path().join("data");
    let words = ["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().expect("UTF-8")];
    let ran = gradus_e2e::run(&words, &[("GRADUS_LOG", "inof")]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("log level `inof`: use error, warn, info, debug, trace"), "{ran:?}");
}

/// More entrants than a page of the leaderboard has rows.
#[test]
fn a_table_has_all_rows_and_a_cursor_is_of_its_board() {
    let server = Server::start();
    server.publish_example("breast-cancer");
    let sample = std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the sample is there");
    let ids: Vec<(Api, String)> = (0..105)
        .map(|number| {
            let one = server.participant(&format!("p{number:03}"));
            let answer = one.submit("breast-cancer", "dev", "good.csv", &sample);
            assert_eq!(answer.status, 202, "{}", answer.text());
            let id = answer.json()["id"].as_str().expect("it has an id").to_owned();
            (one, id)
        })
        .collect();
    for (one, id) in &ids {
        assert_eq!(one.ended(id)["outcome"], "scored");
    }
    let board = "/api/v1/challenges/breast-cancer/leaderboards/main";
    let api = server.api();
    let table = api.get(&format!("{board}?format=csv")).text();
    assert_eq!(table.lines().count(), 106, "{table}");
    let first = api.get(board).json();
    let cursor = first["next_cursor"].as_str().expect("there are more").to_owned();
    let second = api.get(&format!("{board}?cursor={cursor}")).json();
    let names = |page: &serde_json::Value| -> Vec<String> {
        let items = page["items"].as_array().expect("a page has items");
        items.iter().map(|item| item["entrant"].as_str().expect("a row has a name").to_owned()).collect()
    };
    let mut all = names(&first);
    all.extend(names(&second));
    // The same predictions: the earlier submission ranks higher.
    assert_eq!(all, (0..105).map(|number| format!("p{number:03}")).collect::<Vec<_>>());
    assert!(second["next_cursor"].is_null(), "{second}");
    let refused = |answer: &Answer| (answer.status, answer.code());
    let (_, mark) = cursor.rsplit_once('.').expect("a cursor has parts");
    let marked = |text: &str| format!("{text}.{mark}");
    let forged = [
        "x",
        "1",
        "1.",
        ".p001",
        "-1.p001",
        "1:p001",
        "1.p999",
        "1.P%2F..",
        "%00",
        "1.p001.",
        "1.p001.x",
        "1.p001.%00",
        "18446744073709551615.p001",
        "18446744073709551615.p001.x",
        "18446744073709551616.p001.x",
        "100.p099.x",
    ];
    // With what only the server can know, and places that are not there.
    let marked = ["18446744073709551615.p001", "-1.p001", ".p001", "1.", "x.p001", "100.p1%2F.."].map(marked);
    for forged in forged.into_iter().chain(marked.iter().map(String::as_str)) {
        let answer = api.get(&format!("{board}?cursor={forged}"));
        let (status, code) = refused(&answer);
        assert!((400..=404).contains(&status) && !code.is_empty(), "{forged}: {}", answer.text());
    }
}
