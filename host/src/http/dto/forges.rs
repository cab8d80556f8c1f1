//! The shapes of forges, and of what they told.

use gradus_core::domain::answer::CommitStatus;
use gradus_core::domain::contract::Contract;
use gradus_core::domain::forge::{Kind, Proof, Source};
use gradus_core::domain::push::{ForgeUser, Push, PushState, Pushed};
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
    /// What its repositories are fetched with, if not everybody may: a token that may read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The name that goes with the token, where it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// It may be at an address of a private network, or of this machine.
    #[serde(default)]
    pub private: bool,
    /// It is told to send the hooks of all its projects here: GitLab, with a token of an administrator.
    #[serde(default)]
    pub register: bool,
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
    /// Whether its repositories are fetched with a token.
    pub has_token: bool,
    /// Whether it may be at an address of a private network, or of this machine.
    pub private: bool,
    /// What is wrong with it, if it did not give what was asked for last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
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
    /// `waiting`, `submitted`, `same` (as an earlier submission), `refused`, or `passed`: nothing is to be done.
    pub state: String,
    /// The stable code of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it is refused, or waits still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What went wrong last on our side or the forge's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The submission that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission: Option<String>,
    /// The challenge that it is for, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// What whoever pushed should know, and is no reason not to grade it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The tag that a submission is, and what its repository says of itself.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PushedInfo {
    /// The forge's name.
    pub source: String,
    /// What people call the project there.
    pub project: String,
    /// The tag.
    pub tag: String,
    /// The commit that it was.
    pub commit: String,
    /// What its authors are called at the forge; none: whoever pushed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// Which grader it was written for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grader: Option<String>,
    /// Whether it asks for a GPU.
    pub gpu: bool,
    /// What whoever pushed should know, such as what was left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// All else that it says.
    #[schema(value_type = Object)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

impl From<Pushed> for PushedInfo {
    fn from(pushed: Pushed) -> Self {
        let Contract { authors, grader, gpu, rest, challenge: _, description: _, results: _ } = pushed.said;
        Self {
            source: pushed.source.to_string(),
            project: pushed.project,
            tag: pushed.tag.to_string(),
            commit: pushed.commit.to_string(),
            authors,
            grader,
            gpu,
            notes: pushed.notes,
            more: rest,
        }
    }
}

/// How a tag stands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StandingInfo {
    /// The tag.
    pub tag: String,
    /// What became of its push, as in the list of pushes.
    pub state: String,
    /// `pending`, `running`, `success` (it was graded) or `failed`, if there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<String>,
    /// More, in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The submission that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission: Option<String>,
    /// What whoever pushed should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl From<(Push, Option<CommitStatus>)> for StandingInfo {
    fn from((push, status): (Push, Option<CommitStatus>)) -> Self {
        Self {
            tag: push.tag.to_string(),
            state: push.state.word().to_owned(),
            submission: push.state.submission().map(|id| id.to_string()),
            standing: status.as_ref().map(|status| status.standing.word().to_owned()),
            text: status.map(|status| status.text),
            notes: push.notes,
        }
    }
}

/// Somebody of a forge, and who they are here.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ForgeUserInfo {
    /// What the forge knows them by.
    pub id: String,
    /// What they were called there last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who they are here.
    pub entrant: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// Who somebody of a forge is to be here.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkInfo {
    /// The entrant.
    pub entrant: String,
}

impl From<ForgeUser> for ForgeUserInfo {
    fn from(user: ForgeUser) -> Self {
        Self { id: user.id, name: user.name, entrant: user.entrant.to_string(), since: user.since }
    }
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
            has_token: source.access.is_some(),
            private: source.private,
            trouble: None,
            proof: proof.to_owned(),
            made_at: source.made_at,
            by: source.by.to_string(),
        }
    }
}

impl From<Push> for PushInfo {
    fn from(push: Push) -> Self {
        let (state, submission) = (push.state.word().to_owned(), push.state.submission());
        let (code, reason) = match push.state {
            PushState::Waiting { reason, .. } => (None, reason),
            PushState::Refused { code, reason } => (Some(code), Some(reason)),
            PushState::Submitted { .. } | PushState::Same { .. } | PushState::Passed => (None, None),
        };
        Self {
            state,
            code,
            reason,
            submission: submission.map(|id| id.to_string()),
            challenge: push.challenge.map(String::from),
            trouble: push.trouble,
            notes: push.notes,
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
