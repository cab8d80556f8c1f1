//! A push of a tag, as a forge told of it: kept before the forge has its answer, and never twice; and what becomes of it.

use super::contract::Contract;
use super::forge::{ObjectId, Project, Pusher, TagName, Told};
use super::id::{ChallengeId, EntrantId, PushId, SourceId, SubmissionId};
use jiff::{SignedDuration, Timestamp};
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
    /// What became of it.
    #[serde(default)]
    pub state: PushState,
    /// The challenge that it is for, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<ChallengeId>,
    /// What whoever pushed should know, and is no reason not to grade it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What went wrong last on our side or the forge's: for the operator alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// What became of a push.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "is")]
pub enum PushState {
    /// It is to be fetched.
    Waiting {
        /// Times that it was tried, and failed on our side or the forge's.
        #[serde(default)]
        attempts: u32,
        /// Not before then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<Timestamp>,
        /// Why it is none yet, for whoever pushed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It is a submission.
    Submitted {
        /// Which.
        submission: SubmissionId,
    },
    /// What it holds was handed in before, and counts once.
    Same {
        /// As which submission.
        submission: SubmissionId,
    },
    /// It is none, and will not be.
    Refused {
        /// The stable code.
        code: String,
        /// Why, for whoever pushed.
        reason: String,
    },
    /// Nothing is to be done: no challenge takes such tags, or it was deleted.
    #[default]
    Passed,
}

impl PushState {
    /// One that was not tried yet.
    pub const NEW: Self = Self::Waiting { attempts: 0, due: None, reason: None };

    /// Whether something is to be done still.
    pub fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting { .. })
    }

    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Submitted { .. } => "submitted",
            Self::Same { .. } => "same",
            Self::Refused { .. } => "refused",
            Self::Passed => "passed",
        }
    }

    /// The submission that it is.
    pub fn submission(&self) -> Option<SubmissionId> {
        match self {
            Self::Submitted { submission } | Self::Same { submission } => Some(*submission),
            Self::Waiting { .. } | Self::Refused { .. } | Self::Passed => None,
        }
    }
}

/// Pushes are tried for so long, if it is not their own fault that they are not fetched.
pub const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// The longest pause between two tries.
const LONGEST: SignedDuration = SignedDuration::from_mins(10);

/// Somebody at a forge, and who they are here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgeUser {
    /// The forge.
    pub source: SourceId,
    /// What it knows them by, whatever they are called.
    pub id: String,
    /// What they were called last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who they are here.
    pub entrant: EntrantId,
    /// Since when.
    pub since: Timestamp,
}

/// Where a submission comes from that was pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// The push.
    pub push: PushId,
    /// The forge.
    pub source: SourceId,
    /// What people call the project.
    pub project: String,
    /// The tag.
    pub tag: TagName,
    /// What it was.
    pub commit: ObjectId,
    /// What the repository says of itself.
    pub said: Contract,
    /// What whoever pushed should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
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
    /// What it was before it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub had: Option<ObjectId>,
}

impl Push {
    /// What `source` told at `now`, if it is a push of a tag.
    pub fn new(id: PushId, source: SourceId, told: Told, now: Timestamp) -> Option<Self> {
        let (state, challenge, notes, trouble) = (PushState::Passed, None, Vec::new(), None);
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
                state: PushState::NEW,
                challenge,
                notes,
                trouble,
            }),
            Told::Gone { project, name, before, pusher } => Some(Self {
                id,
                source,
                project,
                tag: name,
                before,
                object: None,
                commit: None,
                pusher,
                at: now,
                state,
                challenge,
                notes,
                trouble,
            }),
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

    /// What it waits as after a try at `now` that came to nothing, with `reason` for whoever pushed; refused, when it was tried
    /// for long enough, or `most` times.
    pub fn put_off(&self, reason: String, most: u32, now: Timestamp) -> PushState {
        let attempts = match self.state {
            PushState::Waiting { attempts, .. } => attempts.saturating_add(1),
            PushState::Submitted { .. } | PushState::Same { .. } | PushState::Refused { .. } | PushState::Passed => 1,
        };
        let pause = SignedDuration::from_secs(1 << attempts.min(10)).min(LONGEST);
        match now.checked_add(pause) {
            Ok(due) if due.duration_since(self.at) < PATIENCE && attempts < most => {
                PushState::Waiting { attempts, due: Some(due), reason: Some(reason) }
            }
            Ok(_) | Err(_) => {
                let reason =
                    format!("given up after {attempts} tries: {reason}; push another tag, or ask the operator");
                PushState::Refused { code: "platform".to_owned(), reason }
            }
        }
    }

    /// Where its submission comes from.
    pub fn as_handed_in(&self, commit: &ObjectId, said: &Contract) -> Pushed {
        Pushed {
            push: self.id,
            source: self.source.clone(),
            project: self.project.path.clone(),
            tag: self.tag.clone(),
            commit: commit.clone(),
            said: said.clone(),
            notes: self.notes.clone(),
        }
    }

    /// The same, knowing what was told of its tag last: one that was deleted and made again was moved, whatever its forge says.
    #[must_use]
    pub fn after(self, last: Option<&LastTold>) -> Self {
        let known = last.and_then(|last| last.object.clone().or_else(|| last.had.clone()));
        let before = self.before.clone().or(known).filter(|before| self.object.as_ref() != Some(before));
        Self { before, ..self }
    }

    /// What is told last with it, after `last`.
    pub fn told(&self, last: Option<&LastTold>) -> LastTold {
        let had = last.and_then(|last| last.object.clone().or_else(|| last.had.clone()));
        LastTold { object: self.object.clone(), had: had.filter(|_| self.object.is_none()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_made_less_often_and_end() {
        let told = Told::Tag(Box::new(super::super::forge::Tag {
            project: Project { id: "1".into(), path: "a/b".into(), url: None },
            name: "v1".to_owned().try_into().unwrap(),
            before: None,
            object: "a".repeat(40).try_into().unwrap(),
            commit: None,
            pusher: None,
        }));
        let start = Timestamp::UNIX_EPOCH;
        let mut push = Push::new(PushId(ulid::Ulid::nil()), "uni".parse().unwrap(), told, start).unwrap();
        let (mut now, mut pauses) = (start, Vec::new());
        while push.state.is_waiting() {
            push.state = push.put_off("it is down".to_owned(), u32::MAX, now);
            if let PushState::Waiting { due: Some(due), .. } = push.state {
                pauses.push(due.duration_since(now).as_secs());
                now = due;
            }
        }
        assert_eq!(pauses[..9], [2, 4, 8, 16, 32, 64, 128, 256, 512]);
        assert_eq!((pauses.last(), pauses.len() > 140), (Some(&600), true));
        push.state = PushState::NEW;
        push.state = push.put_off("x".to_owned(), 2, start);
        assert!(push.state.is_waiting());
        assert!(!push.put_off("x".to_owned(), 2, start).is_waiting(), "two tries are enough");
        push.state = PushState::Waiting { attempts: 150, due: None, reason: None };
        let PushState::Refused { code, reason } = push.put_off("it is down".to_owned(), u32::MAX, now + PATIENCE)
        else {
            panic!("it is tried for ever")
        };
        assert_eq!(code, "platform");
        assert!(reason.starts_with("given up after 1") && reason.contains("it is down"), "{reason}");
    }
}
