//! Hooks of forges: what is proved is kept before it is answered, once; what is not proved is told so, and leaves nothing.

use gradus_e2e::{Forge, NEW, Raw, Server, object, run};
use serde_json::{Value, json};

fn pushes(server: &Server, name: &str) -> Vec<Value> {
    let listed = server.operator().get(&format!("/api/v1/sources/{name}/pushes?limit=100")).json();
    listed["items"].as_array().expect("it is a list").clone()
}

#[test]
fn each_kind_of_forge_is_heard_once_and_with_its_proof_alone() {
    let mut server = Server::start();
    let kinds = ["gitlab", "gitlab-token", "gitea", "github", "plain"];
    let forges: Vec<_> = kinds.into_iter().map(|kind| Forge::make(&server, &format!("my-{kind}"), kind)).collect();
    for forge in &forges {
        let (name, kind) = (&forge.path[7..], forge.kind);
        let body = forge.tag("v1", &object(1));
        for round in 0..3 {
            let answer = forge.told(&body);
            assert_eq!((answer.status, answer.body.len()), (202, 0), "{kind} {round}: {}", answer.text());
        }
        assert_eq!(forge.told(&forge.tag("v1", &object(2))).status, 202, "{kind}: it was moved");
        assert_eq!(forge.told(&forge.tag("v1", NEW)).status, 202, "{kind}: it was deleted");
        // Not proved: it is told so, and nothing of it stays.
        let other = forge.tag("forged", &object(3));
        for (what, headers) in [("another's", forge.proof(&body, 0)), ("nothing", Vec::new())] {
            if kind == "gitlab-token" && what == "another's" {
                continue;
            }
            let answer = forge.send(&headers, &other);
            answer.refuses(&format!("{kind} {what}"), 401, "forged-hook", "the hook");
            assert!(!answer.text().contains(&forge.secret), "{kind}");
        }
        let listed = pushes(&server, name);
        let shown: Vec<_> = listed.iter().map(|push| (&push["tag"], &push["object"], &push["pusher"])).collect();
        assert_eq!(shown[0].1, &Value::Null, "{kind}: {listed:?}");
        let objects: Vec<_> = listed[1..].iter().map(|push| push["object"].as_str().expect("an id")).collect();
        assert_eq!(objects, [object(2), object(1)], "{kind}: {listed:?}");
        assert!(shown.iter().all(|(tag, _, by)| *tag == "v1" && *by == "anna"), "{kind}: {listed:?}");
    }
    // Where hooks are signed, what another version of the forge would send does not do.
    let gitlab = &forges[0];
    let other = gitlab.tag("v2", &object(4));
    gitlab.send(&[("x-gitlab-token", gitlab.secret.clone())], &other).refuses(
        "a token",
        401,
        "forged-hook",
        "webhook-signature",
    );
    gitlab.send(&gitlab.proof(&other, 400), &other).refuses("replayed later", 401, "forged-hook", "5 minutes");
    // What is kept is kept.
    let before = pushes(&server, "my-gitlab");
    server.kill();
    server.again();
    assert_eq!(pushes(&server, "my-gitlab"), before);
}

#[test]
fn what_is_no_hook_is_told_so_and_what_is_of_something_else_is_taken_and_forgotten() {
    let server = Server::start();
    let forge = Forge::make(&server, "uni", "gitlab");
    for body in ["", "{", "[]", "{\"event_name\":\"tag_push\"}", "\u{0}"] {
        forge.told(body).refuses(body, 400, "unreadable-hook", "the hook has no");
    }
    assert_eq!(forge.told(&forge.tag("a..b", &object(1))).status, 202, "git would not have such a tag");
    let mut form = forge.proof("{}", 0);
    form.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
    forge.send(&form, "{}").refuses("a form", 400, "unreadable-hook", "application/json");
    for ignored in [json!({ "object_kind": "issue" }), json!({ "event_name": "push", "ref": "refs/heads/main" })] {
        assert_eq!(forge.told(&ignored.to_string()).status, 202);
    }
    let large = format!("{{\"event_name\":\"{}\"}}", "x".repeat(6 << 20));
    forge.told(&large).refuses("6 MiB", 413, "too-large", "5242880 bytes at most");
    // One that says how long it is, and is broken off.
    let mut raw = Raw::begin(&server.api(), "POST", "/hooks/uni", "Content-Length: 1000\r\n");
    raw.send(b"{\"event_name\":");
    drop(raw);
    let unknown = server.api().post("/hooks/other", b"{}");
    unknown.refuses("no such forge", 404, "not-found", "there is no forge");
    assert_eq!(pushes(&server, "uni"), Vec::<Value>::new());
}

