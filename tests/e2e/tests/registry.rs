//! Images of tasks that the engine does not have, and that a real registry gives to who has the password.

use gradus_e2e::images::Saved;
use gradus_e2e::programs::{Engine, alone};
use gradus_e2e::{Answer, Api, Options, Server, rows, run, skip, until};
use serde_json::Value;
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
        self.again_for(&format!("gradus:{HASH}\n"));
    }

    /// Starts it for these users.
    fn again_for(&mut self, users: &str) {
        let at = |name: &str| self.home.path().join(name).display().to_string();
        std::fs::write(at("users"), users).expect("there is room");
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

    /// The same; its name by its digest.
    fn pushed(&self, engine: &Engine, image: &str, name: &str) -> String {
        let name = format!("{}/{name}", self.host);
        let digest = engine.push(image, &format!("{name}:1"), ("gradus", PASSWORD), self.home.path());
        engine.forget_all(&self.host);
        format!("{name}@{digest}")
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

/// Waits until a submission that has not ended is seen as it should be.
fn waits_for(api: &Api, id: &str, seen: impl Fn(&Value) -> bool) {
    let end = Instant::now() + Duration::from_secs(40);
    loop {
        let submission = api.get(&format!("/api/v1/submissions/{id}")).json();
        assert!(submission["outcome"].is_null() && Instant::now() < end, "{submission}");
        if seen(&submission) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
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
    let other_servers = engine.names();
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
    // With one that is another challenge's.
    let others = config.clone() + "challenges = [\"another\"]\n";
    let server = Server::start_with(Options { config: others.clone(), under: Vec::new() });
    let (code, said) = publish(&server, folder.path());
    assert!(code != 0 && said.contains("is for other challenges"), "{said}");
    drop(server);

    // One that is this one's comes before one that is for all, and for all it has a wrong password.
    let own = others.replace("another", "rows") + &config.replace("password\"\n", "wrong\"\n");
    let mut server = Server::start_with(Options { config: own, under: Vec::new() });
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

    // Now that the engine has it, its id does not give it to another challenge either.
    let of_anothers = |image: &str| {
        let another = rows::challenge(image, "");
        let path = another.path().join("challenge.toml");
        let text = std::fs::read_to_string(&path).expect("it is there");
        std::fs::write(&path, text.replace("id = \"rows\"", "id = \"guest\"")).expect("there is room");
        another
    };
    let by_digest = engine.of_registry(&registry.host)[0].replace(' ', "@");
    for name in [&image, &by_digest] {
        let (code, said) = publish(&server, of_anothers(name).path());
        assert!(code != 0 && said.contains("does not show it to this server"), "{said}");
    }

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
    waits_for(&anna, &id, |waits| {
        waits["reason"].as_str().is_some_and(|why| why.contains("cannot be run on this server"))
    });
    registry.again();
    assert_eq!(anna.ended(&id)["outcome"], "scored");
    engine.assert_nothing_is_left(server.data(), "registry");
    // A new version has another image; the next start removes what none needs any more.
    let kept = || {
        let names = engine.names().into_iter();
        names.filter(|name| name.contains("-task:") && !other_servers.contains(name)).collect::<Vec<_>>()
    };
    let first = kept();
    assert_eq!(first.len(), 1, "{first:?}");
    let (code, said) = publish(&server, folder.path());
    assert_eq!(code, 0, "{said}");
    let before = kept();
    assert_eq!(before.len(), 2, "{before:?}");
    assert_eq!(server.stop(), Some(0));
    // As if it had been killed when it had fetched one and not named it yet.
    let digest = first[0].rsplit_once(':').expect("a tag").1;
    let old = format!("{}@sha256:{digest}", name.trim_end_matches(":1"));
    engine.forget(&first[0]);
    std::fs::write(server.data().join("runs/fetching"), old).expect("there is room");
    server.again();
    assert_eq!(engine.of_registry(&registry.host).len(), 1);
    let left = kept();
    assert!(left.len() == 1 && before.contains(&left[0]), "{left:?}");
    let id = rows::hand_in(&server.participant("bob"), HONEST);
    assert_eq!(server.operator().ended(&id)["outcome"], "scored");
    engine.forget(&left[0]);
    assert_eq!(server.stop(), Some(0));
    let told = server.log();
    assert!(!told.contains(PASSWORD), "the password is in the log");
    engine.forget_all(&registry.host);
}

/// An image that starts `script`.
fn starting(engine: &Engine, script: &str, more: &str) -> Result<String, String> {
    let start = serde_json::to_string(&["sh", "-c", script]).map_err(|error| error.to_string())?;
    engine.image(&format!("ENTRYPOINT {start}{more}"))
}

/// An image with a pipe where the engine looks for users before it starts a container.
fn with_a_pipe(engine: &Engine, room: &Path) -> String {
    let mut header = tar::Header::new_gnu();
    header.set_path("etc/passwd").expect("a name");
    header.set_entry_type(tar::EntryType::Fifo);
    header.set_size(0);
    header.set_mode(0o644);
    header.set_cksum();
    let mut layer = tar::Builder::new(Vec::new());
    layer.append(&header, std::io::empty()).expect("memory takes it");
    let image = Saved::starting(engine, "true").expect("the test image is there");
    let mut image = image.with_layer(layer.into_inner().expect("memory takes it"));
    let name = "gradus-test:with-a-pipe";
    image.names = vec![name.to_owned()];
    let path = room.join("pipe.tar");
    std::fs::write(&path, image.archive()).expect("there is room");
    engine.load(&path);
    name.to_owned()
}

/// Hands an image in by its name.
fn named(api: &Api, image: &str) -> Answer {
    api.submit("rows", "dev", "metadata", format!("image: {image}\n").as_bytes())
}

fn taken(api: &Api, image: &str) -> String {
    let answer = named(api, image);
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// The challenge, which also takes images.
fn taking_images(usual: &str) -> TempDir {
    let folder = rows::challenge(usual, "");
    let path = folder.path().join("challenge.toml");
    let text = std::fs::read_to_string(&path).expect("it is there");
    std::fs::write(&path, text.replace(r#"accepts = ["code", "results"]"#, r#"accepts = ["code", "image"]"#))
        .expect("there is room");
    folder
}

#[test]
fn a_registry_that_no_longer_shows_an_image_is_waited_for() {
    let _alone = alone();
    let engine = Engine::default();
    let mut registry = match Registry::start() {
        Ok(registry) => registry,
        Err(why) => return skip(&why),
    };
    let script = "cp /mnt/in/rows.csv /mnt/out/predictions.csv";
    let made = engine.image("").and_then(|usual| Ok((usual, starting(&engine, script, "")?)));
    let (usual, honest) = match made {
        Ok(made) => made,
        Err(why) => return skip(&why),
    };
    let secret = registry.home.path().join("password");
    std::fs::write(&secret, PASSWORD).expect("there is room");
    let config = config(&registry, &secret) + "participants = [\"teams/\"]\nchallenges = [\"rows\"]\n";
    let image = registry.pushed(&engine, &honest, "teams/anna/agent");
    let server = Server::start_with(Options { config, under: Vec::new() });
    server.publish(taking_images(&usual).path());
    let anna = server.participant("anna");
    let token = server.data().join("operator.token");
    let environment = [("GRADUS_SERVER", server.base.as_str()), ("GRADUS_TOKEN_FILE", token.to_str().expect("UTF-8"))];
    let queue = |word: &str| {
        let ran = run(&["challenge", word, "rows"], &environment);
        assert_eq!(ran.code, 0, "{}", ran.err);
    };
    // Taken in while the registry shows it; run when it does not. Then the same while the engine has the image: it may have
    // it for another challenge.
    let own = "gradus-test:kept";
    for has in [false, true] {
        if has {
            engine.pull(&image, registry.home.path());
            engine.tag(&image, own);
        }
        queue("pause");
        let id = taken(&anna, &image);
        registry.stop();
        registry.again_for("");
        queue("resume");
        waits_for(&anna, &id, |submission| {
            submission["reason"].as_str().is_some_and(|why| why.contains("does not show it to this server"))
        });
        registry.stop();
        registry.again();
        let ended = anna.ended(&id);
        assert_eq!((&ended["outcome"], &ended["run"]["image"]), (&"scored".into(), &image.clone().into()), "{ended}");
    }
    engine.assert_nothing_is_left(server.data(), "a named image");
    engine.forget(own);
    engine.forget_all(&registry.host);
}

/// A port that takes connections and never answers.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let host = listener.local_addr().expect("it has one").to_string();
    (listener, host)
}

#[test]
fn a_registry_that_hangs_at_the_start_keeps_nothing_from_being_run() {
    let _alone = alone();
    let engine = Engine::default();
    let usual = match engine.image("") {
        Ok(usual) => usual,
        Err(why) => return skip(&why),
    };
    let (_listener, host) = silent();
    let config = format!("[runner]\nimage = \"{host}/python:1\"\n[[runner.registries]]\nhost = \"{host}\"\n");
    let server = Server::start_with(Options { config, under: Vec::new() });
    // The engine is made ready meanwhile.
    until("the server says that programs are run", || server.log().contains("programs run in containers"));
    server.publish(rows::challenge(&usual, "").path());
    let anna = server.participant("anna");
    let id = rows::hand_in(&anna, HONEST);
    assert_eq!(anna.ended(&id)["outcome"], "scored");
    engine.assert_nothing_is_left(server.data(), "a silent registry");
}

#[test]
fn participants_name_images_where_the_operator_lets_them_push() {
    let _alone = alone();
    let engine = Engine::default();
    let mut registry = match Registry::start() {
        Ok(registry) => registry,
        Err(why) => return skip(&why),
    };
    let honest = "cp /mnt/in/rows.csv /mnt/out/predictions.csv; echo $PWD; sleep 1";
    let made = engine.image("").and_then(|usual| {
        let volume = starting(&engine, "true", "\nVOLUME /data")?;
        Ok((usual, starting(&engine, honest, "\nLABEL gradus.owner=x")?, volume))
    });
    let (usual, honest, volume) = match made {
        Ok(made) => made,
        Err(why) => return skip(&why),
    };
    let folder = taking_images(&usual);
    let secret = registry.home.path().join("password");
    std::fs::write(&secret, PASSWORD).expect("there is room");
    let config = config(&registry, &secret) + "participants = [\"teams/\"]\n";

    let image = registry.pushed(&engine, &honest, "teams/anna/agent");
    let elsewhere =
        registry.pushed(&engine, &starting(&engine, "true", "").expect("it was made"), "secret/environment");
    let volume = registry.pushed(&engine, &volume, "teams/anna/volume");
    let pipe = registry.pushed(&engine, &with_a_pipe(&engine, registry.home.path()), "teams/anna/pipe");
    // What a server left that died while it fetched an image.
    engine.pull(&image, registry.home.path());
    let mut server = Server::start_with(Options { config: config.clone(), under: Vec::new() });
    server.publish(folder.path());
    assert_eq!(engine.of_registry(&registry.host), [""; 0]);
    let anna = server.participant("anna");

    // At the door, for nothing.
    let unknown = format!("{}@sha256:{}", image.split('@').next().expect("a name"), "0".repeat(64));
    for (image, words) in [
        (image.replace("@sha256:", ":"), "by its digest"),
        (elsewhere, "images are taken from"),
        (unknown, "has no image"),
    ] {
        let answer = named(&anna, &image);
        assert!(answer.status == 422 && answer.text().contains(words), "{image}: {}", answer.text());
    }
    let quota = anna.get("/api/v1/challenges/rows/quota").json();
    assert_eq!(quota["phases"][0]["rules"][0]["used"], 0, "{quota}");

    let nothing_is_left = |server: &Server| {
        engine.assert_nothing_is_left(server.data(), "a named image");
        assert_eq!(engine.images(server.data()), [""; 0]);
        assert_eq!(engine.of_registry(&registry.host), [""; 0]);
    };
    // Two at once of one image, then one more: each has it for itself.
    let ids = [taken(&anna, &image), taken(&anna, &image), taken(&anna, &image)];
    for id in &ids {
        let ended = anna.ended(id);
        assert_eq!((&ended["outcome"], &ended["lane"]), (&"scored".into(), &"image".into()), "{ended}");
        assert_eq!(ended["run"]["image"], image.as_str(), "{ended}");
    }
    nothing_is_left(&server);
    let token = server.data().join("operator.token");
    let environment = [("GRADUS_SERVER", server.base.as_str()), ("GRADUS_TOKEN_FILE", token.to_str().expect("UTF-8"))];
    let ran = run(&["submit", "rows", "--image", &image, "--wait"], &environment);
    assert!(ran.code == 0 && ran.out.contains("accuracy"), "{}{}", ran.out, ran.err);
    for image in [&volume, &pipe] {
        let ended = anna.ended(&taken(&anna, image));
        let told = (&ended["outcome"], &ended["run"]["code"]);
        assert_eq!(told, (&"run-failed".into(), &"image-refused".into()), "{ended}");
        nothing_is_left(&server);
    }

    // The host is killed under it: fetched again, and scored once.
    let id = taken(&anna, &image);
    waits_for(&anna, &id, |submission| submission["state"] == "running");
    server.kill();
    server.again();
    let anna = server.participant("anna");
    assert_eq!(server.operator().ended(&id)["outcome"], "scored");
    nothing_is_left(&server);
    // Its registry is away: it is taken in, and waits.
    registry.stop();
    let id = taken(&anna, &image);
    waits_for(&anna, &id, |submission| submission["reason"].as_str().is_some_and(|why| why.contains("registry")));
    // Nobody else does.
    let other = rows::hand_in(&anna, "cp /app/input_data/rows.csv /app/output/predictions.csv");
    assert_eq!(anna.ended(&other)["outcome"], "scored");
    registry.again();
    assert_eq!(anna.ended(&id)["outcome"], "scored");
    drop(server);

    // One that is too big.
    let server = Server::start_with(Options { config: config + "[limits]\nimage = \"1MiB\"\n", under: Vec::new() });
    server.publish(folder.path());
    let anna = server.participant("anna");
    let ended = anna.ended(&taken(&anna, &image));
    assert_eq!((&ended["outcome"], &ended["run"]["code"]), (&"run-failed".into(), &"image-too-big".into()), "{ended}");
    engine.assert_nothing_is_left(server.data(), "a big image");
    assert_eq!(engine.of_registry(&registry.host), [""; 0]);
}
