//! What holds for every submission.

use gradus_scorer_classification::Classification;
use gradus_sdk::{Data, Failure, Feedback, Report, Scorer};
use proptest::prelude::*;

const PARAMS: &str = r#"{"id": "id", "target": "y", "prediction": "y", "probability": "p", "positive": "a",
    "undefined": 0.5, "metrics": ["accuracy", "balanced_accuracy", "precision", "precision_macro", "precision_micro",
    "precision_weighted", "recall", "recall_macro", "recall_micro", "recall_weighted", "f1", "f1_macro", "f1_micro",
    "f1_weighted", "mcc", "roc_auc", "log_loss"]}"#;

fn score(params: &str, truth: String, predictions: Vec<u8>) -> Result<Report, Failure> {
    let data = Data::memory().with_params(params).with_reference("t.csv", truth).with_prediction("p.csv", predictions);
    // What the door lets in may still be refused, never the other way round.
    let door = Classification::validate(&data, &mut Feedback::memory());
    let report = Classification::score(&data, &mut Feedback::memory());
    assert!(door.is_ok() || report.is_err(), "{door:?}");
    report
}

/// Truth, prediction and probability of each row.
type Rows = Vec<(char, char, f64)>;

fn truth(rows: &Rows) -> String {
    rows.iter().enumerate().fold("id,y\n".to_owned(), |text, (id, row)| format!("{text}{id},{}\n", row.0))
}

fn predictions(rows: &Rows, order: &[usize]) -> Vec<u8> {
    let line = |id: &usize| format!("{id},{},{}\n", rows[*id].1, rows[*id].2);
    ("id,y,p\n".to_owned() + &order.iter().map(line).collect::<String>()).into_bytes()
}

/// Rows with ties, the first of them positive.
fn rows() -> impl Strategy<Value = Rows> {
    let label = || prop::sample::select(vec!['a', 'b', 'c']);
    let probability = prop_oneof![(0_u8..=4).prop_map(|quarter| f64::from(quarter) / 4.0), 0.0..=1.0];
    prop::collection::vec((label(), label(), probability), 1..40).prop_map(|mut rows| {
        rows[0].0 = 'a';
        rows
    })
}

fn value(report: &Report, name: &str) -> f64 {
    report.scores.iter().find(|score| score.metric == name).map_or(f64::NAN, |score| score.value)
}

proptest! {
    #[test]
    fn the_order_of_rows_does_not_matter(rows in rows(), seed in any::<u64>()) {
        let order: Vec<usize> = (0..rows.len()).collect();
        let mut shuffled = order.clone();
        shuffled.sort_by_key(|row| (*row as u64 + 1).wrapping_mul(seed | 1).rotate_left(17));
        let one = score(PARAMS, truth(&rows), predictions(&rows, &order)).unwrap();
        let other = score(PARAMS, truth(&rows), predictions(&rows, &shuffled)).unwrap();
        prop_assert_eq!(one, other);
    }

    #[test]
    fn values_are_in_range(rows in rows()) {
        let order: Vec<usize> = (0..rows.len()).collect();
        let report = score(PARAMS, truth(&rows), predictions(&rows, &order)).unwrap();
        prop_assert_eq!(report.scores.len(), 17);
        for score in &report.scores {
            let range = match score.metric.as_str() {
                "mcc" => -1.0..=1.0,
                "log_loss" => 0.0..=36.1,
                _ => 0.0..=1.0,
            };
            prop_assert!(range.contains(&score.value), "{score:?}");
        }
        prop_assert_eq!(value(&report, "accuracy"), value(&report, "f1_micro"));
    }

    #[test]
    fn turning_the_probabilities_around_turns_the_area_around(rows in rows()) {
        // In 1024ths, 1 − p loses no digit, so that ties stay ties.
        let coarse: Rows = rows.iter().map(|row| (row.0, row.1, (row.2 * 1024.0).round() / 1024.0)).collect();
        let turned: Rows = coarse.iter().map(|row| (row.0, row.1, 1.0 - row.2)).collect();
        let order: Vec<usize> = (0..rows.len()).collect();
        let area = |rows: &Rows| value(&score(PARAMS, truth(rows), predictions(rows, &order)).unwrap(), "roc_auc");
        prop_assert!((area(&coarse) + area(&turned) - 1.0).abs() < 1e-15);
    }

    #[test]
    fn no_predictions_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "(id|y|p|p_a|,|\n|1|0|a|b|\"|\\.5){0,60}") {
        let multi = r#"{"id": "id", "target": "y", "prediction": "y", "probability": "p_*"}"#;
        for params in [PARAMS, multi, "{}", r#"{"target": "y", "prediction": "y"}"#] {
            for predictions in [bytes.clone(), text.clone().into_bytes(), [b"id,y,p,p_a,p_b\n", &bytes[..]].concat()] {
                let _ = score(params, "id,y\n0,a\n1,b\n".to_owned(), predictions);
            }
        }
    }

    #[test]
    fn no_reference_makes_it_panic(text in "(id|y|split|,|\n|1|0|a|b|\"){0,60}") {
        let params = r#"{"id": "id", "target": "y", "prediction": "y"}"#;
        let data = Data::memory().with_params(params).with_prediction("p.csv", "id,y\n1,a\n").with_reference("t.csv", text.clone());
        let _ = Classification::score(&data, &mut Feedback::memory());
        let data = data.with_template("s.csv", text);
        let _ = Classification::validate(&data, &mut Feedback::memory());
    }
}
