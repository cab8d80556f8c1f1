//! [`ForgeApi`] over HTTP: the status of a commit at GitLab, Gitea and GitHub, and GitLab's hooks.
//!
//! The operator names the forge; what it answers is hostile all the same: nothing of it is read but its status and, where a
//! repeated status is an error, a few words.

use crate::outside;
use gradus_core::domain::answer::{CommitStatus, Standing};
use gradus_core::domain::forge::{Access, Kind, Proof, Source};
use gradus_core::domain::hook::Secret;
use gradus_core::ports::forge_api::{Commit, ForgeApi, Untold};
use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use std::io::Read as _;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Request, StatusCode, header};

/// How long a request may take in all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read, at most.
const MAX_ANSWER: u64 = 256 << 10;

/// Hooks that are listed at once, and pages of them, at most.
const PAGE: usize = 50;
const MAX_PAGES: usize = 20;

/// What tells forges.
pub struct HttpForges {
    public: Agent,
    private: Agent,
}

impl Default for HttpForges {
    fn default() -> Self {
        Self { public: outside::agent(false, PATIENCE), private: outside::agent(true, PATIENCE) }
    }
}

/// A request.
struct Asked {
    url: String,
    authorization: String,
    body: Value,
}

/// A part of an address, of anything.
fn part(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn asked(source: &Source, access: &Access, commit: Commit<'_>, status: &CommitStatus) -> Option<Asked> {
    let base = source.base.as_str();
    let token = &access.token.0;
    let path = || {
        // `owner/name`, as it is written there.
        let parts: Vec<_> = commit.project.path.split('/').map(part).collect();
        parts.join("/")
    };
    // The other two have no word for what runs.
    let word = |failed: &'static str| match status.standing {
        Standing::Pending | Standing::Running => "pending",
        Standing::Success => "success",
        Standing::Failed => failed,
    };
    let plain = |word: &str| json!({ "state": word, "context": commit.name, "description": status.text, "target_url": status.target });
    Some(match source.kind {
        Kind::Gitlab => {
            let state = status.standing.word();
            // A commit that only a tag leads to is not found without its name.
            let mut body =
                json!({ "state": state, "ref": commit.tag.as_str(), "name": commit.name, "description": status.text });
            if let Some(target) = &status.target {
                body["target_url"] = json!(target);
            }
            let url = format!("{base}/api/v4/projects/{}/statuses/{}", part(&commit.project.id), commit.id);
            Asked { url, authorization: format!("Bearer {token}"), body }
        }
        Kind::Gitea => Asked {
            url: format!("{base}/api/v1/repos/{}/statuses/{}", path(), commit.id),
            authorization: format!("token {token}"),
            body: plain(word("failure")),
        },
        Kind::Github => {
            let api = if base == "https://github.com" {
                "https://api.github.com".to_owned()
            } else {
                format!("{base}/api/v3")
            };
            let url = format!("{api}/repos/{}/statuses/{}", path(), commit.id);
            Asked { url, authorization: format!("Bearer {token}"), body: plain(word("error")) }
        }
        Kind::Plain => return None,
    })
}

impl ForgeApi for HttpForges {
    fn set_status(&self, source: &Source, commit: Commit<'_>, status: &CommitStatus) -> Result<(), Untold> {
        let untold = |why: String| Untold { why, after: None, whole: true };
        let access = source.access.as_ref().ok_or_else(|| untold("it has no token".to_owned()))?;
        let asked = asked(source, access, commit, status).ok_or_else(|| untold("it has no API".to_owned()))?;
        let (code, words, after) = self.ask(source, "POST", &asked)?;
        if code.is_success() {
            // Something between us may answer in its place.
            let well = serde_json::from_str::<Map<String, Value>>(&words).is_ok();
            let why = format!("it answered {code}, but not as a forge does");
            return if well { Ok(()) } else { Err(Untold { why, after, whole: true }) };
        }
        // GitLab, of a status that it has already, or has got beyond.
        if source.kind == Kind::Gitlab && code.as_u16() == 400 && words.contains("Cannot transition status") {
            return Ok(());
        }
        let hint = match code.as_u16() {
            300..=399 => ": redirects are not followed",
            401 | 403 => ": its token may not set the status of a commit (GitLab: scope `api`, and the role Developer)",
            404 => ": it has no such project or commit, or its token may not see it",
            _ => "",
        };
        // The token, the forge itself, or how often it is asked; all else is of this project or commit.
        let whole = code.as_u16() == 401 || code.as_u16() == 429 || code.is_server_error();
        Err(Untold { why: format!("it answered {code}{hint}"), after, whole })
    }

