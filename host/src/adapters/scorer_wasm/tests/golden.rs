//! The stock scorer as a component against the values that scikit-learn gives: its own tests run it natively only.

use super::*;

#[derive(serde::Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    params: serde_json::Value,
    reference: String,
    predictions: String,
    values: std::collections::BTreeMap<String, f64>,
}

#[test]
fn the_component_agrees_with_scikit_learn() {
    let vectors = include_str!("../../../../../scorers/classification/tests/golden/golden.json");
    let golden: Golden = serde_json::from_str(vectors).unwrap();
    for case in &golden.cases {
        let mut run = run_of(stock::bytes("classification").unwrap(), &case.params.to_string());
        run.reference = vec![file("truth.csv", case.reference.as_str())];
        run.predictions = vec![file("predictions.csv", case.predictions.as_str())];
        let ran = score(&run);
        let Ended::Value(returned) = &ran.ended else { panic!("{}: {:?}", case.name, ran.ended) };
        assert_eq!(returned.scores.len(), case.values.len(), "{}", case.name);
        for found in &returned.scores {
            let (name, value, expected) = (&case.name, found.value, case.values[&found.metric]);
            let close = value == expected || (value - expected).abs() <= 1e-12 * expected.abs();
            assert!(close, "{name}: {} is {value:e}, scikit-learn says {expected:e}", found.metric);
        }
    }
    assert!(golden.cases.len() > 70);
}
