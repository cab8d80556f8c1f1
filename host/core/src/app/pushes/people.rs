//! Who somebody of a forge is here: the first push makes them a participant, and whatever they call themselves later, they stay
//! that one.

use super::super::forges::operators;
use super::super::{App, Refusal};
use crate::domain::audit::{Act, Deed};
use crate::domain::digest::Digest;
use crate::domain::forge::Pusher;
use crate::domain::id::{EntrantId, SourceId, TokenId};
use crate::domain::push::{ForgeUser, Push};
use crate::domain::token::Token;
use std::collections::HashSet;

/// Tokens that are read at once.
const PAGE: usize = 256;
/// Letters of a name that are kept in an entrant's.
const KEPT: usize = 40;
/// Names with a number behind them that are tried.
const TRIED: usize = 20;

impl App {
    /// Whose a push is.
    pub(super) fn entrant_of(&self, push: &Push) -> Result<EntrantId, Refusal> {
        // A server that does not say who pushed tells people apart by their projects.
        let pusher = push.pusher.clone().unwrap_or_else(|| Pusher {
            id: format!("project {}", push.project.id),
            name: Some(push.project.path.clone()),
        });
        let name = pusher.name.as_deref().unwrap_or(&pusher.id);
        let user = |entrant| ForgeUser {
            source: push.source.clone(),
            id: pusher.id.clone(),
            name: pusher.name.clone(),
            entrant,
            since: push.at,
        };
        if let Some(known) = self.store.forge_user(&push.source, &pusher.id)? {
            if known.name != pusher.name {
                self.store.know_user(&user(known.entrant.clone()))?;
            }
            return Ok(known.entrant);
        }
        let subjects = self.subjects()?;
        for entrant in candidates(&push.source, name, &pusher.id) {
            // Whoever has a token under that name is somebody else, until the operator says otherwise.
            if !subjects.contains(&entrant)
                && let Some(known) = self.store.know_user(&user(entrant))?
            {
                return Ok(known.entrant);
            }
        }
        Err(Refusal::Contended)
    }

    /// All who have, or had, a token.
    fn subjects(&self) -> Result<HashSet<EntrantId>, Refusal> {
        let (mut all, mut after) = (HashSet::new(), None::<TokenId>);
        loop {
            let page = self.store.tokens(after, PAGE)?;
            let Some(last) = page.last() else { return Ok(all) };
            after = Some(last.id);
            all.extend(page.into_iter().map(|token| token.subject));
        }
    }

    /// Makes somebody of a forge an entrant who is here already: what they push from now on is theirs.
    ///
    /// # Errors
    /// Not the bearer's to do; there is no such forge.
    pub fn link_user(
        &self,
        token: &Token,
        source: &SourceId,
        id: &str,
        entrant: EntrantId,
    ) -> Result<ForgeUser, Refusal> {
        operators(token)?;
        if self.store.source(source)?.is_none() {
            return Err(Refusal::Unknown("forge"));
        }
        let plain = (1..=255).contains(&id.chars().count()) && !id.contains(char::is_control);
        if !plain {
            return Err(Refusal::NoSource("a user's id at a forge has 1 to 255 characters".to_owned()));
        }
        let now = self.clock.now();
        let known = self.store.forge_user(source, id)?;
        let name = known.and_then(|known| known.name);
        let user = ForgeUser { source: source.clone(), id: id.to_owned(), name, entrant, since: now };
        let act = Act::UserLinked { source: source.clone(), user: user.id.clone(), entrant: user.entrant.clone() };
        self.store.link_user(&user, &Deed::new(token, now, act, None))?;
        Ok(user)
    }

    /// Who of a forge is known, by what it knows them by, after `after`.
    ///
    /// # Errors
    /// Not the bearer's to know; there is no such forge.
    pub fn forge_users(
        &self,
        token: &Token,
        source: &SourceId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ForgeUser>, Refusal> {
        operators(token)?;
        let users = self.store.forge_users(source, after, limit)?;
        if users.is_empty() && self.store.source(source)?.is_none() {
            return Err(Refusal::Unknown("forge"));
        }
        Ok(users)
    }
}

/// Names for somebody new: what they are called at the forge, with a number if that is taken; at last one of their id alone.
fn candidates(source: &SourceId, name: &str, id: &str) -> impl Iterator<Item = EntrantId> {
    let mut plain = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => plain.push(c),
            _ if plain.ends_with('-') || plain.is_empty() => {}
            _ => plain.push('-'),
        }
        if plain.len() >= KEPT {
            break;
        }
    }
    let plain = plain.trim_end_matches('-').to_owned();
    let plain = if plain.is_empty() { "user".to_owned() } else { plain };
    // The forge's name is cut if need be: it tells no two of one forge apart.
    let forge: String = source.as_str().chars().take(64 - KEPT - 4).collect();
    let numbered = move |n: usize| match n {
        1 => format!("{forge}-{plain}"),
        _ => format!("{forge}-{plain}-{n}"),
    };
    let last = format!("user-{}", &Digest::of(format!("{source} {id}").as_bytes()).hex()[..32]);
    (1..=TRIED).map(numbered).chain([last]).filter_map(|name| name.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_called_as_their_forge_calls_them() {
        let source = "uni".parse().unwrap();
        for (name, first) in [
            ("anna", "uni-anna"),
            ("Anna.Müller", "uni-anna-m-ller"),
            ("__--__", "uni-user"),
            ("Ωμέγα", "uni-user"),
            ("../../etc", "uni-etc"),
        ] {
            assert_eq!(candidates(&source, name, "7").next().unwrap().as_str(), first, "{name}");
        }
        let long = candidates(&"s".repeat(64).parse().unwrap(), &"x".repeat(300), "7").collect::<Vec<_>>();
        assert_eq!(long.len(), TRIED + 1, "each of them is a name");
        assert_eq!(long[1].as_str(), format!("{}-{}-2", "s".repeat(20), "x".repeat(40)));
        assert!(long[TRIED].as_str().starts_with("user-"));
    }
}
