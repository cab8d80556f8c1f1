//! Bodies as the forges document them; and that nothing of a hook is believed that is not proved.

use super::*;
use proptest::prelude::*;

const NEW: &str = "0000000000000000000000000000000000000000";
const TAG: &str = "82b3d5ae55f7080f1e6022629cdb57bfae7cccc7";
const COMMIT: &str = "5937ac0a7beb003549fc5fd26fc247adbce4a52e";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn now() -> Timestamp {
    "2026-02-01T12:00:00Z".parse().unwrap()
}

fn source(kind: Kind, proof: Proof) -> Source {
    let (id, by) = ("forge".parse().unwrap(), "operator".parse().unwrap());
    Source {
        id,
        kind,
        base: "https://forge.example.org".to_owned(),
        proof,
        access: None,
        private: false,
        made_at: now(),
        by,
    }
}

fn signed(kind: Kind) -> Source {
    source(kind, Proof::Signed(Secret(SECRET.to_owned())))
}

fn read(kind: Kind, headers: &[(&str, &str)], body: &str) -> Result<Vec<Told>, Unreadable> {
    let header = |name: &str| headers.iter().find(|header| header.0 == name).map(|header| header.1);
    signed(kind).read(Delivery { header: &header, body: body.as_bytes() })
}

/// What is told, in a line each.
fn lines(told: Vec<Told>) -> Vec<String> {
    let line = |told| match told {
        Told::Tag(tag) => {
            let Tag { project, name, before, object, commit, pusher } = *tag;
            let url = project.url.as_deref().unwrap_or("-");
            let short = |id: Option<ObjectId>| id.map_or("-".to_owned(), |id| id.as_str()[..4].to_owned());
            let by = pusher.map_or("-".to_owned(), |by| format!("{}={}", by.id, by.name.unwrap_or_default()));
            let [before, object, commit] = [before, Some(object), commit].map(short);
            format!("{} {} {url} {name} {before} {object} {commit} {by}", project.id, project.path)
        }
        Told::Gone { project, name, .. } => format!("{} {} gone {name}", project.id, project.path),
        Told::Project(project) => format!("{} {} new", project.id, project.path),
    };
    told.into_iter().map(line).collect()
}

#[test]
fn gitlabs_hooks_are_read_whichever_kind_they_are() {
    let project = r#""project_id":1,"project":{"name":"Example","git_http_url":"https://gitlab.example.org/jsmith/example.git","path_with_namespace":"jsmith/example"}"#;
    for (what, body, expected) in [
        (
            "a hook of the instance, an annotated tag",
            format!(
                r#"{{"event_name":"tag_push","before":"{NEW}","after":"{TAG}","ref":"refs/tags/v1.0.0","checkout_sha":"{COMMIT}","user_id":1,"user_name":"John Smith",{project},"repository":{{}},"commits":[],"total_commits_count":0}}"#
            ),
            vec!["1 jsmith/example https://gitlab.example.org/jsmith/example.git v1.0.0 - 82b3 5937 1="],
        ),
        (
            "a project's hook, a tag that was moved",
            format!(
                r#"{{"object_kind":"tag_push","event_name":"tag_push","before":"{COMMIT}","after":"{TAG}","ref":"refs/tags/v1.0.0","checkout_sha":"{COMMIT}","user_id":1,"user_username":"jsmith",{project}}}"#
            ),
            vec!["1 jsmith/example https://gitlab.example.org/jsmith/example.git v1.0.0 5937 82b3 5937 1=jsmith"],
        ),
        (
            "a tag that is gone",
            format!(
                r#"{{"object_kind":"tag_push","before":"{TAG}","after":"{NEW}","ref":"refs/tags/v1.0.0","checkout_sha":null,{project}}}"#
            ),
            vec!["1 jsmith/example gone v1.0.0"],
        ),
        (
            "a branch",
            format!(
                r#"{{"object_kind":"push","before":"{NEW}","after":"{COMMIT}","ref":"refs/heads/main",{project}}}"#
            ),
            vec![],
        ),
        (
            "all refs of a push",
            format!(
                r#"{{"event_name":"repository_update","user_id":7,{project},"changes":[{{"before":"{NEW}","after":"{COMMIT}","ref":"refs/heads/main"}},{{"before":"{NEW}","after":"{TAG}","ref":"refs/tags/a"}},{{"before":"{TAG}","after":"{NEW}","ref":"refs/tags/b/c"}}],"refs":["refs/heads/main"]}}"#
            ),
            vec![
                "1 jsmith/example https://gitlab.example.org/jsmith/example.git a - 82b3 - 7=",
                "1 jsmith/example gone b/c",
            ],
        ),
        (
            "a new project",
            r#"{"event_name":"project_create","name":"Example","path_with_namespace":"jsmith/example","project_id":74,"project_visibility":"private","owners":[{"name":"John","email":"j@example.org"}]}"#
                .to_owned(),
            vec!["74 jsmith/example new"],
        ),
        (
            "something else, with words of its own",
            r#"{"object_kind":"issue","event_type":"issue","project":"x","changes":{"updated_at":{"previous":"1","current":"2"}}}"#
                .to_owned(),
            vec![],
        ),
        (
            "a tag that git would not have among others",
            format!(
                r#"{{"event_name":"repository_update",{project},"changes":[{{"after":"{TAG}","ref":"refs/tags/a..b"}},{{"after":"x","ref":"refs/tags/c"}},{{"after":"{TAG}","ref":"refs/tags/d"}}]}}"#
            ),
            vec!["1 jsmith/example https://gitlab.example.org/jsmith/example.git d - 82b3 - -"],
        ),
    ] {
        assert_eq!(lines(read(Kind::Gitlab, &[], &body).unwrap()), expected, "{what}");
    }
}

