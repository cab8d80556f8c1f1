//! What was done with a right that others do not have: by whom, when and why. Only ever added to.
//!
//! What participants do is in the events of their submissions.

use super::challenge::HoldKind;
use super::forge::Kind;
use super::id::{ChallengeId, EntrantId, HookId, PhaseId, SourceId, SubmissionId, TokenId};
use super::token::{Role, Token};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Act {
    /// A token was made.
    TokenMade {
        /// Its public half.
        made: TokenId,
        /// Its role.
        role: Role,
        /// Whom it stands for.
        subject: EntrantId,
    },
    /// A token was revoked.
    TokenRevoked {
        /// Which.
        revoked: TokenId,
    },
    /// A version was handed in.
    Published {
        /// Of which challenge.
        challenge: ChallengeId,
        /// Its number.
        version: u32,
    },
    /// A challenge's queue is held, or goes on.
    Queue {
        /// Whose.
        challenge: ChallengeId,
        /// How it is held; `None`: it goes on.
        hold: Option<HoldKind>,
    },
    /// An entrant may hand in beyond the rules.
    QuotaGranted {
        /// Of which challenge.
        challenge: ChallengeId,
        /// In which phase.
        phase: PhaseId,
        /// Who.
        entrant: EntrantId,
        /// How many more.
        extra: u32,
    },
    /// A forge may tell of tags from now on.
    SourceMade {
        /// Its name.
        source: SourceId,
        /// What it is.
        kind: Kind,
        /// What the addresses of its repositories begin with.
        base: String,
    },
    /// It may not any more.
    SourceRemoved {
        /// Its name.
        source: SourceId,
    },
    /// Somebody of a forge is an entrant from now on.
    UserLinked {
        /// The forge.
        source: SourceId,
        /// What it knows them by.
        user: String,
        /// Who they are here.
        entrant: EntrantId,
    },
    /// A web hook was made.
    HookMade {
        /// Of which challenge.
        challenge: ChallengeId,
        /// Its id.
        hook: HookId,
    },
    /// A web hook was removed.
    HookRemoved {
        /// Of which challenge.
        challenge: ChallengeId,
        /// Which.
        hook: HookId,
    },
    /// Somebody else's submission was called off.
    Cancelled {
        /// To which challenge.
        challenge: ChallengeId,
        /// Which.
        submission: SubmissionId,
        /// Whose.
        entrant: EntrantId,
    },
}

impl Act {
    /// The challenge that it is about, if it is about one.
    pub fn challenge(&self) -> Option<&ChallengeId> {
        match self {
            Self::TokenMade { .. }
            | Self::TokenRevoked { .. }
            | Self::SourceMade { .. }
            | Self::UserLinked { .. }
            | Self::SourceRemoved { .. } => None,
            Self::Published { challenge, .. }
            | Self::Queue { challenge, .. }
            | Self::QuotaGranted { challenge, .. }
            | Self::HookMade { challenge, .. }
            | Self::HookRemoved { challenge, .. }
            | Self::Cancelled { challenge, .. } => Some(challenge),
        }
    }
}

/// Something that somebody did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: EntrantId,
    /// With which token.
    pub token: TokenId,
    /// What.
    #[serde(flatten)]
    pub act: Act,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Deed {
    /// The bearer of `token` does it at `at`.
    pub fn new(token: &Token, at: Timestamp, act: Act, why: Option<String>) -> Self {
        Self { at, by: token.subject.clone(), token: token.id, act, why }
    }

    /// A publication is numbered by the store.
    #[must_use]
    pub fn numbered(mut self, number: u32) -> Self {
        if let Act::Published { version, .. } = &mut self.act {
            *version = number;
        }
        self
    }
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// Counted from 1, without gaps.
    pub seq: u64,
    /// What happened.
    #[serde(flatten)]
    pub deed: Deed,
}
