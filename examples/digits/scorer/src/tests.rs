//! The scorer as Gradus calls it, on data in memory and on the challenge's own files.

use gradus_sdk::{Audience, Data, Failure, Feedback, Params, Scorer};

use crate::Digits;

const PARAMS: &str = r#"{"costs": [{"digits": "38", "cost": 0.5}], "pass": 0.5}"#;

fn data(predictions: impl Into<Vec<u8>>) -> Data {
    let data = Data::memory().with_prediction("p.csv", predictions).with_params(PARAMS);
    data.with_template("sample.csv", "id,digit\na,0\nb,0\nc,0\nd,0\n")
        .with_reference("reference.csv", "id,digit\na,3\nb,3\nc,8\nd,1\n")
}

fn problems(predictions: impl Into<Vec<u8>>) -> String {
    let predictions = predictions.into();
    let at_the_door = Digits::validate(&data(predictions.clone()), &mut Feedback::memory()).unwrap_err();
    let later = Digits::score(&data(predictions), &mut Feedback::memory()).unwrap_err();
    assert_eq!(at_the_door, later, "the door and the score must agree");
    let Failure::InvalidSubmission(problems) = later else { panic!("{later}") };
    format!("{}: {problems}", problems.total())
}

#[test]
fn scores_cases_note_and_table() {
    let data = data("digit,id,mood\n1,d,x\n8,b,y\n3,c,z\n3,a,\n");
    Digits::validate(&data, &mut Feedback::memory()).unwrap();
    let mut feedback = Feedback::memory();
    let report = Digits::score(&data, &mut feedback).unwrap();
    let scores: Vec<_> = report.scores.iter().map(|score| (score.metric.as_str(), score.value)).collect();
    assert_eq!(scores, [("thrift", 0.75), ("weakest_recall", 0.0), ("accuracy", 0.5)]);
    let described = Digits::describe(data.params()).unwrap();
    assert!(described.metrics.iter().map(|metric| metric.name.as_str()).eq(scores.iter().map(|(name, _)| *name)));

    let cases: Vec<_> = report.cases.iter().map(|case| (case.id.as_str(), case.passed)).collect();
    assert_eq!(cases, [("digit-1", Some(true)), ("digit-3", Some(true)), ("digit-8", Some(false))]);
    assert_eq!(report.cases[1].message.as_deref(), Some("1 of 2 read rightly"));

    let recorded = feedback.into_recorded();
    let note = "Weakest digit: 8, of which 0 % were read rightly; most often it was taken for 3.";
    let notes = [(Audience::Participant, "The weakest digit is 8.".to_owned()), (Audience::Organizer, note.to_owned())];
    assert_eq!(recorded.notes, notes);
    assert!(report.cases.iter().all(|case| case.audience == Audience::Organizer), "counts tell single answers");
    assert_eq!((recorded.attachments.len(), recorded.attachments[0].to), (1, Audience::Organizer));
    assert!(recorded.attachments[0].bytes.starts_with(b"truth,read as 0,"));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    assert_eq!(
        problems("id,digit\na,3\na,8\nc,7.0\nx,1\n"),
        "5: p.csv:4: `7.0` is not a digit; write 7: the column became decimal numbers on its way; \
         p.csv:3: id `a` is there already, on line 2; p.csv:5: id `x` is not one of the task's; \
         p.csv: no row for id `b`; p.csv: no row for id `d`"
    );
    assert_eq!(
        problems("id,digit\na,3\nb,3|8\nc,\nd,1\n"),
        "2: p.csv:3: `3|8` is not a digit; write one of 0 to 9; p.csv:4: `` is not a digit; write one of 0 to 9"
    );
    assert!(problems("id,label\na,3\n").starts_with("1: p.csv:1: no column `digit`"));
    assert!(problems("id,digit\n").starts_with("4: "));
    assert_eq!(problems(""), "1: p.csv: the file is empty");
    assert!(problems(b"id,digit\na,3\nb,z\xe9ro\nc,8\nd,1\n").starts_with("1: p.csv:3: "));
}

