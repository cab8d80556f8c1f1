//! In which order pushes are fetched: those of a project one after the other, projects in turn, and few at once of a forge that
//! does not give them. Only a picture: the store has what waits.

use crate::domain::id::{PushId, SourceId};
use crate::domain::push::{Push, PushState};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// A project at a forge.
pub type Key = (SourceId, String);

/// What waits to be fetched.
#[derive(Debug, Default)]
pub struct Line {
    /// Of each project: oldest first.
    waiting: HashMap<Key, BTreeSet<PushId>>,
    /// Projects whose turn comes.
    turns: VecDeque<Key>,
    /// Projects that wait for a moment.
    resting: BTreeMap<(Timestamp, SourceId, String), ()>,
    /// Projects that somebody is at.
    busy: HashSet<Key>,
    /// How many of a forge somebody is at.
    of_source: HashMap<SourceId, usize>,
    /// Forges that did not give what was asked for last, and what was wrong.
    trouble: HashMap<SourceId, String>,
    /// How many wait, in all.
    count: usize,
}

fn key(push: &Push) -> Key {
    (push.source.clone(), push.project.id.clone())
}

impl Line {
    /// Puts one behind those of its project.
    pub fn push(&mut self, push: &Push) {
        let key = key(push);
        let waiting = self.waiting.entry(key.clone()).or_default();
        let first = waiting.is_empty();
        self.count += usize::from(waiting.insert(push.id));
        if first && !self.busy.contains(&key) {
            match push.state {
                // As after a start.
                PushState::Waiting { due: Some(due), .. } => drop(self.resting.insert((due, key.0, key.1), ())),
                PushState::Waiting { due: None, .. }
                | PushState::Submitted { .. }
                | PushState::Same { .. }
                | PushState::Refused { .. }
                | PushState::Passed => self.turns.push_back(key),
            }
        }
    }

