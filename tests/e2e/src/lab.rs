//! What a GitLab does with statuses of commits, as its own code has it: what is repeated is refused, what has no name of a ref
//! is not found, and now and then it is busy.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The statuses, and how it answers next.
#[derive(Debug, Default)]
pub struct Lab {
    statuses: Mutex<Vec<Value>>,
    moods: Mutex<VecDeque<u16>>,
    refused: Mutex<Vec<u16>>,
    hooks: Mutex<Vec<Value>>,
    forbidden: Mutex<Vec<String>>,
    /// It is older than 19: it knows no signing.
    pub old: AtomicBool,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An answer: its status, headers beside the usual ones, and its body.
pub(crate) type Answer = (u16, &'static str, String);

impl Lab {
    /// It answers so first, once each: 0 is garbage.
    pub fn answers(&self, moods: &[u16]) {
        held(&self.moods).extend(moods);
    }

    /// The states that a commit's status of a tag was in, in order, each with its words.
    pub fn states(&self, tag: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = held(&self.statuses);
        all.iter()
            .filter(|status| status["ref"] == tag)
            .map(|status| (text(&status["state"]), text(&status["description"])))
            .collect()
    }

    /// All that was taken.
    pub fn taken(&self) -> Vec<Value> {
        held(&self.statuses).clone()
    }

    /// What was refused because it was repeated, or had nothing that it is of.
    pub fn refused(&self) -> Vec<u16> {
        held(&self.refused).clone()
    }

    /// We may not give commits of that project a status.
    pub fn refuses(&self, project: &str) {
        held(&self.forbidden).push(project.to_owned());
    }

    /// Its system hooks.
    pub fn hooks(&self) -> Vec<Value> {
        held(&self.hooks).clone()
    }

    fn hook(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let mut asked: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let mut hooks = held(&self.hooks);
        let shown = |hook: &Value| {
            let mut shown = json!({ "id": hook["id"], "url": hook["url"], "token_present": hook["token"].is_string() });
            if !self.old.load(Ordering::Relaxed) {
                shown["signing_token_present"] = json!(hook["signing_token"].is_string());
            }
            shown
        };
        match (method, path.trim_start_matches("/api/v4/hooks").trim_start_matches('/')) {
            ("GET", _) => (200, "", Value::Array(hooks.iter().map(shown).collect()).to_string()),
            ("POST", "") => {
                asked["id"] = json!(hooks.iter().filter_map(|hook| hook["id"].as_u64()).max().unwrap_or(0) + 1);
                hooks.push(asked.clone());
                (201, "", shown(&asked).to_string())
            }
            ("DELETE", id) => {
                hooks.retain(|hook| hook["id"] != id.parse::<u64>().unwrap_or(0));
                (204, "", String::new())
            }
            ("PUT", id) => {
                let Some(hook) = hooks.iter_mut().find(|hook| hook["id"] == id.parse::<u64>().unwrap_or(0)) else {
                    return (404, "", "{}".to_owned());
                };
                asked["id"] = hook["id"].clone();
                *hook = asked.clone();
                (200, "", shown(&asked).to_string())
            }
            _ => (405, "", "{}".to_owned()),
        }
    }

    pub(crate) fn answer(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        if let Some(mood) = held(&self.moods).pop_front() {
            return match mood {
                0 => (200, "X-Garbage: yes\r\n", "<html>".repeat(100_000)),
                429 => (429, "Retry-After: 1\r\n", "{}".to_owned()),
                mood => (mood, "", "{\"message\":\"not now\"}".to_owned()),
            };
        }
        if path.starts_with("/api/v4/hooks") {
            return self.hook(method, path, body);
        }
        let mut words = path.trim_start_matches("/api/v4/projects/").split('/');
        let (project, of, sha) = (words.next(), words.next(), words.next());
        let asked: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let no = |code: u16, message: &str| {
            held(&self.refused).push(code);
            (code, "", json!({ "message": message }).to_string())
        };
        let (Some(project), Some("statuses"), Some(sha), "POST") = (project, of, sha, method) else {
            return no(404, "404 Not Found");
        };
        if held(&self.forbidden).iter().any(|forbidden| forbidden == project) {
            return no(403, "403 Forbidden");
        }
        let (Some(state), Some(reference)) = (asked["state"].as_str(), asked["ref"].as_str()) else {
            return no(404, "References for commit Not Found");
        };
        let mut statuses = held(&self.statuses);
        let same = |status: &&Value| {
            status["sha"] == sha
                && status["ref"] == reference
                && status["name"] == asked["name"]
                && status["project"] == project
        };
        let before = statuses.iter().rev().find(same).and_then(|status| status["state"].as_str());
        let allowed = match (before, state) {
            // What is over is a status of its own the next time.
            (None | Some("success" | "failed"), _) | (Some("pending"), "running" | "success" | "failed") => true,
            (Some("running"), "success" | "failed") => true,
            _ => false,
        };
        if !allowed {
            return no(400, &format!("Cannot transition status via :run from :{}", before.unwrap_or_default()));
        }
        let mut kept = asked.clone();
        kept["sha"] = json!(sha);
        kept["project"] = json!(project);
        statuses.push(kept);
        (201, "", asked.to_string())
    }
}
