//! Pushed tags: fetched from their forge, and graded as submissions; what cannot be is told why, once.

use gradus_e2e::git::{GitServer, Pushed, Repos};
use gradus_e2e::programs::{Engine, alone};
use gradus_e2e::tags::{TOKEN, became, good, handed, publish, pushes, take_tags, told, with_predictions};
use gradus_e2e::{Forge, NEW, Options, Server, example, object, rows, skip, until, variant};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::atomic::Ordering;

#[test]
fn a_pushed_tag_is_fetched_with_its_forges_token_and_graded() {
    let mut server = Server::start();
    let repos = Repos::default();
    let git = GitServer::start(&repos.root(), "oauth2", TOKEN);
    publish(&server, &[], "");
    let forge = Forge::make_at(&server, "forge", "gitlab", &git.base, &json!({ "token": TOKEN, "private": true }));
    let repo = with_predictions(&repos, "course/anna.git");
    for (n, (tag, annotated)) in [("v1", true), ("deep/v2", false)].into_iter().enumerate() {
        repo.write("README.md", format!("round {n}"));
        let pushed = repo.push(tag, annotated);
        told(&forge, "course/anna", 3, &pushed, NEW);
        let push = became(&server, tag);
        assert_eq!((&push["state"], &push["challenge"]), (&json!("submitted"), &json!("breast-cancer")), "{push}");
        let submission = server.operator().ended(push["submission"].as_str().expect("it is one"));
        assert_eq!(
            (&submission["outcome"], &submission["entrant"]),
            (&json!("scored"), &json!("forge-user3")),
            "{submission}"
        );
        assert_eq!(submission["pushed"]["commit"], json!(pushed.commit), "{submission}");
        assert_eq!(
            (&submission["pushed"]["tag"], &submission["pushed"]["project"]),
            (&json!(tag), &json!("course/anna"))
        );
        assert_eq!(submission["pushed"]["more"]["licence"], "MIT", "what nobody here knows is kept for the organizers");
    }
    // The same commit under another name.
    let again = repo.push_head("v3", true);
    told(&forge, "course/anna", 3, &again, NEW);
    let (same, second) = (became(&server, "v3"), became(&server, "deep/v2"));
    assert_eq!((&same["state"], &same["submission"]), (&json!("same"), &second["submission"]), "{same}");
    // Nothing knows the token but the store, and the process that fetches.
    assert!(!server.log().contains(TOKEN));
    let listed = server.operator().get("/api/v1/sources");
    assert!(!listed.text().contains(TOKEN) && listed.json()["items"][0]["has_token"] == true, "{}", listed.text());
    assert_eq!(std::fs::read_dir(server.data().join("fetch")).expect("it is there").count(), 0, "nothing is left");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_cannot_be_a_submission_is_refused_in_words_for_whoever_pushed() {
    let server = Server::start();
    let repos = Repos::default();
    let root = format!("file://{}", repos.root().display());
    let forge = Forge::make_at(&server, "forge", "plain", &root, &json!({ "private": true }));
    publish(&server, &[], "tags = [\"v*\"]\nmoved = \"refuse\"\nresults = \"p.csv\"");
    let repo = repos.make("course/anna");
    let contract = json!({ "challenge_id": "breast-cancer" }).to_string();
    let deep = format!("{}x.txt", "d/".repeat(16));
    type Files<'a> = &'a [(&'a str, &'a [u8])];
    let cases: [(&str, Files<'_>, &str, &str); 9] = [
        ("v-none", &[("p.csv", b"x")], "no-contract", "there is no `gradus.json` at the top of the repository"),
        (
            "v-broken",
            &[("gradus.json", b"{\"challenge_id\": }")],
            "bad-contract",
            "gradus.json: line 1, column 18: is not JSON",
        ),
        ("v-other", &[("gradus.json", b"{\"challenge_id\": \"mazes\"}")], "not-allowed", "`mazes` takes no such tags"),
        ("v-old", &[("crowdai.json", b"{}")], "bad-contract", "crowdai.json: has no `challenge_id`"),
        ("v-results", &[("gradus.json", contract.as_bytes())], "no-results", "no file and no folder `p.csv`"),
        (
            "v-format",
            &[("gradus.json", contract.as_bytes()), ("p.csv", b"id,label,p\n")],
            "invalid-submission",
            "p.csv",
        ),
        ("v-deep", &[("gradus.json", contract.as_bytes()), (&deep, b"x")], "path-too-long", "deeper than 16"),
        ("v-big", &[("gradus.json", &[b' '; 70_000])], "bad-contract", "longer than 64 KiB"),
        ("v-ok", &[("gradus.json", contract.as_bytes()), ("p.csv", &good())], "", ""),
    ];
    for (tag, files, code, words) in cases {
        repo.git(&["rm", "-r", "--quiet", "--force", "--ignore-unmatch", "."]);
        files.iter().for_each(|(path, bytes)| repo.write(path, bytes));
        let push = handed(&server, &forge, "course/anna", &repo.push(tag, true));
        let reason = push["reason"].as_str().unwrap_or_default();
        assert!(push["code"].as_str().unwrap_or_default() == code && reason.contains(words), "{tag}: {push}");
    }
    // It was moved before it was fetched; it was moved, and told so; it is gone; it is none that anybody takes.
    let moved = repo.push("v-moved", true);
    repo.push("v-moved", true);
    assert_eq!(handed(&server, &forge, "course/anna", &moved)["code"], "tag-moved");
    let gone = repo.push("v-gone", false);
    repo.git(&["push", "--quiet", "--delete", "origin", "v-gone"]);
    assert_eq!(handed(&server, &forge, "course/anna", &gone)["code"], "tag-gone");
    let again = repo.push("v-again", true);
    told(&forge, "course/anna", 3, &again, &moved.object);
    assert_eq!(became(&server, "v-again")["code"], "tag-moved");
    // Deleted and made again is moved, too, whatever its forge says.
    repo.write("gradus.json", &contract);
    repo.write("p.csv", good());
    assert_eq!(handed(&server, &forge, "course/anna", &repo.push("v-twice", true))["state"], "submitted");
    repo.git(&["push", "--quiet", "--delete", "origin", "v-twice"]);
    let gone = Pushed { tag: "v-twice".into(), object: NEW.into(), commit: NEW.into() };
    told(&forge, "course/anna", 3, &gone, NEW);
    repo.write("n", "2");
    let again = repo.push("v-twice", true);
    told(&forge, "course/anna", 3, &again, NEW);
    until("it is refused", || {
        let push = pushes(&server).into_iter().find(|push| push["object"] == again.object.as_str());
        push.expect("it was told of")["code"] == "tag-moved"
    });
    for (project, tag) in [("course/anna", "w1"), ("other/anna", "v1")] {
        let push = handed(&server, &forge, project, &repo.push(tag, true));
        assert_eq!((&push["state"], &push["reason"]), (&json!("passed"), &Value::Null), "{push}");
    }
}

#[test]
fn hostile_repositories_are_refused_and_odd_ones_are_told_what_was_left_out() {
    let server = Server::start_with(Options {
        config: "[limits]\nsubmission = \"1MiB\"\nsubmission_unpacked = \"1MiB\"\n".to_owned(),
        ..Options::default()
    });
    let repos = Repos::default();
    let root = format!("file://{}", repos.root().display());
    let forge = Forge::make_at(&server, "forge", "plain", &root, &json!({ "private": true }));
    publish(&server, &[], "");
    // Links lead nowhere, submodules and large files are not fetched.
    let odd = with_predictions(&repos, "course/odd");
    std::os::unix::fs::symlink("/etc/passwd", odd.work.join("out/link.csv")).expect("there is room");
    odd.write("model.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n");
    odd.write(".gitattributes", "*.bin filter=lfs\n*.csv filter=evil\n");
    odd.write(
        "gradus.json",
        json!({ "challenge_id": "breast-cancer", "results": "out/link.csv", "gpu": true }).to_string(),
    );
    odd.git(&["add", "--all", "--force"]);
    odd.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},vendor/lib", object(1))]);
    odd.git(&["commit", "--quiet", "--message", "odd"]);
    let push = handed(&server, &forge, "course/odd", &odd.push_head("v1", true));
    assert_eq!((&push["state"], &push["code"]), (&json!("refused"), &json!("invalid-submission")), "{push}");
    assert!(!push["reason"].to_string().contains("root"), "what it leads to is not read: {push}");
    let notes = push["notes"].to_string();
    for note in [
        "submodules are left out: vendor/lib",
        "only pointers here: model.bin",
        "hold where they lead: out/link.csv",
        "asks for a GPU",
    ] {
        assert!(notes.contains(note), "{note}: {notes}");
    }
    odd.write("gradus.json", json!({ "challenge_id": "breast-cancer", "results": "out/p.csv" }).to_string());
    assert_eq!(handed(&server, &forge, "course/odd", &odd.push("v2", true))["state"], "submitted");

    // Trees that git itself would not check out.
    let hostile = with_predictions(&repos, "course/hostile");
    hostile.push("start", false);
    let blob = hostile.git(&["rev-parse", "start:gradus.json"]);
    let top = hostile.git(&["rev-parse", "start^{tree}"]);
    let names = [
        ("dot-git", ".git", "hostile-name"),
        ("dots", "..", "hostile-name"),
        ("case", ".GIT", "hostile-name"),
        ("slash", "a\\b", "hostile-name"),
    ];
    for (tag, name, code) in names {
        let entry = |mode: &str, name: &str, id: &str| {
            let bytes = (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).expect("digits"));
            [format!("{mode} {name}\0").into_bytes(), bytes.collect()].concat()
        };
        let tree = [entry("100644", name, &blob), entry("40000", "z", &top)].concat();
        hostile.write("../tree", tree);
        let tree = hostile.git(&["hash-object", "-t", "tree", "-w", "--literally", "../tree"]);
        let commit = hostile.git(&["commit-tree", &tree, "-m", "x"]);
        hostile.git(&["tag", tag, &commit]);
        hostile.git(&["push", "--quiet", "origin", &format!("refs/tags/{tag}")]);
        let pushed = Pushed { tag: tag.to_owned(), object: commit.clone(), commit };
        let push = handed(&server, &forge, "course/hostile", &pushed);
        assert_eq!(push["code"], code, "{push}");
    }
    // Few bytes of files, and many of their names.
    let mut tree = Vec::new();
    for n in 0..4_000 {
        let id = (0..blob.len()).step_by(2).map(|at| u8::from_str_radix(&blob[at..at + 2], 16).expect("digits"));
        tree.extend([format!("100644 f{n:04}\0").into_bytes(), id.collect()].concat());
    }
    let mut top = String::new();
    for _ in 0..17 {
        hostile.write("../tree", &tree);
        top = hostile.git(&["hash-object", "-t", "tree", "-w", "--literally", "../tree"]);
        let id = (0..top.len()).step_by(2).map(|at| u8::from_str_radix(&top[at..at + 2], 16).expect("digits"));
        tree = [format!("40000 {}\0", "d".repeat(250)).into_bytes(), id.collect()].concat();
    }
    let commit = hostile.git(&["commit-tree", &top, "-m", "x"]);
    hostile.git(&["tag", "names", &commit]);
    hostile.git(&["push", "--quiet", "origin", "refs/tags/names"]);
    let pushed = Pushed { tag: "names".to_owned(), object: commit.clone(), commit };
    let push = handed(&server, &forge, "course/hostile", &pushed);
    assert!(push["code"] == "too-large" && push["reason"].to_string().contains("in 10000 files"), "{push}");
    // A tag of no commit.
    hostile.git(&["tag", "of-a-file", &blob]);
    hostile.git(&["push", "--quiet", "origin", "refs/tags/of-a-file"]);
    let pushed = Pushed { tag: "of-a-file".to_owned(), object: blob.clone(), commit: blob };
    assert_eq!(handed(&server, &forge, "course/hostile", &pushed)["code"], "no-commit");

    // More than there may be: files, a file of nothing that is large when it is unpacked, bytes on the way.
    let large = with_predictions(&repos, "course/large");
    (0..10_001).for_each(|n| large.write(&format!("many/{}/{n}", n % 100), "x"));
    let push = handed(&server, &forge, "course/large", &large.push("many", false));
    assert_eq!(push["code"], "too-many-files", "{push}");
    large.git(&["rm", "-r", "--quiet", "many"]);
    std::fs::File::create(large.work.join("zeros")).and_then(|file| file.set_len(300 << 20)).expect("there is room");
    let push = handed(&server, &forge, "course/large", &large.push("zeros", false));
    assert_eq!(push["code"], "too-large", "{push}");
    let mut noise = 1u64;
    let mut next = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 33) as u8
    };
    large.git(&["rm", "--quiet", "zeros"]);
    large.write("noise", (0..3 << 20).map(|_| next()).collect::<Vec<_>>());
    let push = handed(&server, &forge, "course/large", &large.push("noise", false));
    assert!(push["code"] == "too-large" && push["reason"].to_string().contains("sends more than"), "{push}");
    // The next one is none the worse for it.
    large.git(&["rm", "--quiet", "noise"]);
    assert_eq!(handed(&server, &forge, "course/large", &large.push("well", false))["state"], "submitted");
}

