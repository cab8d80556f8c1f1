//! What forges are told of the tags that they told of: the status of a commit, and what is owed to be told.

use super::job::{Job, State};
use super::push::{Push, PushState};
use super::report::{Fault, Outcome};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Characters of a status's text, at most: what the strictest forge takes.
pub const MAX_TEXT: usize = 140;
/// Forges are told for so long, if they do not take it; of one commit whose status they refuse, so long.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
const PATIENCE_WITH_ONE: SignedDuration = SignedDuration::from_hours(1);
/// How a submission stands that another tag is, too, is looked at so often: that tag is not told of when it changes.
const FOLLOWED: SignedDuration = SignedDuration::from_secs(2);
/// The longest pause between two tries.
const LONGEST: SignedDuration = SignedDuration::from_mins(10);

/// How a tag stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It waits.
    Pending,
    /// It is graded.
    Running,
    /// It was graded, whatever its score.
    Success,
    /// It could not be graded.
    Failed,
}

impl Standing {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }
}

/// The status of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitStatus {
    /// How it stands.
    pub standing: Standing,
    /// More, in a line that is public where the project is.
    pub text: String,
    /// Where there is more to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// What a forge is owed to be told of a push.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// How often something changed.
    pub marks: u64,
    /// From when on it is told; `None`: it knows.
    pub due: Option<Timestamp>,
    /// Tries in a row that failed, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<(u32, Timestamp)>,
    /// What it was told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<CommitStatus>,
}

impl Owed {
    /// Once something changed at `now`. One that is tried again later is tried then.
    #[must_use]
    pub fn marked(self, now: Timestamp) -> Self {
        let due = self.due.filter(|_| self.failing.is_some()).unwrap_or(now);
        Self { marks: self.marks + 1, due: Some(due), ..self }
    }

    /// Once it was told `status` of the change numbered `seen`; `None`: that is all that there is to tell. `follows`: nobody
    /// says when it changes.
    pub fn told(self, seen: u64, status: CommitStatus, follows: bool, now: Timestamp) -> Option<Self> {
        let over = matches!(status.standing, Standing::Success | Standing::Failed);
        let more = self.marks != seen;
        let later = if follows { now.checked_add(FOLLOWED).ok() } else { None };
        let next = Self { due: if more { Some(now) } else { later }, failing: None, told: Some(status), ..self };
        (more || !over).then_some(next)
    }

    /// Once a try failed at `now`, with how long the forge asks us to wait; `whole`: it takes none of anything, and not only not
    /// this. `None`: it was tried for long enough.
    pub fn put_off(self, after: Option<SignedDuration>, whole: bool, now: Timestamp) -> Option<Self> {
        let (tries, since) = self.failing.unwrap_or((0, now));
        if now.duration_since(since) >= if whole { PATIENCE } else { PATIENCE_WITH_ONE } {
            return None;
        }
        let pause = SignedDuration::from_secs(1 << tries.min(10)).max(after.unwrap_or_default()).min(LONGEST);
        let due = now.checked_add(pause).ok();
        Some(Self { due, failing: Some((tries + 1, since)), ..self })
    }
}

/// How a push stands that is no submission; `None`: nothing is said of it.
pub fn of_push(push: &Push) -> Option<CommitStatus> {
    let (standing, text) = match &push.state {
        PushState::Waiting { reason: Some(reason), .. } => (Standing::Pending, reason.clone()),
        PushState::Refused { reason, .. } => (Standing::Failed, reason.clone()),
        PushState::Waiting { reason: None, .. }
        | PushState::Passed
        | PushState::Submitted { .. }
        | PushState::Same { .. } => {
            return None;
        }
    };
    Some(CommitStatus { standing, text: short(&text), target: None })
}

/// How a submission stands; `scored`: its score in words.
pub fn of_job(job: &Job, scored: impl FnOnce() -> String) -> CommitStatus {
    let reason = || job.reason.clone().map_or_else(String::new, |reason| format!(": {reason}"));
    let (standing, text) = match job.state {
        State::Queued => (Standing::Pending, "it waits for its turn".to_owned()),
        State::Fetching | State::Building | State::Running => (Standing::Running, "its program runs".to_owned()),
        State::Scoring => (Standing::Running, "it is scored".to_owned()),
        State::Scored => (Standing::Success, scored()),
        State::Cancelled => (Standing::Failed, "it was cancelled".to_owned()),
        State::Failed => {
            let text = match (job.fault, &job.outcome) {
                (Some(Fault::Challenge), _) => {
                    "the organizer's scorer failed; they were told; it cost you nothing".to_owned()
                }
                (Some(Fault::Platform), _) => format!("it failed on our side; it cost you nothing{}", reason()),
                (Some(Fault::Participant) | None, Some(Outcome::InvalidSubmission)) => {
                    "the format check found problems: see the submission".to_owned()
                }
                (Some(Fault::Participant) | None, Some(outcome)) => {
                    format!("it failed ({}){}", outcome.word(), reason())
                }
                (Some(Fault::Participant) | None, None) => format!("it failed{}", reason()),
            };
            (Standing::Failed, text)
        }
    };
    CommitStatus { standing, text: short(&text), target: None }
}

/// One line that every forge takes.
pub fn short(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if plain.chars().count() <= MAX_TEXT {
        return plain;
    }
    plain.chars().take(MAX_TEXT - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn status(standing: Standing) -> CommitStatus {
        CommitStatus { standing, text: "x".into(), target: None }
    }

    #[test]
    fn what_changes_while_it_is_told_is_told_again() {
        let owed = Owed::default().marked(at(1));
        assert_eq!((owed.marks, owed.due), (1, Some(at(1))));
        let known = owed.clone().told(1, status(Standing::Running), false, at(2)).unwrap();
        assert_eq!((known.due, known.told.as_ref()), (None, Some(&status(Standing::Running))));
        assert_eq!(known.marked(at(3)).told(2, status(Standing::Success), true, at(4)), None, "it ended");
        let followed = owed.clone().told(1, status(Standing::Pending), true, at(2)).unwrap();
        assert_eq!(followed.due, Some(at(4)), "nobody says when another's submission changes");
        let again = owed.marked(at(2)).told(1, status(Standing::Success), false, at(3)).unwrap();
        assert_eq!(again.due, Some(at(3)), "something changed after that");
    }

    #[test]
    fn a_forge_that_does_not_take_it_is_tried_less_often_and_not_for_ever() {
        let (mut owed, mut now, mut pauses) = (Some(Owed::default().marked(at(0))), at(0), Vec::new());
        while let Some(next) = owed.take().and_then(|owed| owed.put_off(None, true, now)) {
            let due = next.due.unwrap();
            pauses.push(due.duration_since(now).as_secs());
            assert_eq!(next.clone().marked(now).due, Some(due), "a change is no reason to try at once");
            now = due;
            owed = Some(next);
        }
        assert_eq!((&pauses[..4], pauses.last(), pauses.len() > 140), (&[1, 2, 4, 8][..], Some(&600), true));
        let asked = Owed::default().put_off(Some(SignedDuration::from_secs(77)), false, at(0)).unwrap();
        assert_eq!(asked.due, Some(at(77)));
        let one = Owed { failing: Some((9, at(0))), ..Owed::default() };
        assert!(one.clone().put_off(None, true, at(3_600)).is_some() && one.put_off(None, false, at(3_600)).is_none());
    }

    #[test]
    fn texts_fit_into_what_forges_take() {
        assert_eq!(short("a\nb"), "a b");
        let cut = short(&"ä".repeat(200));
        assert!(cut.chars().count() == MAX_TEXT && cut.ends_with('…'));
    }
}
