//! The shapes of web hooks out.

use gradus_core::app::hooks::HookStanding;
use gradus_core::domain::hook::Hook;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where somebody wants to be told what becomes of submissions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHook {
    /// An address that begins with `https://`.
    pub url: String,
}

/// A web hook that was just made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MadeHook {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub url: String,
    /// What letters to it are signed with, as Standard Webhooks has it. It is not shown again.
    pub secret: String,
}

/// A web hook, and how its letters fare.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HookInfo {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub url: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub made_at: Timestamp,
    /// Who made it.
    pub by: String,
    /// Letters that are being sent, or sent again; at most 1 000 are counted.
    pub waiting: usize,
    /// Letters that were given up in the last seven days.
    pub given_up: usize,
    /// Why the newest of them was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A letter that is on its way.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LetterInfo {
    /// Its id: the header `webhook-id` has it.
    pub id: String,
}

impl From<Hook> for MadeHook {
    fn from(hook: Hook) -> Self {
        Self { id: hook.id.to_string(), url: hook.url, secret: hook.secret.0 }
    }
}

impl From<HookStanding> for HookInfo {
    fn from(HookStanding { hook, waiting, given_up, error }: HookStanding) -> Self {
        let Hook { id, url, made_at, by, .. } = hook;
        Self { id: id.to_string(), url, made_at, by: by.to_string(), waiting, given_up, error }
    }
}
