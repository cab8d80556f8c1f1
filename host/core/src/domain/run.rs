//! What a run in a container is of: an image, as people name it and by its content, and places in the container's file
//! system.
//!
//! Nothing here resolves a name: a tag is not an [`ImageRef`]; it becomes one when a challenge is published.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Bytes of an image's name, or of a place, at most.
const MOST: usize = 512;

/// An image by its content: `sha256:<64 hex digits>`, or `name@sha256:<64 hex digits>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef(String);

/// Text that names no image by its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not pin an image: write `sha256:…` or `name@sha256:…`, with 64 hex digits")]
pub struct BadImageRef(String);

/// An image as people name it: `name`, `name:tag`, or one that is pinned already.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName(String);

/// Text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no image: write `name:tag`, `name@sha256:…` or `sha256:…`, without spaces")]
pub struct BadImageName(String);

/// An absolute path in a container where something is put.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place(String);

/// Text that names no usable place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place in a container: write an absolute path without `.` and `..`, outside of /proc, /sys and /dev"
)]
pub struct BadPlace(String);

fn shown(text: &str) -> String {
    text.chars().take(100).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl TryFrom<String> for ImageRef {
    type Error = BadImageRef;
    fn try_from(text: String) -> Result<Self, BadImageRef> {
        let (name, digest) = text.rsplit_once('@').map_or((None, text.as_str()), |(name, rest)| (Some(name), rest));
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let pinned = digest.strip_prefix("sha256:").is_some_and(|rest| rest.len() == 64 && rest.bytes().all(hex));
        // It becomes a part of a request's path: nothing that could mean more there.
        let plain =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_' | b'/' | b':');
        let named = name.is_none_or(|name| {
            name.len() <= MOST
                && name.bytes().all(plain)
                && name.split('/').all(|part| part.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()))
        });
        if pinned && named { Ok(Self(text)) } else { Err(BadImageRef(shown(&text))) }
    }
}

impl TryFrom<String> for ImageName {
    type Error = BadImageName;
    fn try_from(text: String) -> Result<Self, BadImageName> {
        if text.contains('@') || text.starts_with("sha256:") {
            return match ImageRef::try_from(text) {
                Ok(pinned) => Ok(Self(pinned.0)),
                Err(BadImageRef(shown)) => Err(BadImageName(shown)),
            };
        }
        // A colon before the last slash is a registry's port.
        let (name, tag) = match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            Some(_) | None => (text.as_str(), None),
        };
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let tagged = tag.is_none_or(|tag| (1..=128).contains(&tag.len()) && tag.bytes().all(word));
        let part = |part: &str| {
            part.bytes().all(|b| word(b) && !b.is_ascii_uppercase())
                && part.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        };
        let port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let named = match name.split_once('/') {
            Some((host, path)) => {
                let (host, port) = host.split_once(':').map_or((host, true), |(host, number)| (host, port(number)));
                port && part(host) && path.split('/').all(part)
            }
            None => part(name),
        };
        let named = named && name.len() <= MOST;
        if tagged && named { Ok(Self(text)) } else { Err(BadImageName(shown(&text))) }
    }
}

impl TryFrom<String> for Place {
    type Error = BadPlace;
    fn try_from(text: String) -> Result<Self, BadPlace> {
        let names = text.strip_prefix('/').into_iter().flat_map(|rest| rest.split('/'));
        // A colon or a comma would end the path in a mount option.
        let plain = |c: char| !c.is_control() && !matches!(c, '\\' | ':' | ',');
        let mut good = text.len() <= MOST && text.starts_with('/') && text.chars().all(plain);
        for name in names {
            good &= !matches!(name, "" | "." | "..");
        }
        let first = text.split('/').nth(1).unwrap_or_default();
        let kernel = matches!(first, "proc" | "sys" | "dev") && text != "/dev/shm";
        if good && !kernel { Ok(Self(text)) } else { Err(BadPlace(shown(&text))) }
    }
}

impl Place {
    /// Whether the two are the same, or one lies in the other: what is put at one would hide a part of the other.
    pub fn meets(&self, other: &Self) -> bool {
        let inside = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        inside(&self.0, &other.0) || inside(&other.0, &self.0)
    }
}

/// The machine that this was built for, as images name it.
pub const fn architecture() -> &'static str {
    if cfg!(target_arch = "x86_64") {
        "amd64"
    } else if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "unknown"
    }
}

macro_rules! text {
    ($name:ident, $error:ident) => {
        impl $name {
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $error;
            fn from_str(text: &str) -> Result<Self, $error> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(ImageName, BadImageName);
text!(ImageRef, BadImageRef);
text!(Place, BadPlace);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_name_images_plainly() {
        let pinned = format!("python@sha256:{}", "0".repeat(64));
        for good in ["python", "python:3.12-Slim", "images.example.org:5000/team/python:1", &pinned, &pinned[7..]] {
            assert!(good.parse::<ImageName>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "a:", "a:b:c", "../a", "a//b", "-a", "Python", "a?b", "a@sha256:12", "sha256:12", "a:b/"]
        {
            assert!(bad.parse::<ImageName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_content_names_an_image() {
        let hex = "0123456789abcdef".repeat(4);
        for good in [format!("sha256:{hex}"), format!("a/b.c:5000/d@sha256:{hex}"), format!("python@sha256:{hex}")] {
            assert!(good.parse::<ImageRef>().is_ok(), "{good}");
        }
        let upper = hex.to_uppercase();
        for bad in [
            "python".to_owned(),
            "python:3".to_owned(),
            hex.clone(),
            format!("sha256:{upper}"),
            format!("sha256:{hex}0"),
            format!("@sha256:{hex}"),
            format!("../x@sha256:{hex}"),
            format!("a//b@sha256:{hex}"),
            format!("a?b@sha256:{hex}"),
            format!("a@b@sha256:{hex}"),
        ] {
            assert!(bad.parse::<ImageRef>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_place_is_plain_and_not_the_kernels() {
        for good in ["/out", "/app/input_data", "/dev/shm", "/process", "/tmp"] {
            assert!(good.parse::<Place>().is_ok(), "{good}");
        }
        for bad in
            ["", "/", "out", "/a/", "/a//b", "/a/../b", "/./a", "/proc", "/proc/x", "/sys/a", "/dev/x", "/a:b", "/a\n"]
        {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }

    #[test]
    fn places_meet_when_one_hides_the_other() {
        let place = |text: &str| text.parse::<Place>().unwrap();
        assert!(place("/a").meets(&place("/a")));
        assert!(place("/a").meets(&place("/a/b")) && place("/a/b").meets(&place("/a")));
        assert!(!place("/a").meets(&place("/ab")) && !place("/a/b").meets(&place("/a/c")));
    }
}
