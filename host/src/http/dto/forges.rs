//! The shapes of forges, and of what they told.

use gradus_core::domain::forge::{Kind, Proof, Source};
use gradus_core::domain::push::Push;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A forge that is to tell of tags.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSourceInfo {
    /// Its name, of `a-z`, `0-9` and `-`: the end of the hooks' address.
    pub name: String,
    /// `gitlab`, `gitea` (Forgejo and Gogs, too), `github` or `plain`.
    pub kind: String,
    /// What the addresses of its repositories begin with: `https://gitlab.example.org`.
    pub base: String,
    /// Its hooks send the secret instead of signing with it: GitLab before version 19.
    #[serde(default)]
    pub by_token: bool,
    /// The secret, if the forge has one already; else one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A forge that was just made.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct MadeSource {
    /// The forge.
    #[serde(flatten)]
    pub info: SourceInfo,
    /// What it proves its hooks with, if it was made here. It is not shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A forge that may tell of tags.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SourceInfo {
    /// Its name.
    pub name: String,
    /// `gitlab`, `gitea`, `github` or `plain`.
    pub kind: String,
    /// What the addresses of its repositories begin with.
    pub base: String,
    /// How its hooks are proved: `signed`, or `token`.
    pub proof: String,
    /// Where its hooks go to, on this server.
    pub hook: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub made_at: Timestamp,
    /// Who made it.
    pub by: String,
}

/// A push of a tag, as a forge told of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PushInfo {
    /// Its id.
    pub id: String,
    /// When it was told.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Where: what people call the project.
    pub project: String,
    /// What the forge knows the project by.
    pub project_id: String,
    /// The tag.
    pub tag: String,
    /// What it is now; absent: it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Which commit that is, if the forge says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Who pushed, as the forge says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pusher: Option<String>,
}

/// The kind of that word.
pub fn kind(word: &str) -> Option<Kind> {
    [Kind::Gitlab, Kind::Gitea, Kind::Github, Kind::Plain].into_iter().find(|kind| kind.word() == word)
}

impl From<Source> for SourceInfo {
    fn from(source: Source) -> Self {
        let proof = match source.proof {
            Proof::Token(_) => "token",
            Proof::Signed(_) => "signed",
        };
        Self {
            hook: format!("/hooks/{}", source.id),
            name: source.id.to_string(),
            kind: source.kind.word().to_owned(),
            base: source.base,
            proof: proof.to_owned(),
            made_at: source.made_at,
            by: source.by.to_string(),
        }
    }
}

impl From<Push> for PushInfo {
    fn from(push: Push) -> Self {
        Self {
            id: push.id.to_string(),
            at: push.at,
            project: push.project.path,
            project_id: push.project.id,
            tag: push.tag.to_string(),
            object: push.object.map(String::from),
            commit: push.commit.map(String::from),
            pusher: push.pusher.map(|pusher| pusher.name.unwrap_or(pusher.id)),
        }
    }
}
