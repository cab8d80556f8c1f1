//! Forges: the operator says which there are, and what their hooks tell is kept before they have their answer.

use super::{App, Refusal};
use crate::domain::audit::{Act, Deed};
use crate::domain::digest::Digest;
use crate::domain::forge::{Access, Delivery, Kind, Proof, Source, Told};
use crate::domain::hook::Secret;
use crate::domain::id::{PushId, SourceId};
use crate::domain::push::Push;
use crate::domain::token::Token;
use crate::ports::forge_api::Untold;
use jiff::Timestamp;

/// Forges of a server, at most.
pub const MAX_SOURCES: usize = 1_000;
/// Characters of a secret that somebody chose.
const SECRET: std::ops::RangeInclusive<usize> = 16..=256;

/// A forge that is to tell of tags.
#[derive(Debug, Clone)]
pub struct NewSource {
    /// Its name.
    pub id: SourceId,
    /// What it is.
    pub kind: Kind,
    /// What the addresses of its repositories begin with.
    pub base: String,
    /// It sends a secret instead of signing with it: GitLab before version 19.
    pub by_token: bool,
    /// The secret, if the forge has it already.
    pub secret: Option<Secret>,
    /// Who we are there.
    pub access: Option<Access>,
    /// Whether it may be at an address of a private network, or of this machine.
    pub private: bool,
    /// Whether the forge is to be told to send its hooks here.
    pub register: bool,
}

fn refused(text: impl Into<String>) -> Refusal {
    Refusal::NoSource(text.into())
}

/// The address without a slash at its end, if repositories may be there.
fn base(given: &str, kind: Kind, private: bool) -> Result<String, Refusal> {
    let base = given.trim_end_matches('/');
    let rest = ["https://", "http://"].iter().find_map(|scheme| base.strip_prefix(scheme));
    let rest = rest.or_else(|| base.strip_prefix("file:///").filter(|_| kind == Kind::Plain));
    let Some(rest) = rest.filter(|rest| !rest.is_empty() && base.len() <= 1_024) else {
        return Err(refused(
            "the base is an address that begins with https:// or http://; of a plain server file:///, too",
        ));
    };
    if base.starts_with("http://") && !private {
        return Err(refused("a forge without TLS is one of a private network: say so (`private`), or use https://"));
    }
    if kind == Kind::Github && rest.contains('/') {
        return Err(refused("the base is where GitHub is, without an organisation: https://github.com"));
    }
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() {
        return Err(refused("the base has no host"));
    }
    if host.contains('@') {
        return Err(refused("the base has no name and no password in it: what is fetched with is told apart from it"));
    }
    if rest.contains(|c: char| c.is_whitespace() || c.is_control() || "?#\\".contains(c)) || rest.contains("..") {
        return Err(refused("the base is a plain address, without `?`, `#`, blanks and `..`"));
    }
    Ok(base.to_owned())
}

impl App {
    /// Lets a forge tell of tags from now on. The forge, and the secret that it proves its hooks with, which is not kept where
    /// it is sent.
    ///
    /// # Errors
    /// Not the bearer's to make; one of that name is there, or there are too many; an address or a secret that will not do.
    pub fn add_source(&self, token: &Token, new: NewSource) -> Result<(Source, Secret), Refusal> {
        let NewSource { id, kind, base: given, by_token, secret, access, private, register } = new;
        operators(token)?;
        let base = base(&given, kind, private)?;
        if by_token && kind != Kind::Gitlab {
            return Err(refused(
                "hooks of this kind are signed: only GitLab, before version 19, sends the secret itself",
            ));
        }
        let chosen = secret.is_some();
        let secret = secret.unwrap_or_else(|| Secret::new(self.clock.secret()));
        let plain = secret.0.chars().all(|c| c.is_ascii_graphic()) && SECRET.contains(&secret.0.len());
        if chosen && !plain {
            let (least, most) = (SECRET.start(), SECRET.end());
            return Err(refused(format!("the secret has {least} to {most} letters, digits and signs, and no blanks")));
        }
        let standard = matches!(kind, Kind::Gitlab | Kind::Plain) && !by_token;
        if standard && secret.code("").is_none() {
            return Err(refused("a signing secret begins with `whsec_`; what follows is in Base64"));
        }
        let proof = match by_token {
            true => Proof::Token(Digest::of(secret.0.as_bytes())),
            false => Proof::Signed(secret.clone()),
        };
        let now = self.clock.now();
        if access.as_ref().is_some_and(|access| !access.is_usable()) {
            return Err(refused(
                "the token and the user are of letters, digits and signs, without blanks; the user has no `:`",
            ));
        }
        let by = token.subject.clone();
        let source = Source { id: id.clone(), kind, base, proof, access, private, made_at: now, by };
        // Nobody waits for what a forge takes to answer.
        if register && self.store.source(&id)?.is_none() {
            self.register(&source, &secret)?;
        }
        // One after the other, so that no more are made than there may be.
        let _one = self.steering.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.store.sources()?.len() >= MAX_SOURCES {
            return Err(refused(format!("a server has {MAX_SOURCES} forges at most; remove one first")));
        }
        let act = Act::SourceMade { source: id.clone(), kind, base: source.base.clone() };
        let deed = Deed::new(token, now, act, None);
        if !self.store.put_source(&source, &deed)? {
            let text = match self.store.source(&id)? {
                Some(_) => format!("there is a forge `{id}` already; remove it first, or choose another name"),
                None => format!(
                    "a forge of another kind or at another place was called `{id}`, and its people and tags are known by \
                     that: choose another name"
                ),
            };
            return Err(refused(text));
        }
        Ok((source, secret))
    }

