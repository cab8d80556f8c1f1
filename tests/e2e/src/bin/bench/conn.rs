//! A connection that stays open and asks the same thing again and again, as cheaply as can be: what is measured is the
//! server's work and not the client's.

use gradus_e2e::Api;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// The connection.
pub struct Conn {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Conn {
    /// To where `api` is.
    pub fn open(api: &Api) -> Self {
        let stream = TcpStream::connect(api.base.trim_start_matches("http://")).expect("the server listens");
        stream.set_nodelay(true).expect("a socket can be told");
        Self { stream, buffer: Vec::with_capacity(64 << 10) }
    }

    /// A request, as bytes.
    pub fn request(api: &Api, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let token = api.token.as_deref().map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: gradus\r\n{token}content-length: {length}\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    /// Sends it, and reads an answer that comes piece by piece, to its end.
    pub fn listen(&mut self, request: &[u8]) -> &[u8] {
        self.stream.write_all(request).expect("the server reads");
        self.buffer.clear();
        let mut piece = [0; 16 << 10];
        while !self.buffer.ends_with(b"\r\n0\r\n\r\n") {
            let count = self.stream.read(&mut piece).expect("the server answers");
            assert!(count > 0, "the server closed the connection");
            self.buffer.extend_from_slice(&piece[..count]);
        }
        &self.buffer
    }

    /// Sends it, and reads the answer: its status, and its body.
    pub fn ask(&mut self, request: &[u8]) -> (u16, &[u8]) {
        self.stream.write_all(request).expect("the server reads");
        self.buffer.clear();
        let mut piece = [0; 16 << 10];
        loop {
            let count = self.stream.read(&mut piece).expect("the server answers");
            assert!(count > 0, "the server closed the connection");
            self.buffer.extend_from_slice(&piece[..count]);
            let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&self.buffer[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let length = length.expect("an answer says how long it is");
            if self.buffer.len() >= end + 4 + length {
                let status = head[9..12].parse().expect("a status is a number");
                return (status, &self.buffer[end + 4..end + 4 + length]);
            }
        }
    }
}
