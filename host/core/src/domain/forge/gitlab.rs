//! GitLab's hooks: one form for those of the instance, of groups and of projects; what is optional differs by version and kind.

use super::{MAX_TAGS, Told, Unreadable, change, json, project, pusher};
use serde::Deserialize;

/// Of a hook of any kind.
#[derive(Deserialize)]
struct Event {
    event_name: Option<String>,
    object_kind: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    r#ref: Option<String>,
    before: Option<String>,
    after: Option<String>,
    checkout_sha: Option<String>,
    project_id: Option<u64>,
    project: Option<Repository>,
    user_id: Option<u64>,
    user_username: Option<String>,
    #[serde(default)]
    changes: Vec<Change>,
    /// Of a new project.
    path_with_namespace: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    git_http_url: Option<String>,
    path_with_namespace: Option<String>,
}

#[derive(Deserialize)]
struct Change {
    r#ref: String,
    before: Option<String>,
    after: String,
}

pub(super) fn read(body: &[u8]) -> Result<Vec<Told>, Unreadable> {
    let Event { event_name, object_kind } = json(body)?;
    // Hooks of the instance have the first, those of projects the second, and some both.
    let event = event_name.or(object_kind).ok_or(Unreadable("`event_name`"))?;
    let event = event.as_str();
    // Others may have the same names for something else.
    if !["tag_push", "repository_update", "project_create"].contains(&event) {
        return Ok(Vec::new());
    }
    let body: Body = json(body)?;
    let id = body.project_id.ok_or(Unreadable("`project_id`"))?.to_string();
    let (url, path) = body.project.map_or((None, None), |of| (of.git_http_url, of.path_with_namespace));
    let path = path.or(body.path_with_namespace).ok_or(Unreadable("`path_with_namespace`"))?;
    let project = project(id, path, url)?;
    let by = || pusher(body.user_id.map(|id| id.to_string()), body.user_username.clone());
    match event {
        "project_create" => Ok(vec![Told::Project(project)]),
        "tag_push" => {
            let (Some(reference), Some(after)) = (body.r#ref, body.after) else { return Err(Unreadable("`ref`")) };
            let commit = body.checkout_sha;
            Ok(change(&project, &reference, (body.before, after), commit, by()).into_iter().collect())
        }
        _ => {
            let tags = body.changes.into_iter().filter(|change| change.r#ref.starts_with("refs/tags/")).take(MAX_TAGS);
            let told = |Change { r#ref, before, after }| change(&project, &r#ref, (before, after), None, by());
            Ok(tags.filter_map(told).collect())
        }
    }
}
