//! Tokens and roles: who may do what. A token carries one role and may be narrowed to one challenge.
//!
//! Where a token travels and how its secret is made is not decided here; only its hash comes in.

use super::challenge::Visibility;
use super::digest::Digest;
use super::id::{ChallengeId, EntrantId, TokenId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use subtle::ConstantTimeEq as _;

/// What a token lets its bearer do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Operator,
    /// Publish challenges and see everything of those that are theirs.
    Organizer,
    /// Hand in, and see their own and what is public.
    Participant,
}

/// A token as it is stored: without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its public half.
    pub id: TokenId,
    /// SHA-256 of its secret half, which has 256 bits of randomness, so that a slow hash would add nothing.
    pub secret: Digest,
    /// What it lets its bearer do.
    pub role: Role,
    /// The person or team that it stands for.
    pub subject: EntrantId,
    /// Valid for these challenges only. Organizers may publish and see them even where somebody else owns them.
    pub challenges: Vec<ChallengeId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on it is refused.
    pub revoked_at: Option<Timestamp>,
}

/// What a bearer presents: `gradus_<id>_<64 hex digits>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    /// The public half.
    pub id: TokenId,
    secret: [u8; 32],
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({}, …)", self.id)
    }
}

impl Presented {
    /// A new token from an id and 32 random bytes.
    pub fn new(id: TokenId, secret: [u8; 32]) -> Self {
        Self { id, secret }
    }

    /// Reads what a bearer sent.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix("gradus_")?.split_once('_')?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(secret, &mut bytes).ok()?;
        Some(Self { id: id.parse().ok()?, secret: bytes })
    }

    /// The text to hand to the bearer, once.
    pub fn reveal(&self) -> String {
        format!("gradus_{}_{}", self.id, hex::encode(self.secret))
    }

    /// The hash that is stored.
    pub fn hash(&self) -> Digest {
        Digest::of(&self.secret)
    }
}

impl Token {
    /// Whether `presented` is this token, and it still holds.
    pub fn accepts(&self, presented: &Presented) -> bool {
        let same: bool = self.secret.as_bytes().ct_eq(presented.hash().as_bytes()).into();
        same && self.id == presented.id && self.revoked_at.is_none()
    }

    /// Whether the bearer runs the whole server.
    pub fn is_operators(&self) -> bool {
        self.role == Role::Operator && self.challenges.is_empty()
    }

    /// Whether the token reaches `challenge` at all.
    fn reaches(&self, challenge: &ChallengeId) -> bool {
        self.challenges.is_empty() || self.challenges.contains(challenge)
    }

    /// Whether the bearer organizes `challenge`, which `owner` published first, if anybody has.
    pub fn organizes(&self, challenge: &ChallengeId, owner: Option<&EntrantId>) -> bool {
        match self.role {
            Role::Operator => self.reaches(challenge),
            Role::Organizer if self.challenges.is_empty() => owner.is_none_or(|owner| *owner == self.subject),
            Role::Organizer => self.reaches(challenge),
            Role::Participant => false,
        }
    }

    /// Whether the bearer may hand in to `challenge`.
    pub fn submits(&self, challenge: &ChallengeId) -> bool {
        self.reaches(challenge)
    }
}

/// Whether the bearer of `token`, or somebody without one, may read the public parts of a challenge.
pub fn may_read(token: Option<&Token>, challenge: &ChallengeId, visibility: Visibility, owner: &EntrantId) -> bool {
    match (visibility, token) {
        (Visibility::Public | Visibility::Listed, _) => true,
        (Visibility::Private, None) => false,
        // A private challenge is for those whose token names it: any participant of the server is not enough.
        (Visibility::Private, Some(token)) => {
            token.organizes(challenge, Some(owner)) || token.challenges.contains(challenge)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(role: Role, challenges: &[&str]) -> Token {
        Token {
            id: TokenId(ulid::Ulid::from_parts(1, 1)),
            secret: Digest::of(&[7; 32]),
            role,
            subject: "anna".parse().unwrap(),
            challenges: challenges.iter().map(|c| c.parse().unwrap()).collect(),
            created_at: Timestamp::UNIX_EPOCH,
            revoked_at: None,
        }
    }

    #[test]
    fn a_token_is_taken_only_with_its_secret_and_until_revoked() {
        let token = token(Role::Participant, &[]);
        let presented = Presented::new(token.id, [7; 32]);
        assert_eq!(Presented::parse(&presented.reveal()), Some(presented.clone()));
        assert!(token.accepts(&presented));
        assert!(!token.accepts(&Presented::new(token.id, [8; 32])));
        assert!(!Token { revoked_at: Some(Timestamp::UNIX_EPOCH), ..token }.accepts(&presented));
        assert!(!format!("{presented:?}").contains(&hex::encode([7; 32])));
    }

    #[test]
    fn who_organizes_what() {
        let (mine, other) = ("anna".parse().unwrap(), "ben".parse().unwrap());
        let challenge = "c".parse().unwrap();
        for (role, challenges, owner, expected) in [
            (Role::Operator, vec![], Some(&other), true),
            (Role::Operator, vec!["d"], Some(&other), false),
            (Role::Organizer, vec![], None, true),
            (Role::Organizer, vec![], Some(&mine), true),
            (Role::Organizer, vec![], Some(&other), false),
            (Role::Organizer, vec!["c"], Some(&other), true),
            (Role::Organizer, vec!["d"], Some(&mine), false),
            (Role::Participant, vec!["c"], Some(&mine), false),
        ] {
            assert_eq!(token(role, &challenges).organizes(&challenge, owner), expected, "{role:?} {challenges:?}");
        }
    }

    #[test]
    fn a_private_challenge_is_for_tokens_that_name_it() {
        let (challenge, owner) = ("c".parse().unwrap(), "ben".parse().unwrap());
        let reads = |token: Option<&Token>| may_read(token, &challenge, Visibility::Private, &owner);
        assert!(!reads(None));
        assert!(!reads(Some(&token(Role::Participant, &[]))));
        assert!(!reads(Some(&token(Role::Participant, &["d"]))));
        assert!(reads(Some(&token(Role::Participant, &["c"]))));
        assert!(reads(Some(&token(Role::Operator, &[]))));
    }
}
