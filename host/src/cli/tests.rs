//! Commands as they are typed: what they take, what they print, and how they exit.

use super::*;
use crate::adapters::scorer_wasm::{Compiler, EngineConfig, WasmScorer, stock};
use clap::CommandFactory as _;
use gradus_core::testing::memory_blobs::MemoryBlobs;
use std::fs;
use std::io::Write;
use std::sync::{Mutex, OnceLock};

/// What commands get in tests: the real engine, blobs in memory, no server.
struct TestHost;

impl Host for TestHost {
    fn serve(&self, options: ServeOptions) -> anyhow::Result<()> {
        anyhow::bail!("{options:?}")
    }

    fn start(&self, options: ServeOptions, _: Sender<()>) -> anyhow::Result<Running> {
        anyhow::bail!("{options:?}")
    }

    fn scorer(&self, _: Option<&Path>) -> anyhow::Result<Arc<dyn Scorer>> {
        // One engine for a process.
        static SCORER: OnceLock<Arc<WasmScorer>> = OnceLock::new();
        let config = || EngineConfig { cache: None, compiler: Compiler::InProcess, slots: 4 };
        Ok(SCORER.get_or_init(|| Arc::new(WasmScorer::new(config()).unwrap())).clone())
    }

    fn stock(&self) -> Stock {
        stock::STOCK
    }

    fn blobs(&self, _: &Path) -> anyhow::Result<Arc<dyn Blobs>> {
        Ok(Arc::new(MemoryBlobs::default()))
    }

    fn containers(&self, _: &Path, _: Arc<AtomicBool>) -> Result<Containers, String> {
        Err("there is no engine in this test".to_owned())
    }

    fn probe(&self, _: &config::Runner, _: &Path) -> Result<Vec<Finding>, String> {
        Err("there is no engine in this test".to_owned())
    }

    fn verify(&self, _: &Path, _: &mut dyn FnMut(String)) -> anyhow::Result<Verified> {
        anyhow::bail!("there are no data in this test")
    }

    fn restore(&self, _: &Path, _: &Path, _: &mut dyn FnMut(String)) -> anyhow::Result<(Head, End, Verified)> {
        anyhow::bail!("there is no backup in this test")
    }

    fn child(&self, _: &str) -> ExitCode {
        ExitCode::SUCCESS
    }
}

/// How a command went.
struct Went {
    code: u8,
    out: String,
    err: String,
}

fn gradus(arguments: &[&str]) -> Went {
    let (out, err) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<Mutex<Vec<u8>>>::default());
    let arguments = std::iter::once("gradus").chain(arguments.iter().copied()).map(OsString::from);
    let output = Output::memory(Arc::clone(&out), Arc::clone(&err));
    let code = run_with(&TestHost, arguments, output, Environment::default());
    let text = |buffer: Arc<Mutex<Vec<u8>>>| String::from_utf8(buffer.lock().unwrap().clone()).unwrap();
    Went { code, out: text(out), err: text(err) }
}

