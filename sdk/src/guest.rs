//! The component's side of `wit/scoring.wit`: bindings, generated once and here, and what turns them into the types of
//! this crate.
//!
//! Exists only for wasm: natively an import would end the process, so nothing native can reach one.

use std::marker::PhantomData;

#[doc(hidden)]
#[allow(missing_docs, unsafe_code, reason = "generated from wit/scoring.wit; the ABI is raw pointers")]
#[allow(clippy::all, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "scorer",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "gradus_sdk::guest::bindings",
    });
}

use bindings::gradus::scoring::{data, feedback, types as wit};

use crate::Scorer;
use crate::data::{Data, File, Tree};
use crate::feedback::Feedback;
use crate::problem::Problem;
use crate::types::{Audience, Case, Description, Direction, Failure, Metric, Report, Score};

pub(crate) type HostFile = data::File;

/// What [`crate::export!`] makes a component of.
#[doc(hidden)]
#[derive(Debug)]
pub struct Component<S>(PhantomData<S>);

impl<S: Scorer> bindings::Guest for Component<S> {
    fn describe() -> Result<wit::Description, String> {
        S::describe(Data::host().params()).map(description)
    }

    fn validate() -> Result<(), wit::Failure> {
        S::validate(&Data::host(), &mut Feedback::host()).map_err(failure)
    }

    fn score() -> Result<wit::Report, wit::Failure> {
        S::score(&Data::host(), &mut Feedback::host()).map(report).map_err(failure)
    }
}

pub(crate) fn files(tree: Tree) -> Vec<File> {
    let files = match tree {
        Tree::Predictions => data::predictions(),
        Tree::Template => data::template(),
        Tree::Reference => data::reference(),
    };
    files.into_iter().map(|file| File::host(file.path(), file.size(), file)).collect()
}

pub(crate) fn params() -> String {
    data::params()
}

pub(crate) fn progress(done: u64, total: u64) {
    feedback::progress(done, total);
}

pub(crate) fn note(to: Audience, text: &str) {
    feedback::note(audience(to), text);
}

pub(crate) fn attach(to: Audience, name: &str, media_type: &str, bytes: &[u8]) -> Result<(), String> {
    feedback::attach(audience(to), name, media_type, bytes)
}

fn audience(audience: Audience) -> wit::Audience {
    match audience {
        Audience::Participant => wit::Audience::Participant,
        Audience::Organizer => wit::Audience::Organizer,
    }
}

fn description(from: Description) -> wit::Description {
    let Description { name, version, summary, metrics, params_schema } = from;
    let metrics = metrics.into_iter().map(metric).collect();
    wit::Description { name, version, summary, metrics, params_schema }
}

fn metric(from: Metric) -> wit::Metric {
    let Metric { name, title, direction, unit, precision } = from;
    let direction = match direction {
        Direction::HigherIsBetter => wit::Direction::HigherIsBetter,
        Direction::LowerIsBetter => wit::Direction::LowerIsBetter,
    };
    wit::Metric { name, title, direction, unit, precision }
}

fn report(from: Report) -> wit::Report {
    let scores = from.scores.into_iter().map(score).collect();
    wit::Report { scores, cases: from.cases.into_iter().map(case).collect() }
}

fn score(from: Score) -> wit::Score {
    let Score { metric, value, split } = from;
    wit::Score { metric, value, split }
}

fn case(from: Case) -> wit::Case {
    let Case { id, group, scores, passed, message, audience: to } = from;
    wit::Case { id, group, scores: scores.into_iter().map(score).collect(), passed, message, audience: audience(to) }
}

fn failure(from: Failure) -> wit::Failure {
    match from {
        Failure::InvalidChallenge(message) => wit::Failure::InvalidChallenge(message),
        Failure::InvalidSubmission(problems) => {
            let (first, total) = problems.into_parts();
            let problem = |Problem { file, line, message }| wit::Problem { file, line, message };
            let first = first.into_iter().map(problem).collect();
            wit::Failure::InvalidSubmission(wit::Problems { first, total })
        }
    }
}