    fn register(&self, source: &Source, url: &str, secret: &Secret) -> Result<(), Untold> {
        let untold = |why: String| Untold { why, after: None, whole: true };
        let access = source.access.as_ref().ok_or_else(|| untold("it has no token".to_owned()))?;
        let hooks = format!("{}/api/v4/hooks", source.base);
        let base = hooks.clone();
        let asked = |url: String, body| Asked { url, authorization: format!("Bearer {}", access.token.0), body };
        let refused = |code: StatusCode| {
            let hint = match code.as_u16() {
                401 | 403 => ": its token is of no administrator, or lacks the scope `api`",
                404 => ": there is no GitLab",
                _ => "",
            };
            untold(format!("it answered {code}{hint}"))
        };
        let mut known = None;
        for page in 1..=MAX_PAGES {
            let target = format!("{hooks}?per_page={PAGE}&page={page}");
            let (code, words, _) = self.ask(source, "GET", &asked(target, Value::Null))?;
            if !code.is_success() {
                return Err(refused(code));
            }
            let all: Vec<Value> =
                serde_json::from_str(&words).map_err(|_| untold("it did not list its hooks".to_owned()))?;
            known = all.iter().find(|hook| hook["url"] == url).and_then(|hook| hook["id"].as_u64());
            if known.is_some() || all.len() < PAGE {
                break;
            }
        }
        let (key, present) = match source.proof {
            Proof::Signed(_) => ("signing_token", "signing_token_present"),
            Proof::Token(_) => ("token", "token_present"),
        };
        let mut body = json!({ "url": url, "name": "Gradus", "push_events": false, "tag_push_events": true,
            "merge_requests_events": false, "repository_update_events": true,
            "enable_ssl_verification": url.starts_with("https://") });
        body[key] = json!(secret.0);
        let (code, words, _) = match known {
            Some(id) => self.ask(source, "PUT", &asked(format!("{hooks}/{id}"), body))?,
            None => self.ask(source, "POST", &asked(hooks, body))?,
        };
        if !code.is_success() {
            return Err(refused(code));
        }
        let made: Value = serde_json::from_str(&words).unwrap_or(Value::Null);
        if key == "signing_token" && made[present] != true {
            // It would send what is refused here.
            if let Some(id) = made["id"].as_u64() {
                drop(self.ask(source, "DELETE", &asked(format!("{base}/{id}"), Value::Null)));
            }
            return Err(untold("it is older than 19 and cannot sign its hooks: say --by-token".to_owned()));
        }
        Ok(())
    }
}

impl HttpForges {
    /// What a forge answers: the status, so much of the words, and how long it asks us to wait.
    fn ask(
        &self,
        source: &Source,
        method: &str,
        asked: &Asked,
    ) -> Result<(StatusCode, String, Option<SignedDuration>), Untold> {
        let agent = if source.private { &self.private } else { &self.public };
        let request = Request::builder()
            .method(method)
            .uri(&asked.url)
            .header(header::AUTHORIZATION, &asked.authorization)
            .header(header::ACCEPT, "application/json");
        let untold = |what: String| Untold { why: format!("it was not reached: {what}"), after: None, whole: true };
        let answer = if asked.body.is_null() {
            request.body(()).map_err(ureq::Error::from).and_then(|request| agent.run(request))
        } else {
            let request = request.header(header::CONTENT_TYPE, "application/json").body(asked.body.to_string());
            request.map_err(ureq::Error::from).and_then(|request| agent.run(request))
        };
        let mut answer = answer.map_err(|error| untold(error.to_string()))?;
        let after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let mut words = String::new();
        // What cannot be read says nothing.
        drop(answer.body_mut().as_reader().take(MAX_ANSWER).read_to_string(&mut words));
        Ok((answer.status(), words, after.map(SignedDuration::from_secs)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_core::domain::forge::Project;

    #[test]
    fn each_kind_of_forge_is_asked_as_it_wants_to_be() {
        let project = Project { id: "7".into(), path: "group/an na".into(), url: None };
        let id = "a".repeat(40).try_into().unwrap();
        let tag = "v/1".to_owned().try_into().unwrap();
        let commit = Commit { project: &project, id: &id, tag: &tag, name: "gradus/maze" };
        let status = CommitStatus { standing: Standing::Running, text: "it runs".into(), target: None };
        for (kind, base, url, authorization, state) in [
            (
                Kind::Gitlab,
                "https://x.org/lab",
                "https://x.org/lab/api/v4/projects/7/statuses/",
                "Bearer secret",
                "running",
            ),
            (
                Kind::Gitea,
                "https://x.org",
                "https://x.org/api/v1/repos/group/an%20na/statuses/",
                "token secret",
                "pending",
            ),
            (
                Kind::Github,
                "https://github.com",
                "https://api.github.com/repos/group/an%20na/statuses/",
                "Bearer secret",
                "pending",
            ),
            (
                Kind::Github,
                "https://x.org",
                "https://x.org/api/v3/repos/group/an%20na/statuses/",
                "Bearer secret",
                "pending",
            ),
        ] {
            let access = Access { user: None, token: Secret("secret".into()) };
            let source = Source {
                id: "x".parse().unwrap(),
                kind,
                base: base.to_owned(),
                proof: Proof::Signed(Secret(String::new())),
                access: None,
                private: false,
                made_at: jiff::Timestamp::UNIX_EPOCH,
                by: "olga".parse().unwrap(),
            };
            let asked = asked(&source, &access, commit, &status).unwrap();
            assert_eq!((asked.url, asked.authorization.as_str()), (format!("{url}{id}"), authorization));
            assert_eq!(asked.body["state"], state);
            assert_eq!(asked.body.get("ref").is_some(), kind == Kind::Gitlab);
        }
    }
}
