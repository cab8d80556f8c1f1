//! What the operator's graphs show of the queue, and of what ends.

use gradus_core::app::App;
use gradus_core::domain::id::ChallengeId;
use gradus_core::domain::push::{Push, PushState};
use gradus_core::domain::report::Cost;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// Challenges that have lines of their own, at most: each stays for as long as the process lives.
const CHALLENGES: usize = 500;
/// What stands for all others.
const OTHERS: &str = "(others)";

/// Those that have: of the whole process, as its metrics are.
static KNOWN: Mutex<BTreeSet<ChallengeId>> = Mutex::new(BTreeSet::new());

/// Whose line it is.
fn line_of(challenge: &ChallengeId) -> String {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() < CHALLENGES && !known.contains(challenge) {
        known.insert(challenge.clone());
    }
    if known.contains(challenge) { challenge.to_string() } else { OTHERS.to_owned() }
}

/// A job of `challenge` ended so.
pub fn ended(challenge: &ChallengeId, outcome: &'static str) {
    metrics::counter!("gradus_submissions_total", "challenge" => line_of(challenge), "outcome" => outcome).increment(1);
}

/// A scorer ran to an end.
#[expect(clippy::cast_precision_loss, reason = "a histogram takes floats, and what is lost of them is not seen")]
pub fn scored(challenge: &ChallengeId, cost: &Cost) {
    let challenge = line_of(challenge);
    metrics::histogram!("gradus_scorer_fuel", "challenge" => challenge.clone()).record(cost.fuel as f64);
    metrics::histogram!("gradus_scorer_memory_bytes", "challenge" => challenge).record(cost.peak_memory as f64);
}

/// A push was dealt with, or put off.
pub fn fetched(push: &Push, took: Duration) {
    let (source, state) = (push.source.to_string(), push.state.word());
    metrics::histogram!("gradus_fetch_seconds", "source" => source.clone()).record(took.as_secs_f64());
    metrics::counter!("gradus_pushes_total", "source" => source, "state" => state).increment(1);
    let (source, project, tag) = (&push.source, &push.project.path, &push.tag);
    match &push.state {
        PushState::Waiting { reason, attempts, .. } => {
            let why = push.trouble.as_ref().or(reason.as_ref());
            warn!(%source, project, %tag, attempts, why, "a pushed tag is no submission yet");
        }
        PushState::Refused { code, reason } if code == "platform" => {
            let why = push.trouble.as_ref().unwrap_or(reason);
            warn!(%source, project, %tag, why, "a pushed tag was given up");
        }
        PushState::Refused { code, .. } => info!(%source, project, %tag, code, "a pushed tag was refused"),
        PushState::Submitted { submission } | PushState::Same { submission } => {
            info!(%source, project, %tag, %submission, state, took_ms = took.as_millis(), "a pushed tag is a submission");
        }
        PushState::Passed => {}
    }
}

/// How the queue stands.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and a queue is short beside 2^53")]
pub fn load(app: &App) {
    // One that has nothing in the queue now may have had.
    let mut lines: BTreeMap<String, (u64, u64)> = {
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        // There is always one line: that there is none, tells that nobody is asked.
        let all = known.iter().map(ToString::to_string).chain([OTHERS.to_owned()]);
        all.map(|line| (line, (0, 0))).collect()
    };
    for (challenge, load) in app.load() {
        let (waiting, running) = lines.entry(line_of(&challenge)).or_default();
        *waiting += load.waiting();
        *running += load.running;
    }
    for (challenge, (waiting, running)) in lines {
        metrics::gauge!("gradus_queue_depth", "challenge" => challenge.clone()).set(waiting as f64);
        metrics::gauge!("gradus_jobs_running", "challenge" => challenge).set(running as f64);
    }
    let late = app.next_letter().ok().flatten().map(|due| app.clock.now().duration_since(due));
    metrics::gauge!("gradus_outbox_overdue_seconds").set(late.map_or(0.0, |late| late.as_secs_f64().max(0.0)));
    metrics::gauge!("gradus_pushes_waiting").set(app.waiting_pushes() as f64);
    let longest = app.longest_wait().map_or(0.0, |wait| wait.as_secs_f64());
    metrics::gauge!("gradus_queue_oldest_seconds").set(longest);
}
