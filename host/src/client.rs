//! The HTTP client that commands use. Speaks the published API and its shapes, and knows nothing else of a server.
//!
//! Blocks. Prints nothing and asks nobody: what happened is returned, in words for the one who called.

mod challenges;
mod error;
mod events;
mod forges;
mod hooks;
pub mod logins;
mod sse;
mod steer;
mod submissions;
mod target;
#[cfg(test)]
mod tests;
mod tokens;
mod upload;

pub use challenges::Key;
pub use error::{ClientError, line as problem_line};
pub use events::{Events, Seen};
pub use target::BadServer;
pub use upload::Upload;

use crate::http::dto::{List, ProblemInfo};
use serde::de::DeserializeOwned;
use std::fmt;
use std::io::Read as _;
use std::time::Duration;
use target::Server;
use ureq::http::{Method, Request, Response, header, request};
use ureq::{Agent, AsSendBody, Body};

/// Where a server listens when nobody says otherwise.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:8400";

/// How long until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may think: it looks a whole challenge over, and compiles its scorer, before it answers.
const ANSWER: Duration = Duration::from_secs(180);
/// How long a connection may be silent in the middle of a body.
const SILENCE: Duration = Duration::from_secs(60);
/// A document or report, at most; bytes. Files are streamed.
const MAX_ANSWER: u64 = 256 << 20;
/// Bodies above this wait for the server's word before they are sent, so that a refusal costs no upload.
const ASK_FIRST: u64 = 1 << 20;

/// A server, and who we are to it.
pub struct Client {
    server: Server,
    token: Option<String>,
    agent: Agent,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({}, {})", self.server, if self.token.is_some() { "with a token" } else { "without a token" })
    }
}

impl Client {
    /// A client of `server`, such as `http://127.0.0.1:8400`, with what its bearer presents.
    ///
    /// # Errors
    /// `server` is no address of a server.
    pub fn new(server: &str, token: Option<String>) -> Result<Self, BadServer> {
        let server: Server = server.parse()?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("gradus/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE));
        if server.is_local() {
            // A proxy could not reach it.
            config = config.proxy(None);
        }
        Ok(Self { server, token: token.filter(|token| !token.is_empty()), agent: config.build().new_agent() })
    }

    /// The server's address.
    pub fn server(&self) -> String {
        self.server.to_string()
    }

    /// Whether a token would travel unencrypted, over a network.
    pub fn is_readable_on_the_way(&self) -> bool {
        self.token.is_some() && !self.server.is_encrypted() && !self.server.is_local()
    }

    fn request(&self, method: Method, target: &str) -> request::Builder {
        let mut request = Request::builder().method(method).uri(format!("{}{target}", self.server));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request
    }

    /// Sends it, and returns an answer that is no refusal.
    fn send(&self, request: request::Builder, body: impl AsSendBody) -> Result<Response<Body>, ClientError> {
        let request = request.body(body).map_err(|error| self.failed(error.into()))?;
        let response = self.agent.run(request).map_err(|error| self.failed(error))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refused(response)) }
    }

    fn failed(&self, source: ureq::Error) -> ClientError {
        ClientError::of(self.server.to_string(), source)
    }

    fn refused(&self, response: Response<Body>) -> ClientError {
        let status = response.status().as_u16();
        let ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
        match bytes(response, 1 << 20).map(|bytes| serde_json::from_slice::<ProblemInfo>(&bytes)) {
            Ok(Ok(problem)) if ours => ClientError::Refused { status, problem: Box::new(problem) },
            Ok(_) | Err(_) => {
                ClientError::NotGradus { server: self.server.to_string(), what: format!("status {status}") }
            }
        }
    }

    fn get(&self, target: &str) -> Result<Response<Body>, ClientError> {
        self.send(self.request(Method::GET, target), ())
    }

    /// The document at `target`.
    fn json<T: DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        let response = self.get(target)?;
        self.read(response)
    }

    fn read<T: DeserializeOwned>(&self, response: Response<Body>) -> Result<T, ClientError> {
        let bytes = bytes(response, MAX_ANSWER).map_err(|error| self.failed(error))?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::NotGradus {
            server: self.server.to_string(),
            what: format!("a document that does not read: {error}"),
        })
    }

    fn raw(&self, target: &str) -> Result<Vec<u8>, ClientError> {
        bytes(self.get(target)?, MAX_ANSWER).map_err(|error| self.failed(error))
    }

    /// Up to `most` items of the list at `target`, over as many pages as it takes.
    fn list<T: DeserializeOwned>(&self, target: &str, most: usize) -> Result<Vec<T>, ClientError> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let page = target::query(target, &[("cursor", cursor.as_deref())]);
            let List { items, next_cursor } = self.json::<List<T>>(&page)?;
            let progressed = !items.is_empty();
            all.extend(items);
            if next_cursor.is_none() || next_cursor == cursor || !progressed || all.len() >= most {
                all.truncate(most);
                return Ok(all);
            }
            cursor = next_cursor;
        }
    }

    /// Sends `document` and reads the answer.
    fn post<T: DeserializeOwned>(&self, target: &str, document: &impl serde::Serialize) -> Result<T, ClientError> {
        self.send_document(Method::POST, target, document)
    }

    fn put<T: DeserializeOwned>(&self, target: &str, document: &impl serde::Serialize) -> Result<T, ClientError> {
        self.send_document(Method::PUT, target, document)
    }

    fn send_document<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        document: &impl serde::Serialize,
    ) -> Result<T, ClientError> {
        let text = serde_json::to_string(document).expect("the published shapes always have a JSON form");
        let request = self.request(method, target).header(header::CONTENT_TYPE, "application/json");
        let response = self.send(request, text)?;
        self.read(response)
    }
}

fn bytes(response: Response<Body>, most: u64) -> Result<Vec<u8>, ureq::Error> {
    response.into_body().into_with_config().limit(most).read_to_vec()
}

/// Copies what is left of `response` to `out`.
fn copy(response: Response<Body>, out: &mut dyn std::io::Write) -> Result<u64, CopyError> {
    let mut reader = response.into_body().into_reader();
    let mut buffer = vec![0; 64 << 10];
    let mut total = 0;
    loop {
        let count = reader.read(&mut buffer).map_err(CopyError::Read)?;
        if count == 0 {
            return Ok(total);
        }
        out.write_all(&buffer[..count]).map_err(CopyError::Write)?;
        total += count as u64;
    }
}

enum CopyError {
    Read(std::io::Error),
    Write(std::io::Error),
}
