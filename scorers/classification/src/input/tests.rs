//! What is said of files that are not what they should be.

use gradus_sdk::{Data, Failure, Feedback, Report, Scorer};

use crate::Classification;

const PARAMS: &str = r#"{"id": "id", "target": "y", "prediction": "y", "metrics": ["accuracy"]}"#;
const TRUTH: &str = "id,y\n1,a\n2,b\n3,a\n";

fn data(params: &str, truth: &str, predictions: &str) -> Data {
    Data::memory().with_params(params).with_reference("truth.csv", truth).with_prediction("p.csv", predictions)
}

fn score(params: &str, truth: &str, predictions: &str) -> Result<Report, String> {
    Classification::score(&data(params, truth, predictions), &mut Feedback::memory()).map_err(|error| error.to_string())
}

fn validate(params: &str, template: &str, predictions: &str) -> Result<(), String> {
    let data = Data::memory().with_params(params).with_prediction("p.csv", predictions);
    let data = if template.is_empty() { data } else { data.with_template("sample.csv", template) };
    Classification::validate(&data, &mut Feedback::memory()).map_err(|error| error.to_string())
}

fn values(report: &Report) -> Vec<(&str, Option<&str>, f64)> {
    report.scores.iter().map(|score| (score.metric.as_str(), score.split.as_deref(), score.value)).collect()
}

#[test]
fn rows_are_joined_on_the_id() {
    let report = score(PARAMS, TRUTH, "y,id\na,3\na,2\na,1\n").unwrap();
    assert_eq!(values(&report), [("accuracy", None, 2.0 / 3.0)]);
}

#[test]
fn without_an_id_by_position() {
    let params = r#"{"target": "y", "columns": ["y"], "prediction": "y", "metrics": ["accuracy"]}"#;
    assert_eq!(values(&score(params, TRUTH, "a\nb\nb\n").unwrap()), [("accuracy", None, 2.0 / 3.0)]);
    let error = score(params, TRUTH, "a\nb\n").unwrap_err();
    assert_eq!(error, "invalid submission: p.csv: 2 rows instead of 3, in the task's order");
}

#[test]
fn bad_rows_are_told_with_their_lines() {
    let error = score(PARAMS, TRUTH, "id,y\n1,a\n1,b\n7,a\n3,\n").unwrap_err();
    assert_eq!(
        error,
        "invalid submission: p.csv:5: column `y` is empty; a label is needed; \
         p.csv:3: id `1` is there already, on line 2; p.csv:4: id `7` is not one of the task's; \
         p.csv: no row for id `2`"
    );
    let error = score(PARAMS, TRUTH, "id,label\n1,a\n").unwrap_err();
    assert_eq!(error, "invalid submission: p.csv:1: no column `y`; the columns are `id`, `label`");
    let data = Data::memory().with_params(PARAMS).with_reference("truth.csv", TRUTH);
    let error = Classification::score(&data, &mut Feedback::memory()).unwrap_err();
    assert_eq!(error.to_string(), "invalid submission: no file; one table is needed");
}

#[test]
fn labels_that_are_all_strange_are_remarked_on() {
    let mut feedback = Feedback::memory();
    let report = Classification::score(&data(PARAMS, TRUTH, "id,y\n1,1.0\n2,2.0\n3,1.0\n"), &mut feedback).unwrap();
    assert_eq!(report.scores[0].value, 0.0);
    let text = "no row has a label of the task; `1.0` is none (labels are compared as text)".to_owned();
    assert_eq!(feedback.into_recorded().notes, [(gradus_sdk::Audience::Participant, text)]);
}

#[test]
fn declared_labels_are_the_only_ones() {
    let params = r#"{"id": "id", "target": "y", "prediction": "y", "labels": ["aa", "bb"], "metrics": ["accuracy"]}"#;
    let error = validate(params, "", "id,y\n1,aa\n2,bbb\n").unwrap_err();
    assert_eq!(error, "invalid submission: p.csv:3: `bbb` is no label (did you mean `bb`?); the labels are `aa`, `bb`");
    let error = score(params, TRUTH, "id,y\n1,aa\n2,bb\n3,aa\n").unwrap_err();
    assert_eq!(error, "invalid challenge: reference data: truth.csv:2: `a` is not one of `labels`: `aa`, `bb`");
}