#[test]
fn giteas_and_githubs_hooks_are_read() {
    let repository = r#""repository":{"id":140,"full_name":"anna/digits","private":true,"clone_url":"https://git.example.org/anna/digits.git"},"sender":{"id":3,"login":"anna"}"#;
    let push = format!(r#"{{"ref":"refs/tags/v1","before":"{NEW}","after":"{TAG}",{repository}}}"#);
    let made = "140 anna/digits https://git.example.org/anna/digits.git v1 - 82b3 - 3=anna";
    let create = format!(r#"{{"ref":"v1","ref_type":"tag","sha":"{TAG}",{repository}}}"#);
    let branch = format!(r#"{{"ref":"main","ref_type":"branch","sha":"{TAG}",{repository}}}"#);
    let delete = format!(r#"{{"ref":"v1","ref_type":"tag",{repository}}}"#);
    for (kind, header, event, body, expected) in [
        (Kind::Gitea, "x-gitea-event", "push", &push, vec![made]),
        (Kind::Gitea, "x-forgejo-event", "create", &create, vec![made]),
        (Kind::Gitea, "x-gitea-event", "create", &branch, vec![]),
        (Kind::Gitea, "x-gogs-event", "delete", &delete, vec!["140 anna/digits gone v1"]),
        (Kind::Gitea, "x-gitea-event", "issues", &push, vec![]),
        (Kind::Github, "x-github-event", "push", &push, vec![made]),
        // It does not say which object it is; a push does.
        (Kind::Github, "x-github-event", "create", &delete, vec![]),
        (Kind::Github, "x-github-event", "ping", &delete, vec![]),
    ] {
        assert_eq!(lines(read(kind, &[(header, event)], body).unwrap()), expected, "{kind:?} {header}: {event}");
    }
    assert!(read(Kind::Gitea, &[("x-github-event", "push")], &push).is_err(), "it is no hook of this kind");
    assert!(read(Kind::Github, &[("x-gitea-event", "push")], &push).is_err());
}

#[test]
fn a_plain_server_tells_what_its_hook_is_told() {
    let updates = format!(
        r#"{{"ref":"refs/heads/main","before":"{NEW}","after":"{COMMIT}"}},{{"ref":"refs/tags/a","before":"{NEW}","after":"{COMMIT}"}}"#
    );
    let body = format!(r#"{{"project":"anna/digits.git","pusher":"anna","updates":[{updates}]}}"#);
    let expected = ["anna/digits.git anna/digits.git - a - 5937 - anna=anna"];
    assert_eq!(lines(read(Kind::Plain, &[], &body).unwrap()), expected);
    let many = vec![format!(r#"{{"ref":"refs/tags/a","before":"{NEW}","after":"{COMMIT}"}}"#); MAX_TAGS + 5].join(",");
    let body = format!(r#"{{"project":"a","updates":[{many}]}}"#);
    assert_eq!(read(Kind::Plain, &[], &body).unwrap().len(), MAX_TAGS);
}

#[test]
fn names_that_git_would_not_have_are_not_read() {
    for good in ["v1.0", "a/b", "submission-1", "ä", "v1@2", "@"] {
        assert!(TagName::try_from(good.to_owned()).is_ok(), "{good}");
    }
    for bad in ["", "a..b", "a b", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.", "a@{1}", "a\nb", "a:b", "a\\b"] {
        assert!(TagName::try_from(bad.to_owned()).is_err(), "{bad}");
    }
    assert!(TagName::try_from("x".repeat(256)).is_err());
    for bad in ["", "82b3", &"x".repeat(40), &"A".repeat(40), &"0".repeat(41)] {
        assert!(ObjectId::try_from(bad.to_owned()).is_err(), "{bad}");
    }
    assert!(ObjectId::try_from("0".repeat(64)).unwrap().is_zero());
}

/// Each kind's proof of `body`, made at `at`.
fn proof(kind: Kind, body: &str, at: Timestamp) -> Vec<(&'static str, String)> {
    let secret = Secret(SECRET.to_owned());
    let mut of_body = <Hmac<Sha256> as KeyInit>::new_from_slice(SECRET.as_bytes()).unwrap();
    of_body.update(body.as_bytes());
    let of_body = hex::encode(of_body.finalize().into_bytes());
    match kind {
        Kind::Gitlab | Kind::Plain => {
            let time = at.as_second().to_string();
            let code = secret.code(&format!("msg_1.{time}.{body}")).unwrap();
            let codes = format!("v1a,x v1,{} v1,{code}", "A".repeat(44));
            vec![("webhook-id", "msg_1".to_owned()), ("webhook-timestamp", time), ("webhook-signature", codes)]
        }
        Kind::Gitea => vec![("x-gitea-signature", of_body)],
        Kind::Github => vec![("x-hub-signature-256", format!("sha256={of_body}"))],
    }
}

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;

fn sent(source: &Source, headers: &[(&str, String)], body: &str) -> Result<(), Forged> {
    let header = |name: &str| headers.iter().find(|header| header.0 == name).map(|header| header.1.as_str());
    source.sent(Delivery { header: &header, body: body.as_bytes() }, now())
}

const KINDS: [Kind; 4] = [Kind::Gitlab, Kind::Gitea, Kind::Github, Kind::Plain];

#[test]
fn a_hook_is_believed_only_with_the_proof_that_is_configured() {
    for kind in KINDS {
        let good = proof(kind, "{}", now());
        assert_eq!(sent(&signed(kind), &good, "{}"), Ok(()), "{kind:?}");
        assert_eq!(sent(&signed(kind), &good, "{ }"), Err(Forged::Wrong), "{kind:?}: another body");
        let other = source(kind, Proof::Signed(Secret::new([9; 32])));
        assert_eq!(sent(&other, &good, "{}"), Err(Forged::Wrong), "{kind:?}: another secret");
        for missing in 0..good.len() {
            let mut less = good.clone();
            less.remove(missing);
            // What the kind could have been believed by were it configured otherwise does not help.
            less.push(("x-gitlab-token", SECRET.to_owned()));
            assert!(matches!(sent(&signed(kind), &less, "{}"), Err(Forged::Missing(_))), "{kind:?} {missing}");
        }
    }
    let token = source(Kind::Gitlab, Proof::Token(Digest::of(b"secret")));
    let with = |token: &str| vec![("x-gitlab-token", token.to_owned())];
    assert_eq!(sent(&token, &with("secret"), "{}"), Ok(()));
    assert_eq!(sent(&token, &with("Secret"), "{}"), Err(Forged::Wrong));
    assert_eq!(sent(&token, &proof(Kind::Gitlab, "{}", now()), "{}"), Err(Forged::Missing("X-Gitlab-Token")));
}

#[test]
fn what_was_signed_long_ago_or_in_the_future_is_not_believed() {
    for (seconds, expected) in
        [(0, Ok(())), (299, Ok(())), (-299, Ok(())), (301, Err(Forged::Stale)), (-301, Err(Forged::Stale))]
    {
        let at = now() + jiff::SignedDuration::from_secs(seconds);
        assert_eq!(sent(&signed(Kind::Gitlab), &proof(Kind::Gitlab, "{}", at), "{}"), expected, "{seconds}");
    }
    let mut odd = proof(Kind::Gitlab, "{}", now());
    odd[1].1 = "99999999999999999999".to_owned();
    assert_eq!(sent(&signed(Kind::Gitlab), &odd, "{}"), Err(Forged::Wrong));
}

proptest! {
    #[test]
    fn any_body_is_read_or_refused(body in any::<Vec<u8>>(), text in ".{0,200}", event in "push|create|delete|tag_push") {
        let (reference, path) = (format!("refs/tags/{text}"), format!("p{text}"));
        let update = serde_json::json!({ "ref": reference, "before": NEW, "after": TAG });
        let (gitlab, plain) = (
            serde_json::json!({ "event_name": "repository_update", "project_id": 1, "path_with_namespace": path, "changes": [update] }),
            serde_json::json!({ "project": path, "updates": [update] }),
        );
        let gitea = serde_json::json!({ "ref": reference, "after": TAG, "sha": TAG, "ref_type": "tag",
            "repository": { "id": 1, "full_name": path } });
        let shaped = [&gitlab, &gitea, &gitea, &plain].map(|shaped| shaped.to_string());
        let headers = [("x-gitea-event", event.as_str()), ("x-github-event", event.as_str())];
        let header = |name: &str| headers.iter().find(|header| header.0 == name).map(|header| header.1);
        for (kind, shaped) in KINDS.into_iter().zip(&shaped) {
            for body in [&body[..], text.as_bytes(), shaped.as_bytes()] {
                let delivery = Delivery { header: &header, body };
                for told in signed(kind).read(delivery).into_iter().flatten() {
                    if let Told::Tag(tag) = told {
                        prop_assert!(!tag.name.as_str().contains(['\0', '\n', ' ']) && !tag.project.path.contains('\0'));
                        prop_assert_eq!(tag.object.as_str(), TAG);
                    }
                }
                prop_assert!(signed(kind).sent(delivery, now()).is_err());
            }
        }
    }
}
