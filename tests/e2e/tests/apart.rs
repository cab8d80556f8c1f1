//! An environment of the organizer's and an agent of the participant's, each in a container of its own.

use gradus_e2e::images::Saved;
use gradus_e2e::programs::{Engine, alone};
use gradus_e2e::rows::{self, AGENT, SECRET, hand_in};
use gradus_e2e::{Api, Server, run, skip, until};
use serde_json::Value;
use std::sync::MutexGuard;
use tempfile::TempDir;

struct Setting {
    engine: Engine,
    server: Server,
    anna: Api,
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

fn setting() -> Option<Setting> {
    let alone = alone();
    let engine = Engine::default();
    let image = match engine.image("") {
        Ok(image) => image,
        Err(why) => {
            skip(&why);
            return None;
        }
    };
    let folder = rows::apart(&image, r#""code", "image""#);
    let server = Server::start();
    server.publish(folder.path());
    let anna = server.participant("anna");
    Some(Setting { engine, server, anna, folder, _alone: alone })
}

impl Setting {
    fn ended(&self, id: &str) -> Value {
        let ended = self.anna.ended(id);
        self.engine.assert_nothing_is_left(self.server.data(), id);
        ended
    }

    fn log(&self, api: &Api, id: &str, stream: &str) -> String {
        api.get(&format!("/api/v1/submissions/{id}/logs/{stream}")).text()
    }
}

#[test]
fn an_agent_answers_its_environment_and_is_scored() {
    let Some(setting) = setting() else { return };
    let id = hand_in(&setting.anna, &format!("echo the agent is here; {AGENT}"));
    let ended = setting.ended(&id);
    assert_eq!(ended["outcome"], "scored", "{ended}");
    let report = setting.anna.get(&format!("/api/v1/submissions/{id}/report")).json();
    assert_eq!(report["scores"][0]["value"], 0.5, "{report}");
    assert_eq!(ended["run"]["ingestion"]["exit_code"], 0, "{ended}");
    // Each sees what its own program printed.
    let operator = setting.server.operator();
    assert_eq!(setting.log(&setting.anna, &id, "stdout"), "the agent is here\n");
    assert_eq!(setting.log(&operator, &id, "ingestion"), "the environment asks\n");
    assert_eq!(setting.anna.get(&format!("/api/v1/submissions/{id}/logs/ingestion")).status, 404);
    // An image does as well.
    let image = Saved::starting(&setting.engine, AGENT).expect("the test image is there").archive();
    let answer = setting.anna.submit("rows", "dev", "agent.tar", &image);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!((&setting.ended(&id)["outcome"], &setting.ended(&id)["lane"]), (&"scored".into(), &"image".into()));
    assert_eq!(setting.engine.images(setting.server.data()), [""; 0]);
}

#[test]
fn each_end_of_an_agent_is_told() {
    let Some(setting) = setting() else { return };
    let rude = "cd /app/shared; while [ ! -p tell ]; do sleep 0.05; done; sleep 100";
    for (script, outcome, reason) in [
        ("echo because >&2; exit 3", "run-failed", "your program ended with exit code 3"),
        ("exec hostile eat 300", "limit", "memory"),
        ("kill -9 $$", "run-failed", "your program was ended by signal 9"),
        // The environment waits for ever for who never answers.
        (rude, "limit", "limit"),
    ] {
        let id = hand_in(&setting.anna, script);
        let ended = setting.ended(&id);
        assert_eq!((&ended["outcome"], &ended["fault"]), (&outcome.into(), &"participant".into()), "{script}: {ended}");
        assert!(ended["reason"].as_str().is_some_and(|why| why.contains(reason)), "{script}: {ended}");
    }
    let refused = setting.anna.submit(
        "rows",
        "dev",
        "agent.zip",
        &gradus_e2e::zip(&[("metadata", b"command: sh $program/a.sh $input")]),
    );
    assert!(refused.status == 422 && refused.text().contains("the two meet in `$shared`"), "{}", refused.text());
}

/// An environment that fails while nothing is wrong with the agent is its organizers' doing.
#[test]
fn an_environment_that_fails_costs_nobody_else() {
    let Some(setting) = setting() else { return };
    let crash = AGENT.replace("echo a > tell", "echo crash > tell");
    let id = hand_in(&setting.anna, &crash);
    let ended = setting.ended(&id);
    assert_eq!((&ended["outcome"], &ended["fault"]), (&"run-failed".into(), &"challenge".into()), "{ended}");
    assert_eq!(ended["charged"], false, "{ended}");
    assert!(ended["reason"].as_str().is_some_and(|why| why.contains("ingestion program")), "{ended}");
    assert_eq!(setting.log(&setting.server.operator(), &id, "ingestion"), "the environment asks\nwhy\n");
    // Who checks it on their own computer is told what it said.
    std::fs::write(setting.folder.path().join("solutions/copies/agent.sh"), crash).expect("there is room");
    let checked = run(&["challenge", "check", setting.folder.path().to_str().expect("UTF-8")], &[]);
    assert!(checked.code == 1 && checked.out.contains("exit code 4: why"), "{}{}", checked.out, checked.err);
}

#[test]
fn an_agent_sees_nothing_but_its_own_files() {
    let Some(setting) = setting() else { return };
    let script = format!(
        "ls -R /app; grep -rs 'cla''{}' / --exclude-dir=proc --exclude-dir=sys; cat /app/input_data/rows.csv; \
         ls /app/output /app/program/ask.sh; {AGENT}",
        SECRET.strip_prefix("cla").expect("it begins so")
    );
    let id = hand_in(&setting.anna, &script);
    assert_eq!(setting.ended(&id)["outcome"], "scored");
    let printed = setting.log(&setting.anna, &id, "stdout");
    for word in [SECRET, "ask.sh", "rows.csv", "predictions"] {
        assert!(!printed.contains(word), "{word}: {printed}");
    }
    assert!(printed.contains("run.sh"), "{printed}");
}

#[test]
fn a_cancelled_agent_and_a_dead_host_leave_nothing() {
    let Some(mut setting) = setting() else { return };
    let id = hand_in(
        &setting.anna,
        "while [ ! -p /app/shared/ask ]; do sleep 0.05; done; read row < /app/shared/ask; echo $row; sleep 100",
    );
    until("it is asked", || !setting.log(&setting.anna, &id, "stdout").is_empty());
    assert_eq!(setting.anna.post(&format!("/api/v1/submissions/{id}/cancel"), b"").status, 200);
    setting.engine.assert_nothing_is_left(setting.server.data(), "cancelled");
    // What either of them had printed is kept.
    assert_eq!(setting.log(&setting.server.operator(), &id, "ingestion"), "the environment asks\n");
    assert!(!setting.log(&setting.anna, &id, "stdout").is_empty());
    let id = hand_in(&setting.anna, &format!("sleep 1; {AGENT}"));
    std::thread::sleep(std::time::Duration::from_millis(900));
    setting.server.kill();
    setting.server.again();
    setting.anna = Api::new(&setting.server.base, setting.anna.token.as_deref());
    assert_eq!(setting.ended(&id)["outcome"], "scored");
}

#[test]
fn a_challenge_with_an_agent_is_checked_on_this_computer() {
    let Some(setting) = setting() else { return };
    let folder = setting.folder.path().to_str().expect("UTF-8");
    let ran = run(&["challenge", "check", folder], &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("solutions/copies"), "{}", ran.out);
}