#[test]
fn a_forge_that_is_down_slow_or_does_not_know_us_any_more_loses_nothing() {
    let mut server = Server::start();
    let repos = Repos::default();
    let git = GitServer::start(&repos.root(), "oauth2", TOKEN);
    publish(&server, &[], "");
    let mut forge = Forge::make_at(&server, "forge", "gitlab", &git.base, &json!({ "token": TOKEN, "private": true }));
    let repo = with_predictions(&repos, "course/anna.git");
    let waits = |server: &Server, tag: &str, why: &str| {
        until("it is put off", || {
            let push = pushes(server).into_iter().find(|push| push["tag"] == tag).expect("it was told of");
            assert_eq!(push["state"], "waiting", "{push}");
            let reason = push["reason"].as_str().unwrap_or_default();
            assert!(
                reason.is_empty() || reason == "it could not be fetched and looked at yet; the operator can see why"
            );
            push["trouble"].as_str().is_some_and(|trouble| trouble.contains(why) && !trouble.contains(TOKEN))
        });
    };
    git.mood.down.store(true, Ordering::Relaxed);
    let down = repo.push("down", true);
    told(&forge, "course/anna", 3, &down, NEW);
    waits(&server, "down", "503");
    until("the operator sees what is wrong with the forge", || {
        let sources = server.operator().get("/api/v1/sources").json();
        sources["items"][0]["trouble"].as_str().is_some_and(|trouble| trouble.contains("503"))
    });
    git.mood.down.store(false, Ordering::Relaxed);
    git.mood.revoked.store(true, Ordering::Relaxed);
    waits(&server, "down", "does not take the token");
    git.mood.revoked.store(false, Ordering::Relaxed);
    let push = became(&server, "down");
    assert_eq!(push["state"], "submitted", "{push}");
    assert!(push["trouble"].is_null(), "it is over: {push}");
    // The push is stored a moment before its fetcher is done.
    until("the forge is well again", || {
        server.operator().get("/api/v1/sources").json()["items"][0]["trouble"].is_null()
    });
    // Killed while it fetches, and stopped while it does.
    git.mood.slow.store(1_500, Ordering::Relaxed);
    for (tag, kill) in [("killed", true), ("stopped", false)] {
        let (pushed, asked) = (repo.push(tag, true), git.mood.asked.load(Ordering::Relaxed));
        told(&forge, "course/anna", 3, &pushed, NEW);
        until("it is being fetched", || git.mood.asked.load(Ordering::Relaxed) > asked);
        if kill {
            server.kill();
        } else {
            assert_eq!(server.stop(), Some(0));
        }
        server.again();
        let push = became(&server, tag);
        assert_eq!(push["state"], "submitted", "{push}");
        forge.api = server.api();
        told(&forge, "course/anna", 3, &pushed, NEW);
    }
    let all = server.operator().get("/api/v1/challenges/breast-cancer/submissions").json();
    assert_eq!(all["items"].as_array().expect("a list").len(), 3, "each of them once: {all}");
    assert!(!server.log().contains(TOKEN));
}

