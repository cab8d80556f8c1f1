//! Images that participants hand in, through the real server and the real container engine.

use gradus_e2e::images::{Saved, gzip, layer, saved};
use gradus_e2e::programs::{Engine, alone};
use gradus_e2e::rows::{self, SECRET};
use gradus_e2e::{Api, Options, Server, run, skip};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::MutexGuard;
use std::time::Instant;
use tempfile::TempDir;

struct Setting {
    engine: Engine,
    server: Server,
    anna: Api,
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

const HONEST: &str = "cp /mnt/in/rows.csv /mnt/out/predictions.csv; echo $PWD $HOME; id -u; env | sort";

/// A server with a challenge that takes images; `None` where nothing can be run.
fn setting(config: &str) -> Option<Setting> {
    let alone = alone();
    let engine = Engine::default();
    let image = match engine.image("") {
        Ok(image) => image,
        Err(why) => {
            skip(&why);
            return None;
        }
    };
    let folder = rows::challenge(&image, "");
    let path = folder.path().join("challenge.toml");
    let text = std::fs::read_to_string(&path).expect("it is there");
    std::fs::write(&path, text.replace(r#"accepts = ["code", "results"]"#, r#"accepts = ["code", "image"]"#))
        .expect("there is room");
    let server = Server::start_with(Options { config: config.to_owned(), under: Vec::new() });
    server.publish(folder.path());
    let anna = server.participant("anna");
    Some(Setting { engine, server, anna, folder, _alone: alone })
}

impl Setting {
    fn saved(&self, script: &str) -> Saved {
        Saved::starting(&self.engine, script).expect("the test image is there")
    }

    fn hand_in(&self, archive: &[u8]) -> String {
        let answer = self.anna.submit("rows", "dev", "image.tar", archive);
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["id"].as_str().expect("a submission has an id").to_owned()
    }

    fn ended(&self, archive: &[u8]) -> (String, Value) {
        let id = self.hand_in(archive);
        let ended = self.anna.ended(&id);
        self.nothing_is_left();
        (id, ended)
    }

    fn nothing_is_left(&self) {
        self.engine.assert_nothing_is_left(self.server.data(), "an image");
        assert_eq!(self.engine.images(self.server.data()), [""; 0]);
    }

    fn printed(&self, id: &str) -> String {
        self.anna.get(&format!("/api/v1/submissions/{id}/logs/stdout")).text()
    }

    /// What is said at the door.
    fn refused(&self, archive: &[u8]) -> String {
        let answer = self.anna.submit("rows", "dev", "image.tar", archive);
        assert_eq!(answer.status, 422, "{}", answer.text());
        answer.text()
    }
}

#[test]
fn an_image_is_started_by_itself_and_what_it_leaves_is_scored() {
    let Some(setting) = setting("") else { return };
    // As the engine saves it, compressed by hand, and as other tools lay it out.
    let real = saved(&setting.engine, HONEST).expect("the test image is there");
    for archive in [real.clone(), gzip(&real), setting.saved(HONEST).oci()] {
        let (id, ended) = setting.ended(&archive);
        assert_eq!((&ended["outcome"], &ended["lane"]), (&"scored".into(), &"image".into()), "{ended}");
        let report = setting.anna.get(&format!("/api/v1/submissions/{id}/report")).json();
        assert_eq!(report["scores"][0]["value"], 0.5, "{report}");
        let printed = setting.printed(&id);
        assert!(printed.starts_with("/ /tmp\n6") && printed.contains("PATH=/bin"), "{printed}");
        assert!(ended["run"]["image"].as_str().is_some_and(|image| image.starts_with("sha256:")), "{ended}");
    }
    // Of a layer that is there twice, some write a link.
    let mut twice = setting.saved(HONEST);
    let digest = twice.config["rootfs"]["diff_ids"][0].clone();
    twice.config["rootfs"]["diff_ids"].as_array_mut().expect("a list").push(digest);
    let (_, ended) = setting.ended(&twice.with_link());
    assert_eq!(ended["outcome"], "scored", "{ended}");
    // A program beside it takes its own way still.
    let id = rows::hand_in(&setting.anna, "cp /app/input_data/rows.csv /app/output/predictions.csv");
    assert_eq!(setting.anna.ended(&id)["lane"], "code");
}

#[test]
fn what_cannot_be_run_is_told_at_the_door_and_costs_nothing() {
    let Some(setting) = setting("") else { return };
    let image = setting.saved(HONEST);
    let mut foreign = image.clone();
    foreign.config["architecture"] = "s390x".into();
    let mut windows = image.clone();
    windows.config["os"] = "windows".into();
    let mut cut = image.clone();
    cut.layers.clear();
    for (archive, words) in [
        (image.clone().with("Volumes", json!({ "/data": {} })).archive(), "VOLUME /data"),
        (image.clone().with("Entrypoint", Value::Null).archive(), "neither ENTRYPOINT nor CMD"),
        (foreign.oci(), "s390x"),
        (windows.archive(), "windows"),
        (cut.archive(), "save the image again"),
    ] {
        let said = setting.refused(&archive);
        assert!(said.contains(words), "{said}");
    }
    let quota = setting.anna.get("/api/v1/challenges/rows/quota").json();
    assert_eq!(quota["phases"][0]["rules"][0]["used"], 0, "{quota}");
    setting.nothing_is_left();
}

/// Everything that an image can say of itself, and nothing of it counts.
#[test]
fn an_image_changes_nothing_about_its_run_or_the_engine() {
    let Some(setting) = setting("") else { return };
    let script = format!("{HONEST}; ls -l /bin/su; su -c id 2>&1; echo x > /bin/y || echo read-only");
    let su = std::fs::read("/bin/busybox").expect("busybox is there");
    let mut image = setting
        .saved(&script)
        .with("User", "nobody-at-all".into())
        .with("Env", json!(["PATH=/bin", "LD_PRELOAD=/evil.so", "GRADUS_TOKEN=x"]))
        .with("Labels", json!({ "gradus.owner": "0123456789abcdef", "gradus.run": "x", "com.example": "y" }))
        .with("Healthcheck", json!({ "Test": ["CMD", "touch", "/mnt/out/healthy"], "Interval": 1_000_000 }))
        .with("OnBuild", json!(["RUN touch /on-build"]))
        .with("StopSignal", "SIGWINCH".into())
        .with_layer(layer([("bin/su".to_owned(), su, 0o6755)]));
    // A name of somebody else's, and of ours.
    image.names = vec!["gradus-test:taken-over".to_owned(), "gradus-0123456789abcdef:1".to_owned()];
    let (id, ended) = setting.ended(&image.archive());
    assert_eq!(ended["outcome"], "scored", "{ended}");
    let printed = setting.printed(&id);
    for word in ["LD_PRELOAD", "GRADUS_TOKEN", "uid=0"] {
        assert!(!printed.contains(word), "{word}: {printed}");
    }
    assert!(printed.contains("read-only") && printed.contains("rwsr-sr-x"), "{printed}");
    let names = setting.engine.names();
    assert!(!names.iter().any(|name| name.contains("taken-over") || name.contains("0123456789abcdef")), "{names:?}");
}

#[test]
fn layers_that_would_flood_the_disk_are_refused_by_what_they_unpack_to() {
    let Some(setting) = setting("[limits]\nimage = \"48MiB\"\n") else { return };
    let image = setting.saved(HONEST);
    // As many bytes as the limit has, in a few kilobytes.
    let flood = layer([("big".to_owned(), vec![0; 48 << 20], 0o644)]);
    let mut bomb = image.clone().with_layer(flood.clone());
    *bomb.layers.last_mut().expect("it was added") = gzip(&flood);
    assert!(bomb.archive().len() < 8 << 20);
    let mut holes = image.clone();
    let mut header = tar::Header::new_gnu();
    header.set_path("holes").expect("a name");
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_size(0);
    header.as_gnu_mut().expect("it is one").set_real_size(1 << 40);
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, std::io::empty()).expect("memory takes it");
    holes = holes.with_layer(builder.into_inner().expect("memory takes it"));
    let mut lies = image.clone();
    lies.config["rootfs"]["diff_ids"][0] = format!("sha256:{}", "0".repeat(64)).into();
    let no_tar = image.clone().with_layer(b"no tar at all".to_vec());
    for (image, words) in [(bomb, "hold more than"), (holes, "sparse"), (lies, "cannot be loaded"), (no_tar, "damaged")]
    {
        let (_, ended) = setting.ended(&image.archive());
        let reason = ended["reason"].as_str().unwrap_or_default();
        assert_eq!((&ended["outcome"], &ended["fault"]), (&"run-failed".into(), &"participant".into()), "{ended}");
        assert!(reason.contains(words), "{words}: {ended}");
    }
}

/// What is big and fits is taken.
#[test]
fn an_image_of_many_files_is_run_and_gone_afterwards() {
    let Some(setting) = setting("") else { return };
    let many = layer((0..100_000).map(|n| (format!("d{}/f{n}", n % 1_000), Vec::new(), 0o644)));
    let since = Instant::now();
    let (_, ended) = setting.ended(&gzip(&setting.saved(HONEST).with_layer(many).archive()));
    println!("100 000 files: {:?}", since.elapsed());
    assert_eq!(ended["outcome"], "scored", "{ended}");
}

/// An image that the engine does not start: tried a few times, and nobody else waits for it.
#[test]
fn an_image_that_does_not_start_holds_nobody_up() {
    let Some(setting) = setting("") else { return };
    let broken = setting
        .saved(HONEST)
        .with_layer(layer([("mnt/.wh.in".to_owned(), Vec::new(), 0o644), ("mnt/out/x".to_owned(), Vec::new(), 0o644)]));
    let mut broken = broken;
    // A file where a place has to be.
    broken = broken.with_layer(layer([("tmp".to_owned(), b"no folder".to_vec(), 0o644)]));
    let id = setting.hand_in(&broken.archive());
    let bob = setting.server.participant("bob");
    let honest = rows::hand_in(&bob, "cp /app/input_data/rows.csv /app/output/predictions.csv");
    assert_eq!(bob.ended(&honest)["outcome"], "scored");
    let ended = setting.anna.ended(&id);
    assert_ne!(ended["outcome"], "scored", "{ended}");
    setting.nothing_is_left();
}

/// What an image can find out is as little as what a program can.
#[test]
fn what_is_hidden_is_not_in_an_images_container() {
    let Some(setting) = setting("") else { return };
    let script =
        format!("grep -r '{SECRET}' / --exclude-dir=proc --exclude-dir=sys 2>/dev/null; ls -R /app /mnt; {HONEST}");
    // The script names it itself: what prints it has found it in a file.
    let (id, ended) = setting.ended(&setting.saved(&script.replace("class", "cla''ss")).archive());
    assert_eq!(ended["outcome"], "scored", "{ended}");
    assert!(!setting.printed(&id).contains(SECRET), "{}", setting.printed(&id));
}

#[test]
fn each_end_of_an_image_is_told_and_leaves_nothing_behind() {
    let Some(setting) = setting("") else { return };
    for (script, outcome) in [("exit 3", "run-failed"), ("while :; do :; done", "limit"), ("kill -9 $$", "run-failed")]
    {
        let (_, ended) = setting.ended(&setting.saved(script).archive());
        assert_eq!((&ended["outcome"], &ended["fault"]), (&outcome.into(), &"participant".into()), "{script}: {ended}");
    }
    // Called off while it runs.
    let id = setting.hand_in(&setting.saved("echo here; sleep 100").archive());
    while setting.printed(&id).is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(setting.anna.post(&format!("/api/v1/submissions/{id}/cancel"), b"").status, 200);
    setting.nothing_is_left();
}

#[test]
fn an_image_whose_host_dies_is_run_again_and_leaves_nothing_behind() {
    let Some(mut setting) = setting("") else { return };
    let archive = setting.saved(&format!("{HONEST}; sleep 1")).archive();
    let id = setting.hand_in(&archive);
    std::thread::sleep(std::time::Duration::from_millis(700));
    setting.server.kill();
    setting.server.again();
    let anna = Api::new(&setting.server.base, setting.anna.token.as_deref());
    assert_eq!(anna.ended(&id)["outcome"], "scored");
    setting.nothing_is_left();
}

#[test]
fn an_image_is_scored_on_this_computer_as_on_a_server() {
    let Some(setting) = setting("") else { return };
    let room = tempfile::tempdir().expect("there is room for a folder");
    let path = room.path().join("image.tar");
    std::fs::write(&path, setting.saved(HONEST).archive()).expect("there is room");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let ran = run(&["score", &text(setting.folder.path()), &text(&path), "--json"], &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let report: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(report["scores"][0]["value"], 0.5, "{report}");
}
