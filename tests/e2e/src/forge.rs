//! A forge's hooks: bodies as its kind sends them, and what proves them.

use super::http::{Answer, Api};
use super::server::Server;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

/// The object that stands for nothing.
pub const NEW: &str = "0000000000000000000000000000000000000000";

/// A forge as the server knows it.
pub struct Forge {
    /// The server that it tells.
    pub api: Api,
    /// Where its hooks go to.
    pub path: String,
    /// What it proves them with.
    pub secret: String,
    /// What it is; `gitlab-token`: a GitLab that sends the secret itself.
    pub kind: &'static str,
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut code = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    code.update(text);
    code.finalize().into_bytes().to_vec()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs()
}

/// An object's id that is no other's.
pub fn object(number: usize) -> String {
    format!("{:040x}", number + 1)
}

impl Forge {
    /// One that is nowhere.
    pub fn make(server: &Server, name: &str, kind: &'static str) -> Self {
        Self::make_at(server, name, kind, "https://forge.example.org", &json!({}))
    }

    /// One at `base`, made with `more`.
    ///
    /// # Panics
    /// It is not made.
    pub fn make_at(server: &Server, name: &str, kind: &'static str, base: &str, more: &Value) -> Self {
        let mut new = json!({ "name": name, "kind": kind.trim_end_matches("-token"), "base": base,
            "by_token": kind.ends_with("-token") });
        for (key, value) in more.as_object().expect("it is an object") {
            new[key] = value.clone();
        }
        let json = [("content-type", "application/json")];
        let made = server.operator().send("POST", "/api/v1/sources", &json, new.to_string().as_bytes());
        let made = made.expect("the server answers");
        assert_eq!(made.status, 201, "{}", made.text());
        let secret = made.json()["secret"].as_str().expect("it has a secret").to_owned();
        Self { api: server.api(), path: format!("/hooks/{name}"), secret, kind }
    }

    /// What proves a body that was signed `age` seconds ago.
    pub fn proof(&self, body: &str, age: u64) -> Vec<(&'static str, String)> {
        let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let of_body = || hex(hmac(self.secret.as_bytes(), body.as_bytes()));
        match self.kind {
            "gitlab" | "plain" => {
                let key = BASE64.decode(self.secret.strip_prefix("whsec_").expect("a secret")).expect("Base64");
                let time = (now() - age).to_string();
                let code = BASE64.encode(hmac(&key, format!("id-1.{time}.{body}").as_bytes()));
                vec![
                    ("webhook-id", "id-1".to_owned()),
                    ("webhook-timestamp", time),
                    ("webhook-signature", format!("v1,{code}")),
                    ("x-gitlab-event", "System Hook".to_owned()),
                ]
            }
            "gitlab-token" => vec![("x-gitlab-token", self.secret.clone())],
            "gitea" => vec![("x-gitea-event", "push".to_owned()), ("x-gitea-signature", of_body())],
            _ => vec![("x-github-event", "push".to_owned()), ("x-hub-signature-256", format!("sha256={}", of_body()))],
        }
    }

    /// Sends a hook.
    ///
    /// # Panics
    /// There is no answer.
    pub fn send(&self, headers: &[(&'static str, String)], body: &str) -> Answer {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.api.send("POST", &self.path, &headers, body.as_bytes()).expect("the server answers")
    }

    /// Sends a hook with its proof.
    pub fn told(&self, body: &str) -> Answer {
        self.send(&self.proof(body, 0), body)
    }

    /// That a tag is there, as its kind says it.
    pub fn tag(&self, name: &str, object: &str) -> String {
        let reference = format!("refs/tags/{name}");
        let body = match self.kind {
            "plain" => json!({ "project": "anna/digits.git", "pusher": "anna",
                "updates": [{ "ref": reference, "before": NEW, "after": object }] }),
            "gitea" | "github" => json!({ "ref": reference, "before": NEW, "after": object,
                "repository": { "id": 7, "full_name": "anna/digits", "clone_url": "https://forge.example.org/anna/digits.git" },
                "sender": { "id": 3, "login": "anna" } }),
            _ => json!({ "event_name": "tag_push", "ref": reference, "before": NEW, "after": object,
                "checkout_sha": object, "user_id": 3, "user_username": "anna", "project_id": 7,
                "project": { "path_with_namespace": "anna/digits", "git_http_url": "https://forge.example.org/anna/digits.git" },
                "commits": [], "total_commits_count": 0 }),
        };
        body.to_string()
    }
}