    /// Tells a forge to send its hooks here.
    fn register(&self, source: &Source, secret: &Secret) -> Result<(), Refusal> {
        let Some((api, Some(address))) = &self.forges else {
            return Err(refused(
                "`url` in [server] of the server's configuration has to say where the forge reaches it",
            ));
        };
        if source.kind != Kind::Gitlab || source.access.is_none() {
            return Err(refused(
                "only GitLab is told to send its hooks here, and needs a token of an administrator; set them up there",
            ));
        }
        let told = api.register(source, &format!("{address}/hooks/{}", source.id), secret);
        told.map_err(|Untold { why, .. }| {
            refused(format!("the forge did not take the hook: {why}; nothing was made here"))
        })
    }

    /// The forges that may tell of tags.
    ///
    /// # Errors
    /// Not the bearer's to know.
    pub fn sources(&self, token: &Token) -> Result<Vec<Source>, Refusal> {
        operators(token)?;
        Ok(self.store.sources()?)
    }

    /// A forge may not tell of tags any more; what it told stays.
    ///
    /// # Errors
    /// Not the bearer's to remove; there is none.
    pub fn remove_source(&self, token: &Token, id: &SourceId) -> Result<(), Refusal> {
        operators(token)?;
        let deed = Deed::new(token, self.clock.now(), Act::SourceRemoved { source: id.clone() }, None);
        if self.store.remove_source(id, &deed)? { Ok(()) } else { Err(Refusal::Unknown("forge")) }
    }

    /// What a forge told, newest first, below `before`.
    ///
    /// # Errors
    /// Not the bearer's to know; there is no such forge.
    pub fn pushes(
        &self,
        token: &Token,
        source: &SourceId,
        before: Option<PushId>,
        limit: usize,
    ) -> Result<Vec<Push>, Refusal> {
        operators(token)?;
        let pushes = self.store.pushes(source, before, limit)?;
        // What one told that was removed stays to be read.
        if pushes.is_empty() && self.store.source(source)?.is_none() {
            return Err(Refusal::Unknown("forge"));
        }
        Ok(pushes)
    }

    /// Whether a hook with such a head may be of that forge: there is one, and the head has what a proof is made of.
    ///
    /// # Errors
    /// No such forge; it does not say how it is proved.
    pub fn may_tell<'a>(&self, source: &SourceId, header: &dyn Fn(&str) -> Option<&'a str>) -> Result<(), Refusal> {
        let source = self.store.source(source)?.ok_or(Refusal::Unknown("forge"))?;
        Ok(source.is_claimed(header)?)
    }

    /// What a hook tells that a forge sent, as of `now`. Nothing is kept yet.
    ///
    /// # Errors
    /// No such forge; it did not send that; it cannot be read.
    pub fn hear(&self, source: &SourceId, delivery: Delivery<'_>, now: Timestamp) -> Result<Vec<Told>, Refusal> {
        let source = self.store.source(source)?.ok_or(Refusal::Unknown("forge"))?;
        source.sent(delivery, now)?;
        Ok(source.read(delivery)?)
    }

    /// Keeps what a forge told, but for what it told before. How much is new; it survives a power cut when this returns.
    ///
    /// # Errors
    /// The store's.
    pub fn receive(&self, source: &SourceId, told: Vec<Told>, now: Timestamp) -> Result<usize, Refusal> {
        let push = |told| Push::new(PushId(self.clock.id(now)), source.clone(), told, now);
        let pushes: Vec<_> = told.into_iter().filter_map(push).collect();
        if pushes.is_empty() {
            return Ok(0);
        }
        let new = self.store.receive(pushes)?;
        new.iter().filter(|push| push.state.is_waiting()).for_each(|push| self.line().push(push));
        self.signals.pushed();
        Ok(new.len())
    }
}

pub(super) fn operators(token: &Token) -> Result<(), Refusal> {
    if token.is_operators() { Ok(()) } else { Err(Refusal::Forbidden("this is for operators")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_a_plain_address() {
        for (given, expected) in [
            ("https://gitlab.example.org/", Some("https://gitlab.example.org")),
            ("http://10.0.0.1:3000/git", Some("http://10.0.0.1:3000/git")),
            ("file:///srv/git", None),
            ("ssh://git@example.org", None),
            ("https://", None),
            ("https:///x", None),
            ("https://me:word@example.org", None),
            ("https://example.org/a b", None),
            ("https://example.org/?x", None),
            ("https://example.org/../x", None),
        ] {
            assert_eq!(base(given, Kind::Gitlab, true).ok().as_deref(), expected, "{given}");
        }
        assert_eq!(base("file:///srv/git/", Kind::Plain, false).unwrap(), "file:///srv/git");
        assert!(base("http://example.org", Kind::Gitlab, false).is_err(), "a token would travel in clear text");
        assert!(base("https://github.com/group", Kind::Github, false).is_err());
        assert_eq!(base("https://github.com", Kind::Github, false).unwrap(), "https://github.com");
    }
}
