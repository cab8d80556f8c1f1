//! What goes wrong for those who run a server or publish on it: each answer says what to do.

use gradus_e2e::{Api, Kept, Options, Server, example, run, skip, until, variant, wide};
use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

fn good() -> Vec<u8> {
    std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the example has a good sample")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn two_servers_on_one_folder_and_a_taken_port() {
    let server = Server::start();
    server.publish_example("breast-cancer");
    let ran = run(&["serve", "--listen", "127.0.0.1:0", "--data", text(server.data())], &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("another gradus has this data folder open: stop it, or name another folder"), "{ran:?}");
    assert!(ran.out.is_empty(), "it is not ready: {ran:?}");
    // The first one goes on.
    let anna = server.participant("anna");
    let answer = anna.submit("breast-cancer", "dev", "good.csv", &good());
    assert_eq!(anna.ended(answer.json()["id"].as_str().expect("it has an id"))["outcome"], "scored");

    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let addr = taken.local_addr().expect("it has an address").to_string();
    let home = tempfile::tempdir().expect("there is room for a folder");
    let ran = run(&["serve", "--listen", &addr, "--data", text(&home.path().join("data"))], &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains(&format!("{addr} is in use by another program")), "{ran:?}");
    assert!(ran.err.contains("--listen") && !ran.err.contains("panicked"), "{ran:?}");
}

#[test]
fn a_configuration_with_an_unknown_key() {
    let home = tempfile::tempdir().expect("there is room for a folder");
    let config = home.path().join("g.toml");
    std::fs::write(&config, "[limits]\nsubmision = \"1MiB\"\n").expect("there is room for a file");
    let data = home.path().join("data");
    let ran = run(&["serve", "--data", text(&data), "--config", text(&config)], &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("g.toml:2:") && ran.err.contains("did you mean `submission`?"), "{ran:?}");
    assert!(!data.exists(), "nothing is begun");
}

#[test]
fn a_manifest_with_an_unknown_key_is_not_published() {
    let server = Server::start();
    let home = tempfile::tempdir().expect("there is room for a folder");
    let folder = variant("breast-cancer", home.path(), &[("concurrent = 2", "concurent = 2")]);
    let manifest = std::fs::read_to_string(folder.join("challenge.toml")).expect("it has a manifest");
    let line = 1 + manifest.lines().position(|line| line.starts_with("concurent")).expect("the key is there");
    let (place, near) = (format!("challenge.toml:{line}: "), "unknown key; did you mean `concurrent`?");

    // The command line finds it before anything is sent.
    let token = server.data().join("operator.token");
    let environment = [("GRADUS_SERVER", server.base.as_str()), ("GRADUS_TOKEN_FILE", text(&token))];
    let ran = run(&["challenge", "publish", "--no-check", text(&folder)], &environment);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains(&place) && ran.out.contains(near), "{ran:?}");

    // The server finds it for those who send by other means.
    let mut packed = tar::Builder::new(Vec::new());
    packed.append_dir_all("folder", &folder).expect("it can be packed");
    let packed = packed.into_inner().expect("it can be packed");
    let operator = server.operator();
    let put = |id: &str, body: &[u8]| {
        operator.send("PUT", &format!("/api/v1/challenges/{id}"), &[], body).expect("the server answers")
    };
    let blobs = || std::fs::read_dir(server.data().join("blobs/tmp")).expect("the folder is there").count();
    let answer = put("breast-cancer", &packed);
    answer.refuses("unknown key", 422, "invalid-challenge", "1 problem; nothing was published");
    let told = answer.json()["errors"][0].as_str().unwrap_or_default().to_owned();
    assert!(told.starts_with(&place) && told.contains(near), "{told}");
    put("breast-cancer", b"not an archive").refuses("no archive", 422, "invalid-challenge", "nothing was published");
    put("breast-cancer", &packed[..5000]).refuses("cut archive", 422, "corrupt-archive", "cut short");
    assert_eq!(operator.get("/api/v1/challenges/breast-cancer").code(), "unknown-challenge");
    assert_eq!(blobs(), 0, "nothing is left on its way");
}

