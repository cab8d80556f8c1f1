//! The shapes of queues, of exceptions from quotas, and of the log of what was done.

use gradus_core::domain::audit::Logged;
use gradus_core::domain::queue::{Load, Place, Span};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A range of time, measured on what ended lately: eight of ten lie in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpanInfo {
    /// Hardly less; milliseconds.
    pub least_ms: u64,
    /// Hardly more; milliseconds.
    pub most_ms: u64,
}

/// Where a submission stands that waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlaceInfo {
    /// How many begin before it, if nothing new comes.
    pub ahead: u64,
    /// When it begins, from now on; absent while too little is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_in: Option<SpanInfo>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_in: Option<SpanInfo>,
}

impl From<Span> for SpanInfo {
    fn from(Span { least, most }: Span) -> Self {
        Self { least_ms: least.0, most_ms: most.0 }
    }
}

impl From<Place> for PlaceInfo {
    fn from(Place { ahead, starts_in, ends_in }: Place) -> Self {
        Self { ahead, starts_in: starts_in.map(Into::into), ends_in: ends_in.map(Into::into) }
    }
}

/// How the queue of a challenge stands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QueueInfo {
    /// The challenge.
    pub challenge: String,
    /// `open`; `paused`: nothing begins, and what is handed in waits; `draining`: nothing is taken in, and what waits begins.
    pub state: String,
    /// Since when it is paused or draining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Submissions that are worked on.
    pub running: u64,
    /// Those that wait for their turn.
    pub waiting: u64,
    /// How many of these are organizers': they come first.
    pub organizers: u64,
    /// Of how many entrants and organizers they are.
    pub entrants: u64,
    /// Those that wait for a time, after trouble on our side.
    pub delayed: u64,
    /// Those that wait for GPUs that the server does not have.
    pub parked: u64,
    /// Why some wait for more than their turn: what most wait for comes first, and what few wait for is counted together.
    #[serde(default)]
    pub reasons: Vec<WaitReason>,
}

/// Reasons that are told of one challenge, at most; the others are counted together.
const MAX_REASONS: usize = 8;

/// What some submissions wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitReason {
    /// How many.
    pub count: u64,
    /// What each of them waits for, as its participant is told; operators are told what is wrong with the engine, too.
    pub why: String,
}

impl QueueInfo {
    /// That of a challenge that is open.
    pub fn open(challenge: String, load: &Load) -> Self {
        let reasons = load.reasons.iter().map(|(why, count)| WaitReason { count: *count, why: why.clone() });
        let mut reasons: Vec<_> = reasons.collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        let others = reasons.split_off(MAX_REASONS.min(reasons.len()));
        let count = others.iter().map(|reason| reason.count).sum();
        reasons.extend((count > 0).then(|| WaitReason { count, why: "other reasons".to_owned() }));
        Self {
            challenge,
            state: "open".to_owned(),
            since: None,
            why: None,
            running: load.running,
            waiting: load.organizers + load.entrants,
            organizers: load.organizers,
            entrants: load.seats,
            delayed: load.delayed,
            parked: load.parked,
            reasons,
        }
    }
}

/// How a queue is to stand.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewQueueState {
    /// `open`, `paused` or `draining`.
    pub state: String,
    /// Why: participants read it, and it is logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Submissions beyond the rules.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// The phase.
    pub phase: String,
    /// Who gets them.
    pub entrant: String,
    /// How many more, 1 to 10 000.
    pub extra: u32,
    /// Why: it is logged.
    pub why: String,
}

/// What an entrant has beyond the rules.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GrantInfo {
    /// The phase.
    pub phase: String,
    /// Who.
    pub entrant: String,
    /// How many are left.
    pub extra: u32,
}

/// Something that somebody did with a right that others do not have.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeedInfo {
    /// Counted from 1 on each server, without gaps.
    pub seq: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// With which token: its id.
    pub token: String,
    /// `token-made`, `token-revoked`, `published`, `queue`, `quota-granted`, `hook-made`, `hook-removed`,
    /// `source-made`, `source-removed` or `cancelled`; `about` says of what.
    pub act: String,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What it is about, in words: the challenge, the token that was made, and so on.
    pub about: BTreeMap<String, String>,
}

impl From<&Logged> for DeedInfo {
    fn from(Logged { seq, deed }: &Logged) -> Self {
        // All of its fields have a name in JSON; that of the act is its own.
        let word = |value: Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            value @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Some(value.to_string()),
        };
        let mut about: BTreeMap<String, String> = match serde_json::to_value(&deed.act) {
            Ok(Value::Object(about)) => {
                about.into_iter().filter_map(|(name, value)| Some((name, word(value)?))).collect()
            }
            Ok(_) | Err(_) => BTreeMap::new(),
        };
        let act = about.remove("act").unwrap_or_default();
        if act == "queue" {
            about.entry("hold".to_owned()).or_insert_with(|| "open".to_owned());
        }
        Self {
            seq: *seq,
            at: deed.at,
            by: deed.by.to_string(),
            token: deed.token.to_string(),
            act,
            why: deed.why.clone(),
            about,
        }
    }
}