#[test]
fn probabilities_are_checked() {
    let params = r#"{"id": "id", "target": "y", "probability": "p_*", "metrics": ["log_loss"]}"#;
    let report = score(params, TRUTH, "id,p_b,p_a\n1,0.5,0.5\n2,0.5,0.5\n3,0.5,0.5\n").unwrap();
    assert_eq!(values(&report), [("log_loss", None, 2.0_f64.ln())]);
    let error = score(params, TRUTH, "id,p_a,p_b\n1,0.5,0.6\n2,NaN,0.5\n3,2,0\n").unwrap_err();
    assert_eq!(
        error,
        "invalid submission: p.csv:3: column `p_a`: `NaN` is not a number: NaN cannot be scored; \
         p.csv:4: column `p_a`: `2` is not between 0 and 1; \
         p.csv:2: the probabilities sum up to 1.1000; they must sum up to 1 (±0.001)"
    );
    let error = score(params, TRUTH, "id,p_a,p_c\n").unwrap_err();
    assert_eq!(
        error,
        "invalid submission: p.csv:1: no column `p_b` (did you mean `p_a`?); the columns are `id`, `p_a`, `p_c`; \
         p.csv:1: column `p_c`: there is no label `c`"
    );
    let error = validate(params, "", "id,q_a,q_b\n1,0,1\n").unwrap_err();
    assert_eq!(error, "invalid submission: p.csv:1: no columns of probabilities; name them `p_a` and so on");
    let error = validate(params, "id,p_a,p_b\n1,0,1\n", "id,p_a,p_b\n1,1,-1\n").unwrap_err();
    assert!(error.contains("`-1` is not between 0 and 1"), "{error}");
}

#[test]
fn a_sum_beside_one_gains_nothing() {
    let params = r#"{"target": "y", "probability": "p_*", "metrics": ["log_loss"]}"#;
    let loss = |a: &str, b: &str| {
        let predictions = format!("p_a,p_b\n{a},{b}\n{b},{a}\n{a},{b}\n");
        score(params, TRUTH, &predictions).unwrap().scores[0].value
    };
    assert!((loss("0.8008", "0.2") - loss("0.800159872102318", "0.199840127897682")).abs() < 1e-9);
}

#[test]
fn ranks_are_of_the_columns_as_they_were_handed_in() {
    let params = r#"{"target": "y", "probability": "p_*", "metrics": ["roc_auc_ovr"]}"#;
    // Rounded to three places. Divided by its sum, 0.333 of the first row would be more than that of the second.
    let report =
        score(params, "y\na\nb\nc\n", "p_a,p_b,p_c\n0.333,0.333,0.333\n0.333,0.334,0.333\n0.333,0.333,0.334\n");
    assert_eq!(values(&report.unwrap()), [("roc_auc_ovr", None, (0.5 + 1.0 + 1.0) / 3.0)]);
}

#[test]
fn a_column_of_labels_is_no_columns_of_probabilities() {
    let params = r#"{"id": "pred_id", "target": "y", "prediction": "pred_label", "probability": "pred_*"}"#;
    let predictions = "pred_id,pred_label,pred_a,pred_b\n1,a,0.5,0.5\n2,b,0.5,0.5\n3,a,0.5,0.5\n";
    let report = score(params, "pred_id,y\n1,a\n2,b\n3,a\n", predictions).unwrap();
    assert_eq!(report.scores[0].value, 1.0);
    assert_eq!(validate(params, "", predictions), Ok(()));
    assert_eq!(validate(params, predictions, predictions), Ok(()));
}

