//! Forges: servers of git repositories that tell of pushed tags by hooks. Which there are, what a hook of each says, and how it
//! is seen that the forge sent it.
//!
//! A source is configured with its kind; nothing is guessed from a hook's headers, as some forges send those of others. What a
//! hook says is where to look, and no more: what a tag holds is found out when it is fetched.

mod gitea;
mod github;
mod gitlab;
mod plain;
mod proof;

use super::digest::Digest;
use super::hook::Secret;
use super::id::{EntrantId, SourceId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
pub use proof::{Forged, MAX_SKEW};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Tags of one hook that are read; more are found when the forge is asked for its tags.
pub const MAX_TAGS: usize = 1_000;
/// Characters of a project's path and of a tag's name, at most.
const MAX_NAME: usize = 255;

/// What kind of forge a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// GitLab: system, group and project hooks.
    Gitlab,
    /// Gitea, Forgejo and Gogs.
    Gitea,
    /// GitHub.
    Github,
    /// A git server without a forge, whose `post-receive` hook tells.
    Plain,
}

impl Kind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gitlab => "gitlab",
            Self::Gitea => "gitea",
            Self::Github => "github",
            Self::Plain => "plain",
        }
    }
}

/// How a source proves that a hook is its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// It sends a secret of which this is the digest. GitLab only, where hooks cannot be signed.
    Token(Digest),
    /// It signs with this.
    Signed(Secret),
}

/// Who we are at a forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Under which name we fetch; what the kind of forge usually wants, unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The token, or the password.
    pub token: Secret,
}

impl Access {
    /// What `Authorization` says: the name is one that every kind of forge takes with a token, unless one is said.
    pub fn basic(&self) -> String {
        let user = self.user.as_deref().unwrap_or("oauth2");
        format!("Basic {}", BASE64.encode(format!("{user}:{}", self.token.0)))
    }

    /// Whether it can be told to a forge as it is.
    pub fn is_usable(&self) -> bool {
        let plain = |text: &str| (1..=1_024).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
        plain(&self.token.0) && self.user.as_ref().is_none_or(|user| plain(user) && !user.contains(':'))
    }
}

/// A forge that may tell of tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name: the end of the hooks' address.
    pub id: SourceId,
    /// What it is.
    pub kind: Kind,
    /// What the addresses of its repositories begin with, without a slash at the end.
    pub base: String,
    /// How it proves that a hook is its own.
    pub proof: Proof,
    /// Who we are there; none: whoever comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// Whether it may be at an address of a private network, or of this machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
    /// Since when.
    pub made_at: Timestamp,
    /// Who made it.
    pub by: EntrantId,
}

/// The id of a git object: 40 or 64 digits of base 16.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectId(String);

impl ObjectId {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the one that stands for nothing: a ref that was not there before, or is not any more.
    pub fn is_zero(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'0')
    }
}

impl TryFrom<String> for ObjectId {
    type Error = Unreadable;