/// A small disk that goes with it.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).expect("there is room for a folder");
        let option = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &option, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|ran| ran.status.success()).then(|| Self(at.to_owned()))
    }

    /// Writes until there is no room, and a little back if told so.
    fn fill(&self, but: u64) -> PathBuf {
        let path = self.0.join("ballast");
        let mut file = File::create(&path).expect("a name needs no room");
        let mut len = 0;
        while let Ok(count @ 1..) = file.write(&[0; 4096]) {
            len += count as u64;
        }
        file.set_len(len.saturating_sub(but)).expect("a file can be made shorter");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let home = tempfile::tempdir().expect("there is room for a folder");
    let Some(disk) = SmallDisk::mount(&home.path().join("disk"), "96m") else {
        return skip("mounting a small disk needs root");
    };
    // First with a reserve, as a server has one: refused before a byte is read.
    let config = "[limits]\nfree_disk = \"4MiB\"\n".to_owned();
    let mut server = Server::start_in(&home.path().join("disk/data"), Options { config, ..Options::default() });
    server.publish_example("breast-cancer");
    let anna = server.participant("anna");
    let submit = |anna: &Api| anna.submit("breast-cancer", "dev", "good.csv", &good());
    let first = submit(&anna).json()["id"].as_str().expect("it has an id").to_owned();
    anna.ended(&first);
    let before = Kept::now(&server, &anna, "breast-cancer");
    let ballast = disk.fill(1 << 20);
    submit(&anna).refuses("a nearly full disk", 507, "disk-full", "nothing was stored; the operator has to make room");
    before.is_all(&server, &anna, "breast-cancer", "a nearly full disk");
    std::fs::remove_file(&ballast).expect("it can be removed");
    let second = submit(&anna).json()["id"].as_str().expect("it has an id").to_owned();
    anna.ended(&second);

    // Then without one: it fills up between a look and a write. Some are refused, and the server may stop.
    assert_eq!(server.stop(), Some(0));
    std::fs::write(home.path().join("disk/gradus.toml"), "").expect("there is room for a file");
    let config = "[limits]\nfree_disk = \"0B\"\n".to_owned();
    let options = Options { config, ..Options::default() };
    let mut server = Server::start_in(&home.path().join("disk/data"), options);
    let anna = Api::new(&server.base, anna.token.as_deref());
    let ballast = disk.fill(64 << 10);
    let (mut acknowledged, mut refused) = (vec![first, second], 0);
    for number in 0..12 {
        let body = wide(number);
        let path = "/api/v1/challenges/breast-cancer/phases/dev/submissions?filename=good.csv";
        let Ok(answer) = anna.send("POST", path, &[], &body) else { break };
        match answer.status {
            202 => acknowledged.push(answer.json()["id"].as_str().expect("it has an id").to_owned()),
            507 => answer.refuses("a full disk", 507, "disk-full", "make room"),
            503 => answer.refuses("after a failed write", 503, "store-closed", "takes no more changes"),
            _ => panic!("{} {}", answer.status, answer.text()),
        }
        refused += usize::from(answer.status != 202);
    }
    assert!(refused > 0, "the disk was full");
    std::fs::remove_file(&ballast).expect("it can be removed");
    // With room, it works; or it has stopped, and works when it is started again.
    server.kill();
    server.again();
    let anna = Api::new(&server.base, anna.token.as_deref());
    for id in &acknowledged {
        assert_eq!(anna.ended(id)["outcome"], "scored", "acknowledged is kept");
    }
    let listed = Kept::now(&server, &anna, "breast-cancer");
    assert_eq!(listed.submissions.as_array().map(Vec::len), Some(acknowledged.len()), "refused is not there");
    assert_eq!(listed.quota[0]["rules"][0]["used"], acknowledged.len());
    let last = submit(&anna);
    assert_eq!(anna.ended(last.json()["id"].as_str().expect("it has an id"))["outcome"], "scored");
}

