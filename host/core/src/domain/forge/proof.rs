//! Whether a forge sent a hook. Each kind proves it in one way, the one that is configured: where a hook can be signed, one
//! that is not is no hook of this forge, whatever else it has.

use super::{Delivery, Kind, Proof, Source};
use crate::domain::digest::Digest;
use crate::domain::hook::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// A signature with a time is good for so long, before and after.
pub const MAX_SKEW: SignedDuration = SignedDuration::from_secs(300);

/// Why a hook is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    /// It has no such header.
    #[error("the hook has no `{0}`")]
    Missing(&'static str),
    /// It was made with another secret, or changed on the way.
    #[error("the hook's signature or token is another than this source's")]
    Wrong,
    /// It is too old, or a clock is wrong.
    #[error("the hook was signed more than 5 minutes ago, or a clock is wrong")]
    Stale,
}

/// The header that has a hook's proof, whatever it is worth.
pub(super) fn given<'a>(source: &Source, header: &dyn Fn(&str) -> Option<&'a str>) -> Result<&'a str, Forged> {
    let (names, name): (&[&str], _) = match (&source.proof, source.kind) {
        (Proof::Token(_), _) => (&["x-gitlab-token"], "X-Gitlab-Token"),
        (Proof::Signed(_), Kind::Gitlab | Kind::Plain) => (&["webhook-signature"], "webhook-signature"),
        (Proof::Signed(_), Kind::Gitea) => {
            (&["x-forgejo-signature", "x-gitea-signature", "x-gogs-signature"], "X-Gitea-Signature")
        }
        (Proof::Signed(_), Kind::Github) => (&["x-hub-signature-256"], "X-Hub-Signature-256"),
    };
    names.iter().find_map(|name| header(name)).ok_or(Forged::Missing(name))
}

pub(super) fn check(source: &Source, delivery: Delivery<'_>, now: Timestamp) -> Result<(), Forged> {
    let given = given(source, delivery.header)?;
    match (&source.proof, source.kind) {
        (Proof::Token(digest), _) => same(Digest::of(given.as_bytes()).as_bytes(), digest.as_bytes()),
        (Proof::Signed(secret), Kind::Gitlab | Kind::Plain) => standard(secret, given, delivery, now),
        (Proof::Signed(secret), Kind::Gitea) => of_body(secret, delivery.body, given),
        (Proof::Signed(secret), Kind::Github) => {
            of_body(secret, delivery.body, given.strip_prefix("sha256=").ok_or(Forged::Wrong)?)
        }
    }
}

fn header<'a>(delivery: Delivery<'a>, name: &'static str) -> Result<&'a str, Forged> {
    (delivery.header)(name).ok_or(Forged::Missing(name))
}

fn same(one: &[u8], other: &[u8]) -> Result<(), Forged> {
    if one.ct_eq(other).into() { Ok(()) } else { Err(Forged::Wrong) }
}

/// As Standard Webhooks has it: id, time and body are signed.
fn standard(secret: &Secret, given: &str, delivery: Delivery<'_>, now: Timestamp) -> Result<(), Forged> {
    let id = header(delivery, "webhook-id")?;
    let time = header(delivery, "webhook-timestamp")?;
    let seconds: i64 = time.parse().map_err(|_| Forged::Wrong)?;
    let signed = Timestamp::from_second(seconds).map_err(|_| Forged::Wrong)?;
    let code = secret.code_of(&[format!("{id}.{time}.").as_bytes(), delivery.body]).ok_or(Forged::Wrong)?;
    // All are looked at: while a secret is changed, there are two.
    let codes = given.split(' ').take(16).filter_map(|code| code.strip_prefix("v1,"));
    let good = codes.fold(false, |good, given| good | bool::from(given.as_bytes().ct_eq(code.as_bytes())));
    if !good {
        return Err(Forged::Wrong);
    }
    if now.duration_since(signed).abs() > MAX_SKEW { Err(Forged::Stale) } else { Ok(()) }
}

/// HMAC-SHA256 of the body alone, in base 16; the key is the secret as it stands.
fn of_body(secret: &Secret, body: &[u8], given: &str) -> Result<(), Forged> {
    let mut code = Hmac::<Sha256>::new_from_slice(secret.0.as_bytes()).map_err(|_| Forged::Wrong)?;
    code.update(body);
    same(hex::encode(code.finalize().into_bytes()).as_bytes(), given.as_bytes())
}
