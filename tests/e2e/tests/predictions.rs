//! Predictions that are not what the task asks for: found at the door, with their lines, at no cost.

use gradus_e2e::{Kept, Server, example};

/// A sample of the example, changed.
fn sample(name: &str) -> Vec<u8> {
    std::fs::read(example("breast-cancer").join("solutions").join(name)).expect("the example has this sample")
}

/// `good.csv` with its second line (the first row) put differently.
fn first_row(row: &str) -> Vec<u8> {
    let good = String::from_utf8(sample("good.csv")).expect("the sample is UTF-8");
    let mut lines: Vec<_> = good.lines().collect();
    lines[1] = row;
    (lines.join("\n") + "\n").into_bytes()
}

/// What it is, the bytes, how many problems, the line of the first, and a word of it.
type Case = (&'static str, Vec<u8>, u64, Option<u64>, &'static str);

#[test]
fn wrong_predictions_are_told_by_line_and_leave_nothing() {
    let server = Server::start();
    server.publish_example("breast-cancer");
    let anna = server.participant("anna");
    // What, bytes, problems in all, the first one's line, words of its message.
    let cases: Vec<Case> = vec![
        ("wrong column", sample("wrong-column.csv"), 1, Some(1), "`p`"),
        ("duplicate id", sample("duplicate-id.csv"), 1, Some(202), "is there already, on line 51"),
        ("missing ids", sample("missing-rows.csv"), 3, None, "no row for id"),
        ("extra id", sample("extra-id.csv"), 1, Some(202), "not"),
        ("NaN and infinity", sample("nan.csv"), 2, Some(6), "`NaN` is not a number"),
        ("text for a number", sample("text-for-number.csv"), 1, None, "number"),
        ("out of range", first_row("jwqpspg,malignant,1.5"), 1, Some(2), "0"),
        ("negative", first_row("jwqpspg,malignant,-0.1"), 1, Some(2), "0"),
        ("no probability", first_row("jwqpspg,malignant,"), 1, Some(2), "number"),
        ("too few fields", first_row("jwqpspg,malignant"), 1, Some(2), "2"),
        ("unknown label", sample("wrong-label.csv"), 2, None, "label"),
        ("open quote", first_row("\"jwqpspg,malignant,0.5"), 1, Some(2), "quote"),
        ("not UTF-8", sample("not-utf8.csv"), 1, None, "UTF-8"),
        ("header only", sample("header-only.csv"), 200, None, "no row for id"),
        ("empty", Vec::new(), 1, None, "empty"),
        ("a line of 100 MB", vec![b'a'; 100_000_000], 1, Some(1), "record is longer than"),
        ("binary", (0..=255).cycle().take(100_000).collect(), 3, Some(1), "no column `id`"),
    ];
    let before = Kept::now(&server, &anna, "breast-cancer");
    let mut wrong = Vec::new();
    for (what, bytes, total, line, words) in &cases {
        let answer = anna.submit("breast-cancer", "dev", "predictions.csv", bytes);
        answer.refuses(what, 422, "invalid-submission", "your quota is untouched");
        let problems = &answer.json()["problems"];
        let first = &problems["first"][0];
        let told = first["message"].as_str().unwrap_or_default();
        let there = line.is_none_or(|line| first["line"] == line);
        if problems["total"] != *total || !there || !told.to_lowercase().contains(&words.to_lowercase()) {
            wrong.push(format!("{what}: {problems}"));
        }
        before.is_all(&server, &anna, "breast-cancer", what);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(anna.submit("breast-cancer", "dev", "predictions.csv", &sample("good.csv")).status, 202);
}
