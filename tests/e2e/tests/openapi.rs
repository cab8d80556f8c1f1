//! The description of the API is the code's own: what it lists is there, what is there is listed, and what is answered has
//! a status, a media type and a shape that it names.

#[path = "openapi/description.rs"]
mod description;

use description::Description;
use gradus_e2e::{Answer, Api, Forge, Options, Server, example, misbehaving_challenge, object, variant};
use std::collections::BTreeSet;
use std::path::Path;

const CHALLENGE: &str = "/api/v1/challenges/breast-cancer";
const ABSENT: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// A server whose every answer is held against its description.
struct Asked<'a> {
    description: &'a Description,
    api: Api,
}

impl Asked<'_> {
    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let answer = self.api.send(method, path, headers, body).expect("the server answers");
        self.description.holds(method, path, &answer);
        answer
    }

    /// The same, answered with that status.
    fn expect(&self, status: u16, method: &str, path: &str, body: &[u8]) -> Answer {
        let answer = self.send(method, path, &[], body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        answer
    }
}

fn packed(folder: &Path) -> Vec<u8> {
    let mut packed = tar::Builder::new(Vec::new());
    packed.append_dir_all("folder", folder).expect("it can be packed");
    packed.into_inner().expect("it can be packed")
}

#[test]
fn the_description_is_whole() {
    let server = Server::start();
    let answer = server.api().get("/api/openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let description = Description::new(answer.json());
    assert!(description.version().starts_with("3.1."), "{}", description.version());
    description.resolves();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in description.operations() {
        let place = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{place} says what it does");
        let id = operation["operationId"].as_str().expect("an operation has an id");
        assert!(ids.insert(id.to_owned()), "{place}: {id} is there twice");
        let guarded = operation["security"].is_array();
        assert_eq!(guarded, path.starts_with("/api/") || path == "/metrics", "{place}");
        let responses = operation["responses"].as_object().expect("it has responses");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{place}");
        for status in guarded.then_some(["400", "401", "403", "404", "500", "503"]).into_iter().flatten() {
            assert!(responses.contains_key(status), "{place} may be answered with {status}");
        }
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{place} {status}");
            let refusal = status.starts_with(['4', '5']) && !(path == "/readyz" && status == "503");
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(refusal, schema == "#/components/schemas/ProblemInfo", "{place} {status}: {response}");
        }
    }
    assert!(ids.len() >= 24, "{ids:?}");
    let submit = description.operation("POST", "/api/v1/challenges/{challenge}/phases/{phase}/submissions");
    for kind in ["application/octet-stream", "multipart/form-data"] {
        assert!(submit["requestBody"]["content"][kind]["schema"].is_object(), "{kind}: {submit}");
    }
    for status in ["408", "409", "413", "422", "429", "507"] {
        assert!(submit["responses"][status].is_object(), "{status}: {submit}");
    }
}

