//! Pushed tags: fetched from their forge, and graded as submissions; what cannot be is told why, once.

use gradus_e2e::git::{GitServer, Pushed, Repo, Repos};
use gradus_e2e::{Forge, NEW, Server, example, until, variant};
use serde_json::{Value, json};

const TOKEN: &str = "glpat-secret-of-the-forge";

/// Publishes the example with tables, which takes tags of projects below `course`.
fn publish(server: &Server, changes: &[(&str, &str)], more: &str) {
    let home = tempfile::tempdir().expect("there is room");
    let folder = variant("breast-cancer", home.path(), changes);
    let path = folder.join("challenge.toml");
    let text = std::fs::read_to_string(&path).expect("it is there");
    let git = format!("[git]\nsources = [\"forge\"]\nprojects = [\"course/*\"]\n{more}\n");
    std::fs::write(path, format!("{text}\n{git}")).expect("there is room");
    server.publish(&folder);
}

fn good() -> Vec<u8> {
    std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("it is there")
}

/// A repository with predictions.
fn with_predictions(repos: &Repos, path: &str) -> Repo {
    let repo = repos.make(path);
    repo.write(
        "gradus.json",
        json!({ "challenge_id": "breast-cancer", "results": "out/p.csv", "licence": "MIT" }).to_string(),
    );
    repo.write("out/p.csv", good());
    repo
}

/// What a GitLab tells of it.
fn hook(project: &str, of: u32, pushed: &Pushed, before: &str) -> String {
    json!({ "event_name": "tag_push", "ref": format!("refs/tags/{}", pushed.tag), "before": before, "after": pushed.object,
        "checkout_sha": pushed.commit, "user_id": of, "user_username": format!("user{of}"), "project_id": 7,
        "project": { "path_with_namespace": project } })
    .to_string()
}

fn pushes(server: &Server) -> Vec<Value> {
    let listed = server.operator().get("/api/v1/sources/forge/pushes?limit=100").json();
    listed["items"].as_array().expect("it is a list").clone()
}

/// What became of a tag, once something did.
fn became(server: &Server, tag: &str) -> Value {
    let mut found = Value::Null;
    until("the tag is dealt with", || {
        let all = pushes(server);
        let push = all.into_iter().find(|push| push["tag"] == tag && push["object"].is_string());
        found = push.expect("the tag was told of");
        found["state"] != "waiting"
    });
    found
}

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
        assert_eq!(forge.told(&hook("course/anna", 3, &pushed, NEW)).status, 202);
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
    assert_eq!(forge.told(&hook("course/anna", 3, &again, NEW)).status, 202);
    let (same, second) = (became(&server, "v3"), became(&server, "deep/v2"));
    assert_eq!((&same["state"], &same["submission"]), (&json!("same"), &second["submission"]), "{same}");
    // Nothing knows the token but the store, and the process that fetches.
    assert!(!server.log().contains(TOKEN));
    let listed = server.operator().get("/api/v1/sources");
    assert!(!listed.text().contains(TOKEN) && listed.json()["items"][0]["has_token"] == true, "{}", listed.text());
    assert_eq!(std::fs::read_dir(server.data().join("fetch")).expect("it is there").count(), 0, "nothing is left");
    assert_eq!(server.stop(), Some(0));
}
