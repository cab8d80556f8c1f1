//! The form for git servers without a forge: what a `post-receive` hook is told, and where.

use super::{MAX_TAGS, Told, Unreadable, change, json, project, pusher};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// The repository's path below the source's base.
    project: String,
    /// Who pushed, if the server knows.
    pusher: Option<String>,
    /// What was pushed.
    updates: Vec<Update>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    r#ref: String,
    before: String,
    after: String,
}

pub(super) fn read(body: &[u8]) -> Result<Vec<Told>, Unreadable> {
    let Body { project: path, pusher: by, updates } = json(body)?;
    let project = project(path.clone(), path, None)?;
    let by = pusher(None, by);
    let tags = updates.into_iter().filter(|update| update.r#ref.starts_with("refs/tags/")).take(MAX_TAGS);
    let told = |Update { r#ref, before, after }| change(&project, &r#ref, (Some(before), after), None, by.clone());
    Ok(tags.filter_map(told).collect())
}
