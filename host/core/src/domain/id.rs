//! Names of things. A slug is chosen by a person, a ULID by the host; neither is ever a path.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use ulid::Ulid;

/// What is wrong with a name that somebody chose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a usable {what}: use 1 to 64 of `a-z`, `0-9` and `-`, and begin with a letter or digit")]
pub struct BadSlug {
    given: String,
    what: &'static str,
}

macro_rules! slug {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadSlug;
            fn from_str(text: &str) -> Result<Self, BadSlug> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadSlug;
            fn try_from(text: String) -> Result<Self, BadSlug> {
                let ok = (1..=64).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                    && !text.starts_with('-');
                if ok { Ok(Self(text)) } else { Err(BadSlug { given: text.chars().take(80).collect(), what: $what }) }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

slug!(/// A challenge, unique on a server.
    ChallengeId, "challenge id");
slug!(/// A phase, unique in its challenge.
    PhaseId, "phase id");
slug!(/// A task, unique in its challenge.
    TaskId, "task id");
slug!(/// A leaderboard, unique in its challenge.
    LeaderboardId, "leaderboard id");
slug!(/// Who competes: a person or a team, pseudonymous. Everything that a participant owns is keyed by it.
    EntrantId, "entrant id");
slug!(/// A forge that may tell of tags, unique on a server.
    SourceId, "source name");

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub Ulid);

        impl TryFrom<String> for $name {
            type Error = ulid::DecodeError;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl FromStr for $name {
            type Err = ulid::DecodeError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ulid::from_string(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

ulid_id!(/// One submission.
    SubmissionId);
ulid_id!(/// One operation that runs behind an answered request: a publication.
    OperationId);
ulid_id!(/// One run of a container.
    RunId);
ulid_id!(/// One token; the public half of it.
    TokenId);
ulid_id!(/// One web hook.
    HookId);
ulid_id!(/// What a web hook is told once.
    LetterId);
ulid_id!(/// One push of a tag, as a forge told of it.
    PushId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_small_and_plain() {
        for good in ["a", "0", "breast-cancer", &"x".repeat(64)] {
            assert!(good.parse::<ChallengeId>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a/b", "..", "a b", "ä", &"x".repeat(65)] {
            assert!(bad.parse::<ChallengeId>().is_err(), "{bad}");
        }
    }
}