#[test]
fn what_is_more_than_the_task_has_is_the_participants() {
    let flood = "id,y\n".to_owned() + &(0..1_000_000).map(|id| format!("{id},a\n")).collect::<String>();
    let more =
        "invalid submission: p.csv:1008: more than 1006 rows, and the task has 3 rows; from here on nothing was read";
    let error = score(PARAMS, TRUTH, &flood).unwrap_err();
    assert!(error.starts_with(more) && error.ends_with("; and 984 more"), "{error}");
    assert!(validate(PARAMS, TRUTH, &flood).unwrap_err().starts_with(more));
    let by_position = r#"{"target": "y", "prediction": "y"}"#;
    assert_eq!(score(by_position, TRUTH, &flood).unwrap_err(), more);
    // Labels that would make a matrix of any size.
    let label = "x".repeat(900_000);
    let error = score(PARAMS, TRUTH, &format!("id,y\n1,a\n2,{label}\n3,a\n")).unwrap_err();
    assert_eq!(error, "invalid submission: p.csv:3: column `y`: 900000 bytes, and 256 are the most");
    let error = score(PARAMS, &format!("id,y\n1,{label}\n"), "id,y\n1,a\n").unwrap_err();
    assert!(error.starts_with("invalid challenge: reference data: truth.csv:2: column `y`: 900000 bytes"), "{error}");
}

#[test]
fn the_door_knows_the_sample() {
    let sample = "id,y\n1,?\n2,?\n";
    assert_eq!(validate(PARAMS, sample, "id,y\n2,a\n1,b\n"), Ok(()));
    let error = validate(PARAMS, sample, "id,y\n2,a\n3,b\n").unwrap_err();
    assert_eq!(error, "invalid submission: p.csv:3: id `3` is not one of the task's; p.csv: no row for id `1`");
    let error = validate(PARAMS, "", "id,y\n2,a\n2,b\n").unwrap_err();
    assert_eq!(error, "invalid submission: p.csv:3: id `2` is there already, on line 2");
    let error = validate(PARAMS, "ID,y\n1,?\n", "id,y\n2,a\n").unwrap_err();
    assert!(
        error.starts_with("invalid challenge: the sample submission (`template`): sample.csv:1: no column `id`"),
        "{error}"
    );
    let by_position = r#"{"metrics": ["accuracy"]}"#;
    let error = validate(by_position, "prediction\n?\n?\n", "prediction\na\n").unwrap_err();
    assert_eq!(error, "invalid submission: p.csv: 1 row instead of 2, in the task's order");
}

#[test]
fn splits_have_every_metric_each_and_none_over_all() {
    let params = r#"{"id": "id", "target": "y", "prediction": "y", "metrics": ["accuracy", "mcc"]}"#;
    let truth = "id,y,split\n1,a,public\n2,b,private\n3,a,private\n";
    let data = data(params, truth, "id,y\n1,a\n2,b\n3,b\n");
    let mut feedback = Feedback::memory();
    let report = Classification::score(&data, &mut feedback).unwrap();
    let expected = [
        ("accuracy", Some("private"), 0.5),
        ("accuracy", Some("public"), 1.0),
        ("mcc", Some("private"), 0.0),
        ("mcc", Some("public"), 0.0),
    ];
    assert_eq!(values(&report), expected);
    let names: Vec<_> = feedback.into_recorded().attachments.into_iter().map(|file| (file.to, file.name)).collect();
    let organizer = gradus_sdk::Audience::Organizer;
    assert_eq!(names, [(organizer, "confusion-private.csv".into()), (organizer, "confusion-public.csv".into())]);
    let error = score(params, "id,y,split\n1,a,pub lic\n", "id,y\n1,a\n").unwrap_err();
    assert!(error.contains("`pub lic` names no split"), "{error}");
    let named = r#"{"target": "y", "prediction": "y", "metrics": ["accuracy"], "split": "part"}"#;
    let error = score(named, truth, "y\na\na\na\n").unwrap_err();
    assert!(error.starts_with("invalid challenge: reference data: truth.csv:1: no column `part`"), "{error}");
}

