//! Who is asking, and what of a challenge they may see.

use super::{App, Refusal};
use crate::domain::audit::{Act, Deed};
use crate::domain::challenge::{ChallengeRow, Version};
use crate::domain::id::{ChallengeId, EntrantId, TokenId};
use crate::domain::token::{Presented, Role, Token, may_read};
use crate::ports::store::Tracked;
use std::sync::Arc;

/// A challenge as somebody sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its row.
    pub row: ChallengeRow,
    /// The live version.
    pub version: Arc<Version>,
    /// Whether the one who asks organizes it.
    pub organizer: bool,
}

/// A submission as somebody sees it.
#[derive(Debug, Clone)]
pub struct SeenSubmission {
    /// The submission and its job.
    pub tracked: Tracked,
    /// The version that grades it.
    pub version: Arc<Version>,
    /// The live version: what may be seen follows its boards and dates.
    pub live: Arc<Version>,
    /// Whether the one who asks organizes its challenge, and so sees it whole.
    pub organizer: bool,
}

impl App {
    /// The token that `text` is, if it is one and holds.
    ///
    /// # Errors
    /// The store's.
    pub fn authenticate(&self, text: &str) -> Result<Option<Token>, Refusal> {
        let Some(presented) = Presented::parse(text) else { return Ok(None) };
        Ok(self.store.token(presented.id)?.filter(|token| token.accepts(&presented)))
    }

    /// Makes a token, for `by` if somebody asked for it. Returns the text for its bearer, which is nowhere else.
    ///
    /// # Errors
    /// The store's.
    pub fn grant(
        &self,
        by: Option<&Token>,
        role: Role,
        subject: EntrantId,
        challenges: Vec<ChallengeId>,
    ) -> Result<(Token, String), Refusal> {
        let now = self.clock.now();
        let presented = Presented::new(TokenId(self.clock.id(now)), self.clock.secret());
        let secret = presented.hash();
        let token = Token { id: presented.id, secret, role, subject, challenges, created_at: now, revoked_at: None };
        let act = Act::TokenMade { made: token.id, role, subject: token.subject.clone() };
        self.store.put_token(&token, by.map(|by| Deed::new(by, now, act, None)).as_ref())?;
        Ok((token, presented.reveal()))
    }

    /// Revokes a token: from now on it is refused.
    ///
    /// # Errors
    /// [`Refusal::Unknown`]: there is none of that id that holds.
    pub fn revoke(&self, by: &Token, revoked: TokenId) -> Result<(), Refusal> {
        let deed = Deed::new(by, self.clock.now(), Act::TokenRevoked { revoked }, None);
        let done = self.store.revoke_token(revoked, &deed)?;
        if done { Ok(()) } else { Err(Refusal::Unknown("token that holds")) }
    }

    /// The challenge `id`, if the bearer may see it. What they may not see is answered like what is not there.
    ///
    /// # Errors
    /// [`Refusal::UnknownChallenge`].
    pub fn see(&self, token: Option<&Token>, id: &ChallengeId) -> Result<Seen, Refusal> {
        let unknown = || Refusal::UnknownChallenge(id.clone());
        let row = self.store.challenge(id)?.ok_or_else(unknown)?;
        let version = self.version(id, row.live)?.ok_or_else(unknown)?;
        if !may_read(token, id, version.challenge.visibility, &row.owner) {
            return Err(unknown());
        }
        let organizer = token.is_some_and(|token| token.organizes(id, Some(&row.owner)));
        Ok(Seen { row, version, organizer })
    }

    /// The submission `id`, if it is the bearer's or of a challenge that they organize.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn see_submission(
        &self,
        token: &Token,
        id: crate::domain::id::SubmissionId,
    ) -> Result<SeenSubmission, Refusal> {
        let unknown = || Refusal::Unknown("submission");
        let tracked = self.store.submission(id)?.ok_or_else(unknown)?;
        let challenge = &tracked.submission.challenge;
        let row = self.store.challenge(challenge)?.ok_or_else(unknown)?;
        let organizer = token.organizes(challenge, Some(&row.owner));
        let own = tracked.submission.entrant == token.subject && token.submits(challenge);
        if !own && !organizer {
            return Err(unknown());
        }
        let version = self.version(challenge, tracked.submission.version)?.ok_or_else(unknown)?;
        let live = self.version(challenge, row.live)?.ok_or_else(unknown)?;
        Ok(SeenSubmission { tracked, version, live, organizer })
    }
}
