//! Forges, and what they tell.

use super::Property;
use super::rows::{admission, admitted, at, deed, in_all, submission_id, to};
use crate::domain::answer::Owed;
use crate::domain::audit::Act;
use crate::domain::forge::{Access, Kind, ObjectId, Project, Proof, Source, Tag, Told};
use crate::domain::hook::Secret;
use crate::domain::id::{PushId, SourceId};
use crate::domain::job::State;
use crate::domain::push::{ForgeUser, Push, PushState};
use crate::ports::store::{Admission, Admitted, Advance, Store};
use ulid::Ulid;

pub const ALL: &[Property] = &[
    forges_are_kept_by_name,
    a_push_is_kept_once,
    pushes_are_listed_newest_first,
    a_tag_that_was_something_else_was_moved,
    a_push_waits_until_it_is_settled,
    a_push_becomes_one_submission,
    people_of_a_forge_stay_who_they_are,
    forges_are_owed_what_changes,
];

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
        access: Some(Access { user: None, token: Secret("glpat".to_owned()) }),
        private: true,
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
    assert_eq!((store.source(&a.id).unwrap(), store.sources().unwrap()), (None, vec![b.clone()]));
    assert!(!made(&source("a", "https://other.example.org")), "its people and tags are known by that name");
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
    assert_eq!(store.receive(vec![first.clone(), push(2, "a", "1", "v1", Some("a"))]).unwrap().len(), 1);
    assert_eq!(store.receive(vec![push(3, "a", "1", "v1", Some("a"))]).unwrap().len(), 0);
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
        assert_eq!(store.receive(vec![other.clone()]).unwrap().len(), 1, "{n}");
        assert_eq!(store.receive(vec![other]).unwrap().len(), 0, "{n}");
    }
    assert_eq!(store.pushes(&name("a"), None, 99).unwrap().last(), Some(&first));
    let of =
        |object_is| store.push_of(&first.tag_key(), &object(object_is)).unwrap().map(|push| push.id.0.timestamp_ms());
    assert_eq!((of("a"), of("b"), of("c")), (Some(9), Some(7), None), "the one that told of it last");
    // One that comes late, in another form.
    let late =
        [push(12, "a", "1", "v3", Some("a")), push(13, "a", "1", "v3", Some("b")), push(14, "a", "1", "v3", Some("a"))];
    assert_eq!(store.receive(late.to_vec()).unwrap().len(), 2);
    assert_eq!(store.receive(Vec::new()).unwrap().len(), 0);
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

/// Whatever a forge says of it: a tag that was deleted and made again was moved, too.
pub fn a_tag_that_was_something_else_was_moved(store: &dyn Store) {
    let before = |n: u64| store.push(PushId(Ulid::from_parts(n, 3))).unwrap().unwrap().before;
    store.receive(vec![push(1, "a", "1", "v1", Some("a")), push(2, "a", "1", "v1", Some("b"))]).unwrap();
    assert_eq!((before(1), before(2)), (None, Some(object("a"))));
    store.receive(vec![push(3, "a", "1", "v1", None)]).unwrap();
    store.receive(vec![push(4, "a", "1", "v1", Some("b"))]).unwrap();
    store.receive(vec![push(5, "a", "1", "v1", None)]).unwrap();
    store.receive(vec![push(6, "a", "1", "v1", Some("c"))]).unwrap();
    assert_eq!((before(4), before(6)), (None, Some(object("b"))), "the same again is no other");
}

fn waiting(store: &dyn Store, after: Option<PushId>) -> Vec<PushId> {
    store.waiting_pushes(after, 9).unwrap().iter().map(|push| push.id).collect()
}

/// Oldest first; what is settled stays as it is.
pub fn a_push_waits_until_it_is_settled(store: &dyn Store) {
    let [one, two] = [push(1, "a", "1", "v1", Some("a")), push(2, "b", "1", "v1", Some("a"))];
    store.receive(vec![two.clone(), one.clone(), push(3, "a", "1", "v1", None)]).unwrap();
    assert_eq!((waiting(store, None), waiting(store, Some(one.id))), (vec![one.id, two.id], vec![two.id]));
    assert_eq!((store.push(one.id).unwrap().as_ref(), store.push(PushId(Ulid::nil())).unwrap()), (Some(&one), None));
    let later = Push { state: one.put_off("it is down".to_owned(), 9, at(5)), ..one.clone() };
    assert!(store.settle_push(&later, None).unwrap());
    assert_eq!((store.push(one.id).unwrap(), waiting(store, None)), (Some(later), vec![one.id, two.id]));
    let refused = PushState::Refused { code: "no".into(), reason: "because".into() };
    let refused = Push { state: refused, notes: vec!["a note".into()], challenge: Some("c".parse().unwrap()), ..one };
    assert!(store.settle_push(&refused, Some(at(6))).unwrap());
    assert!(
        !store.settle_push(&Push { state: PushState::NEW, ..refused.clone() }, Some(at(9))).unwrap(),
        "it stays refused"
    );
    assert_eq!(store.all_owed().unwrap(), [(refused.id, at(6))]);
    assert_eq!((store.push(refused.id).unwrap(), waiting(store, None)), (Some(refused), vec![two.id]));
}