#[test]
fn without_a_template_the_door_checks_digits_only() {
    let data = |text: &str| Data::memory().with_prediction("p.csv", text);
    assert_eq!(Digits::validate(&data("id,digit\nx,3\n"), &mut Feedback::memory()), Ok(()));
    assert!(Digits::validate(&data("id,digit\nx,3\nx,4\n"), &mut Feedback::memory()).is_err());
    assert!(Digits::validate(&data("id,digit\nx,three\n"), &mut Feedback::memory()).is_err());
}

#[test]
fn a_flood_is_the_participants() {
    let flood = "id,digit\na,3\nb,3\nc,8\nd,1\n".to_owned() + &"x,1\n".repeat(2_000_000);
    let expected =
        "1005: p.csv:1010: more than 1008 rows, and the task has 4 rows; from here on nothing was read; p.csv:6: id ";
    assert!(problems(flood.clone()).starts_with(expected));
    let data = Data::memory().with_prediction("p.csv", flood).with_reference("r.csv", "id,digit\na,3\n");
    let failure = Digits::score(&data, &mut Feedback::memory()).unwrap_err().to_string();
    assert!(failure.starts_with("invalid submission: p.csv:1004: more than 1002 rows"), "{failure}");
    let long = format!("id,digit\na,3\nb,3\nc,8\n{},1\n", "d".repeat(300));
    assert_eq!(problems(long), "1: p.csv:5: column `id`: 300 bytes, and 256 are the most");
}

#[test]
fn a_template_that_is_read_in_part_names_no_strangers() {
    let rows = |from: usize| (from..120_000).fold("id,digit\n".to_owned(), |text, id| format!("{text}{id},1\n"));
    let data = Data::memory().with_template("sample.csv", rows(0)).with_prediction("p.csv", rows(0));
    assert_eq!(Digits::validate(&data, &mut Feedback::memory()), Ok(()));
}

#[test]
fn without_a_template_the_reference_names_the_rows() {
    let data = Data::memory().with_prediction("p.csv", "id,digit\na,3\n");
    let failure = Digits::score(&data.with_reference("r.csv", "id,digit\na,3\nb,3\n"), &mut Feedback::memory());
    assert_eq!(failure.unwrap_err().to_string(), "invalid submission: p.csv: no row for id `b`");
}

#[test]
fn a_wrong_challenge_is_the_organizers() {
    let data = |reference: &str| {
        Data::memory().with_prediction("p.csv", "id,digit\na,3\n").with_reference("reference.csv", reference)
    };
    for (reference, expected) in [
        ("id,digit\na,3\na,8\n", "invalid challenge: reference: reference.csv:3: id `a` is there already, on line 2"),
        ("id,digit\na,x\n", "invalid challenge: reference: reference.csv:2: `x` is not a digit; write one of 0 to 9"),
        ("", "invalid challenge: reference: reference.csv: the file is empty"),
    ] {
        let failure = Digits::score(&data(reference), &mut Feedback::memory()).unwrap_err();
        assert_eq!(failure.to_string(), expected);
    }
    let data = data("id,digit\na,3\n").with_template("sample.csv", "id,digit\na,0\n");
    assert!(Digits::score(&data, &mut Feedback::memory()).is_ok());
    let other = Data::memory().with_prediction("p.csv", "id,digit\na,3\n").with_template("s.csv", "id,digit\na,0\n");
    let other = other.with_reference("reference.csv", "id,digit\na,3\nb,3\n");
    let failure = Digits::score(&other, &mut Feedback::memory()).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "invalid challenge: reference and template have different ids: p.csv: no row for id `b`"
    );
    let empty = Data::memory().with_prediction("p.csv", "id,digit\n").with_reference("reference.csv", "id,digit\n");
    let failure = Digits::score(&empty, &mut Feedback::memory()).unwrap_err();
    assert_eq!(failure.to_string(), "invalid challenge: the reference has no rows; add some");
    assert!(Digits::describe(&Params::new(r#"{"pas": 1}"#)).unwrap_err().contains("did you mean `pass`?"));
}
