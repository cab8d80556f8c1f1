//! Images of tasks that the engine does not have, and that a real registry gives to who has the password.

use gradus_e2e::programs::{Engine, alone};
use gradus_e2e::{Options, Server, rows, run, skip};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PASSWORD: &str = "open-sesame-1f4c";
/// bcrypt of that.
const HASH: &str = "$2y$05$HT3aQRBSH6CwZFjbGA7LM.2qErmy/2WUn5Ic.IClAShdNHH6TV1Rq";

/// A registry of the test's own, on this machine alone.
struct Registry {
    daemon: Option<Child>,
    home: TempDir,
    host: String,
}

impl Registry {
    fn start() -> Result<Self, String> {
        let program = "docker-registry";
        let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            return Err("there is no docker-registry".to_owned());
        }
        let home = tempfile::tempdir().map_err(|error| error.to_string())?;
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(|e| e.to_string())?;
        let mut registry = Self { daemon: None, home, host: free.to_string() };
        registry.again();
        Ok(registry)
    }

    fn again(&mut self) {
        let at = |name: &str| self.home.path().join(name).display().to_string();
        std::fs::write(at("users"), format!("gradus:{HASH}\n")).expect("there is room");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http: {{addr: {}}}\nauth: {{htpasswd: {{realm: test, path: {}}}}}\n",
            at("data"),
            self.host,
            at("users")
        );
        std::fs::write(at("config.yml"), config).expect("there is room");
        let log = std::fs::File::create(at("log")).expect("there is room");
        let mut daemon = Command::new("docker-registry");
        daemon.args(["serve", &at("config.yml")]).stdout(Stdio::null()).stderr(log);
        self.daemon = Some(daemon.spawn().expect("it was there"));
        let end = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(&self.host).is_err() {
            assert!(Instant::now() < end, "{}", std::fs::read_to_string(at("log")).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().expect("it can be killed");
            daemon.wait().expect("it ends");
        }
    }

    /// Pushes an image, and has the engine forget it. Its name there.
    fn push(&self, engine: &Engine, image: &str, name: &str) -> String {
        let name = format!("{}/{name}", self.host);
        engine.push(image, &name, ("gradus", PASSWORD), self.home.path());
        engine.forget(image);
        name
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

fn config(registry: &Registry, password: &Path) -> String {
    format!(
        "[[runner.registries]]\nhost = \"{}\"\nusername = \"gradus\"\npassword_file = \"{}\"\n",
        registry.host,
        password.display()
    )
}

fn publish(server: &Server, folder: &Path) -> (i32, String) {
    let token = server.data().join("operator.token");
    let environment = [("GRADUS_SERVER", server.base.as_str()), ("GRADUS_TOKEN_FILE", token.to_str().expect("UTF-8"))];
    let ran = run(&["challenge", "publish", "--no-check", folder.to_str().expect("UTF-8")], &environment);
    (ran.code, ran.out + &ran.err)
}

/// Looks for the password, which it does not hold in one piece itself.
const HONEST: &str = "cp /app/input_data/rows.csv /app/output/predictions.csv
env; grep -rs 'open''-sesame' / --exclude-dir=proc --exclude-dir=sys; exit 0";

#[test]
fn an_image_is_fetched_when_it_is_needed_and_is_what_it_was_at_publication() {
    let _alone = alone();
    let engine = Engine::default();
    let mut registry = match Registry::start() {
        Ok(registry) => registry,
        Err(why) => return skip(&why),
    };
    let (image, other) = match engine.image("LABEL test=registry").and_then(|first| {
        // Another one, which the tag is moved to afterwards.
        Ok((first, engine.image("LABEL test=moved")?))
    }) {
        Ok(both) => both,
        Err(why) => return skip(&why),
    };
    let name = registry.push(&engine, &image, "team/python:1");
    let secret = registry.home.path().join("password");
    std::fs::write(&secret, format!("{PASSWORD}\n")).expect("there is room");

    // Without the registry in the configuration, it is not asked.
    let folder = rows::challenge(&name, "");
    let server = Server::start();
    let (code, said) = publish(&server, folder.path());
    assert!(code != 0 && said.contains("has no image"), "{said}");
    drop(server);
    // With a wrong password, it shows nothing.
    let wrong = registry.home.path().join("wrong");
    std::fs::write(&wrong, "no").expect("there is room");
    let server = Server::start_with(Options { config: config(&registry, &wrong), under: Vec::new() });
    let (code, said) = publish(&server, folder.path());
    assert!(code != 0 && said.contains("does not show it to this server") && !said.contains(PASSWORD), "{said}");
    drop(server);

    let config = config(&registry, &secret);
    let mut server = Server::start_with(Options { config, under: Vec::new() });
    let (code, said) = publish(&server, folder.path());
    assert_eq!(code, 0, "{said}");
    // A name that is not there.
    let missing = rows::challenge(&format!("{name}-of-nobody"), "");
    let (code, said) = publish(&server, missing.path());
    assert!(code != 0 && said.contains("the registry") && said.contains("-of-nobody"), "{said}");

    // The tag moves, the image goes: what was published runs, fetched anew.
    registry.push(&engine, &other, "team/python:1");
    engine.forget_all(&registry.host);
    let anna = server.participant("anna");
    let id = rows::hand_in(&anna, HONEST);
    let ended = anna.ended(&id);
    assert_eq!((&ended["outcome"], &ended["run"]["image"]), (&"scored".into(), &image.clone().into()), "{ended}");
    let printed = anna.get(&format!("/api/v1/submissions/{id}/logs/stdout")).text();
    assert!(!printed.contains("sesame"), "{printed}");

    // Several at once, of an image that nobody has: fetched once, and all are scored.
    engine.forget_all(&registry.host);
    let ids: Vec<_> = (0..4).map(|_| rows::hand_in(&anna, HONEST)).collect();
    for id in &ids {
        assert_eq!(anna.ended(id)["outcome"], "scored");
    }

    // The registry is down: it is waited for, and costs nobody anything. Results are graded meanwhile.
    engine.forget_all(&registry.host);
    registry.stop();
    let id = rows::hand_in(&anna, HONEST);
    let results = anna.submit("rows", "dev", "predictions.csv", b"id,label\n1,a\n2,b\n");
    assert_eq!(anna.ended(results.json()["id"].as_str().expect("an id"))["outcome"], "scored");
    let end = Instant::now() + Duration::from_secs(40);
    loop {
        let waits = anna.get(&format!("/api/v1/submissions/{id}")).json();
        assert!(waits["outcome"].is_null(), "{waits}");
        if waits["reason"].as_str().is_some_and(|why| why.contains("cannot be run on this server")) {
            break;
        }
        assert!(Instant::now() < end, "{waits}");
        std::thread::sleep(Duration::from_millis(100));
    }
    registry.again();
    assert_eq!(anna.ended(&id)["outcome"], "scored");
    engine.assert_nothing_is_left(server.data(), "registry");
    assert_eq!(server.stop(), Some(0));
    let told = server.log();
    assert!(!told.contains(PASSWORD), "the password is in the log");
    engine.forget_all(&registry.host);
}
