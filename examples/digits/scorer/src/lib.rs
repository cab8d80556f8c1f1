//! Scores the digits challenge: look-alikes cost less than gross mistakes.
//!
//! An example of a scorer of one's own. This file is the part that meets Gradus: what the scorer is, what it reads,
//! what it reports. [`digit`], [`costs`] and [`tally`] are the arithmetic, [`answers`] finds what is wrong with a file,
//! [`settings`] reads the parameters. `cargo test` runs all of it natively.
//!
//! It deliberately knows no file format, no limits and no leaderboard: the SDK and the server do.
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that fails may panic")
)]

pub mod answers;
pub mod costs;
pub mod digit;
pub mod settings;
pub mod tally;

use gradus_sdk::table::Options;
use gradus_sdk::{Audience, Case, Data, Description, Failure, Feedback, Metric, Params, Problems, Report, Scorer};

use answers::Answers;
use digit::Digit;
use settings::Settings;
use tally::Tally;

/// The scorer.
#[derive(Debug)]
pub struct Digits;

impl Scorer for Digits {
    fn describe(params: &Params) -> Result<Description, String> {
        Settings::parse(params)?;
        let summary = "Ten digits: 1 − the mean cost of the mistakes, the weakest recall, accuracy.";
        Ok(Description::new("digits", env!("CARGO_PKG_VERSION"), summary)
            .metric(Metric::higher("thrift").title("Thrift"))
            .metric(Metric::higher("weakest_recall").title("Weakest digit"))
            .metric(Metric::higher("accuracy").title("Accuracy"))
            .schema(settings::SCHEMA))
    }

    fn validate(data: &Data, _: &mut Feedback) -> Result<(), Failure> {
        let settings = Settings::parse(data.params()).map_err(Failure::challenge)?;
        checked(data, &settings, &Options::at_the_door().cells(LONGEST_CELL)).map(drop)
    }

    fn score(data: &Data, feedback: &mut Feedback) -> Result<Report, Failure> {
        let settings = Settings::parse(data.params()).map_err(Failure::challenge)?;
        let options = Options::default().cells(LONGEST_CELL);
        let truth = own("reference", |wrong| Answers::read(data.reference(), &settings, &options, wrong))?;
        let wanted = own("reference", |wrong| Ok(truth.ids(wrong)))?;
        let answers = checked(data, &settings, &options.expecting(truth.len()))?;
        let mut problems = Problems::new();
        let rows = answers.line_up(&wanted, &mut problems);
        if !problems.is_empty() && !data.template().is_empty() {
            return Err(Failure::challenge(format!("reference and template have different ids: {problems}")));
        }
        problems.into_result()?;

        let mut tally = Tally::default();
        for (row, answer) in rows.into_iter().enumerate() {
            if let (Some(truth), Some(answer)) = (truth.digit(row), answers.digit(answer)) {
                tally.add(truth, answer);
            }
        }
        tell(&tally, feedback);
        report(&tally, &settings).ok_or_else(|| Failure::challenge("the reference has no rows; add some"))
    }
}

gradus_sdk::export!(Digits);

/// Longest id, in bytes. Nobody needs more, and without a bound there could be a megabyte in every row.
const LONGEST_CELL: usize = 256;

/// The answers, if nothing is wrong with them that can be told without the reference data.
fn checked(data: &Data, settings: &Settings, options: &Options) -> Result<Answers, Failure> {
    let template = match data.template() {
        [] => None,
        files => Some(own("template", |wrong| Answers::read(files, settings, options, wrong))?),
    };
    let mut options = options.clone();
    // At the door a large template is read in part, and then names neither all ids nor how many there are.
    let template = template.filter(Answers::is_whole);
    if let Some(template) = &template {
        options = options.expecting(template.len());
    }
    let mut problems = Problems::new();
    let answers = Answers::read(data.predictions(), settings, &options, &mut problems)?;
    match &template {
        Some(template) => {
            answers.line_up(&own("template", |wrong| Ok(template.ids(wrong)))?, &mut problems);
        }
        None => drop(answers.ids(&mut problems)),
    }
    problems.into_result()?;
    Ok(answers)
}

/// Reads something of the challenge's own, where a problem is the organizer's.
fn own<T>(what: &str, read: impl FnOnce(&mut Problems) -> Result<T, Problems>) -> Result<T, Failure> {
    let challenge = |problems: Problems| Failure::challenge(format!("{what}: {problems}"));
    let mut problems = Problems::new();
    let value = read(&mut problems).map_err(challenge)?;
    if problems.is_empty() { Ok(value) } else { Err(challenge(problems)) }
}

/// The scores and a case for each digit; nothing without images.
fn report(tally: &Tally, settings: &Settings) -> Option<Report> {
    let (_, weakest) = tally.weakest()?;
    let report = Report::new()
        .score("thrift", tally.thrift(&settings.costs)?)
        .score("weakest_recall", weakest)
        .score("accuracy", tally.accuracy()?);
    let cases = Digit::all().filter_map(|digit| {
        let recall = tally.recall(digit)?;
        let message = format!("{} of {} read rightly", tally.count(digit, digit), tally.shown(digit));
        // For the organizer: who changes one answer between two submissions would read here which digit is the right one.
        let case = Case::new(format!("digit-{digit}")).score("accuracy", recall).passed(recall >= settings.pass);
        Some(case.message(message).audience(Audience::Organizer))
    });
    Some(cases.fold(report, Report::case))
}

/// Which digit is the weakest for the participant, who has its recall as a score; the whole table for the organizer. The
/// note gives away that one name and no count, at the price of a submission each time.
fn tell(tally: &Tally, feedback: &mut Feedback) {
    if let Some((digit, recall)) = tally.weakest().filter(|(_, recall)| *recall < 1.0) {
        feedback.note(Audience::Participant, format!("The weakest digit is {digit}."));
        let share = format!("Weakest digit: {digit}, of which {:.0} % were read rightly", recall * 100.0);
        let as_what = tally.mistaken_for(digit).map(|(other, _)| format!("; most often it was taken for {other}"));
        feedback.note(Audience::Organizer, format!("{share}{}.", as_what.unwrap_or_default()));
    }
    let table = tally.csv();
    if let Err(cap) = feedback.attach(Audience::Organizer, "confusion.csv", "text/csv", table.as_bytes()) {
        feedback.note(Audience::Organizer, format!("confusion.csv is not attached: {cap}"));
    }
}

#[cfg(test)]
mod tests;