/// With each change of a submission that was pushed; what changes while it is told is owed still.
pub fn forges_are_owed_what_changes(store: &dyn Store) {
    let told = push(1, "a", "1", "v1", Some("a"));
    store.receive(vec![told.clone()]).unwrap();
    store.admit(Admission { push: Some(told.clone()), ..admission(7, "c", "anna") }).unwrap();
    let owed = || store.owed(told.id).unwrap();
    assert_eq!(owed(), Some(Owed::default().marked(at(7))));
    let known = Owed { due: None, ..owed().unwrap() };
    assert_eq!(store.settle_owed(told.id, 1, Some(known.clone())).unwrap(), None);
    assert_eq!((owed(), store.all_owed().unwrap()), (Some(known), vec![]));
    let tracked = store.submission(submission_id(7)).unwrap().unwrap();
    store.advance(Advance { owed: Some(told.id), ..to(&tracked, State::Scoring, 20) }).unwrap();
    assert_eq!(owed().map(|owed| (owed.marks, owed.due)), Some((2, Some(at(20)))));
    assert_eq!(store.settle_owed(told.id, 1, None).unwrap(), Some(at(20)), "something changed since");
    assert_eq!(store.settle_owed(told.id, 2, None).unwrap(), None);
    assert_eq!((owed(), store.settle_owed(told.id, 2, None).unwrap()), (None, None));
}

/// In the transaction that takes it in, and in none of a submission that is refused.
pub fn a_push_becomes_one_submission(store: &dyn Store) {
    let told = push(1, "a", "1", "v1", Some("a"));
    store.receive(vec![told.clone()]).unwrap();
    let asked = |n| Admission { push: Some(told.clone()), rules: in_all(1), ..admission(n, "c", "anna") };
    admitted(store, 5, "c", "anna");
    assert!(matches!(store.admit(asked(6)).unwrap(), Admitted::OverQuota(_)));
    assert_eq!(waiting(store, None), [told.id]);
    assert!(matches!(store.admit(Admission { rules: in_all(2), ..asked(7) }).unwrap(), Admitted::Accepted { .. }));
    let submission = submission_id(7);
    assert_eq!(store.push(told.id).unwrap().unwrap().state, PushState::Submitted { submission });
    assert!(waiting(store, None).is_empty());
    assert_eq!(store.admit(asked(8)).unwrap(), Admitted::Before(submission));
    assert!(store.submission(submission_id(8)).unwrap().is_none());
}

/// By what their forge knows them by, whatever they are called; and no two are one, unless somebody says so.
pub fn people_of_a_forge_stay_who_they_are(store: &dyn Store) {
    let user = |source: &str, id: &str, name: &str, entrant: &str| ForgeUser {
        source: self::name(source),
        id: id.to_owned(),
        name: Some(name.to_owned()),
        entrant: entrant.parse().unwrap(),
        since: at(1),
    };
    let anna = user("a", "7", "anna", "a-anna");
    assert_eq!(store.know_user(&anna).unwrap().as_ref(), Some(&anna));
    assert_eq!(store.know_user(&user("a", "8", "anna", "a-anna")).unwrap(), None, "somebody else is that");
    assert_eq!(store.know_user(&user("b", "7", "anna", "a-anna")).unwrap(), None, "at another forge, too");
    let renamed = ForgeUser { name: Some("ann".to_owned()), ..anna.clone() };
    assert_eq!(store.know_user(&user("a", "7", "ann", "other")).unwrap().as_ref(), Some(&renamed));
    assert_eq!(store.forge_user(&anna.source, "7").unwrap().as_ref(), Some(&renamed));
    let ben = user("a", "8", "ben", "ben");
    let act = Act::UserLinked { source: ben.source.clone(), user: "8".into(), entrant: ben.entrant.clone() };
    store.link_user(&ben, &deed(1, act.clone())).unwrap();
    let both = user("a", "8", "ben", "a-anna");
    store.link_user(&both, &deed(2, act)).unwrap();
    assert_eq!(store.know_user(&user("a", "9", "carl", "ben")).unwrap(), None, "what was somebody's stays theirs");
    assert!(store.know_user(&user("a", "9", "carl", "carl")).unwrap().is_some());
    let ids = |after| {
        store.forge_users(&anna.source, after, 9).unwrap().iter().map(|user| user.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (ids(None), ids(Some("7"))),
        (vec!["7".into(), "8".into(), "9".into()], vec!["8".to_owned(), "9".to_owned()])
    );
    assert!(store.forge_users(&self::name("b"), None, 9).unwrap().is_empty());
}
