//! Tags that are pushed, as tests push them: a challenge that takes them, repositories, what a forge tells, and what comes of it.

use super::forge::{Forge, NEW};
use super::git::{GitServer, Pushed, Repo, Repos};
use super::gradus::{example, until};
use super::kept::variant;
use super::server::Server;
use serde_json::{Value, json};
use std::path::Path;

/// What the forge is asked with.
pub const TOKEN: &str = "glpat-secret-of-the-forge";

/// Publishes the example with tables, which takes tags of projects below `course`.
pub fn publish(server: &Server, changes: &[(&str, &str)], more: &str) {
    let home = tempfile::tempdir().expect("there is room");
    let folder = variant("breast-cancer", home.path(), changes);
    take_tags(&folder, more);
    server.publish(&folder);
}

/// Has a challenge take tags of projects below `course`.
pub fn take_tags(folder: &Path, more: &str) {
    let path = folder.join("challenge.toml");
    let text = std::fs::read_to_string(&path).expect("it is there");
    let git = format!("[git]\nsources = [\"forge\"]\nprojects = [\"course/*\"]\n{more}\n");
    std::fs::write(path, format!("{text}\n{git}")).expect("there is room");
}

/// Good predictions.
pub fn good() -> Vec<u8> {
    std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("it is there")
}

/// A repository with predictions.
pub fn with_predictions(repos: &Repos, path: &str) -> Repo {
    let repo = repos.make(path);
    repo.write(
        "gradus.json",
        json!({ "challenge_id": "breast-cancer", "results": "out/p.csv", "licence": "MIT" }).to_string(),
    );
    repo.write("out/p.csv", good());
    repo
}

/// What its forge tells of a tag that `user` pushed.
pub fn told(forge: &Forge, project: &str, user: u32, pushed: &Pushed, before: &str) {
    let reference = format!("refs/tags/{}", pushed.tag);
    let (object, commit) = (&pushed.object, &pushed.commit);
    let body = match forge.kind {
        "plain" => json!({ "project": project, "pusher": format!("user{user}"),
            "updates": [{ "ref": reference, "before": before, "after": object }] }),
        _ => {
            json!({ "event_name": "tag_push", "ref": reference, "before": before, "after": object, "checkout_sha": commit,
            "user_id": user, "user_username": format!("user{user}"), "project_id": 7,
            "project": { "path_with_namespace": project } })
        }
    };
    let answer = forge.told(&body.to_string());
    assert_eq!(answer.status, 202, "{}", answer.text());
}

/// What a forge told, newest first.
pub fn pushes(server: &Server) -> Vec<Value> {
    let listed = server.operator().get("/api/v1/sources/forge/pushes?limit=100").json();
    listed["items"].as_array().expect("it is a list").clone()
}

/// What became of a tag, once something did.
pub fn became(server: &Server, tag: &str) -> Value {
    let mut found = Value::Null;
    until("the tag is dealt with", || {
        let all = pushes(server);
        let push = all.into_iter().find(|push| push["tag"] == tag && push["object"].is_string());
        found = push.expect("the tag was told of");
        found["state"] != "waiting"
    });
    found
}

/// Tells of a tag, and waits until something became of it.
pub fn handed(server: &Server, forge: &Forge, project: &str, pushed: &Pushed) -> Value {
    told(forge, project, 3, pushed, NEW);
    became(server, &pushed.tag)
}

/// Holds the queue, or lets it go on.
pub fn queue(server: &Server, state: &str) {
    let (path, body) = ("/api/v1/challenges/breast-cancer/queue", json!({ "state": state }).to_string());
    let answer = server.operator().send("PUT", path, &[("content-type", "application/json")], body.as_bytes());
    let answer = answer.expect("the server answers");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The last word on a tag.
pub fn last(git: &GitServer, tag: &str) -> (String, String) {
    until("the forge was told", || {
        let states = git.mood.lab.states(tag);
        states.last().is_some_and(|(state, _)| state == "success" || state == "failed")
    });
    git.mood.lab.states(tag).pop().expect("there is one")
}
