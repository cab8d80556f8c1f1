//! A scorer that does what its parameters name, mostly wrong: for the tests of the engine. `{"do": "trap"}` panics.
//! Its format check says no, with what it saw; `{"admit": true}` lets everything in.
//!
//! Each deed is one way for a run to end, or one thing that a guest may try to find out about its host.

mod deeds;

use gradus_sdk::{Data, Description, Failure, Feedback, Metric, Params, Report, Scorer};

/// Does as told.
#[derive(Debug)]
pub struct Misbehaving;

gradus_sdk::export!(Misbehaving);

/// What is to be done, and how much of it.
fn told(params: &Params) -> (String, u64) {
    let json = json(params);
    (json["do"].as_str().unwrap_or("nothing").to_owned(), json["n"].as_u64().unwrap_or(1))
}

fn json(params: &Params) -> serde_json::Value {
    serde_json::from_str(params.json()).unwrap_or_default()
}

impl Scorer for Misbehaving {
    fn describe(params: &Params) -> Result<Description, String> {
        let (deed, _) = told(params);
        if deed == "refuse" {
            return Err("`do` must not be `refuse`".into());
        }
        if deed.starts_with("describe-") {
            deeds::endless();
        }
        let name = if deed == "bad-name" { "Bad Name" } else { "value" };
        let metric = Metric::higher(name).title("Value").precision(3);
        Ok(Description::new("misbehaving", "1.0.0", "Does as told.").metric(metric))
    }

    fn validate(data: &Data, _: &mut Feedback) -> Result<(), Failure> {
        if json(data.params())["admit"] == true {
            return Ok(());
        }
        let seen = data.predictions().len() + data.reference().len() * 100;
        Err(Failure::challenge(format!("seen: {seen}")))
    }

    fn score(data: &Data, feedback: &mut Feedback) -> Result<Report, Failure> {
        let (deed, n) = told(data.params());
        deeds::run(&deed, n, data, feedback)
    }
}