#[test]
fn a_push_of_a_thousand_tags_is_kept_whole_and_one_project_does_not_flood_the_others() {
    let server = Server::start();
    let forge = Forge::make(&server, "uni", "gitlab");
    let update = |project: u64, from: usize, count: usize| {
        let change = |number: usize| {
            let name = format!("refs/tags/t{number}");
            json!({ "ref": name, "before": NEW, "after": object(number) })
        };
        let changes: Vec<_> = (from..from + count).map(change).collect();
        json!({ "event_name": "repository_update", "user_id": 3, "project_id": project, "changes": changes,
            "project": { "path_with_namespace": format!("group/p{project}") } })
        .to_string()
    };
    assert_eq!(forge.told(&update(1, 0, 1_000)).status, 202);
    assert_eq!(forge.told(&update(1, 500, 1_000)).status, 202, "half of it is known");
    let flood = forge.told(&update(1, 2_000, 500));
    flood.refuses("too many of one project", 429, "too-fast", "tags of this project");
    assert!(flood.header("retry-after").is_some());
    assert_eq!(forge.told(&update(2, 0, 500)).status, 202, "another project's");
    let mut all = Vec::new();
    let mut next = "/api/v1/sources/uni/pushes?limit=100".to_owned();
    loop {
        let page = server.operator().get(&next).json();
        all.extend(page["items"].as_array().expect("a list").clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("/api/v1/sources/uni/pushes?limit=100&cursor={cursor}");
    }
    let of = |project: &str| all.iter().filter(|push| push["project"] == project).count();
    assert_eq!((of("group/p1"), of("group/p2")), (1_500, 500));
}

#[test]
fn an_operator_makes_lists_and_removes_forges_by_command() {
    let server = Server::start();
    let token = server.data().join("operator.token");
    let environment = [("GRADUS_SERVER", server.base.as_str()), ("GRADUS_TOKEN_FILE", token.to_str().expect("UTF-8"))];
    let admin = |words: &[&str]| run(&[&["admin", "source"], words].concat(), &environment);
    let base = "https://git.example.org/";
    let made = admin(&["add", "code", "--kind", "gitea", "--base", base]);
    assert!(made.code == 0 && made.out.starts_with("whsec_") && made.out.lines().count() == 1, "{made:?}");
    assert!(made.err.contains("code may send its hooks to /hooks/code"), "{made:?}");
    let again = admin(&["add", "code", "--kind", "gitea", "--base", base]);
    assert!(again.code == 1 && again.err.contains("there is a forge `code` already"), "{again:?}");
    let odd = admin(&["add", "x", "--kind", "github", "--base", "ssh://git@example.org"]);
    assert!(odd.code == 1 && odd.err.contains("begins with https:// or http://"), "{odd:?}");
    let home = tempfile::tempdir().expect("there is room for a folder");
    let file = home.path().join("secret");
    std::fs::write(&file, "a-secret-of-the-forge\n").expect("there is room");
    let own = ["add", "hub", "--kind", "github", "--base", base, "--secret-file", file.to_str().expect("UTF-8")];
    let own = admin(&own);
    assert!(own.code == 0 && own.out.is_empty(), "it is known: {own:?}");
    let forge =
        Forge { api: server.api(), path: "/hooks/hub".into(), secret: "a-secret-of-the-forge".into(), kind: "github" };
    assert_eq!(forge.told(&forge.tag("v1", &object(1))).status, 202);
    let listed = admin(&["list"]);
    assert!(listed.out.contains("code  gitea   signed  https://git.example.org  /hooks/code"), "{listed:?}");
    assert!(!listed.out.contains("a-secret") && !listed.out.contains("whsec_"), "{listed:?}");
    let told = admin(&["pushes", "hub"]);
    assert!(told.out.contains("anna/digits  v1   000000000000  anna"), "{told:?}");
    assert_eq!(admin(&["remove", "hub"]).code, 0);
    forge.told(&forge.tag("v2", &object(2))).refuses("it was removed", 404, "not-found", "there is no forge");
    assert_eq!(admin(&["pushes", "hub"]).out, told.out, "what it told stays");
    let gone = admin(&["remove", "hub"]);
    assert!(gone.code == 1 && gone.err.contains("there is no forge here"), "{gone:?}");
    let acts = run(&["admin", "audit"], &environment).out;
    for act in ["source-made", "source-removed"] {
        assert!(acts.contains(act), "{acts}");
    }
    // Nobody else has a say in it.
    let organizer = server.api().with(Some(&server.operator().grant("organizer", "olga", &[])));
    for path in ["/api/v1/sources", "/api/v1/sources/code/pushes"] {
        assert_eq!(organizer.get(path).status, 403, "{path}");
        assert_eq!(server.api().get(path).status, 401, "{path}");
    }
}
