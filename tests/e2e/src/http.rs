//! Plain HTTP with a token: no client of Gradus's own in between.

use serde_json::Value;
use std::io::Read as _;
use std::time::{Duration, Instant};

/// A server's API, as the bearer of one token or of none.
#[derive(Debug, Clone)]
pub struct Api {
    /// `http://127.0.0.1:port`
    pub base: String,
    /// What the bearer presents.
    pub token: Option<String>,
    agent: ureq::Agent,
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The stable code of a problem document.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Api {
    /// The API at `base`.
    pub fn new(base: &str, token: Option<&str>) -> Self {
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(60)));
        Self { base: base.to_owned(), token: token.map(ToOwned::to_owned), agent: config.build().into() }
    }

    /// The same server for the bearer of another token.
    pub fn with(&self, token: Option<&str>) -> Self {
        Self { token: token.map(ToOwned::to_owned), ..self.clone() }
    }

    /// Sends a request. `Err`: there was no answer.
    ///
    /// # Errors
    /// Why not.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = if body.is_empty() && method != "POST" && method != "PUT" {
            self.agent.run(request.body(())?)?
        } else {
            self.agent.run(request.body(body)?)?
        };
        let (parts, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        body.as_reader().read_to_end(&mut bytes)?;
        let text = |value: &ureq::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        Ok(Answer { status: parts.status.as_u16(), headers, body: bytes })
    }

    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], &[]).expect("the server answers")
    }

    /// POST of bytes.
    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.send("POST", path, &[], body).expect("the server answers")
    }

    /// Makes a token and returns its text.
    pub fn grant(&self, role: &str, subject: &str, challenges: &[&str]) -> String {
        let body = serde_json::json!({ "role": role, "subject": subject, "challenges": challenges }).to_string();
        let answer = self.send("POST", "/api/v1/tokens", &[("content-type", "application/json")], body.as_bytes());
        let answer = answer.expect("the server answers");
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["token"].as_str().expect("a token has a text").to_owned()
    }

    /// Hands `bytes` in as a file called `name`.
    pub fn submit(&self, challenge: &str, phase: &str, name: &str, bytes: &[u8]) -> Answer {
        self.post(&format!("/api/v1/challenges/{challenge}/phases/{phase}/submissions?filename={name}"), bytes)
    }

    /// Waits until a submission has ended, and returns it.
    pub fn ended(&self, id: &str) -> Value {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let submission = self.get(&format!("/api/v1/submissions/{id}")).json();
            if submission["outcome"].is_string() {
                return submission;
            }
            assert!(Instant::now() < until, "it has not ended: {submission}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
