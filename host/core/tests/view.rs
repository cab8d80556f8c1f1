//! Who sees what of a report, as tables: splits and their reveal, hidden columns, several boards, costs, rounding.
//!
//! The report under test holds a secret in every part that may hold one; a secret that shows in the JSON of what a
//! participant gets is a leak, wherever it shows.

#![expect(clippy::unwrap_used, reason = "this is test code; the lint knows only functions under #[test]")]

use gradus_core::domain::challenge::{Challenge, TaskScorer, Version};
use gradus_core::domain::digest::Digest;
use gradus_core::domain::id::{SubmissionId, TokenId};
use gradus_core::domain::manifest;
use gradus_core::domain::metric::{Description, Direction, Metric};
use gradus_core::domain::report::{
    Attachment, Audience, Case, Cost, Digests, LimitKind, Note, Outcome, Problems, Report, Score,
};
use gradus_core::domain::submission::{About, Body, Lane, Submission, Upload};
use gradus_core::domain::view::{SeenReport, for_participant};
use jiff::Timestamp;
use std::collections::BTreeMap;

const HEAD: &str = r#"
id = "c"
title = "C"
[[phases]]
id = "dev"
starts = 2026-01-01T00:00:00Z
ends = 2026-02-01T00:00:00Z
tasks = ["t"]
[[phases]]
id = "final"
starts = 2026-02-01T00:00:00Z
ends = 2026-03-01T00:00:00Z
tasks = ["LAST"]
[[tasks]]
id = "t"
accepts = ["results"]
reference = "r"
scorer = { stock = "s" }
[[tasks]]
id = "u"
accepts = ["results"]
reference = "OTHER"
scorer = { stock = "s" }
"#;

fn board(id: &str, phases: &str, rest: &str) -> String {
    format!("[[leaderboards]]\nid = \"{id}\"\nphases = {phases}\nrule = \"best\"\n{rest}\n")
}

/// The rules: the phase after `dev` is of the task `last`.
fn rules(last: &str, boards: &[String]) -> Challenge {
    rules_with(last, "other", boards)
}

