//! A request byte by byte: half of one, one without an end, one that no client would send.

use super::http::Api;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// A request on a connection of its own. Dropped, the connection is cut.
#[derive(Debug)]
pub struct Raw(TcpStream);

impl Raw {
    /// Sends the head; `headers` end with a line break each.
    pub fn begin(api: &Api, method: &str, path: &str, headers: &str) -> Self {
        let stream = TcpStream::connect(api.base.trim_start_matches("http://")).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket takes a time-out");
        let token = api.token.as_deref().unwrap_or_default();
        let mut raw = Self(stream);
        raw.send(
            format!(
                "{method} {path} HTTP/1.1\r\nHost: gradus\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n{headers}\r\n"
            )
            .as_bytes(),
        );
        raw
    }

    /// Sends a piece of the body.
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the server reads");
    }

    /// Sends a piece of the body; `false` if the server takes no more.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// All that the server says until it closes the connection.
    pub fn answer(mut self) -> String {
        let mut answer = Vec::new();
        // A connection that is reset after the answer has given it all the same.
        let _ = self.0.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}
