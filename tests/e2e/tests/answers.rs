//! What forges are told of pushed tags: how they stand, at least once for each state that lasts, whatever the forge answers and
//! whatever dies in between.

use gradus_e2e::git::{GitServer, Repos};
use gradus_e2e::tags::{TOKEN, became, last, publish, pushes, queue, told, with_predictions};
use gradus_e2e::{Forge, NEW, Options, Server, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

#[test]
fn a_forge_is_told_how_its_tags_stand_whatever_it_answers() {
    let config = "[server]\nurl = \"https://gradus.example.org/\"\n";
    let mut server = Server::start_with(Options { config: config.to_owned(), ..Options::default() });
    let repos = Repos::default();
    let git = GitServer::start(&repos.root(), "oauth2", TOKEN);
    publish(&server, &[("limit = 20", "limit = 5")], "");
    let mut forge = Forge::make_at(&server, "forge", "gitlab", &git.base, &json!({ "token": TOKEN, "private": true }));
    let repo = with_predictions(&repos, "course/anna.git");
    let push = |server: &Server, forge: &Forge, tag: &str| {
        repo.write("n", tag);
        let pushed = repo.push(tag, true);
        told(forge, "course/anna", 3, &pushed, NEW);
        (pushed, became(server, tag))
    };
    let (pushed, became) = push(&server, &forge, "v1");
    let (state, text) = last(&git, "v1");
    assert_eq!(state, "success");
    assert!(text.starts_with("roc_auc 0.99") && text.ends_with(", rank 1"), "{text}");
    let taken = git.mood.lab.taken();
    for status in &taken {
        assert_eq!(
            (&status["sha"], &status["project"]),
            (&json!(pushed.commit), &json!("7")),
            "the commit, and not the tag's object"
        );
        assert_eq!(status["name"], "gradus");
        let target =
            format!("https://gradus.example.org/api/v1/submissions/{}", became["submission"].as_str().expect("an id"));
        assert_eq!(status["target_url"], target);
    }
    // The hidden half is not told.
    let id = became["submission"].as_str().expect("an id");
    let report = server.operator().get(&format!("/api/v1/submissions/{id}/report")).json();
    let scores = report["scores"].as_array().expect("scores").iter().filter(|score| score["split"] == "private");
    // A short one may be the beginning of another.
    let hidden: Vec<_> = scores.map(|score| score["value"].to_string()).filter(|value| value.len() > 6).collect();
    assert!(hidden.len() == 3 && hidden.iter().all(|value| !text.contains(&value[..6])), "{hidden:?} {text}");
    // One word for each state, in their order.
    let words: Vec<_> = git.mood.lab.states("v1").into_iter().map(|(state, _)| state).collect();
    let order = ["pending", "running", "success"].map(|word| words.iter().filter(|said| *said == word).count());
    assert!(order.iter().all(|count| *count <= 1) && order[2] == 1, "{words:?}");
    assert!(words.is_sorted_by_key(|word| ["pending", "running", "success"].iter().position(|known| known == word)));

    // The same commit under another name, while it waits: that is told how it goes on, too.
    queue(&server, "paused");
    repo.write("n", "twice");
    for pushed in [repo.push("twice-1", true), repo.push_head("twice-2", true)] {
        told(&forge, "course/anna", 3, &pushed, NEW);
    }
    until("both are told of", || git.mood.lab.states("twice-1").len() + git.mood.lab.states("twice-2").len() == 2);
    queue(&server, "open");
    assert_eq!((last(&git, "twice-1").0, last(&git, "twice-2").0), ("success".to_owned(), "success".to_owned()));

    // One project whose commits we may not give a status holds up no other.
    git.mood.lab.refuses("8");
    let other = with_predictions(&repos, "course/ben.git");
    other.write("n", "ben");
    let pushed = other.push("ben", true);
    let body = json!({ "event_name": "tag_push", "ref": "refs/tags/ben", "before": NEW, "after": pushed.object,
        "checkout_sha": pushed.commit, "user_id": 4, "user_username": "ben", "project_id": 8,
        "project": { "path_with_namespace": "course/ben" } });
    assert_eq!(forge.told(&body.to_string()).status, 202);
    until("it was refused a few times", || git.mood.lab.refused().iter().filter(|code| **code == 403).count() >= 3);

    // Busy, broken, too fast, and not itself: it hears of it in the end.
    git.mood.lab.answers(&[409, 500, 429, 502]);
    push(&server, &forge, "v2");
    assert_eq!(last(&git, "v2").0, "success");
    // It does not say that it took it, and is told again: what it has already is no error.
    git.mood.lab.answers(&[0]);
    push(&server, &forge, "v3");
    assert_eq!(last(&git, "v3").0, "success");

    // It is down while a tag is graded; the server is killed meanwhile.
    queue(&server, "paused");
    repo.write("n", "v4");
    let pushed = repo.push("v4", true);
    told(&forge, "course/anna", 3, &pushed, NEW);
    until("it is handed in", || pushes(&server).iter().any(|push| push["tag"] == "v4" && push["state"] == "submitted"));
    git.mood.down.store(true, Ordering::Relaxed);
    let submission =
        pushes(&server).iter().find(|push| push["tag"] == "v4").expect("it is there")["submission"].clone();
    queue(&server, "open");
    server.operator().ended(submission.as_str().expect("an id"));
    server.kill();
    server.again();
    forge.api = server.api();
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    git.mood.down.store(false, Ordering::Relaxed);
    assert_eq!(last(&git, "v4").0, "success");
    // Nothing more is said of it.
    let count = git.mood.lab.taken().len();

    // Refused: said once, with the reason.
    push(&server, &forge, "v5");
    let (state, text) = last(&git, "v5");
    assert!(state == "failed" && text.contains("quota of 5 submissions per day (UTC) is used up"), "{text}");
    assert_eq!(git.mood.lab.states("v5").len(), 1);
    assert_eq!(git.mood.lab.taken().len(), count + 1);
    // Refused, and the forge had not said which commit it is: told all the same.
    let bare = repos.make("course/anna-2.git");
    bare.write("README.md", "nothing else");
    let pushed = bare.push("none", true);
    let body = json!({ "event_name": "repository_update", "user_id": 3, "project_id": 9,
        "project": { "path_with_namespace": "course/anna-2" }, "refs": ["refs/tags/none"],
        "changes": [{ "before": NEW, "after": pushed.object, "ref": "refs/tags/none" }] });
    assert_eq!(forge.told(&body.to_string()).status, 202);
    let (state, text) = last(&git, "none");
    assert!(state == "failed" && text.contains("there is no `gradus.json`"), "{text}");
    let said = git.mood.lab.taken().pop().expect("there is one");
    assert_eq!(said["sha"], json!(pushed.commit));
    assert!(!server.log().contains(TOKEN));
}

#[test]
fn a_gitlab_is_told_to_send_its_hooks_here() {
    let config = "[server]\nurl = \"https://gradus.example.org\"\n";
    let server = Server::start_with(Options { config: config.to_owned(), ..Options::default() });
    let repos = Repos::default();
    let git = GitServer::start(&repos.root(), "oauth2", TOKEN);
    let lab = &git.mood.lab;
    let operator = server.operator();
    let add = |name: &str, more: &Value| {
        let mut new = json!({ "name": name, "kind": "gitlab", "base": git.base, "private": true, "token": TOKEN, "register": true });
        more.as_object().expect("an object").iter().for_each(|(key, value)| new[key] = value.clone());
        let json = [("content-type", "application/json")];
        operator.send("POST", "/api/v1/sources", &json, new.to_string().as_bytes()).expect("the server answers")
    };
    let made = add("signed", &json!({}));
    assert_eq!(made.status, 201, "{}", made.text());
    let hook = lab.hooks().pop().expect("there is one");
    assert_eq!(
        (&hook["url"], &hook["signing_token"]),
        (&json!("https://gradus.example.org/hooks/signed"), &made.json()["secret"])
    );
    assert!(
        hook["tag_push_events"] == true && hook["repository_update_events"] == true && hook["push_events"] == false,
        "{hook}"
    );
    // Once more, after it was removed here: the same hook, with another secret.
    operator.send("DELETE", "/api/v1/sources/signed", &[], b"").expect("the server answers");
    let again = add("signed", &json!({}));
    assert_eq!((lab.hooks().len(), &lab.hooks()[0]["signing_token"]), (1, &again.json()["secret"]));
    assert_eq!(add("signed", &json!({})).status, 422, "it is there");
    assert_eq!(lab.hooks()[0]["signing_token"], again.json()["secret"], "and its hook stays as it is");
    // What cannot be, is told, and leaves nothing.
    lab.old.store(true, Ordering::Relaxed);
    let told = [
        (add("old", &json!({})), "cannot sign its hooks: say --by-token"),
        (
            add("clear", &json!({ "private": false, "register": false })),
            "a forge without TLS is one of a private network",
        ),
        (
            add("stranger", &json!({ "token": "another" })),
            "it answered 401 Unauthorized: its token is of no administrator",
        ),
        (add("gitea", &json!({ "kind": "gitea" })), "only GitLab is told to send its hooks here"),
        (add("far", &json!({ "base": "http://127.0.0.1:9" })), "it was not reached"),
    ];
    for (answer, words) in told {
        assert!(answer.status == 422 && answer.text().contains(words), "{words}: {}", answer.text());
        assert!(!answer.text().contains(TOKEN));
    }
    assert_eq!(operator.get("/api/v1/sources").json()["items"].as_array().expect("a list").len(), 1);
    assert_eq!(lab.hooks().len(), 1, "what would send what is refused here is removed there");
    assert_eq!(add("old", &json!({ "by_token": true })).status, 201);
    assert!(lab.hooks().last().expect("there is one")["token"].is_string());
}

#[test]
fn a_server_that_is_killed_at_any_step_grades_each_tag_once_and_tells_of_it() {
    let rounds: u64 = std::env::var("GRADUS_ROUNDS").map_or(8, |rounds| rounds.parse().expect("a number"));
    let mut server = Server::start();
    let repos = Repos::default();
    let git = GitServer::start(&repos.root(), "oauth2", TOKEN);
    publish(&server, &[("{ limit = 20, per = \"day\", zone = \"UTC\" }, { limit = 100 }", "{ limit = 100000 }")], "");
    let mut forge = Forge::make_at(&server, "forge", "gitlab", &git.base, &json!({ "token": TOKEN, "private": true }));
    let repo = with_predictions(&repos, "course/anna.git");
    let tag = |round: u64| format!("v{round}");
    for round in 0..rounds {
        repo.write("n", tag(round));
        told(&forge, "course/anna", 3, &repo.push(&tag(round), true), NEW);
        // From before it is fetched to after its forge was told.
        std::thread::sleep(std::time::Duration::from_millis(round * 67 % 401));
        server.kill();
        server.again();
        forge.api = server.api();
    }
    for round in 0..rounds {
        assert_eq!(last(&git, &tag(round)).0, "success", "{round}");
    }
    let mut submissions = Vec::new();
    let mut page = String::new();
    loop {
        let path = format!("/api/v1/challenges/breast-cancer/submissions?limit=100{page}");
        let read = server.operator().get(&path).json();
        submissions.extend(read["items"].as_array().expect("a list").clone());
        let Some(next) = read["next_cursor"].as_str() else { break };
        page = format!("&cursor={next}");
    }
    let tags: BTreeSet<_> = submissions.iter().map(|submission| submission["pushed"]["tag"].to_string()).collect();
    assert_eq!((submissions.len() as u64, tags.len() as u64), (rounds, rounds), "each of them once");
    assert!(submissions.iter().all(|submission| submission["outcome"] == "scored"), "{submissions:?}");
}