/// The same, where the reference data of `u` are `other`.
fn rules_with(last: &str, other: &str, boards: &[String]) -> Challenge {
    let text = HEAD.replace("LAST", last).replace("OTHER", other) + &boards.concat();
    manifest::parse(&text).unwrap_or_else(|problems| panic!("{problems:?}")).challenge
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn score(metric: &str, split: Option<&str>, value: f64) -> Score {
    Score { metric: metric.into(), split: split.map(Into::into), value }
}

fn version() -> Version {
    let metric = |name: &str, precision| Metric {
        name: name.into(),
        title: name.into(),
        direction: Direction::Higher,
        unit: None,
        precision,
    };
    let description = Description {
        name: "s".into(),
        version: "1".into(),
        summary: String::new(),
        metrics: vec![metric("a", 2), metric("b", 4)],
        params_schema: "{}".into(),
    };
    let scorer = TaskScorer { component: Digest::of(b"s"), description, salt: "5a17".into() };
    Version {
        challenge: rules("t", &[]),
        version: 1,
        files: Body::Inline("[]".into()),
        digest: Digest::of(b"d"),
        scorers: BTreeMap::from([("t".parse().unwrap(), scorer)]),
        images: BTreeMap::new(),
        ingestion_images: BTreeMap::new(),
        published_at: Timestamp::UNIX_EPOCH,
        by: "org".parse().unwrap(),
    }
}

fn submission() -> Submission {
    let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    Submission {
        id: SubmissionId(id.parse().unwrap()),
        challenge: "c".parse().unwrap(),
        version: 1,
        phase: "dev".parse().unwrap(),
        task: "t".parse().unwrap(),
        entrant: "anna".parse().unwrap(),
        by: Some(TokenId(id.parse().unwrap())),
        pushed: None,
        lane: Lane::Results,
        submitted_at: at("2026-01-02T00:00:00Z"),
        upload: Upload { name: "p.csv".into(), len: 1, digest: Digest::of(b"p") },
        files: Body::Inline("[]".into()),
        about: About::default(),
        organizers: false,
    }
}

fn case(id: &str, audience: Audience, scores: Vec<Score>) -> Case {
    Case { id: id.into(), group: None, scores, passed: Some(true), message: Some(format!("{id}-words")), audience }
}

fn report(outcome: Outcome, splits: &[Option<&str>]) -> Report {
    use Audience::{Organizer, Participant};
    let file = |name: &str, audience| Attachment {
        name: name.into(),
        media_type: "text/plain".into(),
        audience,
        len: 1,
        digest: Digest::of(name.as_bytes()),
    };
    let value = |k: usize| 0.123_456_789 + f64::from(u8::try_from(k).unwrap()) / 10.0;
    let both = splits.iter().enumerate();
    let both = both.flat_map(|(k, split)| [score("a", *split, value(k)), score("b", *split, value(k))]);
    let cases = vec![
        case("theirs", Participant, vec![score("a", splits[0], 0.777_777)]),
        case("bare", Participant, vec![]),
        case("of-b", Participant, vec![score("b", splits[0], 0.666_666)]),
        case("secret-case", Organizer, vec![]),
        case("last-split", Participant, vec![score("a", splits[splits.len() - 1], 0.555_555)]),
    ];
    Report {
        report: 1,
        fault: outcome.fault(),
        outcome,
        detail: Some("secret-detail".into()),
        scores: both.collect(),
        cases,
        problems: Problems::default(),
        notes: vec![
            Note { audience: Participant, text: "note-for-all".into() },
            Note { audience: Organizer, text: "secret-note".into() },
        ],
        attachments: vec![file("plot", Participant), file("secret-file", Organizer)],
        digests: Digests {
            predictions: Digest::of(b"p"),
            reference: Digest::of(b"reference"),
            scorer: Digest::of(b"s"),
            params: Digest::of(b"{}"),
        },
        engine: "e".into(),
        cost: Cost { fuel: 987_654_321, peak_memory: 876_543_210 },
    }
}

fn seen(report: &Report, rules: &Challenge, now: &str) -> SeenReport {
    let seen = for_participant(report, &submission(), &version(), rules, true, at(now));
    let text = serde_json::to_string(&seen).unwrap();
    // Whatever the rules, and for ever.
    for secret in ["secret", &report.digests.reference.to_string(), "0.1234567"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert_eq!(
        text.contains("5a17"),
        seen.digests.reference_salt.is_some(),
        "the salt is in its own place only: {text}"
    );
    let bare = report.digests.reference.to_string();
    assert!(!text.contains(bare.trim_start_matches("sha256:")), "{text}");
    seen
}

const PUBLIC: &str = "columns = [{ metric = \"a\" }, { metric = \"b\" }]\nsplit = \"public\"";
const REVEALED: &str =
    "columns = [{ metric = \"a\" }, { metric = \"b\" }]\nsplit = \"public\"\nreveal = 2026-02-15T00:00:00Z";
const PRIVATE: &str = "columns = [{ metric = \"a\" }]\nsplit = \"private\"";
const WITHOUT: &str = "columns = [{ metric = \"a\" }]";

#[test]
fn splits_show_when_every_board_of_the_phase_shows_them() {
    let dev = "[\"dev\"]";
    let public = || board("p", dev, PUBLIC);
    let revealed = || board("r", dev, REVEALED);
    for (boards, now, expected) in [
        (vec![], "2026-01-10T00:00:00Z", vec![]),
        (vec![], "2030-01-01T00:00:00Z", vec![]),
        (vec![public()], "2026-01-10T00:00:00Z", vec!["public"]),
        (vec![public()], "2030-01-01T00:00:00Z", vec!["public"]),
        (vec![revealed()], "2026-02-14T23:59:59.999Z", vec!["public"]),
        (vec![revealed()], "2026-02-15T00:00:00Z", vec!["public", "private"]),
        (vec![public(), revealed()], "2026-02-15T00:00:00Z", vec!["public"]),
        (vec![board("x", dev, WITHOUT)], "2026-01-10T00:00:00Z", vec![]),
        // A board of another phase has no say.
        (vec![public(), board("x", "[\"final\"]", PRIVATE)], "2026-01-10T00:00:00Z", vec!["public"]),
        (vec![board("x", "[\"final\"]", PUBLIC)], "2026-01-10T00:00:00Z", vec![]),
    ] {
        let rules = rules("t", &boards);
        let seen = seen(&report(Outcome::Scored, &[Some("public"), Some("private")]), &rules, now);
        let mut splits: Vec<_> = seen.scores.iter().filter_map(|score| score.split.as_deref()).collect();
        splits.dedup();
        assert_eq!(splits, expected, "{now} {boards:?}");
        let ids: Vec<_> = seen.cases.iter().map(|case| case.id.as_str()).collect();
        assert_eq!(ids.contains(&"theirs"), expected.contains(&"public"), "{now} {ids:?}");
        assert_eq!(ids.contains(&"last-split"), expected.contains(&"private"), "{now} {ids:?}");
        assert!(ids.contains(&"bare"), "a case without scores is its scorer's word to the participant");
    }
}

#[test]
fn boards_that_hide_from_each_other_show_nothing() {
    // No such challenge is published; a version that says so all the same tells nothing by its reports.
    let mut rules = rules("t", &[board("p", "[\"dev\"]", PUBLIC), board("x", "[\"final\"]", PRIVATE)]);
    rules.leaderboards[1].phases = rules.leaderboards[0].phases.clone();
    let report = report(Outcome::Scored, &[Some("public"), Some("private")]);
    assert!(seen(&report, &rules, "2026-01-10T00:00:00Z").scores.is_empty());
}

#[test]
fn without_splits_all_is_shown_and_rounded() {
    let seen = seen(&report(Outcome::Scored, &[None]), &rules("t", &[]), "2026-01-10T00:00:00Z");
    assert_eq!(seen.scores, [score("a", None, 0.12), score("b", None, 0.1235)]);
    assert_eq!(seen.cases[0].scores, [score("a", None, 0.78)]);
    assert_eq!(seen.notes.len(), 1);
    assert_eq!(seen.attachments.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["plot"]);
}

#[test]
fn a_hidden_metric_is_hidden_whatever_board_hides_it_and_whenever() {
    let hides = "columns = [{ metric = \"a\" }, { metric = \"b\", hidden = true }]";
    let shows = "columns = [{ metric = \"b\" }]";
    for boards in [
        vec![board("x", "[\"dev\"]", hides)],
        vec![board("x", "[\"dev\"]", shows), board("y", "[\"dev\"]", hides)],
        vec![board("x", "[\"dev\"]", shows), board("y", "[\"final\"]", hides)],
    ] {
        for now in ["2026-01-10T00:00:00Z", "2026-02-10T00:00:00Z", "2030-01-01T00:00:00Z"] {
            let seen = seen(&report(Outcome::Scored, &[None]), &rules("t", &boards), now);
            assert_eq!(seen.scores, [score("a", None, 0.12)], "{now} {boards:?}");
            assert!(seen.cases.iter().all(|case| case.id != "of-b"), "its mark and its words tell, too: {now}");
        }
    }
}

#[test]
fn cost_shows_when_the_task_is_over_in_all_its_phases() {
    let limit = Outcome::Limit { limit: LimitKind::Fuel, used: 987_654_321, allowed: 987_654_320 };
    // Another task, and the same hidden labels.
    for other in ["r", "r/part"] {
        let at = |now| seen(&report(Outcome::Scored, &[None]), &rules_with("u", other, &[]), now);
        let (open, closed) = (at("2026-02-01T00:00:00Z"), at("2026-03-01T00:00:00Z"));
        assert!(open.cost.is_none() && open.digests.reference_salt.is_none(), "{other}");
        assert!(closed.cost.is_some() && closed.digests.reference_salt.is_some(), "{other}");
        let boards = [board("p", "[\"dev\"]", REVEALED), board("q", "[\"final\"]", PUBLIC)];
        let hidden = seen(&report(Outcome::Scored, &[None]), &rules_with("u", other, &boards), "2030-01-01T00:00:00Z");
        assert!(hidden.digests.reference_salt.is_none(), "a split stays hidden");
        let shown =
            seen(&report(Outcome::Scored, &[None]), &rules_with("u", other, &boards[..1]), "2030-01-01T00:00:00Z");
        assert!(shown.digests.reference_salt.is_some(), "all is revealed");
    }
    for (last, outcome, now, expected) in [
        ("u", Outcome::Scored, "2026-01-31T23:59:59Z", false),
        ("u", Outcome::Scored, "2026-02-01T00:00:00Z", true),
        // The last phase asks for the same hidden labels.
        ("t", Outcome::Scored, "2026-02-01T00:00:00Z", false),
        ("t", Outcome::Scored, "2026-03-01T00:00:00Z", true),
        ("u", Outcome::InvalidSubmission, "2026-03-01T00:00:00Z", false),
        ("u", Outcome::ScorerFailed, "2026-03-01T00:00:00Z", false),
        ("u", limit, "2026-03-01T00:00:00Z", false),
    ] {
        let seen = seen(&report(outcome.clone(), &[None]), &rules(last, &[]), now);
        assert_eq!(seen.cost.is_some(), expected, "{last} {outcome:?} {now}");
        let text = serde_json::to_string(&seen).unwrap();
        assert_eq!(text.contains("98765432") || text.contains("876543210"), expected, "{text}");
    }
}

#[test]
fn a_phase_that_is_gone_from_the_live_version_shows_nothing_more() {
    let text = HEAD.replace("LAST", "u").replace("OTHER", "other").replace("id = \"dev\"", "id = \"old\"")
        + &board("p", "[\"old\"]", PUBLIC);
    let rules = manifest::parse(&text).unwrap_or_else(|problems| panic!("{problems:?}")).challenge;
    let report = report(Outcome::Scored, &[Some("public"), Some("private")]);
    let seen = seen(&report, &rules, "2030-01-01T00:00:00Z");
    assert!(seen.scores.is_empty() && seen.cost.is_none(), "{seen:?}");
}

#[test]
fn the_reference_digest_is_keyed_and_never_with_nothing() {
    let report = report(Outcome::Scored, &[None]);
    let rules = rules("t", &[]);
    let keyed = |version: &Version| {
        for_participant(&report, &submission(), version, &rules, true, at("2026-01-10T00:00:00Z"))
            .digests
            .reference_keyed
    };
    let (mut other, mut without) = (version(), version());
    other.scorers.values_mut().for_each(|scorer| scorer.salt = "0000".into());
    without.scorers.clear();
    assert_eq!(keyed(&version()).len(), 64);
    assert_ne!(keyed(&version()), keyed(&other), "another salt, another digest");
    assert_eq!(keyed(&without), "");
}

#[test]
fn a_failure_that_is_not_theirs_is_told_without_its_insides() {
    for (outcome, word) in [
        (Outcome::InvalidChallenge, Some("organizer's scorer failed")),
        (Outcome::ScorerFailed, Some("organizer's scorer failed")),
        (Outcome::Limit { limit: LimitKind::Memory, used: 987_654_321, allowed: 1 }, Some("organizer's scorer failed")),
        (Outcome::Platform, Some("our side")),
        (Outcome::InvalidSubmission, None),
        (Outcome::Scored, None),
    ] {
        let seen = seen(&report(outcome.clone(), &[None]), &rules("t", &[]), "2026-01-10T00:00:00Z");
        match word {
            Some(word) => assert!(seen.message.as_ref().is_some_and(|text| text.contains(word)), "{outcome:?}"),
            None => assert_eq!(seen.message, None),
        }
        assert!(!serde_json::to_string(&seen).unwrap().contains("987654321"), "{outcome:?}");
    }
}
