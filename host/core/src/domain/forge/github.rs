//! GitHub's hooks. `create` does not say which object a tag is, so a push alone tells of one.

use super::{Delivery, Told, Unreadable, gitea};

pub(super) fn read(delivery: Delivery<'_>) -> Result<Vec<Told>, Unreadable> {
    match (delivery.header)("x-github-event").ok_or(Unreadable("`X-GitHub-Event`"))? {
        "push" => gitea::told("push", delivery.body),
        _ => Ok(Vec::new()),
    }
}
