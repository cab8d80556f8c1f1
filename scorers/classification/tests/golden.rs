//! Every metric agrees with scikit-learn to twelve digits; `golden/make.py` made the values.

use std::collections::BTreeMap;

use gradus_scorer_classification::Classification;
use gradus_sdk::{Data, Feedback, Params, Scorer};

#[derive(serde::Deserialize)]
struct Golden {
    scikit_learn: String,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    params: serde_json::Value,
    reference: String,
    predictions: String,
    values: BTreeMap<String, f64>,
}

fn close(found: f64, expected: f64) -> bool {
    found == expected || (found - expected).abs() <= 1e-12 * expected.abs()
}

#[test]
fn agrees_with_scikit_learn() {
    let golden: Golden = serde_json::from_str(include_str!("golden/golden.json")).unwrap();
    let (mut compared, mut seen) = (0, BTreeMap::new());
    for case in &golden.cases {
        let params = case.params.to_string();
        let data = Data::memory()
            .with_params(params.as_str())
            .with_reference("truth.csv", case.reference.as_str())
            .with_prediction("predictions.csv", case.predictions.as_str());
        Classification::validate(&data, &mut Feedback::memory())
            .unwrap_or_else(|failure| panic!("{}: {failure}", case.name));
        let report = Classification::score(&data, &mut Feedback::memory())
            .unwrap_or_else(|failure| panic!("{}: {failure}", case.name));
        let described = Classification::describe(&Params::new(params)).unwrap();
        let described: Vec<_> = described.metrics.iter().map(|metric| metric.name.as_str()).collect();
        let reported: Vec<_> = report.scores.iter().map(|score| score.metric.as_str()).collect();
        assert_eq!(described, reported, "{}", case.name);
        for score in &report.scores {
            let expected = case.values[&score.metric];
            let (name, metric, value) = (&case.name, &score.metric, score.value);
            assert!(close(value, expected), "{name}: {metric} is {value:e}, scikit-learn says {expected:e}");
            *seen.entry(metric.clone()).or_insert(0) += 1;
            compared += 1;
        }
    }
    assert!(golden.scikit_learn.starts_with("1."), "{}", golden.scikit_learn);
    assert_eq!(seen.len(), 19, "{seen:?}");
    assert!(compared > 500, "{compared} values compared");
}
