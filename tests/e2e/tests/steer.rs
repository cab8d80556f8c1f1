//! What organizers do while a challenge runs: they hold its queue, grant exceptions, and are told who did what.

use gradus_e2e::{Answer, Api, Ran, Server, example, gradus, run, until, variant};
use serde_json::{Value, json};
use std::io::BufRead as _;
use tempfile::TempDir;

const QUEUE: &str = "/api/v1/challenges/breast-cancer/queue";

struct Setting {
    server: Server,
    olga: Api,
    anna: Api,
    ben: Api,
    good: Vec<u8>,
    home: TempDir,
}

/// A challenge where each entrant may hand in twice in all.
fn setting() -> Setting {
    let server = Server::start();
    let home = tempfile::tempdir().expect("there is room for a folder");
    let quota = "quota = [{ limit = 20, per = \"day\", zone = \"UTC\" }, { limit = 100 }]";
    server.publish(&variant("breast-cancer", home.path(), &[(quota, "quota = [{ limit = 2 }]")]));
    let olga = server.operator().grant("organizer", "olga", &["breast-cancer"]);
    let olga = server.api().with(Some(&olga));
    let (anna, ben) = (server.participant("anna"), server.participant("ben"));
    let good = std::fs::read(example("breast-cancer").join("solutions/good.csv")).expect("the example has it");
    Setting { server, olga, anna, ben, good, home }
}

impl Setting {
    fn hand_in(&self, api: &Api) -> Answer {
        api.submit("breast-cancer", "dev", "good.csv", &self.good)
    }

    fn taken(&self, api: &Api) -> (String, Value) {
        let answer = self.hand_in(api);
        assert_eq!(answer.status, 202, "{}", answer.text());
        let info = answer.json();
        (info["id"].as_str().expect("an id").to_owned(), info)
    }

    /// A command of olga's.
    fn command(&self, words: &[&str]) -> Ran {
        let token = self.home.path().join("olga.token");
        std::fs::write(&token, self.olga.token.as_deref().unwrap_or_default()).expect("there is room");
        let token = token.to_str().expect("UTF-8");
        run(words, &[("GRADUS_SERVER", self.server.base.as_str()), ("GRADUS_TOKEN_FILE", token)])
    }
}

fn send(api: &Api, method: &str, path: &str, body: &Value) -> Answer {
    let json = [("content-type", "application/json")];
    api.send(method, path, &json, body.to_string().as_bytes()).expect("the server answers")
}

