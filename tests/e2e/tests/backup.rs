//! A copy of all that a server has, made while it works, and put back; and what is stored, looked over.

use gradus_e2e::{Api, Options, Ran, Server, example, root, run, until};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

fn good() -> Vec<u8> {
    std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the example has it")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A command of the operator's.
fn operator(server: &Server, words: &[&str]) -> Ran {
    let token = server.data().join("operator.token");
    run(words, &[("GRADUS_SERVER", server.base.as_str()), ("GRADUS_TOKEN_FILE", text(&token))])
}

/// Each submission's own bytes, so that there is a body for each.
fn hand_in(api: &Api, number: usize) -> String {
    let mut bytes = good();
    bytes.extend(vec![b'\n'; number + 1]);
    let answer = api.submit("breast-cancer", "dev", "good.csv", &bytes);
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn board(api: &Api) -> Value {
    api.get("/api/v1/challenges/breast-cancer/leaderboards/main").json()["items"].clone()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it is a folder").flatten() {
            if entry.path().is_dir() { folders.push(entry.path()) } else { all.push(entry.path()) }
        }
    }
    all
}

#[test]
fn a_server_that_works_is_copied_and_put_back() {
    let server = Server::start();
    server.publish_example("breast-cancer");
    let people: Vec<Api> = ["anna", "ben", "carl"].map(|name| server.participant(name)).into();
    // Handed in before the copy is asked for: all of these are in it.
    let before: Vec<String> = (0..12).map(|n| hand_in(&people[n % 3], n)).collect();
    let (over, during) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let working: Vec<_> = people
        .iter()
        .map(|api| {
            let (api, over, during) = (api.clone(), Arc::clone(&over), Arc::clone(&during));
            std::thread::spawn(move || {
                for number in 0.. {
                    let answer =
                        api.submit("breast-cancer", "dev", "good.csv", &[good(), vec![b'\n'; number]].concat());
                    if answer.status == 202 {
                        let id = answer.json()["id"].as_str().expect("an id").to_owned();
                        during.lock().expect("nothing panics").push((api.clone(), id));
                    }
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
            })
        })
        .collect();
    let home = tempfile::tempdir().expect("there is room for a folder");
    let file = home.path().join("copy.tar");
    let made = operator(&server, &["admin", "backup", text(&file), "--json"]);
    over.store(true, Ordering::SeqCst);
    working.into_iter().for_each(|worker| worker.join().expect("it works"));
    assert_eq!(made.code, 0, "{made:?}");
    let told: Value = serde_json::from_str(&made.out).expect("a document");
    assert!(told["rows"].as_u64() > Some(100) && told["blobs"].as_u64() > Some(5), "{told}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).expect("it is there").permissions());
    assert_eq!(mode & 0o777, 0o600);
    let again = operator(&server, &["admin", "backup", text(&file)]);
    assert!(again.code != 0 && again.err.contains("is there already"), "{again:?}");
    let participant = server.participant("dora").get("/api/v1/backup");
    assert_eq!(participant.status, 403);
    for id in &before {
        until("all are graded", || {
            server.operator().get(&format!("/api/v1/submissions/{id}")).json()["outcome"] == "scored"
        });
    }

    // Put back beside it: who was acknowledged before is there, and is graded if it was not yet.
    let data = home.path().join("restored/data");
    let restored = run(&["admin", "restore", text(&file), "--data", text(&data)], &[]);
    assert_eq!(restored.code, 0, "{restored:?}");
    assert!(restored.err.contains("all of it is whole"), "{restored:?}");
    assert!(
        files(home.path().join("restored").as_path()).iter().all(|path| path.starts_with(&data)),
        "nothing beside it"
    );
    let other = Server::start_in(&data, Options::default());
    let theirs: Vec<Api> = people.iter().map(|api| Api::new(&other.base, api.token.as_deref())).collect();
    for (number, id) in before.iter().enumerate() {
        assert_eq!(theirs[number % 3].ended(id)["outcome"], "scored", "tokens hold, too");
    }
    // Of the others each is there whole, or not at all.
    let during = during.lock().expect("nothing panics").clone();
    for (api, id) in &during {
        let api = Api::new(&other.base, api.token.as_deref());
        let found = api.get(&format!("/api/v1/submissions/{id}"));
        if found.status == 200 {
            assert_eq!(api.ended(id)["outcome"], "scored");
        }
    }
    let operator = other.operator();
    assert_eq!(board(&operator).as_array().map(Vec::len), Some(3));
    hand_in(&theirs[0], 100);
    // Into a folder that is in use, it is not put back.
    let refused = run(&["admin", "restore", text(&file), "--data", text(&data)], &[]);
    assert!(refused.code == 1 && refused.err.contains("is not empty"), "{refused:?}");
}

#[test]
fn what_is_no_whole_backup_is_not_put_back() {
    let server = Server::start();
    server.publish_example("breast-cancer");
    let anna = server.participant("anna");
    anna.ended(&hand_in(&anna, 0));
    let home = tempfile::tempdir().expect("there is room for a folder");
    let file = home.path().join("copy.tar");
    assert_eq!(operator(&server, &["admin", "backup", text(&file)]).code, 0);
    let whole = std::fs::read(&file).expect("it is there");
    let data = home.path().join("data");
    let bad = home.path().join("bad.tar");
    let mut changed = whole.clone();
    let name = b"\"entrant\":\"anna\"";
    let at = whole.windows(name.len()).rposition(|part| part == name).expect("a row is hers");
    changed[at + 12] ^= 1;
    let middle = whole.len() / 2;
    // A file in the place of the folder.
    std::fs::write(&data, "").expect("there is room");
    let ran = run(&["admin", "restore", text(&file), "--data", text(&data)], &[]);
    assert!(ran.code == 1 && ran.err.contains("is no folder"), "{ran:?}");
    std::fs::remove_file(&data).expect("it was there");
    for (bytes, word) in
        [(&whole[..middle], "backup"), (&changed, "use another"), (&whole[..100], "backup"), (b"", "breaks off")]
    {
        std::fs::write(&bad, bytes).expect("there is room");
        let ran = run(&["admin", "restore", text(&bad), "--data", text(&data)], &[]);
        assert!(ran.code == 1 && ran.err.contains(word), "{word}: {ran:?}");
        assert!(!data.exists() && files(home.path()).len() == 2, "nothing is left: {:?}", files(home.path()));
    }
    // Into a folder that is there, such as a disk of its own; and a body that the disk had spoilt costs no other.
    let mut blobs = files(&server.data().join("blobs"));
    blobs.retain(|path| std::fs::metadata(path).is_ok_and(|about| about.len() > 0));
    let mut bytes = std::fs::read(&blobs[0]).expect("it is there");
    bytes[0] ^= 1;
    std::fs::write(&blobs[0], bytes).expect("there is room");
    let spoilt = home.path().join("spoilt.tar");
    let made = operator(&server, &["admin", "backup", text(&spoilt)]);
    assert!(made.code == 1 && made.err.contains("1 files are spoilt on the server's disk"), "{made:?}");
    std::fs::create_dir(&data).expect("there is room");
    let ran = run(&["admin", "restore", text(&spoilt), "--data", text(&data)], &[]);
    assert!(ran.code == 1 && ran.out.contains("its bytes are others: the backup's file is damaged"), "{ran:?}");
    let other = Server::start_in(&data, Options::default());
    assert_eq!(board(&other.operator()).as_array().map(Vec::len), Some(1));
}

#[test]
fn what_is_stored_is_looked_over() {
    let mut server = Server::start();
    server.publish_example("breast-cancer");
    let (anna, ben) = (server.participant("anna"), server.participant("ben"));
    for (number, api) in [&anna, &ben, &anna].into_iter().enumerate() {
        api.ended(&hand_in(api, number));
    }
    let data = server.data().to_owned();
    let check = || run(&["admin", "check", "--data", text(&data)], &[]);
    let busy = check();
    assert!(busy.code == 1 && busy.err.contains("another gradus has this data folder open"), "{busy:?}");
    assert_eq!(server.stop(), Some(0));
    let whole = check();
    assert!(
        whole.code == 0 && whole.err.contains("3 submissions") && whole.err.contains("all of it is whole"),
        "{whole:?}"
    );
    // A body that the disk spoilt, and one that is gone.
    let mut blobs = files(&data.join("blobs"));
    let len = |path: &PathBuf| std::fs::metadata(path).map(|about| about.len()).unwrap_or(0);
    blobs.retain(|path| len(path) > 0);
    blobs.sort_by_key(len);
    let (spoilt, gone) = (&blobs[0], &blobs[1]);
    let mut bytes = std::fs::read(spoilt).expect("it is there");
    bytes[0] ^= 1;
    std::fs::write(spoilt, bytes).expect("there is room");
    std::fs::remove_file(gone).expect("it was there");
    let wrong = check();
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.out.contains("its bytes are not those of") && wrong.out.contains("there is no blob"), "{wrong:?}");
    assert!(wrong.err.contains("restore a backup"), "{wrong:?}");
    let none = run(&["admin", "check", "--data", text(&data.join("nothing"))], &[]);
    assert!(none.code == 1 && none.err.contains("is no data folder"), "{none:?}");
}

/// A backup that an earlier gradus made, of each format that is read: all of it is there, what waited goes on, and it is of this
/// gradus's format then.
#[test]
fn backups_of_earlier_formats_are_read() {
    let formats: &[u32] = &[2];
    for format in formats {
        let home = tempfile::tempdir().expect("there is room for a folder");
        let packed = std::fs::File::open(root().join(format!("tests/e2e/fixtures/backup-format-{format}.tar.gz")));
        let mut packed = flate2::read::GzDecoder::new(packed.expect("the fixture is there"));
        let backup = home.path().join("backup.tar");
        let mut unpacked = std::fs::File::create(&backup).expect("there is room");
        std::io::copy(&mut packed, &mut unpacked).expect("it is whole");
        let data = home.path().join("data");
        let restored = run(&["admin", "restore", text(&backup), "--data", text(&data)], &[]);
        assert_eq!(restored.code, 0, "{restored:?}");
        let mut server = Server::start_in(&data, Options::default());
        let api = server.operator();
        let rows = board(&api);
        let rows: Vec<_> =
            rows.as_array().expect("rows").iter().map(|row| (&row["entrant"], &row["values"][0])).collect();
        assert_eq!(rows, [(&"anna".into(), &0.996_527_777_777_777_8.into()), (&"ben".into(), &0.664_062_5.into())]);
        let all = api.get("/api/v1/challenges/breast-cancer/submissions").json()["items"].clone();
        let states: Vec<_> = all.as_array().expect("a list").iter().map(|one| one["state"].clone()).collect();
        assert_eq!(states, ["queued", "scored", "scored", "scored"]);
        let queue = api.get("/api/v1/challenges/breast-cancer/queue").json();
        assert_eq!((&queue["state"], &queue["why"]), (&"paused".into(), &"new data".into()));
        let acts = api.get("/api/v1/challenges/breast-cancer/audit").json();
        let acts: Vec<_> = acts["items"].as_array().expect("a list").iter().map(|one| one["act"].clone()).collect();
        assert_eq!(acts, ["queue", "quota-granted", "published"]);
        // What waited is graded, with what this gradus has that the earlier one had not.
        let added = operator(&server, &["challenge", "hook", "add", "breast-cancer", "https://hooks.invalid/"]);
        assert_eq!(added.code, 0, "{added:?}");
        assert_eq!(operator(&server, &["challenge", "resume", "breast-cancer"]).code, 0);
        let waited = all[0]["id"].as_str().expect("an id");
        assert_eq!(api.ended(waited)["outcome"], "scored");
        assert_eq!(board(&api)[1]["values"][0], 0.996_527_777_777_777_8);
        assert_eq!(server.stop(), Some(0));
        let checked = run(&["admin", "check", "--data", text(&data)], &[]);
        assert_eq!(checked.code, 0, "{checked:?}");
    }
}