    fn try_from(text: String) -> Result<Self, Unreadable> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digits && [40, 64].contains(&text.len()) { Ok(Self(text)) } else { Err(Unreadable("an object's id")) }
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> Self {
        id.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a tag, without `refs/tags/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagName(String);

impl TagName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TagName {
    type Error = Unreadable;

    /// As `git check-ref-format` has it, and bounded.
    fn try_from(text: String) -> Result<Self, Unreadable> {
        let bad = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c);
        let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
        let good = (1..=MAX_NAME).contains(&text.chars().count())
            && !text.contains(bad)
            && !["..", "@{"].iter().any(|within| text.contains(within))
            && !text.ends_with('.')
            && text.split('/').all(part);
        if good { Ok(Self(text)) } else { Err(Unreadable("a tag's name")) }
    }
}

impl From<TagName> for String {
    fn from(name: TagName) -> Self {
        name.0
    }
}

impl fmt::Display for TagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A repository at a forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// What the forge knows it by, whatever it is called: a number, or its path where there is none.
    pub id: String,
    /// What people call it: `group/name`.
    pub path: String,
    /// Where it is fetched from, as the forge says; none: at its path below the source's base.
    pub url: Option<String>,
}

/// Who pushed, as the forge says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pusher {
    /// What the forge knows them by, whatever they are called.
    pub id: String,
    /// What they are called.
    pub name: Option<String>,
}

/// A tag that is there now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Where.
    pub project: Project,
    /// Its name.
    pub name: TagName,
    /// What it was before, if it was moved.
    pub before: Option<ObjectId>,
    /// What it is: a commit, or an annotation of one.
    pub object: ObjectId,
    /// Which commit that is, if the forge says so.
    pub commit: Option<ObjectId>,
    /// Who pushed it.
    pub pusher: Option<Pusher>,
}

/// What a hook tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A tag was made or moved.
    Tag(Box<Tag>),
    /// A tag was deleted.
    Gone {
        /// Where.
        project: Project,
        /// Which.
        name: TagName,
        /// What it was, if the forge says so.
        before: Option<ObjectId>,
        /// Who deleted it.
        pusher: Option<Pusher>,
    },
    /// There is a new project.
    Project(Project),
}

/// What a hook says cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hook has no {0} that can be read")]
pub struct Unreadable(pub &'static str);

/// A hook as it came.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// A header's value, by its name in lower case.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The body, unchanged.
    pub body: &'a [u8],
}

impl Source {
    /// Where a project's repository is: where the forge says, if that is at the forge; else at its path there.
    pub fn url(&self, project: &Project) -> Result<String, Unreadable> {
        let below = |url: &str| url.strip_prefix(&self.base).is_some_and(|rest| rest.starts_with('/'));
        let path = match self.kind {
            Kind::Gitlab | Kind::Gitea | Kind::Github => format!("{}/{}.git", self.base, project.path),
            Kind::Plain => format!("{}/{}", self.base, project.path),
        };
        let url = project.url.clone().filter(|url| below(url)).unwrap_or(path);
        let plain = |c: char| !c.is_control() && !c.is_whitespace() && !"?#\\".contains(c);
        let climbs = url.split('/').any(|part| part == "..");
        if url.chars().all(plain) && !climbs { Ok(url) } else { Err(Unreadable("project that has an address")) }
    }

    /// Whether a hook's head says that this source can prove it.
    ///
    /// # Errors
    /// [`Forged::Missing`].
    pub fn is_claimed<'a>(&self, header: &dyn Fn(&str) -> Option<&'a str>) -> Result<(), Forged> {
        proof::given(self, header).map(drop)
    }

    /// Whether this source sent a hook, as of `now`.
    ///
    /// # Errors
    /// [`Forged`]: it did not, or cannot prove it.
    pub fn sent(&self, delivery: Delivery<'_>, now: Timestamp) -> Result<(), Forged> {
        proof::check(self, delivery, now)
    }

    /// What a hook of this source tells; nothing, if it is of something else than tags and projects.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(&self, delivery: Delivery<'_>) -> Result<Vec<Told>, Unreadable> {
        // What some forges send unless told otherwise: said at the first hook, and not when a tag is lost.
        if (delivery.header)("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
            return Err(Unreadable("JSON (set its content type to application/json)"));
        }
        match self.kind {
            Kind::Gitlab => gitlab::read(delivery.body),
            Kind::Gitea => gitea::read(delivery),
            Kind::Github => github::read(delivery),
            Kind::Plain => plain::read(delivery.body),
        }
    }
}

/// A JSON body.
fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(body).map_err(|_| Unreadable("body"))
}

/// A project, with names that are bounded.
fn project(id: String, path: String, url: Option<String>) -> Result<Project, Unreadable> {
    let fits = |text: &str| (1..=MAX_NAME).contains(&text.chars().count()) && !text.contains(char::is_control);
    if !fits(&id) || !fits(&path) {
        return Err(Unreadable("project"));
    }
    Ok(Project { id, path, url: url.filter(|url| url.len() <= 2_048) })
}

/// What a change of a ref tells, if it is a tag. One whose name or object no repository of ours could have is passed over:
/// whoever may push could make it, and the others of that hook are none the worse for it.
fn change(
    project: &Project,
    reference: &str,
    (before, after): (Option<String>, String),
    commit: Option<String>,
    pusher: Option<Pusher>,
) -> Option<Told> {
    let name = TagName::try_from(reference.strip_prefix("refs/tags/")?.to_owned()).ok()?;
    let object = ObjectId::try_from(after).ok()?;
    let project = project.clone();
    let before = before.and_then(|id| ObjectId::try_from(id).ok()).filter(|before| !before.is_zero());
    if object.is_zero() {
        return Some(Told::Gone { project, name, before, pusher });
    }
    let commit = commit.and_then(|id| ObjectId::try_from(id).ok());
    Some(Told::Tag(Box::new(Tag { project, name, before, object, commit, pusher })))
}

/// Who pushed, with names that are bounded.
fn pusher(id: Option<String>, name: Option<String>) -> Option<Pusher> {
    let short = |text: String| text.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect::<String>();
    let id = short(id.or_else(|| name.clone())?);
    (!id.is_empty()).then(|| Pusher { id, name: name.map(short).filter(|name| !name.is_empty()) })
}

#[cfg(test)]
mod tests;
