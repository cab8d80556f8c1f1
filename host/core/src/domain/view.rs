//! Who sees what of a report. Reports are stored whole; what leaves is cut here and nowhere else.
//!
//! A participant gets the scores of revealed splits, rounded; cases, notes and attachments addressed to participants; no
//! cost while the task can be handed in to, as fuel is a function of hidden labels; no detail of the scorer's failure;
//! and the digest of the reference data only in a keyed form, with its salt once nobody can use a confirmed guess.

use super::challenge::{Challenge, Leaderboard, PhaseState, Version};
use super::digest::Digest;
use super::metric::{Description, rounded};
use super::report::{Attachment, Audience, Case, Cost, Fault, Note, Outcome, Problems, Report, Score};
use super::submission::Submission;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The digests that a participant sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenDigests {
    /// Of the predictions.
    pub predictions: Digest,
    /// HMAC-SHA-256 of the reference digest under the task's salt, hex.
    pub reference_keyed: String,
    /// The salt, once every phase on the same reference data is over and every split revealed: from then on anybody can
    /// check the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_salt: Option<String>,
    /// Of the scorer's component.
    pub scorer: Digest,
    /// Of the parameters.
    pub params: Digest,
}

/// A report as a participant sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeenReport {
    /// Version of the shape.
    pub report: u32,
    /// How it ended. A limit's figures are left out.
    pub outcome: String,
    /// Whose doing it is.
    pub fault: Option<Fault>,
    /// What that means for the participant, when it is not their doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Scores, rounded to each metric's precision.
    pub scores: Vec<Score>,
    /// Cases addressed to participants.
    pub cases: Vec<Case>,
    /// What is wrong with the submission.
    pub problems: Problems,
    /// Notes addressed to participants.
    pub notes: Vec<Note>,
    /// Attachments addressed to participants.
    pub attachments: Vec<Attachment>,
    /// What the result depends on.
    pub digests: SeenDigests,
    /// The engine's fingerprint.
    pub engine: String,
    /// What the run used, once every phase of the task is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// What a participant reads when the fault is not theirs.
fn message(fault: Option<Fault>, refunded: bool) -> Option<String> {
    match fault {
        Some(Fault::Challenge) if refunded => Some(
            "The organizer's scorer failed, and not your submission; it cost you nothing; please tell them.".into(),
        ),
        Some(Fault::Challenge) => {
            Some("The organizer's scorer failed, and not your submission; please tell them.".into())
        }
        Some(Fault::Platform) => {
            Some("Something failed on our side, and it cost you nothing; please hand in again.".into())
        }
        Some(Fault::Participant) | None => None,
    }
}

/// Whether participants may see scores of `split` in `phase`: each board that takes the phase's scores has to show it.
/// Without a board, splits stay hidden: nothing says that they may be seen.
fn reveals(boards: &[&Leaderboard], split: Option<&str>, now: Timestamp) -> bool {
    split.is_none() || (!boards.is_empty() && boards.iter().all(|board| board.shows(split, now)))
}

/// Whether nobody can hand in any more to what is graded with the same reference data, and at least the phase that
/// `submission` came in has been: from then on what a run cost tells nothing that could still be used. Phases may share a
/// task, and tasks a file; `version` knows which the submission was graded with, whatever its task is called by now.
fn over(version: &Version, rules: &Challenge, submission: &Submission, now: Timestamp) -> bool {
    let closed = |phase: &super::challenge::Phase| phase.state(now) == PhaseState::Closed;
    let Some(graded) = version.challenge.task(&submission.task) else { return false };
    let overlap = |a: &str, b: &str| a == b || [(a, b), (b, a)].iter().any(|(a, b)| a.starts_with(&format!("{b}/")));
    let shares = |phase: &&super::challenge::Phase| {
        let task = rules.task(&phase.task);
        phase.task == submission.task || task.is_some_and(|task| overlap(&task.reference, &graded.reference))
    };
    rules.phase(&submission.phase).is_some_and(closed) && rules.phases.iter().filter(shares).all(closed)
}

/// The report of `submission` as its participant sees it at `now`. `version` graded it; `rules` is the live version's
/// challenge, whose boards and dates say what may be seen now; `refunded`: its charge was given back.
pub fn for_participant(
    report: &Report,
    submission: &Submission,
    version: &Version,
    rules: &Challenge,
    refunded: bool,
    now: Timestamp,
) -> SeenReport {
    let scorer = version.scorers.get(&submission.task);
    let boards: Vec<_> = rules.boards_of(&submission.phase).collect();
    let over = over(version, rules, submission, now);
    let open = |board: &Leaderboard| board.split.is_none() || board.reveal.is_some_and(|reveal| now >= reveal);
    let all_revealed = rules.leaderboards.iter().all(open);
    let theirs = |audience: Audience| audience == Audience::Participant;
    let hidden = |metric: &str| {
        // What one board hides would be told by the report if it went by the other boards.
        let columns = || rules.leaderboards.iter().flat_map(|board| &board.columns);
        columns().any(|column| column.hidden && column.metric == metric)
    };
    let revealed = |score: &Score| reveals(&boards, score.split.as_deref(), now);
    let seen = |score: &&Score| revealed(score) && !hidden(&score.metric);
    let cut = |scores: &[Score]| -> Vec<Score> {
        let shown = scores.iter().filter(seen);
        shown.map(|score| shown_score(score, scorer.map(|scorer| &scorer.description))).collect()
    };
    // A case of a hidden split, or of hidden metrics alone, tells by its words and its mark what its scores would.
    let told = |case: &&Case| {
        let shown = case.scores.is_empty() || case.scores.iter().any(|score| !hidden(&score.metric));
        theirs(case.audience) && case.scores.iter().all(revealed) && shown
    };
    SeenReport {
        report: report.report,
        outcome: report.outcome.word().to_owned(),
        fault: report.fault,
        message: message(report.fault, refunded),
        scores: cut(&report.scores),
        cases: (report.cases.iter().filter(told))
            .map(|case| Case { scores: cut(&case.scores), ..case.clone() })
            .collect(),
        problems: report.problems.clone(),
        notes: report.notes.iter().filter(|note| theirs(note.audience)).cloned().collect(),
        attachments: report.attachments.iter().filter(|file| theirs(file.audience)).cloned().collect(),
        digests: SeenDigests {
            predictions: report.digests.predictions,
            // Without a salt there is nothing to key it with, and bare it confirms guesses.
            reference_keyed: scorer.map_or_else(String::new, |scorer| keyed(report.digests.reference, &scorer.salt)),
            reference_salt: scorer.filter(|_| over && all_revealed).map(|scorer| scorer.salt.clone()),
            scorer: report.digests.scorer,
            params: report.digests.params,
        },
        engine: report.engine.clone(),
        cost: (over && report.outcome == Outcome::Scored).then_some(report.cost),
    }
}

/// A score as it is shown: rounded to its metric's precision.
pub fn shown_score(score: &Score, description: Option<&Description>) -> Score {
    let precision = description.and_then(|about| about.metric(&score.metric)).map_or(12, |metric| metric.precision);
    Score { value: rounded(score.value, precision), ..score.clone() }
}

/// HMAC-SHA-256 of `digest` under `salt`, hex.
fn keyed(digest: Digest, salt: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(digest.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}