/// What is logged has no room, or nobody who reads it: the server does all that it does.
#[test]
fn a_log_that_cannot_be_written_holds_nobody_up() {
    let under = ["sh", "-c", "exec \"$@\" 2>/dev/full", "sh"].map(str::to_owned).to_vec();
    let mut server = Server::start_with(Options { under, ..Options::default() });
    server.publish_example("breast-cancer");
    let anna = server.participant("anna");
    // More than there are graders.
    for _ in 0..8 {
        let answer = anna.submit("breast-cancer", "dev", "good.csv", &good());
        assert_eq!(anna.ended(answer.json()["id"].as_str().expect("it has an id"))["outcome"], "scored");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_store_that_takes_nothing_more_ends_the_server() {
    let home = tempfile::tempdir().expect("there is room for a folder");
    let Some(disk) = SmallDisk::mount(&home.path().join("disk"), "64m") else {
        return skip("mounting a small disk needs root");
    };
    let config = "[limits]\nfree_disk = \"0B\"\n".to_owned();
    let options = Options { config, ..Options::default() };
    let mut server = Server::start_in(&home.path().join("disk/data"), options);
    server.publish_example("breast-cancer");
    let (anna, operator) = (server.participant("anna"), server.operator());
    let answer = anna.submit("breast-cancer", "dev", "good.csv", &good());
    let first = answer.json()["id"].as_str().expect("it has an id").to_owned();
    anna.ended(&first);
    let ballast = disk.fill(0);
    // Rows alone: small ones, until the log needs room that is not there.
    let mut last = None;
    for number in 0..4000 {
        let body = format!(r#"{{"role":"participant","subject":"p{number}","challenges":[]}}"#);
        let kind = [("content-type", "application/json")];
        match operator.send("POST", "/api/v1/tokens", &kind, body.as_bytes()) {
            Ok(answer) if answer.status == 201 => {}
            other => {
                last = other.ok();
                break;
            }
        }
    }
    let refused = last.expect("the disk was full, and it said so before it ended");
    refused.refuses("a full disk", 507, "disk-full", "make room");
    assert_eq!(server.wait(), Some(1), "nobody had to ask it to end");
    std::fs::remove_file(&ballast).expect("it can be removed");
    server.again();
    let anna = Api::new(&server.base, anna.token.as_deref());
    assert_eq!(anna.ended(&first)["outcome"], "scored");
    let answer = anna.submit("breast-cancer", "dev", "good.csv", &good());
    assert_eq!(anna.ended(answer.json()["id"].as_str().expect("it has an id"))["outcome"], "scored");
}

#[test]
fn graphs_tell_challenges_outcomes_and_costs_apart() {
    let server = Server::start();
    server.publish_example("breast-cancer");
    let anna = server.participant("anna");
    for _ in 0..20 {
        let answer = anna.submit("breast-cancer", "dev", "good.csv", &good());
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert_eq!(anna.ended(answer.json()["id"].as_str().expect("an id"))["outcome"], "scored");
    }
    assert_eq!(anna.submit("breast-cancer", "dev", "good.csv", &good()).status, 429);
    // The turn's end is counted a moment after it is stored.
    until("all are counted", || {
        let told = server.operator().get("/metrics").text();
        told.contains("gradus_submissions_total{challenge=\"breast-cancer\",outcome=\"scored\"} 20")
    });
    let told = server.operator().get("/metrics").text();
    for line in [
        "gradus_queue_depth{challenge=\"breast-cancer\"} 0",
        "gradus_jobs_running{challenge=\"breast-cancer\"} 0",
        "gradus_scorer_fuel_count{challenge=\"breast-cancer\"} 20",
        "gradus_scorer_memory_bytes_count{challenge=\"breast-cancer\"} 20",
        "gradus_quota_refusals_total{rule=\"day\"} 1",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}: {told}");
    }
    assert!(told.contains("gradus_disk_free_bytes "), "{told}");
}

#[test]
fn who_is_asked_to_stop_as_soon_as_it_is_ready_stops_in_order() {
    let mut server = Server::start();
    for _ in 0..10 {
        assert_eq!(server.stop(), Some(0));
        server.again();
    }
}
