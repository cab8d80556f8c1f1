//! Gitea's, Forgejo's and Gogs' hooks. A new tag is told as a push and, where both are asked for, as a creation: one of them is
//! enough, and the second is seen to be the same.

use super::{Delivery, Told, Unreadable, change, json, project, pusher};
use serde::Deserialize;

#[derive(Deserialize)]
struct Body {
    r#ref: Option<String>,
    ref_type: Option<String>,
    before: Option<String>,
    after: Option<String>,
    sha: Option<String>,
    repository: Option<Repository>,
    sender: Option<User>,
}

#[derive(Deserialize)]
struct Repository {
    id: u64,
    full_name: String,
    clone_url: Option<String>,
}

#[derive(Deserialize)]
struct User {
    id: Option<u64>,
    login: Option<String>,
}

/// The id of no object.
const ZERO: &str = "0000000000000000000000000000000000000000";

pub(super) fn read(delivery: Delivery<'_>) -> Result<Vec<Told>, Unreadable> {
    let event = ["x-forgejo-event", "x-gitea-event", "x-gogs-event"].iter().find_map(|name| (delivery.header)(name));
    told(event.ok_or(Unreadable("`X-Gitea-Event`"))?, delivery.body)
}

/// The same for GitHub's, which have the same form where they have the event.
pub(super) fn told(event: &str, body: &[u8]) -> Result<Vec<Told>, Unreadable> {
    // Others may have the same names for something else.
    if !["push", "create", "delete"].contains(&event) {
        return Ok(Vec::new());
    }
    let body: Body = json(body)?;
    if event != "push" && body.ref_type.as_deref() != Some("tag") {
        return Ok(Vec::new());
    }
    let Some(Repository { id, full_name, clone_url }) = body.repository else { return Err(Unreadable("`repository`")) };
    let project = project(id.to_string(), full_name, clone_url)?;
    let reference = body.r#ref.ok_or(Unreadable("`ref`"))?;
    let by = body.sender.and_then(|user| pusher(user.id.map(|id| id.to_string()), user.login));
    let (reference, before, after) = match event {
        "push" => (reference, body.before, body.after.ok_or(Unreadable("`after`"))?),
        // The name alone, and what it is now.
        "create" => (format!("refs/tags/{reference}"), None, body.sha.ok_or(Unreadable("`sha`"))?),
        _ => (format!("refs/tags/{reference}"), None, ZERO.to_owned()),
    };
    Ok(change(&project, &reference, (before, after), None, by).into_iter().collect())
}