/// A new challenge in a folder of its own.
fn challenge() -> (tempfile::TempDir, String) {
    let room = tempfile::tempdir().unwrap();
    let dir = room.path().join("leaves").display().to_string();
    let went = gradus(&["challenge", "new", &dir]);
    assert_eq!(went.code, 0, "{}", went.err);
    (room, dir)
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn arguments_are_taken_or_refused_with_code_2() {
    for good in [
        &["serve", "--data", "d", "--listen", "0.0.0.0:1", "--config", "c"] as &[_],
        &["demo", "--keep", "--json"],
        &["doctor", "--json"],
        &["completions", "zsh"],
        &["challenge", "check", "d", "--json"],
        &["challenge", "publish", "d", "--no-check", "--server", "http://a", "--token-file", "t"],
        &["challenge", "list"],
        &["challenge", "show", "c"],
        &["challenge", "new", "d", "--scorer", "--sdk", "s", "--json"],
        &["scorer", "list", "classification"],
        &["scorer", "check", "f", "--params", "{}"],
        &["score", "d", "f", "--task", "t", "--json"],
        &["submit", "c", "f", "--phase", "p", "--wait", "--description", "x"],
        &["submit", "c", "f", "--check"],
        &["status", "id"],
        &["status", "--challenge", "c"],
        &["logs", "-f", "id"],
        &["leaderboard", "c", "b", "--csv"],
        &["quota", "c"],
        &["cancel", "id"],
        &["login", "--forget", "--json"],
        &["admin", "token", "new", "--role", "participant", "anna", "--challenge", "c", "--challenge", "d"],
        &["admin", "token", "revoke", "id", "--json"],
    ] {
        let parsed = Cli::try_parse_from(std::iter::once(&"gradus").chain(good));
        assert!(parsed.is_ok(), "{good:?}: {}", parsed.unwrap_err());
    }
    for bad in [
        &[] as &[_],
        &["unknown"],
        &["serve", "--listen", "nowhere"],
        &["submit", "c"],
        &["submit", "c", "f", "--check", "--wait"],
        &["status"],
        &["status", "id", "--challenge", "c"],
        &["leaderboard", "c", "--csv", "--json"],
        &["leaderboard", "c", "--limit", "0"],
        &["challenge", "new", "d", "--scorer"],
        &["admin", "token", "new", "anna"],
        &["login", "--token", "secret"],
    ] {
        let went = gradus(bad);
        assert_eq!((went.code, went.out.as_str()), (2, ""), "{bad:?}");
        assert!(went.err.contains("Usage:") || went.err.contains("invalid value"), "{}", went.err);
    }
}

#[test]
fn help_and_version_go_to_standard_output_with_examples() {
    for command in ["submit", "score", "serve", "login", "leaderboard", "doctor"] {
        let went = gradus(&[command, "--help"]);
        assert_eq!((went.code, went.err.as_str()), (0, ""), "{command}");
        assert!(went.out.contains("Example") && went.out.contains(&format!("gradus {command}")), "{}", went.out);
    }
    assert_eq!(gradus(&["--version"]).out, format!("gradus {}\n", env!("CARGO_PKG_VERSION")));
    assert!(gradus(&["completions", "bash"]).out.contains("_gradus"));
}

#[test]
fn wrong_use_is_2_and_a_missing_server_is_1() {
    let (_room, dir) = challenge();
    let missing = format!("{dir}/nothing.csv");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = format!("http://{free}");
    for (arguments, code, word) in [
        (&["score", &dir, &missing] as &[&str], 2, "there is no file"),
        (&["score", "/", &dir], 2, "challenge new"),
        (&["score", &dir, &dir, "--task", "other"], 2, "there are: main"),
        (&["submit", "c", &missing], 2, "there is no file"),
        (&["challenge", "new", &dir], 2, "not empty"),
        (&["challenge", "list", "--server", "ftp://x"], 2, "no address of a server"),
        (&["admin", "token", "revoke", "gradus_secret"], 2, "not its text"),
        (&["scorer", "list", "unknown"], 2, "classification"),
        (&["login"], 2, "configuration folder"),
        (&["challenge", "list", "--server", &server], 1, "gradus serve"),
        (&["status", "x", "--token-file", &missing, "--server", &server], 1, "could not read the token"),
    ] {
        let went = gradus(arguments);
        assert_eq!(went.code, code, "{arguments:?}: {}", went.err);
        assert!(went.err.starts_with("error: ") && went.err.contains(word), "{arguments:?}: {}", went.err);
    }
}

#[test]
fn a_failure_is_one_document_where_json_was_asked_for() {
    let (_room, dir) = challenge();
    let manifest = format!("{dir}/challenge.toml");
    let good = format!("{dir}/solutions/good.csv");
    let text = fs::read_to_string(&manifest).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = format!("http://{free}");
    let document = |arguments: &[&str], code: u8| -> serde_json::Value {
        let arguments = [arguments, &["--json"]].concat();
        let went = gradus(&arguments);
        assert_eq!(went.code, code, "{arguments:?}: {}", went.err);
        serde_json::from_str(&went.out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", went.out))
    };
    for (arguments, code, word) in [
        (&["challenge", "list", "--server", &server] as &[&str], 1, "gradus serve"),
        (&["submit", "c", &good, "--server", &server], 1, "gradus serve"),
        (&["logs", "-f", "x", "--server", &server], 1, "gradus serve"),
        (&["admin", "token", "revoke", "gradus_secret"], 2, "not its text"),
        (&["challenge", "new", &dir], 2, "not empty"),
        (&["login"], 2, "configuration folder"),
        (&["demo"], 1, "ServeOptions"),
    ] {
        let said = document(arguments, code);
        assert!(said["error"].as_str().is_some_and(|error| error.contains(word)), "{arguments:?}: {said}");
        assert_eq!(said["problems"], serde_json::json!([]), "{arguments:?}");
    }
    // A solution that does not get what it must, once the server has said that the token may publish; then a manifest that
    // does not read.
    fs::write(&manifest, text.replace("\"f1@public\" = 1", "\"f1@public\" = 0.9")).unwrap();
    let said = document(&["challenge", "publish", &dir, "--server", &server], 1);
    assert!(said["error"].as_str().is_some_and(|error| error.contains("gradus serve")), "{said}");
    for (role, error) in [("organizer", "the check failed; nothing was sent"), ("participant", "needs an organizer's")]
    {
        let me = format!(
            r#"{{"id":"x","role":"{role}","subject":"ada","challenges":[],"created_at":"2026-01-01T00:00:00Z"}}"#
        );
        let (server, serving) = answering("200 OK", "application/json", &me);
        let said = document(&["challenge", "publish", &dir, "--server", &server], 1);
        serving.join().unwrap();
        assert!(said["error"].as_str().is_some_and(|said| said.contains(error)), "{said}");
    }
    fs::write(&manifest, text.replace("rule = ", "rul = ")).unwrap();
    for arguments in [
        &["challenge", "publish", "--no-check", &dir] as &[&str],
        &["challenge", "publish", &dir],
        &["score", &dir, &good],
    ] {
        let said = document(arguments, 1);
        assert!(said["error"].is_string(), "{arguments:?}: {said}");
        assert!(said["problems"][0].as_str().is_some_and(|what| what.contains("did you mean `rule`?")), "{said}");
    }
}

/// Answers one request so, whatever it asks: where, and what is to be joined then.
fn answering(status: &str, kind: &str, body: &str) -> (String, std::thread::JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let serve = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // The head of the request: all that there is.
        io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
    });
    (server, serve)
}

