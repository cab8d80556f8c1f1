//! A push of a tag, as a forge told of it: kept before the forge has its answer, and never twice.

use super::forge::{ObjectId, Project, Pusher, TagName, Told};
use super::id::{PushId, SourceId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// Its id, in the order in which pushes were told.
    pub id: PushId,
    /// Who told of it.
    pub source: SourceId,
    /// Where it was.
    pub project: Project,
    /// Which tag.
    pub tag: TagName,
    /// What the tag was before, if it was there and the forge says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<ObjectId>,
    /// What it is now; `None`: it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectId>,
    /// Which commit that is, if the forge says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<ObjectId>,
    /// Who pushed, as the forge says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pusher: Option<Pusher>,
    /// When it was told.
    pub at: Timestamp,
}

/// What makes a push the same as another, however often and in whatever form it is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PushKey {
    /// Who told of it.
    pub source: SourceId,
    /// The project's id.
    pub project: String,
    /// The tag.
    pub tag: TagName,
    /// What it is now, or was when it was deleted.
    pub object: Option<ObjectId>,
    /// Whether it was deleted.
    pub deleted: bool,
}

impl Push {
    /// What `source` told at `now`, if it is a push of a tag.
    pub fn new(id: PushId, source: SourceId, told: Told, now: Timestamp) -> Option<Self> {
        match told {
            Told::Tag(tag) => Some(Self {
                id,
                source,
                project: tag.project,
                tag: tag.name,
                before: tag.before,
                object: Some(tag.object),
                commit: tag.commit,
                pusher: tag.pusher,
                at: now,
            }),
            Told::Gone { project, name, before, pusher } => {
                Some(Self { id, source, project, tag: name, before, object: None, commit: None, pusher, at: now })
            }
            Told::Project(_) => None,
        }
    }

    /// What makes it the same as another.
    pub fn key(&self) -> PushKey {
        let deleted = self.object.is_none();
        let object = if deleted { self.before.clone() } else { self.object.clone() };
        PushKey {
            source: self.source.clone(),
            project: self.project.id.clone(),
            tag: self.tag.clone(),
            object,
            deleted,
        }
    }
}