#[test]
fn a_queue_is_paused_drained_and_opened_again() {
    let mut setting = setting();
    let ran = setting.command(&["challenge", "pause", "breast-cancer", "--why", "new reference data"]);
    assert!(ran.code == 0 && ran.out.contains("paused: nothing begins"), "{ran:?}");
    // What is handed in waits, is told why, and where it stands.
    let (first, info) = setting.taken(&setting.anna);
    assert_eq!(info["place"], json!({ "ahead": 0 }), "{info}");
    let reason = info["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("the organizers have paused the queue since") && reason.contains("new reference"),
        "{info}"
    );
    let (second, _) = setting.taken(&setting.anna);
    let (other, info) = setting.taken(&setting.ben);
    assert_eq!(info["place"]["ahead"], 1, "anna's first, then his: {info}");
    let place = |api: &Api, id: &str| api.get(&format!("/api/v1/submissions/{id}")).json()["place"]["ahead"].clone();
    assert_eq!(place(&setting.anna, &second), 2, "his comes before her second");
    // An organizer's own comes first.
    let (own, info) = setting.taken(&setting.olga);
    assert_eq!((&info["place"]["ahead"], place(&setting.ben, &other)), (&0.into(), 2.into()));
    let queue = setting.olga.get(QUEUE).json();
    assert_eq!((&queue["state"], &queue["waiting"], &queue["organizers"]), (&"paused".into(), &4.into(), &1.into()));
    assert_eq!((&queue["why"], &queue["entrants"]), (&"new reference data".into(), &3.into()), "{queue}");
    let shown = setting.command(&["status", &own]);
    assert!(shown.out.contains("place") && shown.out.contains("it is next"), "{shown:?}");

    // It stays so over a restart.
    setting.server.kill();
    setting.server.again();
    for api in [&mut setting.anna, &mut setting.ben, &mut setting.olga] {
        *api = Api::new(&setting.server.base, api.token.as_deref());
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    for (api, id, ahead) in [(&setting.ben, &other, 2), (&setting.anna, &second, 3)] {
        assert_eq!(place(api, id), ahead);
    }
    // Whoever follows one is told why it waits, at once.
    let (base, token) = (setting.server.base.clone(), setting.home.path().join("anna.token"));
    std::fs::write(&token, setting.anna.token.as_deref().unwrap_or_default()).expect("there is room");
    let followed = std::process::Command::new(gradus())
        .args(["logs", "--follow", &first])
        .envs([("GRADUS_SERVER", base.as_str()), ("GRADUS_TOKEN_FILE", token.to_str().expect("UTF-8"))])
        .stdout(std::process::Stdio::piped())
        .spawn();
    let mut followed = followed.expect("it can be started");
    let lines = std::io::BufReader::new(followed.stdout.take().expect("it is piped")).lines();
    let told = lines.map_while(Result::ok).find(|line| line.contains("have paused the queue"));
    assert!(told.is_some_and(|told| told.contains("new reference data")), "it says why");
    followed.kill().and_then(|()| followed.wait()).expect("it can be ended");
    let operator = setting.server.operator();
    let all = operator.get("/api/v1/queue").json();
    assert_eq!((&all["items"][0]["challenge"], &all["items"][0]["state"]), (&"breast-cancer".into(), &"paused".into()));
    // Draining: what waits is worked on, and nothing is taken in.
    let ran = setting.command(&["challenge", "drain", "breast-cancer", "--json"]);
    assert!(ran.code == 0 && ran.out.contains("draining"), "{ran:?}");
    for (api, id) in [(&setting.anna, &first), (&setting.anna, &second), (&setting.ben, &other), (&setting.olga, &own)]
    {
        assert_eq!(api.ended(id)["outcome"], "scored");
    }
    let refused = setting.hand_in(&setting.ben);
    assert_eq!((refused.status, refused.code().as_str()), (409, "draining"), "{}", refused.text());
    let quota = setting.ben.get("/api/v1/challenges/breast-cancer/quota").json();
    assert_eq!(quota["phases"][0]["rules"][0]["used"], 1, "{quota}");
    let ran = setting.command(&["challenge", "resume", "breast-cancer"]);
    assert!(ran.code == 0 && ran.out.contains("breast-cancer: open; 0 running, 0 waiting"), "{ran:?}");
    let (id, _) = setting.taken(&setting.ben);
    assert_eq!(setting.ben.ended(&id)["outcome"], "scored");
    assert_eq!(setting.olga.get(QUEUE).json()["state"], "open");

    // Nobody else steers it, or reads who did.
    for api in [&setting.anna, &setting.server.api()] {
        let status = send(api, "PUT", QUEUE, &json!({ "state": "paused" })).status;
        assert!([401, 403].contains(&status), "{status}");
        for path in [QUEUE, "/api/v1/challenges/breast-cancer/audit", "/api/v1/audit", "/api/v1/queue"] {
            assert!([401, 403].contains(&api.get(path).status), "{path}");
        }
    }
    assert_eq!(setting.olga.get("/api/v1/audit").status, 403);
    let wrong = send(&setting.olga, "PUT", QUEUE, &json!({ "state": "shut" }));
    assert!(wrong.status == 400 && wrong.text().contains("open, paused or draining"), "{}", wrong.text());
    let log = setting.olga.get("/api/v1/challenges/breast-cancer/audit").json();
    let acts: Vec<_> = log["items"].as_array().expect("items").iter().map(|line| line["act"].clone()).collect();
    assert_eq!(acts, ["queue", "queue", "queue", "published"], "{log}");
    let last = &log["items"][2];
    assert_eq!(
        (&last["by"], &last["about"]["hold"], &last["why"]),
        (&"olga".into(), &"paused".into(), &"new reference data".into())
    );
}

#[test]
fn an_exception_is_granted_used_and_logged() {
    let setting = setting();
    for _ in 0..2 {
        let (id, _) = setting.taken(&setting.anna);
        setting.anna.ended(&id);
    }
    assert_eq!(setting.hand_in(&setting.anna).code(), "over-quota");
    let ran = setting.command(&["challenge", "grant", "breast-cancer", "anna", "--extra", "1", "--why", "it broke"]);
    assert!(ran.code == 0 && ran.out.contains("anna may hand in 1 more times in dev"), "{ran:?}");
    let quota = |api: &Api| api.get("/api/v1/challenges/breast-cancer/quota").json()["phases"][0].clone();
    assert_eq!((&quota(&setting.anna)["extra"], &quota(&setting.ben)["extra"]), (&1.into(), &0.into()));
    let (id, _) = setting.taken(&setting.anna);
    assert_eq!(setting.anna.ended(&id)["outcome"], "scored");
    let now = quota(&setting.anna);
    assert_eq!((&now["extra"], &now["rules"][0]["used"]), (&0.into(), &2.into()), "{now}");
    assert_eq!(setting.hand_in(&setting.anna).code(), "over-quota");
    let path = "/api/v1/challenges/breast-cancer/quota";
    let grant =
        |extra: u64, phase: &str, why: &str| json!({ "phase": phase, "entrant": "anna", "extra": extra, "why": why });
    for (status, asked) in [
        (400, grant(0, "dev", "x")),
        (400, grant(10_001, "dev", "x")),
        (400, grant(1, "dev", " ")),
        (400, grant(1, "dev", "a\nb")),
        (404, grant(1, "final", "x")),
    ] {
        assert_eq!(send(&setting.olga, "POST", path, &asked).status, status, "{asked}");
    }
    assert_eq!(send(&setting.anna, "POST", path, &grant(1, "dev", "x")).status, 403);
    // Called off by an organizer, a submission tells who did it.
    send(&setting.olga, "PUT", QUEUE, &json!({ "state": "paused" }));
    let (id, _) = setting.taken(&setting.ben);
    assert_eq!(setting.olga.post(&format!("/api/v1/submissions/{id}/cancel"), b"").status, 200);
    let (id, _) = setting.taken(&setting.ben);
    assert_eq!(setting.ben.post(&format!("/api/v1/submissions/{id}/cancel"), b"").status, 200);
    let log = setting.command(&["challenge", "audit", "breast-cancer"]);
    for words in ["quota-granted", "it broke", "entrant anna, extra 1", "cancelled", "published"] {
        assert!(log.out.contains(words), "{words}: {log:?}");
    }
    assert_eq!(log.out.matches("cancelled").count(), 1, "his own is nobody else's business: {log:?}");
    let log = setting.server.operator().get("/api/v1/audit?limit=2").json();
    assert_eq!(log["items"].as_array().map(Vec::len), Some(2));
    let next = log["next_cursor"].as_str().expect("there is more");
    let more = setting.server.operator().get(&format!("/api/v1/audit?cursor={next}")).json();
    let acts: Vec<_> = more["items"].as_array().expect("items").iter().map(|line| line["act"].clone()).collect();
    assert_eq!(acts, ["quota-granted", "token-made", "token-made", "token-made", "published"], "{more}");
}

#[test]
fn a_place_is_told_as_it_changes() {
    let setting = setting();
    send(&setting.olga, "PUT", QUEUE, &json!({ "state": "paused" }));
    let (first, _) = setting.taken(&setting.anna);
    let (second, _) = setting.taken(&setting.ben);
    let follow = |after: u64| {
        let (api, second) = (setting.ben.clone(), second.clone());
        std::thread::spawn(move || api.get(&format!("/api/v1/submissions/{second}/events?after={after}")).text())
    };
    let (followed, resumed) = (follow(0), follow(1));
    let path = format!("/api/v1/submissions/{second}");
    until("it waits", || setting.ben.get(&path).json()["place"]["ahead"] == 1);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(setting.anna.post(&format!("/api/v1/submissions/{first}/cancel"), b"").status, 200);
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    send(&setting.olga, "PUT", QUEUE, &json!({ "state": "open" }));
    let told = followed.join().expect("it is followed to its end");
    let places: Vec<_> = told.lines().filter(|line| line.contains(r#""kind":"place""#)).collect();
    // Once more when it is known again when it starts.
    assert!(places.len() >= 2 && places[0].contains(r#""ahead":1"#) && places[1].contains(r#""ahead":0"#), "{told}");
    // Who comes back behind the first event is told as well.
    let told = resumed.join().expect("it is followed to its end");
    assert!(told.contains(r#""kind":"place","ahead":1"#) && !told.contains(r#""seq":1,"#), "{told}");
}

#[test]
fn the_same_files_again_are_the_earlier_submission() {
    let setting = setting();
    let folder = setting.home.path().join("folder");
    let path = folder.join("challenge.toml");
    let text = std::fs::read_to_string(&path).expect("it is there");
    let quota = "quota = [{ limit = 2 }]";
    assert!(text.contains(quota));
    std::fs::write(&path, text.replace(quota, &format!("{quota}\nrepeats = \"link\""))).expect("there is room");
    setting.server.publish(&folder);
    let (id, info) = setting.taken(&setting.anna);
    assert_eq!(info["repeated"], Value::Null);
    for _ in 0..3 {
        let (again, info) = setting.taken(&setting.anna);
        assert_eq!((&again, &info["repeated"]), (&id, &true.into()), "{info}");
    }
    setting.anna.ended(&id);
    let (again, info) = setting.taken(&setting.anna);
    assert_eq!((&again, &info["state"]), (&id, &"scored".into()), "{info}");
    let quota = setting.anna.get("/api/v1/challenges/breast-cancer/quota").json();
    assert_eq!(quota["phases"][0]["rules"][0]["used"], 1, "{quota}");
    // Somebody else's are theirs, other files are others, and another version grades anew.
    assert_ne!(setting.taken(&setting.ben).0, id);
    let worse = [setting.good.as_slice(), b"\n"].concat();
    let answer = setting.anna.submit("breast-cancer", "dev", "good.csv", &worse);
    assert!(answer.status == 202 && answer.json()["id"] != id.as_str(), "{}", answer.text());
    assert_eq!(setting.hand_in(&setting.anna).json()["id"], id.as_str(), "though nothing is left");
    setting.server.publish(&folder);
    assert_eq!(setting.hand_in(&setting.anna).code(), "over-quota");
    let file = example("breast-cancer").join("solutions/good.csv");
    let submit = ["submit", "breast-cancer", file.to_str().expect("UTF-8")];
    let ran = setting.command(&submit);
    assert!(ran.code == 0 && !ran.err.contains("same files"), "{ran:?}");
    let ran = setting.command(&submit);
    assert!(ran.code == 0 && ran.err.contains("the same files before"), "{ran:?}");
}