    /// The next one that may be fetched at `now`, so few at once of each forge. Whoever takes it says when they are [`done`](Self::done).
    pub fn take(&mut self, now: Timestamp, most: usize) -> Option<(PushId, Key)> {
        while let Some(entry) = self.resting.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, source, project), ()) = entry.remove_entry();
            self.turns.push_back((source, project));
        }
        let free = |key: &Key| {
            let most = if self.trouble.contains_key(&key.0) { 1 } else { most };
            self.of_source.get(&key.0).copied().unwrap_or_default() < most
        };
        let at = self.turns.iter().position(free)?;
        let key = self.turns.remove(at)?;
        let id = *self.waiting.get(&key)?.first()?;
        *self.of_source.entry(key.0.clone()).or_default() += 1;
        self.busy.insert(key.clone());
        Some((id, key))
    }

    /// One that was taken is not waited for any more, or again from `due` on; `trouble`: what was wrong with its forge, or that
    /// nothing is.
    pub fn done(&mut self, id: PushId, key: Key, due: Option<Timestamp>, trouble: Option<Option<String>>) {
        if let Some(count) = self.of_source.get_mut(&key.0) {
            *count = count.saturating_sub(1);
        }
        match trouble {
            Some(Some(why)) => drop(self.trouble.insert(key.0.clone(), why)),
            Some(None) => drop(self.trouble.remove(&key.0)),
            None => {}
        }
        self.busy.remove(&key);
        let Some(waiting) = self.waiting.get_mut(&key) else { return };
        if let Some(due) = due {
            self.resting.insert((due, key.0, key.1), ());
            return;
        }
        self.count -= usize::from(waiting.remove(&id));
        if waiting.is_empty() {
            self.waiting.remove(&key);
        } else {
            self.turns.push_back(key);
        }
    }

    /// When one may be taken next that rests now.
    pub fn due(&self) -> Option<Timestamp> {
        self.resting.keys().next().map(|(due, ..)| *due)
    }

    /// What is wrong with a forge.
    pub fn trouble(&self, source: &SourceId) -> Option<&str> {
        self.trouble.get(source).map(String::as_str)
    }

    /// How many wait, or are being fetched.
    pub fn len(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::forge::{Project, Tag, Told};
    use ulid::Ulid;

    fn push(n: u64, source: &str, project: &str) -> Push {
        let project = Project { id: project.into(), path: project.into(), url: None };
        let name = format!("v{n}").try_into().unwrap();
        let object = "a".repeat(40).try_into().unwrap();
        let told = Told::Tag(Box::new(Tag { project, name, before: None, object, commit: None, pusher: None }));
        let id = PushId(Ulid::from_parts(n, 0));
        Push::new(id, source.parse().unwrap(), told, Timestamp::UNIX_EPOCH).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn take(line: &mut Line, now: i64, most: usize) -> Option<PushId> {
        line.take(at(now), most).map(|(id, _)| id)
    }

    fn done(line: &mut Line, push: &Push, due: Option<Timestamp>, trouble: Option<Option<String>>) {
        line.done(push.id, key(push), due, trouble);
    }

    #[test]
    fn projects_take_turns_and_each_keeps_its_order() {
        let all = [push(1, "a", "x"), push(2, "a", "x"), push(3, "a", "x"), push(4, "a", "y"), push(5, "b", "z")];
        let mut line = Line::default();
        for push in all.iter().chain(&all) {
            line.push(push);
        }
        assert_eq!(line.len(), 5);
        let mut taken = Vec::new();
        while let Some(id) = take(&mut line, 0, 9) {
            taken.push(id);
            if taken.len() == 3 {
                // Of each project one is being fetched.
                assert_eq!(take(&mut line, 0, 9), None);
                for push in &all {
                    if taken.contains(&push.id) {
                        done(&mut line, push, None, Some(None));
                    }
                }
            } else if taken.len() > 3 {
                let push = all.iter().find(|push| push.id == id).unwrap();
                done(&mut line, push, None, None);
            }
        }
        let order: Vec<_> = taken.iter().map(|id| id.0.timestamp_ms()).collect();
        assert_eq!((order, line.len()), (vec![1, 4, 5, 2, 3], 0));
    }

    #[test]
    fn a_forge_in_trouble_holds_up_itself_alone() {
        let all = [push(1, "a", "x"), push(2, "a", "y"), push(3, "a", "z"), push(4, "b", "x")];
        let mut line = Line::default();
        all.iter().for_each(|push| line.push(push));
        assert_eq!(take(&mut line, 0, 2), Some(all[0].id));
        assert_eq!(take(&mut line, 0, 2), Some(all[1].id));
        assert_eq!(take(&mut line, 0, 2), Some(all[3].id), "two of `a` are enough");
        done(&mut line, &all[0], Some(at(5)), Some(Some("it is down".into())));
        assert_eq!(
            (take(&mut line, 0, 2), line.trouble(&all[0].source)),
            (None, Some("it is down")),
            "one at a time now"
        );
        done(&mut line, &all[1], Some(at(7)), None);
        assert_eq!(take(&mut line, 0, 2), Some(all[2].id));
        done(&mut line, &all[2], None, Some(None));
        assert_eq!((take(&mut line, 4, 2), line.due()), (None, Some(at(5))));
        assert_eq!(take(&mut line, 8, 2), Some(all[0].id));
        assert_eq!(take(&mut line, 8, 2), Some(all[1].id));
        assert_eq!((line.due(), line.trouble(&all[0].source)), (None, None));
        // After a start, what was put off rests, and holds up nobody.
        let mut line = Line::default();
        let state = PushState::Waiting { attempts: 3, due: Some(at(9)), reason: None };
        line.push(&Push { state, ..all[0].clone() });
        line.push(&all[3]);
        assert_eq!((take(&mut line, 8, 2), take(&mut line, 8, 2)), (Some(all[3].id), None));
        assert_eq!(take(&mut line, 9, 2), Some(all[0].id));
    }
}
