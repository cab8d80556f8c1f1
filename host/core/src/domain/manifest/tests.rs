//! Good text, and each way to get it wrong.

use super::*;
use crate::domain::challenge::{Expected, ScorerSource};
use crate::domain::units::Fuel;

const GOOD: &str = r#"
id = "flowers"
title = "Which flower?"

[[phases]]
id = "dev"
starts = 2026-01-01T00:00:00Z
ends = 2026-02-01T00:00:00Z
tasks = ["main"]
quota = [{ limit = 5, per = "day", zone = "Europe/Zurich" }, { limit = 3, per = "rolling 1h" }, { limit = 100 }]

[[phases]]
id = "final"
starts = 2026-02-01T00:00:00Z
tasks = ["main"]

[[tasks]]
id = "main"
accepts = ["results"]
reference = "data/reference"
public = "data/public/"
template = "data/public/sample.csv"
scorer = { stock = "classification" }
params = { target = "label", metrics = ["accuracy"], id = "id", undefined = 0.5 }
limits = { fuel = "2G", memory = "64MiB" }

[[leaderboards]]
id = "main"
phases = ["dev", "final"]
rule = "best"
columns = [{ metric = "accuracy" }]

[[solutions]]
path = "solutions/good.csv"
scores = { accuracy = 1 }

[[solutions]]
path = "solutions/empty.csv"
outcome = "invalid-submission"
"#;

