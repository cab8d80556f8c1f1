//! [`Courier`] over HTTP: a POST to where a web hook is, signed as [Standard Webhooks](https://www.standardwebhooks.com) say.
//!
//! An organizer names the address, so it is hostile: no address of this machine or of the networks around it is connected to,
//! whatever its name resolves to at that moment; no redirect is followed, no proxy asked, and nothing of the answer read but
//! its status.

use crate::outside::{self, PRIVATE, is_public};
use gradus_core::domain::hook::{Hook, Letter};
use gradus_core::ports::courier::{Courier, Undelivered};
use jiff::{SignedDuration, Timestamp};
use std::net::IpAddr;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Uri, header};

/// How long a letter may take in all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an address, at most.
const MOST: usize = 2_000;

/// The courier.
pub struct HttpCourier {
    agent: Agent,
    private: bool,
}

impl HttpCourier {
    /// One that goes to addresses of this machine and of the networks around it too if `private`, and without TLS then.
    pub fn new(private: bool) -> Self {
        let agent = outside::agent(private, PATIENCE);
        Self { agent, private }
    }
}

impl Courier for HttpCourier {
    fn may_be_at(&self, url: &str) -> Result<(), String> {
        let wrong = |what: &str| {
            let scheme = if self.private { "https:// or http://" } else { "https://" };
            Err(format!("`url` {what}: write {scheme}host/path, at most {MOST} bytes"))
        };
        if url.len() > MOST || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return wrong("is no address");
        }
        let Ok(uri) = url.parse::<Uri>() else { return wrong("is no address") };
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if self.private => {}
            _ => return wrong("has another scheme"),
        }
        let Some(authority) = uri.authority() else { return wrong("names no host") };
        if authority.as_str().contains('@') {
            return wrong("has a name or password in it");
        }
        // Names are looked up when a letter goes there; what is written as an address is known now.
        let host = authority.host().trim_matches(['[', ']']);
        if !self.private && host.parse::<IpAddr>().is_ok_and(|address| !is_public(address)) {
            return Err(format!("`url`: {PRIVATE}"));
        }
        Ok(())
    }

    fn deliver(&self, hook: &Hook, letter: &Letter, now: Timestamp) -> Result<(), Undelivered> {
        let failed = |text: String| Undelivered { text, after: None, gone: false };
        let (id, seconds) = (format!("msg_{}", letter.id), now.as_second());
        let code = hook.secret.code(&format!("{id}.{seconds}.{}", letter.body));
        let code = code.ok_or_else(|| failed("its secret is none".to_owned()))?;
        let request = self
            .agent
            .post(&hook.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", seconds.to_string())
            .header("webhook-signature", format!("v1,{code}"));
        let answer = request.send(&letter.body).map_err(|error| failed(format!("it was not reached: {error}")))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let text = match status.as_u16() {
            300..400 => format!("it answered {status}: redirects are not followed"),
            _ => format!("it answered {status}"),
        };
        Err(Undelivered { text, after: after.map(SignedDuration::from_secs), gone: status.as_u16() == 410 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_place_for_a_hook_is_told() {
        let (outside, around) = (HttpCourier::new(false), HttpCourier::new(true));
        for url in ["https://example.org/hook", "https://example.org:8443/a?b=c", "https://93.184.215.14/"] {
            assert_eq!(outside.may_be_at(url), Ok(()), "{url}");
        }
        for (url, what) in [
            ("http://example.org/", "has another scheme"),
            ("ftp://example.org/", "has another scheme"),
            ("file:///etc/passwd", "is no address"),
            ("/path", "has another scheme"),
            ("", "is no address"),
            ("https://user:password@example.org/", "password"),
            ("https://exa mple.org/", "is no address"),
            ("https://example.org/\r\nx: y", "is no address"),
            ("https://127.0.0.1/", "private network"),
            ("https://[::1]:8400/", "private network"),
            ("https://169.254.169.254/latest", "private network"),
        ] {
            let told = outside.may_be_at(url).unwrap_err();
            assert!(told.contains(what), "{url}: {told}");
        }
        assert_eq!(around.may_be_at("http://127.0.0.1:9/"), Ok(()));
        assert!(around.may_be_at("gopher://127.0.0.1/").is_err());
        // Whatever a name stands for is looked at when a letter goes there.
        let hook = Hook {
            id: gradus_core::domain::id::HookId(ulid::Ulid::nil()),
            challenge: "c".parse().unwrap(),
            url: "https://localhost:9/".to_owned(),
            secret: gradus_core::domain::hook::Secret::new([7; 32]),
            made_at: Timestamp::UNIX_EPOCH,
            by: "olga".parse().unwrap(),
        };
        let letter = Letter::new(
            gradus_core::domain::id::LetterId(ulid::Ulid::nil()),
            &hook,
            "{}".to_owned(),
            Timestamp::UNIX_EPOCH,
        );
        let failed = outside.deliver(&hook, &letter, Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(failed.text.contains("private network") && !failed.gone, "{failed:?}");
    }
}