#[test]
fn what_the_server_said_is_the_document() {
    let body = r#"{"type":"about:blank","title":"Unprocessable Content","status":422,"detail":"1 problem",
        "code":"invalid-submission","problems":{"first":[{"file":"p.csv","line":4,"message":"x"}],"total":1}}"#;
    let (server, serve) = answering("422 Unprocessable Content", "application/problem+json", body);
    let went = gradus(&["status", "x", "--json", "--server", &server]);
    serve.join().unwrap();
    let said: serde_json::Value = serde_json::from_str(&went.out).unwrap();
    assert_eq!((went.code, said), (1, serde_json::from_str(body).unwrap()));
    assert!(went.err.contains("p.csv:4: x"), "people read it, too: {}", went.err);
}

#[test]
fn each_stream_has_its_own_colours() {
    for (colours, error_colours) in [(true, false), (false, true)] {
        let (out, err) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<Mutex<Vec<u8>>>::default());
        let mut output = Output::memory(Arc::clone(&out), Arc::clone(&err));
        (output.colours, output.error_colours) = (colours, error_colours);
        for word in ["sumbit", "--help"] {
            run_with(&TestHost, ["gradus", word].map(OsString::from), output.clone(), Environment::default());
        }
        let coloured = |buffer: &Mutex<Vec<u8>>| buffer.lock().unwrap().contains(&0x1b);
        assert_eq!((coloured(&out), coloured(&err)), (colours, error_colours));
    }
}

#[test]
fn a_new_challenge_holds_as_it_is() {
    let (_room, dir) = challenge();
    let went = gradus(&["challenge", "check", &dir]);
    assert_eq!(went.code, 0, "{}{}", went.out, went.err);
    let lines: Vec<_> = went.out.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("✓ solutions/")), "{lines:?}");
    assert!(lines[2].contains("missing-row.csv  invalid-submission: "), "{}", lines[2]);
}