#[test]
fn bad_reference_data_are_the_organizers() {
    let predictions = "id,y\n1,a\n";
    for (truth, expected) in [
        ("", "invalid challenge: reference data: truth.csv: the file is empty"),
        ("id,y\n", "invalid challenge: reference data: truth.csv: there are no rows"),
        ("id,z\n1,a\n", "invalid challenge: reference data: truth.csv:1: no column `y`; the columns are `id`, `z`"),
        ("id,y\n1,\n", "invalid challenge: reference data: truth.csv:2: column `y` is empty"),
        (
            "id,y\n1,a\n1,b\n1,b\n",
            "invalid challenge: reference data: truth.csv:3: id `1` is there already, on line 2 (the first of 2 problems)",
        ),
    ] {
        assert_eq!(score(PARAMS, truth, predictions).unwrap_err(), expected);
    }
    let params = r#"{"id": "id", "target": "y", "prediction": "y", "positive": "c", "metrics": ["f1"]}"#;
    let error = score(params, TRUTH, "id,y\n1,a\n2,a\n3,a\n").unwrap_err();
    assert_eq!(
        error,
        "invalid challenge: params `positive`: no row of the reference data has `c`; their labels are `a`, `b`"
    );
}

#[test]
fn undefined_values_follow_the_policy() {
    let run = |extra: &str, truth: &str, predictions: &str| {
        let params = format!(r#"{{"target": "y", "prediction": "y", "probability": "p", "positive": "a"{extra}}}"#);
        score(&params, truth, predictions).map(|report| report.scores[0].value)
    };
    // No row is predicted to be positive.
    let (truth, none) = ("y\na\nb\n", "y,p\nb,0\nb,0\n");
    assert_eq!(run(r#", "metrics": ["precision"]"#, truth, none), Ok(0.0));
    assert_eq!(run(r#", "metrics": ["precision"], "undefined": 0.5"#, truth, none), Ok(0.5));
    let error = run(r#", "metrics": ["precision"], "undefined": "invalid""#, truth, none).unwrap_err();
    assert_eq!(error, "invalid submission: `precision` is undefined: no row is predicted to have the label");
    // Which split has no such row is not the participant's to know.
    let params =
        r#"{"target": "y", "prediction": "y", "positive": "a", "metrics": ["precision"], "undefined": "invalid"}"#;
    let (splits, mut feedback) = ("y,split\na,public\nb,private\n", Feedback::memory());
    let failure = Classification::score(&data(params, splits, "y\na\nb\n"), &mut feedback).unwrap_err();
    assert_eq!(failure.to_string(), error);
    let note = "`precision` is undefined in split `private`: no row is predicted to have the label".to_owned();
    assert_eq!(feedback.into_recorded().notes, [(gradus_sdk::Audience::Organizer, note)]);
    // All rows are positive, which no participant can change.
    let (truth, all) = ("y\na\na\n", "y,p\na,1\na,1\n");
    for policy in ["", r#", "undefined": "invalid""#] {
        let error = run(&format!(r#", "metrics": ["roc_auc"]{policy}"#), truth, all).unwrap_err();
        assert_eq!(
            error,
            "invalid challenge: `roc_auc` is undefined: the reference needs rows with the label and rows with another; \
             set `undefined` to a number, or change the reference data"
        );
    }
    assert_eq!(run(r#", "metrics": ["roc_auc"], "undefined": 0.5"#, truth, all), Ok(0.5));
}

#[test]
fn many_labels_cost_the_matrix_and_not_the_score() {
    let rows = 0..150;
    let truth = rows.clone().fold("y\n".to_owned(), |text, row| format!("{text}{row}\n"));
    let data = data(r#"{"target": "y", "prediction": "y"}"#, &truth, &truth);
    let mut feedback = Feedback::memory();
    let report = Classification::score(&data, &mut feedback).unwrap();
    assert_eq!(report.scores[0].value, 1.0);
    let said = feedback.into_recorded();
    assert_eq!((said.attachments.len(), said.notes[0].1.as_str()), (0, "no confusion.csv: more than 100 labels"));
    assert!(matches!(
        Classification::score(&Data::memory(), &mut Feedback::memory()),
        Err(Failure::InvalidChallenge(_))
    ));
}
