//! Web hooks out: where an organizer wants to be told what became of submissions, and what waits to be told.

use super::id::{ChallengeId, EntrantId, HookId, LetterId, PhaseId, SubmissionId};
use super::job::{Job, State};
use super::report::{Report, Score};
use super::submission::Submission;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;

/// What a letter is signed with. Shown once, when it is made, and nowhere else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

/// What secrets begin with.
const PREFIX: &str = "whsec_";

impl Secret {
    /// One of bytes that nobody can guess.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", BASE64.encode(bytes)))
    }

    /// The code of `text`, which who knows the secret can make, too: HMAC-SHA256, in Base64. `None`: it is no secret.
    pub fn code(&self, text: &str) -> Option<String> {
        self.code_of(&[text.as_bytes()])
    }

    /// The same of bytes in parts.
    pub fn code_of(&self, parts: &[&[u8]]) -> Option<String> {
        let key = BASE64.decode(self.0.strip_prefix(PREFIX)?).ok()?;
        let mut code = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        parts.iter().for_each(|part| code.update(part));
        Some(BASE64.encode(code.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where an organizer wants to be told what happens in a challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Its id.
    pub id: HookId,
    /// What it is told of.
    pub challenge: ChallengeId,
    /// Where it is.
    pub url: String,
    /// What it is signed with.
    pub secret: Secret,
    /// Since when.
    pub made_at: Timestamp,
    /// Who made it.
    pub by: EntrantId,
}

/// What a hook is told once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Its id: the same however often it is sent.
    pub id: LetterId,
    /// To whom.
    pub hook: HookId,
    /// Of which challenge.
    pub challenge: ChallengeId,
    /// What it says: a JSON document.
    pub body: String,
    /// When it was written.
    pub made_at: Timestamp,
    /// How often it was sent.
    pub attempts: u32,
    /// When it is sent next; `None`: it was given up.
    pub due: Option<Timestamp>,
    /// What came of it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Letter {
    /// Written now, to be sent at once.
    pub fn new(id: LetterId, hook: &Hook, body: String, now: Timestamp) -> Self {
        let (hook, challenge) = (hook.id, hook.challenge.clone());
        Self { id, hook, challenge, body, made_at: now, attempts: 0, due: Some(now), error: None }
    }

    /// The same after it was sent in vain: later each time, and given up in the end. `after`: what the other side asked for.
    #[must_use]
    pub fn put_off(mut self, error: String, after: Option<SignedDuration>, now: Timestamp) -> Self {
        let old = now.duration_since(self.made_at) > AGE;
        let pause = if old { None } else { pause(self.attempts, after) };
        self.attempts += 1;
        self.error = Some(error);
        self.due = pause.map(|pause| now.saturating_add(pause).unwrap_or(Timestamp::MAX));
        self
    }
}

/// One that is older than this is given up when it is not taken, however often it was sent.
const AGE: SignedDuration = SignedDuration::from_hours(3 * 24);

/// Scores that are told, at most: the report has all of them.
const MAX_SCORES: usize = 64;

/// Seconds from one attempt to the next: about two days in all.
pub const PAUSES: [i64; 10] = [5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400];

/// How long to wait after `tried` attempts in vain, if there is to be another; `after`: what the other side asked for.
pub fn pause(tried: u32, after: Option<SignedDuration>) -> Option<SignedDuration> {
    let usual = SignedDuration::from_secs(*PAUSES.get(usize::try_from(tried).ok()?)?);
    // As long as it wants, and not as long as it could wish.
    Some(after.map_or(usual, |after| after.clamp(usual, SignedDuration::from_secs(PAUSES[PAUSES.len() - 1]))))
}

/// What a hook is told, as it is sent.
#[derive(Debug, Serialize)]
struct Told<'a, D: Serialize> {
    r#type: &'a str,
    timestamp: Timestamp,
    data: D,
}

#[derive(Debug, Serialize)]
struct Ended<'a> {
    challenge: &'a ChallengeId,
    version: u32,
    phase: &'a PhaseId,
    submission: SubmissionId,
    entrant: &'a EntrantId,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    scores: &'a [Score],
    /// How many the report has beside these.
    #[serde(skip_serializing_if = "is_zero")]
    more_scores: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[derive(Debug, Serialize)]
struct Tried<'a> {
    challenge: &'a ChallengeId,
}

fn text(told: &Told<'_, impl Serialize>) -> String {
    serde_json::to_string(told).expect("names, numbers and times always have a JSON form")
}

/// That a submission has ended, with all its scores: organizers see them.
pub fn ended(submission: &Submission, job: &Job, report: Option<&Report>, now: Timestamp) -> String {
    let r#type = format!("submission.{}", job.state.word());
    let data = Ended {
        challenge: &submission.challenge,
        version: submission.version,
        phase: &submission.phase,
        submission: submission.id,
        entrant: &submission.entrant,
        state: job.state,
        outcome: job.outcome.as_ref().map(|outcome| outcome.word()),
        scores: report.map_or(&[], |report| &report.scores[..report.scores.len().min(MAX_SCORES)]),
        more_scores: report.map_or(0, |report| report.scores.len().saturating_sub(MAX_SCORES)),
    };
    text(&Told { r#type: &r#type, timestamp: now, data })
}

/// That somebody wants to see whether it arrives.
pub fn tried(hook: &Hook, now: Timestamp) -> String {
    text(&Told { r#type: "hook.test", timestamp: now, data: Tried { challenge: &hook.challenge } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_what_the_standard_says() {
        // The example of Standard Webhooks.
        let secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let text = r#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
        assert_eq!(secret.code(text).as_deref(), Some("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        let made = Secret::new([7; 32]);
        assert!(made.0.len() == 50 && made.code("").is_some() && Secret("x".to_owned()).code("").is_none());
    }

    #[test]
    fn a_letter_is_sent_later_each_time_and_given_up_in_the_end() {
        let now: Timestamp = "2026-02-01T12:00:00Z".parse().unwrap();
        let hook = Hook {
            id: HookId(ulid::Ulid::nil()),
            challenge: "c".parse().unwrap(),
            url: "https://example.org/".to_owned(),
            secret: Secret("whsec_hidden".to_owned()),
            made_at: now,
            by: "olga".parse().unwrap(),
        };
        assert!(!format!("{hook:?}").contains("hidden"));
        let mut letter = Letter::new(LetterId(ulid::Ulid::nil()), &hook, tried(&hook, now), now);
        assert_eq!(letter.body, r#"{"type":"hook.test","timestamp":"2026-02-01T12:00:00Z","data":{"challenge":"c"}}"#);
        let mut pauses = Vec::new();
        while letter.due.is_some() {
            letter = letter.put_off("away".to_owned(), None, now);
            pauses.extend(letter.due.map(|due| due.duration_since(now).as_secs()));
        }
        assert_eq!((pauses, letter.attempts), (PAUSES.to_vec(), 11));
        // What the other side asks for, within reason.
        let fresh = || Letter::new(LetterId(ulid::Ulid::nil()), &hook, String::new(), now);
        for (asked, pause) in [(1, 5), (60, 60), (1_000_000, 86_400)] {
            let letter = fresh().put_off("busy".to_owned(), Some(SignedDuration::from_secs(asked)), now);
            assert_eq!(letter.due.unwrap().duration_since(now).as_secs(), pause);
        }
    }
}
