//! Forges, and what they tell.

use super::Property;
use super::rows::{at, deed};
use crate::domain::audit::Act;
use crate::domain::forge::{Kind, ObjectId, Project, Proof, Source, Tag, Told};
use crate::domain::hook::Secret;
use crate::domain::id::{PushId, SourceId};
use crate::domain::push::Push;
use crate::ports::store::Store;
use ulid::Ulid;

pub const ALL: &[Property] = &[forges_are_kept_by_name, a_push_is_kept_once, pushes_are_listed_newest_first];

fn name(text: &str) -> SourceId {
    text.parse().unwrap()
}

/// Each has its name, once; and what is done with them is logged.
pub fn forges_are_kept_by_name(store: &dyn Store) {
    let source = |id: &str, base: &str| Source {
        id: name(id),
        kind: Kind::Gitea,
        base: base.to_owned(),
        proof: Proof::Signed(Secret::new([7; 32])),
        made_at: at(1),
        by: "operator".parse().unwrap(),
    };
    let made = |source: &Source| {
        let act = Act::SourceMade { source: source.id.clone(), kind: source.kind, base: source.base.clone() };
        store.put_source(source, &deed(1, act)).unwrap()
    };
    let (b, a) = (source("b", "https://b.example.org"), source("a", "https://a.example.org"));
    assert!(made(&b) && made(&a));
    assert!(!made(&source("a", "https://other.example.org")), "it is there");
    assert_eq!(store.source(&a.id).unwrap().as_ref(), Some(&a));
    assert_eq!(store.sources().unwrap(), [a.clone(), b.clone()]);
    let removed = |id: &SourceId| {
        let act = Act::SourceRemoved { source: id.clone() };
        store.remove_source(id, &deed(2, act)).unwrap()
    };
    assert!(removed(&a.id) && !removed(&a.id));
    assert_eq!((store.source(&a.id).unwrap(), store.sources().unwrap()), (None, vec![b]));
    assert_eq!(store.audit(None, None, 9).unwrap().len(), 3, "what changed nothing is not logged");
}

fn object(digit: &str) -> ObjectId {
    digit.repeat(40).try_into().unwrap()
}

fn push(n: u64, source: &str, project: &str, tag: &str, object_is: Option<&str>) -> Push {
    let project = Project { id: project.to_owned(), path: format!("group/{project}"), url: None };
    let tag = tag.to_owned().try_into().unwrap();
    let told = match object_is {
        Some(digit) => {
            let object = object(digit);
            Told::Tag(Box::new(Tag { project, name: tag, before: None, object, commit: None, pusher: None }))
        }
        None => Told::Gone { project, name: tag, before: Some(object("a")), pusher: None },
    };
    Push::new(PushId(Ulid::from_parts(n, 3)), name(source), told, at(n)).unwrap()
}

/// Who, where, which tag and which object: a push that has all of them in common with another is that one, but for a tag that
/// was deleted in between.
pub fn a_push_is_kept_once(store: &dyn Store) {
    let first = push(1, "a", "1", "v1", Some("a"));
    assert_eq!(store.receive(vec![first.clone(), push(2, "a", "1", "v1", Some("a"))]).unwrap(), 1);
    assert_eq!(store.receive(vec![push(3, "a", "1", "v1", Some("a"))]).unwrap(), 0);
    let others = [
        push(4, "b", "1", "v1", Some("a")),
        push(5, "a", "2", "v1", Some("a")),
        push(6, "a", "1", "v2", Some("a")),
        push(7, "a", "1", "v1", Some("b")),
        push(8, "a", "1", "v1", None),
        push(9, "a", "1", "v1", Some("a")),
        push(10, "a", "1", "v1", None),
        push(11, "a", "1", "never", None),
    ];
    for (n, other) in others.into_iter().enumerate() {
        assert_eq!(store.receive(vec![other.clone()]).unwrap(), 1, "{n}");
        assert_eq!(store.receive(vec![other]).unwrap(), 0, "{n}");
    }
    assert_eq!(store.pushes(&name("a"), None, 99).unwrap().last(), Some(&first));
    // One that comes late, in another form.
    let late =
        [push(12, "a", "1", "v3", Some("a")), push(13, "a", "1", "v3", Some("b")), push(14, "a", "1", "v3", Some("a"))];
    assert_eq!(store.receive(late.to_vec()).unwrap(), 2);
    assert_eq!(store.receive(Vec::new()).unwrap(), 0);
}

/// By forge, a page at a time.
pub fn pushes_are_listed_newest_first(store: &dyn Store) {
    for n in 1..=5 {
        store.receive(vec![push(n, "a", "1", &format!("v{n}"), Some("a"))]).unwrap();
    }
    store.receive(vec![push(6, "a-b", "1", "v1", Some("a"))]).unwrap();
    let tags = |before: Option<PushId>, limit| {
        let pushes = store.pushes(&name("a"), before, limit).unwrap();
        pushes.iter().map(|push| push.tag.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(tags(None, 3), ["v5", "v4", "v3"]);
    assert_eq!(tags(Some(PushId(Ulid::from_parts(3, 3))), 3), ["v2", "v1"]);
}