#[test]
fn the_whole_of_it_is_read() {
    let challenge = parse(GOOD).unwrap().challenge;
    assert_eq!(challenge.phases.len(), 2);
    assert_eq!(challenge.phases[0].quota.len(), 3);
    let task = &challenge.tasks[0];
    assert_eq!(task.limits.fuel, Fuel(2_000_000_000));
    assert_eq!(task.public.as_deref(), Some("data/public"));
    assert_eq!(task.scorer, ScorerSource::Stock("classification".into()));
    assert_eq!(task.params, r#"{"id":"id","metrics":["accuracy"],"target":"label","undefined":0.5}"#, "sorted");
    assert!(matches!(&challenge.solutions[0].expected, Expected::Scores(scores) if scores["accuracy"] == 1.0));
}

#[test]
fn no_board_tells_what_another_one_hides() {
    let boards = |main: &str, last: &str, phase: &str| {
        let board = |id: &str, split: &str, phase: &str| {
            format!(
                "[[leaderboards]]\nid = \"{id}\"\nphases = [\"{phase}\"]\nrule = \"best\"\ncolumns = [{{ metric = \"accuracy\" }}]\n{split}\n"
            )
        };
        let old = GOOD.split("[[leaderboards]]").next().unwrap();
        parse(&format!("{old}{}{}", board("main", main, "dev"), board("last", last, phase)))
    };
    let (public, private) = ("split = \"public\"", "split = \"private\"\nreveal = 2026-02-01T00:00:00Z");
    let problems = boards(public, private, "dev").unwrap_err();
    let told = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(told.contains("leaderboards.last.split: shows `private` at once, which `main` hides"), "{told}");
    assert!(boards(public, private, "final").is_ok(), "of another phase");
    assert!(boards(public, public, "dev").is_ok());
    assert!(boards("", private, "dev").is_ok());
    let open = |split: &str| format!("split = \"{split}\"\nreveal = 2026-01-01T00:00:00Z");
    assert!(boards(&open("public"), &open("private"), "dev").is_ok(), "nothing is hidden");
}

#[test]
fn each_mistake_is_found_in_its_line() {
    let mut wrong = Vec::new();
    for (from, to, expected) in [
        ("title =", "titel =", "challenge.toml:3: titel: unknown key; did you mean `title`?"),
        ("[[tasks]]", "[[taks]]", "challenge.toml:17: taks: unknown key; did you mean `tasks`?"),
        (
            "id = \"flowers\"",
            "id = \"Flo/wers\"",
            "challenge.toml:2: id: `Flo/wers` is not a usable challenge id: use 1 to 64 of `a-z`, `0-9` and `-`, and begin with a letter or digit",
        ),
        (
            "accuracy = 1 }",
            "accuracy = nan }",
            "challenge.toml:33: solutions.solutions/good.csv.scores: `accuracy` is NaN; a score is finite",
        ),
        (
            "starts = 2026-01-01T00:00:00Z",
            "starts = 2026-01-01",
            "challenge.toml:7: phases.dev.starts: must be an instant with its offset, such as 2026-11-01T00:00:00Z",
        ),
        (
            "ends = 2026-02-01T00:00:00Z",
            "ends = 2026-02-01T00:00:01Z",
            "challenge.toml:5: phases.dev: it overlaps with `final`, which starts before this ends",
        ),
        (
            "ends = 2026-02-01T00:00:00Z\n",
            "",
            "challenge.toml:5: phases.dev: only the last phase may do without `ends`",
        ),
        (
            "tasks = [\"main\"]\nquota",
            "tasks = [\"mian\"]\nquota",
            "challenge.toml:9: phases.dev.tasks: there is no `mian`; did you mean `main`?",
        ),
        (
            "per = \"day\"",
            "per = \"week\"",
            "challenge.toml:10: phases.dev.quota: `week` is no window; use \"day\", \"rolling 1h\", or leave `per` out for the whole phase",
        ),
        (
            "Europe/Zurich",
            "Europe/Zuerich",
            "challenge.toml:10: phases.dev.quota: `Europe/Zuerich` is no time zone; use a name such as `Europe/Zurich`",
        ),
        (
            "[\"results\"]",
            "[\"results\", \"git\"]",
            "challenge.toml:19: tasks.main.accepts: this version of Gradus grades results, code and images; it cannot take `git` yet",
        ),
        (
            "reference = \"data/reference\"",
            "reference = \"../data\"",
            "challenge.toml:20: tasks.main.reference: `../data`: the path climbs out with `..`",
        ),
        (
            "reference = \"data/reference\"",
            "reference = \"data/public/ref\"",
            "challenge.toml:17: tasks.main.public: overlaps with `reference`: what is in `data/public` can be read by participants",
        ),
        (
            "stock = \"classification\"",
            "command = \"score.wasm\"",
            "challenge.toml:23: tasks.main.scorer: command scorers are not supported by this version of Gradus; use `stock`, `component` or `crate`",
        ),
        (
            "undefined = 0.5",
            "undefined = nan",
            "challenge.toml:24: tasks.main.params: `NaN` has no JSON form; use a finite number",
        ),
        (
            "\"64MiB\"",
            "\"64Mb\"",
            "challenge.toml:25: tasks.main.limits.memory: `64Mb` is not a size: write a number with B, KiB, MiB, GiB, kB, MB or GB, such as `512MiB`",
        ),
        (
            "\"64MiB\"",
            "\"64GiB\"",
            "challenge.toml:25: tasks.main.limits.memory: is more than the 4 GiB that a task may have",
        ),
        (
            "[{ metric = \"accuracy\" }]",
            "[]",
            "challenge.toml:31: leaderboards.main.columns: name 1 to 32 columns; the first is the primary one",
        ),
        (
            "outcome = \"invalid-submission\"",
            "outcome = \"invalid-submision\"",
            "challenge.toml:39: solutions.solutions/empty.csv.outcome: `invalid-submision` is no outcome; did you mean `invalid-submission`?",
        ),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let problems = parse(&GOOD.replacen(from, to, 1)).unwrap_err();
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        if !texts.contains(&expected.to_owned()) {
            wrong.push((expected, texts));
        }
    }
    assert!(wrong.is_empty(), "wanted and got: {wrong:#?}");
}

#[test]
fn what_is_hidden_lies_where_nothing_is_public() {
    let second = "[[tasks]]\nid = \"other\"\naccepts = [\"results\"]\nreference = \"hidden\"\npublic = \"PUBLIC\"\n\
                  scorer = { stock = \"classification\" }\n[[leaderboards]]";
    for (public, expected) in [
        ("data", Some("overlaps with `reference` of task `main`")),
        ("data/reference/x", Some("overlaps with `reference` of task `main`")),
        ("hidden", Some("overlaps with `reference`: ")),
        ("challenge.toml", Some("is challenge.toml itself")),
        ("data/reference2", None),
    ] {
        let text = GOOD.replacen("[[leaderboards]]", &second.replace("PUBLIC", public), 1);
        let problems = parse(&text).err().unwrap_or_default();
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        match expected {
            Some(expected) => assert!(texts.iter().any(|text| text.contains(expected)), "{public}: {texts:?}"),
            None => assert!(texts.iter().all(|text| !text.contains("public")), "{public}: {texts:?}"),
        }
    }
    let page = parse(&GOOD.replacen("data/reference\"", "reference.md\"", 1)).unwrap_err();
    assert!(page[0].message.contains("page"), "{page:?}");
}

#[test]
fn several_mistakes_are_told_at_once() {
    let text = GOOD.replace("\"64MiB\"", "\"x\"").replace("\"day\"", "\"week\"");
    assert_eq!(parse(&text).unwrap_err().len(), 3, "the window, its zone, and the limit");
}

#[test]
fn broken_toml_is_one_problem_with_its_line() {
    let problems = parse("id = \"a\"\ntitle = \n").unwrap_err();
    assert_eq!((problems.len(), problems[0].line), (1, 2));
}

#[test]
fn what_runs_apart_says_so_and_has_what_it_needs() {
    let toml = |lanes: &str, more: &str| {
        GOOD.replacen("[\"results\"]", lanes, 1).replacen(
            "reference = \"data/reference\"",
            &format!("reference = \"data/reference\"\n{more}"),
            1,
        )
    };
    let good = toml(
        "[\"code\", \"image\"]",
        "ingestion = \"env\"\nrunner = { separate = true, ingestion_image = \"env:1\", shared = \"1MiB\" }",
    );
    let run = parse(&good).unwrap().challenge.tasks[0].run.clone().unwrap();
    let apart = run.apart.as_ref().unwrap();
    assert_eq!((apart.shared.0, apart.image.as_ref().unwrap().as_str()), (1 << 20, "env:1"));
    // Both of them, with the place where they meet.
    let (one, both) = (crate::domain::queue::Room::of(&run.limits), run.asks());
    assert_eq!((both.cpus.0, both.memory.0), (2 * one.cpus.0, one.memory.0 + run.limits.memory.0 + (2 << 20)));
    for (lanes, more, expected) in [
        ("[\"code\"]", "runner = { separate = true }", "runner.separate: is for tasks with an ingestion program"),
        ("[\"code\"]", "runner = { shared = \"1MiB\" }", "runner.shared: is for ingestion programs in a container of"),
        (
            "[\"code\"]",
            "ingestion = \"env\"\nrunner = { separate = true, shared = \"2GiB\" }",
            "runner.shared: is 1 MiB to the run's `memory`",
        ),
        ("[\"image\"]", "ingestion = \"env\"", "ingestion: calls programs, and an image is started by itself"),
        ("[\"results\"]", "runner = { separate = true }", "runner: is for tasks that take programs"),
    ] {
        let problems = parse(&toml(lanes, more)).unwrap_err();
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(texts.iter().any(|text| text.contains(expected)), "{expected}: {texts:#?}");
    }
}
