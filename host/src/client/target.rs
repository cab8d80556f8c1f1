//! Addresses: the server's, and the paths and queries behind it. Everything that comes from outside is escaped.

use std::fmt::{self, Write as _};
use std::str::FromStr;
use ureq::http::Uri;

/// A text that is no address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address of a server; write it as `http://127.0.0.1:8400` or `https://gradus.example.org`")]
pub struct BadServer(String);

/// A server's address: scheme, host, port, and a prefix if it lives below one. No slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server(String, Uri);

impl FromStr for Server {
    type Err = BadServer;

    fn from_str(text: &str) -> Result<Self, BadServer> {
        let bad = || BadServer(text.chars().take(200).filter(|c| !c.is_control()).collect());
        let trimmed = text.trim().trim_end_matches('/');
        let uri: Uri = trimmed.parse().map_err(|_| bad())?;
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        // A password in an address ends up in histories and logs.
        let plain = uri.query().is_none() && uri.authority().is_some_and(|host| !host.as_str().contains('@'));
        if known && plain { Ok(Self(trimmed.to_owned(), uri)) } else { Err(bad()) }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Server {
    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        let host = self.1.host().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether what travels cannot be read on the way.
    pub fn is_encrypted(&self) -> bool {
        self.1.scheme_str() == Some("https")
    }
}

fn escape(out: &mut String, text: &str, keep: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// `/api/v1`, and each part as one segment of the path.
pub fn api(parts: &[&str]) -> String {
    path("/api/v1", parts)
}

/// `base`, and each part as one segment of the path.
pub fn path(base: &str, parts: &[&str]) -> String {
    parts.iter().fold(base.to_owned(), |mut target, part| {
        target.push('/');
        // `.` and `..` would be resolved on the way.
        if part.bytes().all(|byte| byte == b'.') {
            target.push_str(&"%2E".repeat(part.len()))
        } else {
            escape(&mut target, part, b"")
        }
        target
    })
}

/// `target` and a path whose slashes stay.
pub fn below(target: &str, path: &str) -> String {
    let mut target = format!("{target}/");
    escape(&mut target, path, b"/");
    target
}

/// `target` and those of `pairs` that have a value.
pub fn query(target: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut target = target.to_owned();
    for (name, value) in pairs {
        if let Some(value) = value {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(name);
            target.push('=');
            escape(&mut target, value, b"");
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_without_secrets() {
        let server = |text: &str| text.parse::<Server>().map(|server| server.to_string());
        assert_eq!(server("http://127.0.0.1:8400/").as_deref(), Ok("http://127.0.0.1:8400"));
        assert_eq!(server(" https://example.org/gradus/ ").as_deref(), Ok("https://example.org/gradus"));
        for bad in ["", "127.0.0.1:8400", "ftp://a", "http://", "http://u:p@host", "http://a/?b=c", "/x"] {
            assert!(server(bad).is_err(), "{bad}");
        }
        let local = |text: &str| text.parse::<Server>().unwrap().is_local();
        assert!(local("http://127.0.0.1:1") && local("http://localhost") && local("http://[::1]:8400"));
        assert!(!local("http://127.0.0.1.example.org"));
    }

    #[test]
    fn what_comes_from_outside_is_escaped() {
        assert_eq!(api(&["submissions", "a/b c"]), "/api/v1/submissions/a%2Fb%20c");
        assert_eq!(api(&["..", "."]), "/api/v1/%2E%2E/%2E");
        assert_eq!(below("/x", "data/ü?.csv"), "/x/data/%C3%BC%3F.csv");
        assert_eq!(query("/x", &[("a", Some("1&2")), ("b", None), ("c", Some(""))]), "/x?a=1%262&c=");
    }
}