#[test]
fn rules_hold_for_pushed_tags_and_people_are_who_they_are() {
    let server = Server::start();
    let repos = Repos::default();
    let root = format!("file://{}", repos.root().display());
    let forge = Forge::make_at(&server, "forge", "plain", &root, &json!({ "private": true }));
    publish(&server, &[("limit = 20", "limit = 2")], "");
    let anna = with_predictions(&repos, "course/anna");
    let push = |user: u32, tag: &str| {
        anna.write("n", tag);
        told(&forge, "course/anna", user, &anna.push(tag, true), NEW);
        became(&server, tag)
    };
    // Somebody who has a token under that name is somebody else, until the operator says otherwise.
    let taken = server.participant("forge-user1");
    assert_eq!(push(1, "a1")["state"], "submitted");
    assert_eq!(push(2, "b1")["state"], "submitted");
    let users = || server.operator().get("/api/v1/sources/forge/users").json()["items"].clone();
    let entrants = users().as_array().expect("a list").iter().map(|user| user["entrant"].clone()).collect::<Vec<_>>();
    assert_eq!(entrants, ["forge-user1-2", "forge-user2"]);
    let mine = |api: &gradus_e2e::Api| {
        api.get("/api/v1/challenges/breast-cancer/submissions").json()["items"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(mine(&taken), 0);
    let link = |user: &str| {
        let body = json!({ "entrant": "forge-user1" }).to_string();
        let path = format!("/api/v1/sources/forge/users/{user}");
        server
            .operator()
            .send("PUT", &path, &[("content-type", "application/json")], body.as_bytes())
            .expect("it answers")
    };
    assert_eq!(link("user1").status, 200);
    assert_eq!(push(1, "a2")["state"], "submitted");
    assert_eq!(mine(&taken), 1, "it is theirs now, and can be read with their token");
    // Two a day, and no more; it is told how many are left, and when there are more.
    assert_eq!(push(2, "b2")["state"], "submitted");
    let over = push(2, "b3");
    assert_eq!((&over["state"], &over["code"]), (&json!("refused"), &json!("over-quota")), "{over}");
    assert!(
        over["reason"]
            .as_str()
            .is_some_and(|told| told.contains("2 submissions per day (UTC) is used up; it resets at ")),
        "{over}"
    );
    assert_eq!(server.api().get("/api/v1/sources/forge/users").status, 401);
    assert_eq!(taken.get("/api/v1/sources/forge/users").status, 403);

    // A forge on a network of somebody's own is asked only where the operator said so.
    let near = Forge::make_at(&server, "near", "gitlab", "https://127.0.0.1:9", &json!({}));
    let home = tempfile::tempdir().expect("there is room");
    let folder = variant("breast-cancer", home.path(), &[("id = \"breast-cancer\"", "id = \"near\"")]);
    let path = folder.join("challenge.toml");
    let text = std::fs::read_to_string(&path).expect("it is there");
    std::fs::write(path, format!("{text}\n[git]\nsources = [\"near\"]\nprojects = [\"**\"]\n")).expect("there is room");
    server.publish(&folder);
    told(&near, "course/anna", 1, &anna.push("near", true), NEW);
    until("it is put off", || {
        let push = server.operator().get("/api/v1/sources/near/pushes").json()["items"][0].clone();
        push["trouble"].as_str().is_some_and(|trouble| trouble.contains("private network"))
    });
}

#[test]
fn the_example_shows_it_all_on_one_machine() {
    let script = gradus_e2e::root().join("examples/git-push.sh");
    let output = Command::new("sh").arg(script).env("GRADUS", gradus_e2e::gradus()).output().expect("there is a shell");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    for words in [
        "refused: the format check found 3 problems",
        "predictions.csv: no row for id `199`",
        "local-anna",
        "submission-2 of anna.git at local",
    ] {
        assert!(out.contains(words), "{words:?}: {out}\n{err}");
    }
    for words in [
        "heard of submission-3",
        "submission-1 was graded: f1 0.902, accuracy 0.95, rank 1",
        "submission-3 could not be graded: the format check",
    ] {
        assert!(err.contains(words), "whoever pushes is told {words:?}: {err}");
    }
    let board = out.split("gradus leaderboard primes").nth(1).unwrap_or_default();
    assert!(board.contains("1.0000"), "{board}");
    let checked = gradus_e2e::run(&["challenge", "check", example("primes").to_str().expect("UTF-8")], &[]);
    assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
}

#[test]
fn a_pushed_program_runs_as_an_uploaded_one_does() {
    let _alone = alone();
    let image = match Engine::default().image("") {
        Ok(image) => image,
        Err(why) => return skip(&why),
    };
    let server = Server::start();
    let folder = rows::challenge(&image, "");
    take_tags(folder.path(), "");
    server.publish(folder.path());
    let repos = Repos::default();
    let root = format!("file://{}", repos.root().display());
    let forge = Forge::make_at(&server, "forge", "plain", &root, &json!({ "private": true }));
    let repo = repos.make("course/anna");
    repo.write("gradus.json", json!({ "challenge_id": "rows" }).to_string());
    repo.write("metadata", "command: sh $program/src/run.sh\n");
    repo.write("src/run.sh", "ls -a; cp /app/input_data/rows.csv /app/output/predictions.csv\n");
    let push = handed(&server, &forge, "course/anna", &repo.push("v1", true));
    let id = push["submission"].as_str().unwrap_or_else(|| panic!("{push}"));
    let ended = server.operator().ended(id);
    assert_eq!((&ended["outcome"], &ended["lane"]), (&json!("scored"), &json!("code")), "{ended}");
    let printed = server.operator().get(&format!("/api/v1/submissions/{id}/logs/stdout")).text();
    assert_eq!(printed, ".\n..\ngradus.json\nmetadata\nsrc\n", "the tree, without git's own");
}
