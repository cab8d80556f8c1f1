//! What parameters mean, and what is said of bad ones.

use super::*;

fn read(json: &str) -> Result<Settings, String> {
    Settings::read(&Params::new(json))
}

fn metrics(json: &str) -> Vec<&'static str> {
    read(json).unwrap().metrics.into_iter().map(Metric::name).collect()
}

#[test]
fn without_metrics_those_that_the_columns_allow() {
    assert_eq!(metrics("{}"), ["accuracy", "balanced_accuracy", "f1_macro", "mcc"]);
    let binary = r#"{"prediction": "y", "probability": "p", "positive": 1}"#;
    let expected = ["accuracy", "balanced_accuracy", "precision", "recall", "f1", "mcc", "roc_auc", "log_loss"];
    assert_eq!(metrics(binary), expected);
    assert_eq!(metrics(r#"{"probability": "p_*"}"#), ["roc_auc_ovr", "log_loss"]);
    assert_eq!(metrics(r#"{"metrics": ["mcc", "accuracy"]}"#), ["mcc", "accuracy"]);
}

#[test]
fn columns_that_no_metric_needs_are_not_asked_for() {
    let settings = read(r#"{"prediction": "y", "probability": "p_*", "metrics": ["log_loss"]}"#).unwrap();
    assert_eq!(settings.prediction, None);
    assert_eq!(settings.probability, Some(Probability::PerLabel("p_".to_owned())));
}

#[test]
fn labels_may_be_numbers() {
    let settings = read(r#"{"labels": [0, "b", true, -1], "positive": -1, "undefined": 1}"#).unwrap();
    assert_eq!(settings.labels.unwrap(), ["0", "b", "true", "-1"]);
    assert_eq!((settings.positive.as_deref(), settings.undefined), (Some("-1"), Policy::Value(1.0)));
    assert_eq!(read(r#"{"undefined": "invalid"}"#).unwrap().undefined, Policy::Invalid);
}

#[test]
fn a_label_is_no_essay() {
    let labels = |bytes: usize| format!(r#"{{"labels": ["a", "{}"]}}"#, "b".repeat(bytes));
    assert!(read(&labels(256)).is_ok());
    let error = read(&labels(257)).unwrap_err();
    assert!(error.starts_with("params `labels`: `bbb") && error.ends_with("has 257 bytes, and 256 are the most"));
}

#[test]
fn bad_ones_name_the_key_and_what_is_allowed() {
    for (json, start, end) in [
        (
            r#"{"metric": []}"#,
            "params `metric`: unknown field `metric`, expected one of `id`, ",
            "did you mean `metrics`?",
        ),
        (
            r#"{"metrics": ["accuracy", "rocauc"]}"#,
            "params `metrics[1]`: unknown variant `rocauc`, expected one of `accuracy`, ",
            "`log_loss`; did you mean `roc_auc`?",
        ),
        (r#"{"metrics": ["f1"]}"#, "params `metrics`: `f1` needs `positive`, the label that it is about", ""),
        (r#"{"metrics": ["log_loss"]}"#, "params `metrics`: `log_loss` needs `probability`, a column or a `p_*`", ""),
        (
            r#"{"probability": "p_*", "metrics": ["mcc"]}"#,
            "params `metrics`: `mcc` needs `prediction`, a column of labels",
            "",
        ),
        (
            r#"{"probability": "p", "positive": "a", "metrics": ["roc_auc_ovr"]}"#,
            "params `metrics`: `roc_auc_ovr` needs `probability` with one column per label, such as `p_*`",
            "",
        ),
        (r#"{"metrics": ["mcc", "mcc"]}"#, "params `metrics`: `mcc` is there twice", ""),
        (r#"{"metrics": []}"#, "params `metrics`: name one at least", ""),
        (r#"{"probability": "p"}"#, "params `probability`: one column holds the probability of one label", ""),
        (r#"{"probability": "*"}"#, "params `probability`: `*` is neither; write a column's name", ""),
        (r#"{"probability": "p*x"}"#, "params `probability`: `p*x` is neither; write a column's name", ""),
        (r#"{"labels": ["a"]}"#, "params `labels`: name two labels at least", ""),
        (r#"{"labels": ["a", "b", "a"]}"#, "params `labels`: `a` is there twice", ""),
        (r#"{"labels": ["a", "b"], "positive": "c"}"#, "params `positive`: `c` is not one of `labels`: `a`, `b`", ""),
        (r#"{"id": "x", "prediction": "x"}"#, "params `prediction`: `x` is `id` already", ""),
        (
            r#"{"prediction": "x", "probability": "x", "positive": 1}"#,
            "params `probability`: `x` is `id` or `prediction` already",
            "",
        ),
        (
            r#"{"prediction": "p_label", "probability": "p_*", "labels": ["a", "label"]}"#,
            "params `probability`: the column `p_label` would be that of a label, and is `id` or `prediction` already",
            "",
        ),
        (r#"{"columns": ["prediction", "x", "x"]}"#, "params `columns`: `x` is there twice", ""),
        (
            r#"{"id": "id", "columns": ["prediction"]}"#,
            "params `columns`: `id`, the column of `id`, is not among them",
            "",
        ),
        (
            r#"{"columns": ["label"]}"#,
            "params `columns`: `prediction`, the column of `prediction`, is not among them",
            "",
        ),
        (
            r#"{"probability": "p_*", "labels": ["a", "b"], "columns": ["p_a", "p_c"]}"#,
            "params `columns`: `p_b`, the column of a label, is not among them",
            "",
        ),
        (r#"{"probability": "p_*", "columns": ["a", "b"]}"#, "params `columns`: no two columns of `probability`", ""),
        (
            r#"{"reference_columns": ["label"]}"#,
            "params `reference_columns`: `target`, the column of `target`, is not among them",
            "",
        ),
        (r#"{"positive": 1.5}"#, "params `positive`: invalid type: floating point `1.5`, expected a label", ""),
        (
            r#"{"undefined": "nan"}"#,
            "params `undefined`: invalid value: string \"nan\", expected a number, or \"invalid\"",
            "",
        ),
    ] {
        let error = read(json).unwrap_err();
        assert!(error.starts_with(start) && error.ends_with(end), "{json}: {error}");
    }
}

#[test]
fn the_schema_is_of_these_parameters() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let error = read(r#"{"zzzzzz": 1}"#).unwrap_err();
    let mut known: Vec<_> = error.split('`').skip(5).step_by(2).map(str::to_owned).collect();
    known.sort();
    assert_eq!(keys, known);
    let names: Vec<_> = Metric::all().map(Metric::name).collect();
    assert_eq!(schema["properties"]["metrics"]["items"]["enum"], serde_json::json!(names));
}
