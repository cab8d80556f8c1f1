//! Scores one number per line against the right ones: the mean absolute error. Replace it with what you measure.
//!
//! `cargo test` runs it natively. `cargo build --release --target wasm32-wasip2` makes the component, which
//! `challenge.toml` names with `scorer = { component = "my_scorer.wasm" }`.

use gradus_sdk::{Data, Description, Failure, Feedback, File, Metric, Params, Problem, Problems, Report, Scorer};

/// Longest file that is read, in bytes: what the door's fuel is enough for.
const LONGEST: u64 = 1 << 20;
/// Largest number that is taken. Without a bound, two that are finite make a sum that is not, and a score must be finite.
const LARGEST: f64 = 1e9;

/// What `params` in `challenge.toml` may say.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// An error above this counts as this much.
    cap: Option<f64>,
}

const SCHEMA: &str = r#"{"type": "object", "properties": {"cap": {"type": "number"}}, "additionalProperties": false}"#;

/// The scorer.
pub struct MeanError;

impl Scorer for MeanError {
    fn describe(params: &Params) -> Result<Description, String> {
        params.parse::<Settings>()?;
        let summary = "Mean absolute error of one number per line.";
        Ok(Description::new("mean-error", env!("CARGO_PKG_VERSION"), summary)
            .metric(Metric::lower("mae").title("Mean absolute error").precision(3))
            .schema(SCHEMA))
    }

    fn validate(data: &Data, _: &mut Feedback) -> Result<(), Failure> {
        numbers(data.predictions()).map(drop).map_err(Failure::from)
    }

    fn score(data: &Data, feedback: &mut Feedback) -> Result<Report, Failure> {
        let settings: Settings = data.params().parse().map_err(Failure::challenge)?;
        let truth = numbers(data.reference()).map_err(|problems| Failure::challenge(problems.to_string()))?;
        let guesses = numbers(data.predictions())?;
        if guesses.len() != truth.len() {
            let message = format!("{} numbers; {} are needed", guesses.len(), truth.len());
            return Err(Problem::new(message).into());
        }
        let cap = settings.cap.unwrap_or(f64::MAX);
        let errors = guesses.iter().zip(&truth).map(|(guess, truth)| (guess - truth).abs().min(cap));
        let mae = gradus_sdk::sum::mean(errors).ok_or_else(|| Failure::challenge("the reference is empty"))?;
        feedback.progress(1, 1);
        Ok(Report::new().score("mae", mae))
    }
}

gradus_sdk::export!(MeanError);

/// The numbers of the one file, or what is wrong with it.
fn numbers(files: &[File]) -> Result<Vec<f64>, Problems> {
    let [file] = files else {
        return Err(Problem::new(format!("{} files; one is needed", files.len())).into());
    };
    let text = file.read_text(LONGEST).map_err(|error| Problem::new(error.to_string()).file(file.path()))?;
    let mut problems = Problems::new();
    let mut numbers = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        match text.trim().parse::<f64>() {
            // NaN is in no range.
            Ok(number) if (-LARGEST..=LARGEST).contains(&number) => numbers.push(number),
            Ok(_) => problems.push_with(|| {
                Problem::new(format!("not a number from -{LARGEST:e} to {LARGEST:e}")).file(file.path()).line(line)
            }),
            Err(_) => problems.push_with(|| Problem::new("not a number, such as 4.5").file(file.path()).line(line)),
        }
    }
    if problems.is_empty() { Ok(numbers) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(predictions: &str, params: &str) -> Result<Report, Failure> {
        let data = Data::memory().with_reference("truth.txt", "1\n2\n3\n");
        MeanError::score(&data.with_prediction("p.txt", predictions).with_params(params), &mut Feedback::memory())
    }

    #[test]
    fn the_mean_of_the_errors() {
        assert_eq!(score("1\n2\n6\n", "{}"), Ok(Report::new().score("mae", 1.0)));
        assert_eq!(score("1\n2\n60\n", r#"{"cap": 3}"#), Ok(Report::new().score("mae", 1.0)));
    }

    #[test]
    fn a_bad_line_is_named() {
        let problem = Problem::new("not a number, such as 4.5").file("p.txt").line(2);
        assert_eq!(score("1\nx\n3\n", "{}"), Err(problem.into()));
    }

    #[test]
    fn no_number_makes_a_score_that_is_none() {
        for number in ["1e308", "-1e308", "inf", "NaN", "1e999"] {
            let mut problems = Problems::new();
            for line in [1, 2] {
                problems.push(Problem::new("not a number from -1e9 to 1e9").file("p.txt").line(line));
            }
            assert_eq!(score(&format!("{number}\n{number}\n3\n"), "{}"), Err(problems.into()));
        }
        assert!(score("1e9\n-1e9\n3\n", "{}").is_ok());
    }
}