#[test]
fn what_is_wrong_with_a_challenge_is_said_where_it_is() {
    let (_room, dir) = challenge();
    let manifest = format!("{dir}/challenge.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"f1@public\" = 1", "\"f1@public\" = 0.9")).unwrap();
    let went = gradus(&["challenge", "check", &dir]);
    assert_eq!(went.code, 1);
    assert!(went.out.contains("✗ solutions/good.csv         f1@public is 1, expected 0.9"), "{}", went.out);
    fs::write(&manifest, text.replace("rule = ", "rul = ")).unwrap();
    let line = text.lines().position(|line| line.starts_with("rule = ")).unwrap() + 1;
    let went = gradus(&["challenge", "check", &dir]);
    assert_eq!((went.code, went.out), (1, format!("{manifest}:{line}: rul: unknown key; did you mean `rule`?\n")));
    let went = gradus(&["challenge", "check", &dir, "--json"]);
    assert!(went.code == 1 && went.out.contains("\"ok\": false") && went.out.contains("did you mean"), "{}", went.out);
}

#[test]
fn the_report_is_printed_as_it_is_and_the_code_says_whether_there_are_scores() {
    let (_room, dir) = challenge();
    let score = |name: &str| gradus(&["score", &dir, &format!("{dir}/solutions/{name}")]);
    let good = score("good.csv");
    assert_eq!(good.code, 0, "{}", good.err);
    assert!(good.out.starts_with("{\n  \"report\": 1,\n  \"outcome\": \"scored\",") && good.out.ends_with("}\n"));
    assert_eq!(score("good.csv").out, good.out, "twice the same");
    // An archive with the one file is the file.
    let packed = format!("{dir}/../good.tar");
    let mut archive = tar::Builder::new(fs::File::create(&packed).unwrap());
    archive.append_path_with_name(format!("{dir}/solutions/good.csv"), "good.csv").unwrap();
    archive.finish().unwrap();
    assert_eq!(gradus(&["score", &dir, &packed, "--json"]).out, good.out);
    let folder = format!("{dir}/../folder");
    fs::create_dir(&folder).unwrap();
    fs::copy(format!("{dir}/solutions/good.csv"), format!("{folder}/good.csv")).unwrap();
    assert_eq!(gradus(&["score", &dir, &folder]).out, good.out);
    let bad = score("missing-row.csv");
    assert_eq!(bad.code, 1);
    assert!(bad.out.contains("\"outcome\": \"invalid-submission\",\n  \"fault\": \"participant\""), "{}", bad.out);
}

#[test]
fn scorers_are_listed_and_checked() {
    let list = gradus(&["scorer", "list"]);
    assert!(list.code == 0 && list.out.contains("classification") && list.out.contains("accuracy"), "{}", list.out);
    let one = gradus(&["scorer", "list", "classification", "--json"]);
    let one: serde_json::Value = serde_json::from_str(&one.out).unwrap();
    assert!(one[0]["description"]["params_schema"]["properties"]["positive"].is_object());
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("s.wasm");
    fs::write(&file, stock::bytes("classification").unwrap()).unwrap();
    let file = file.display().to_string();
    assert_eq!(gradus(&["scorer", "check", &file]).code, 0);
    assert_eq!(gradus(&["scorer", "check", &file, "--params", "[]"]).code, 2);
    let refused = gradus(&["scorer", "check", &file, "--params", "{\"no\": 1}"]);
    assert!(refused.code == 1 && refused.out.starts_with("✗ ") && refused.out.contains("no"), "{}", refused.out);
    fs::write(room.path().join("s.wasm"), "(component)").unwrap();
    assert_eq!(gradus(&["scorer", "check", &file]).code, 1);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let err = Arc::<Mutex<Vec<u8>>>::default();
    let output = Output::sinks(Arc::new(Mutex::new(Closed)), err.clone());
    let code =
        run_with(&TestHost, ["gradus", "completions", "bash"].map(OsString::from), output, Environment::default());
    assert_eq!((code, err.lock().unwrap().len()), (0, 0));
}