#[test]
fn what_is_answered_is_what_is_described() {
    let config = "[limits]\nsubmission = \"64KiB\"\nchallenge = \"4MiB\"\n".to_owned();
    let server = Server::start_with(Options { config, ..Options::default() });
    server.publish_example("breast-cancer");
    let description = Description::new(server.api().get("/api/openapi.json").json());
    let asked = |api: Api| Asked { description: &description, api };
    let (nobody, operator) = (asked(server.api()), asked(server.operator()));
    let (anna, stranger) = (asked(server.participant("anna")), asked(server.api().with(Some("gradus_x_y"))));

    // Every route, by everybody, with what is there and with what is not.
    let good = std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the example has it");
    let submissions = format!("{CHALLENGE}/phases/dev/submissions");
    let sent = anna.expect(202, "POST", &format!("{submissions}?filename=good.csv&method_name=x"), &good).json();
    let id = sent["id"].as_str().expect("it has an id");
    anna.api.ended(id);
    for (method, path, _) in description.operations() {
        for (submission, other) in [(id, "breast-cancer"), (ABSENT, "x"), ("%ff", "%ff")] {
            let values = [
                ("{challenge}", other),
                ("{submission}", submission),
                ("{board}", "main"),
                ("{phase}", "dev"),
                ("{name}", "confusion-public.csv"),
                ("{stream}", "scorer"),
                ("{path}", "data/public/sample.csv"),
                ("{operation}", ABSENT),
                ("{token}", ABSENT),
                ("{hook}", ABSENT),
                ("{source}", other),
                ("{user}", "7"),
            ];
            let filled = values.iter().fold(path.clone(), |path, (name, value)| path.replace(name, value));
            assert!(!filled.contains('{'), "teach this test what can stand in {filled}");
            for who in [&nobody, &stranger, &anna, &operator] {
                let answer = who.send(&method, &filled, &[], b"");
                let code = answer.code();
                assert!(!["no-such-path", "no-such-method"].contains(&code.as_str()), "{method} {filled}: {code}");
                assert!(answer.status < 500, "{method} {filled}: {}", answer.text());
            }
        }
    }

    // What needs a body, a state or a query of its own.
    for who in [&anna, &operator] {
        let report = who.expect(200, "GET", &format!("/api/v1/submissions/{id}/report"), b"").json();
        assert_eq!(report["outcome"], "scored", "{report}");
    }
    let board = format!("{CHALLENGE}/leaderboards/main");
    assert_eq!(nobody.expect(200, "GET", &board, b"").json()["items"].as_array().map(Vec::len), Some(1));
    nobody.expect(200, "GET", &format!("{board}?format=csv"), b"");
    nobody.expect(400, "GET", &format!("{board}?format=xml"), b"");
    nobody.expect(400, "GET", "/api/v1/challenges?limit=0", b"");
    anna.expect(409, "POST", &format!("/api/v1/submissions/{id}/cancel"), b"");
    let check = format!("{CHALLENGE}/phases/dev/check");
    anna.expect(200, "POST", &format!("{check}?filename=good.csv"), &good);
    anna.expect(422, "POST", &format!("{check}?filename=good.csv"), b"id,label\n1,benign\n");
    anna.expect(413, "POST", &format!("{submissions}?filename=good.csv"), &vec![b'a'; 100 << 10]);
    let text = "--x\r\nContent-Disposition: form-data; name=\"description\"\r\n\r\nwords\r\n";
    let file = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"good.csv\"\r\n\r\n";
    let form = [text.as_bytes(), file.as_bytes(), &good, b"\r\n--x--\r\n"].concat();
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    let taken = anna.send("POST", &submissions, &kind, &form);
    assert_eq!((taken.status, &taken.json()["about"]["description"]), (202, &"words".into()), "{}", taken.text());

    let json = [("content-type", "application/json")];
    let body = |role: &str| format!(r#"{{"role":"{role}","subject":"ben"}}"#);
    let made = operator.send("POST", "/api/v1/tokens", &json, body("participant").as_bytes());
    assert_eq!(made.status, 201, "{}", made.text());
    let token = made.json()["id"].as_str().expect("it has an id").to_owned();
    assert_eq!(operator.send("POST", "/api/v1/tokens", &json, body("king").as_bytes()).status, 400);
    operator.expect(204, "DELETE", &format!("/api/v1/tokens/{token}"), b"");

    // Publications, and quotas.
    let home = tempfile::tempdir().expect("there is room for a folder");
    let quota = "quota = [{ limit = 20, per = \"day\", zone = \"UTC\" }, { limit = 100 }]";
    let changes = [("id = \"breast-cancer\"", "id = \"one\""), (quota, "quota = [{ limit = 1 }]")];
    let folder = packed(&variant("breast-cancer", home.path(), &changes));
    operator.expect(422, "PUT", "/api/v1/challenges/one", b"x");
    operator.expect(413, "PUT", "/api/v1/challenges/one", &vec![b'a'; 5 << 20]);
    let sent = operator.expect(202, "PUT", "/api/v1/challenges/one", &folder);
    let operation = sent.header("location").expect("it has a place").to_owned();
    while operator.expect(200, "GET", &operation, b"").json()["state"] == "running" {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let submissions = "/api/v1/challenges/one/phases/dev/submissions?filename=good.csv";
    anna.expect(202, "POST", submissions, &good);
    let over = anna.expect(429, "POST", submissions, &good);
    assert_eq!(over.json()["rule"]["limit"], 1, "{}", over.text());

    // Steering.
    let queue = operator.send("PUT", &format!("{CHALLENGE}/queue"), &json, br#"{"state":"paused","why":"x"}"#);
    assert_eq!((queue.status, &queue.json()["state"]), (200, &"paused".into()), "{}", queue.text());
    let waits =
        anna.expect(202, "POST", &format!("{CHALLENGE}/phases/dev/submissions?filename=good.csv"), &good).json();
    assert_eq!(waits["place"]["ahead"], 0, "{waits}");
    operator.send("PUT", &format!("{CHALLENGE}/queue"), &json, br#"{"state":"draining"}"#);
    anna.expect(409, "POST", &format!("{CHALLENGE}/phases/dev/submissions?filename=good.csv"), &good);
    operator.send("PUT", &format!("{CHALLENGE}/queue"), &json, br#"{"state":"open"}"#);
    let grant = br#"{"phase":"dev","entrant":"anna","extra":1,"why":"x"}"#;
    let granted = operator.send("POST", &format!("{CHALLENGE}/quota"), &json, grant);
    assert_eq!((granted.status, &granted.json()["extra"]), (200, &1.into()), "{}", granted.text());
    for path in ["/api/v1/queue", "/api/v1/audit", &format!("{CHALLENGE}/audit")] {
        operator.expect(200, "GET", path, b"");
    }

    // Web hooks.
    let hooks = format!("{CHALLENGE}/hooks");
    let made = operator.send("POST", &hooks, &json, br#"{"url":"https://hooks.invalid/"}"#);
    assert_eq!(made.status, 201, "{}", made.text());
    let hook = format!("{hooks}/{}", made.json()["id"].as_str().expect("it has an id"));
    operator.expect(202, "POST", &format!("{hook}/test"), b"");
    operator.expect(200, "GET", &hooks, b"");
    operator.expect(204, "DELETE", &hook, b"");
    assert_eq!(operator.send("POST", &hooks, &json, br#"{"url":"ftp://example.org/"}"#).status, 422);

    // Forges.
    let body = br#"{"name":"forge","kind":"gitlab","base":"https://forge.invalid","by_token":true,"secret":"0123456789abcdef","token":"x","user":"y","private":true}"#;
    let made = operator.send("POST", "/api/v1/sources", &json, body);
    assert_eq!((made.status, &made.json()["hook"]), (201, &"/hooks/forge".into()), "{}", made.text());
    assert_eq!(operator.send("POST", "/api/v1/sources", &json, body).status, 422);
    let told = format!(
        r#"{{"event_name":"tag_push","ref":"refs/tags/v1","after":"{}","project_id":1,"path_with_namespace":"a/b"}}"#,
        "1".repeat(40)
    );
    let proof = [("x-gitlab-token", "0123456789abcdef")];
    let heard = nobody.send("POST", "/hooks/forge", &proof, told.as_bytes());
    assert_eq!(heard.status, 202, "{}", heard.text());
    assert_eq!(nobody.send("POST", "/hooks/forge", &proof, b"x").status, 400);
    nobody.expect(401, "POST", "/hooks/forge", told.as_bytes());
    let pushes = operator.expect(200, "GET", "/api/v1/sources/forge/pushes", b"").json();
    assert_eq!(pushes["items"][0]["tag"], "v1", "{pushes}");
    let users = "/api/v1/sources/forge/users";
    let linked = operator.send("PUT", &format!("{users}/a%2Fb"), &json, br#"{"entrant":"anna"}"#);
    assert_eq!((linked.status, &linked.json()["entrant"]), (200, &"anna".into()), "{}", linked.text());
    assert_eq!(operator.expect(200, "GET", users, b"").json()["items"][0]["id"], "a/b");
    operator.expect(204, "DELETE", "/api/v1/sources/forge", b"");
    let plain = Forge::make(&server, "plain", "plain");
    let body = plain.tag("v1", &object(1));
    assert_eq!(plain.told(&body).status, 202);
    let proof = plain.proof(&body, 0);
    let proof: Vec<_> = proof.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let stands = nobody.send("POST", "/hooks/plain/standings", &proof, body.as_bytes());
    assert_eq!((stands.status, &stands.json()["items"][0]["tag"]), (200, &"v1".into()), "{}", stands.text());
    nobody.expect(401, "POST", "/hooks/plain/standings", body.as_bytes());

    // One that would run on if it were not called off.
    let home = tempfile::tempdir().expect("there is room for a folder");
    misbehaving_challenge(home.path(), "slow", "{ do = \"loop\", admit = true }", "truth", "public");
    server.publish(home.path());
    let sent = anna.expect(202, "POST", "/api/v1/challenges/slow/phases/dev/submissions?filename=p.csv", b"x").json();
    let id = sent["id"].as_str().expect("it has an id");
    anna.expect(200, "POST", &format!("/api/v1/submissions/{id}/cancel"), b"");
    assert_eq!(anna.api.ended(id)["outcome"], "cancelled");
    anna.expect(404, "GET", &format!("/api/v1/submissions/{id}/report"), b"");
    assert!(description.unseen().is_empty(), "no success was compared of {:?}", description.unseen());
}
