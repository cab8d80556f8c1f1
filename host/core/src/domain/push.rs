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

/// A tag at a forge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagKey {
    /// Who tells of it.
    pub source: SourceId,
    /// The project's id.
    pub project: String,
    /// Its name.
    pub tag: TagName,
}

/// What was told of a tag last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTold {
    /// What it is; `None`: it was deleted.
    pub object: Option<ObjectId>,
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

    /// The tag that it is of.
    pub fn tag_key(&self) -> TagKey {
        TagKey { source: self.source.clone(), project: self.project.id.clone(), tag: self.tag.clone() }
    }

    /// Whether it was told before, in whatever form: `had`: the tag was this object at some time; `last`: what was told of it
    /// last. One object of a tag is one push, however often it is told, but for a tag that was deleted in between.
    pub fn is_known(&self, had: bool, last: Option<&LastTold>) -> bool {
        let gone = last.is_some_and(|last| last.object.is_none());
        if self.object.is_some() { had && !gone } else { gone }
    }

    /// What is told last with it.
    pub fn told(&self) -> LastTold {
        LastTold { object: self.object.clone() }
    }
}
