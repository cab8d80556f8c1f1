//! Web hooks, and the letters to them.

use super::Property;
use super::rows::{admitted, at, deed, to};
use crate::domain::audit::Act;
use crate::domain::hook::{Hook, Letter, Secret};
use crate::domain::id::{ChallengeId, HookId, LetterId};
use crate::domain::job::State;
use crate::ports::store::{Advance, Advanced, Store};
use jiff::Timestamp;
use std::collections::HashSet;
use ulid::Ulid;

pub const ALL: &[Property] = &[hooks_are_kept_by_challenge, letters_go_in_with_the_change, letters_are_due_in_order];

fn hook(n: u64, challenge: &str) -> Hook {
    let challenge: ChallengeId = challenge.parse().unwrap();
    let url = format!("https://example.org/{n}");
    let secret = Secret(format!("whsec_{n}"));
    Hook { id: HookId(Ulid::from_parts(n, 1)), challenge, url, secret, made_at: at(n), by: "olga".parse().unwrap() }
}

fn letter(n: u64, hook: &Hook, now: u64) -> Letter {
    Letter::new(LetterId(Ulid::from_parts(n, 2)), hook, format!("{{\"n\":{n}}}"), at(now))
}

fn made(store: &dyn Store, hook: &Hook) {
    let act = Act::HookMade { challenge: hook.challenge.clone(), hook: hook.id };
    store.put_hook(hook, &deed(1, act)).unwrap();
}

/// Each challenge has its own, and what is done with them is logged.
pub fn hooks_are_kept_by_challenge(store: &dyn Store) {
    let (a, b, other) = (hook(2, "c"), hook(1, "c"), hook(3, "c-d"));
    [&a, &b, &other].into_iter().for_each(|hook| made(store, hook));
    assert_eq!(store.hooks(&a.challenge).unwrap(), [b.clone(), a.clone()]);
    assert_eq!(store.hooks(&other.challenge).unwrap(), std::slice::from_ref(&other));
    let removed = |hook: &Hook, challenge: &ChallengeId| {
        let act = Act::HookRemoved { challenge: challenge.clone(), hook: hook.id };
        store.remove_hook(challenge, hook.id, &deed(2, act)).unwrap()
    };
    assert!(!removed(&a, &other.challenge), "it is another challenge's");
    assert!(removed(&a, &a.challenge));
    assert!(!removed(&a, &a.challenge));
    assert_eq!(store.hooks(&a.challenge).unwrap(), [b]);
    assert_eq!(store.audit(Some(&a.challenge), None, 9).unwrap().len(), 3, "what was not there was not removed");
}

/// A change is stored with its letters, or neither is.
pub fn letters_go_in_with_the_change(store: &dyn Store) {
    let tracked = admitted(store, 1, "c", "anna");
    let letters = vec![letter(1, &hook(1, "c"), 4), letter(2, &hook(2, "c"), 4)];
    let end = Advance { letters: letters.clone(), ..to(&tracked, State::Cancelled, 4) };
    assert!(matches!(store.advance(end).unwrap(), Advanced::Stored { .. }));
    let again = Advance { letters: vec![letter(3, &hook(1, "c"), 4)], ..to(&tracked, State::Cancelled, 5) };
    assert_eq!(store.advance(again).unwrap(), Advanced::Conflict);
    assert_eq!(store.letters(hook(1, "c").id, 9).unwrap(), letters[..1]);
    assert_eq!(store.letters(hook(2, "c").id, 9).unwrap(), letters[1..]);
}

/// The first that is due comes first; one that was taken is gone, and one that was put off comes later.
pub fn letters_are_due_in_order(store: &dyn Store) {
    let (a, b) = (hook(1, "c"), hook(2, "c"));
    let none = HashSet::new();
    let due = |now: Timestamp, but: &HashSet<HookId>| store.due_letter(now, but).unwrap().map(|letter| letter.id);
    assert_eq!(due(Timestamp::MAX, &none), None);
    let (first, second, third) = (letter(3, &a, 10), letter(1, &a, 20), letter(2, &b, 30));
    [&third, &second, &first].into_iter().for_each(|letter| store.post(letter.clone()).unwrap());
    assert_eq!(due(at(9), &none), None);
    assert_eq!(due(at(10), &none), Some(first.id));
    assert_eq!(due(at(30), &HashSet::from([a.id])), Some(third.id));
    assert_eq!(due(at(20), &HashSet::from([a.id])), None);
    assert_eq!(store.letters(a.id, 9).unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.letters(a.id, 1).unwrap(), std::slice::from_ref(&first));
    let counts = |hook: &Hook, most| store.letter_counts(hook.id, most).unwrap();
    assert_eq!((counts(&a, 9), counts(&a, 1), counts(&b, 9)), ((2, 0), (1, 0), (1, 0)));
    // Put off beyond the second.
    let later = Letter { due: Some(at(25)), attempts: 1, error: Some("away".to_owned()), ..first.clone() };
    store.settle_letter(first.id, Some(later.clone())).unwrap();
    assert_eq!(store.due_letter(at(30), &none).unwrap().as_ref(), Some(&second));
    store.settle_letter(second.id, None).unwrap();
    assert_eq!(store.due_letter(at(30), &none).unwrap().as_ref(), Some(&later));
    // What is gone stays so.
    store.settle_letter(second.id, Some(second.clone())).unwrap();
    assert_eq!(store.letters(a.id, 9).unwrap(), std::slice::from_ref(&later));
    // Given up: it waits no more, and is known for a while.
    let given_up = Letter { due: None, ..later };
    store.settle_letter(given_up.id, Some(given_up.clone())).unwrap();
    assert_eq!(due(Timestamp::MAX, &none), Some(third.id));
    assert_eq!(store.letters(a.id, 9).unwrap(), std::slice::from_ref(&given_up));
    assert_eq!((counts(&a, 9), counts(&b, 9)), ((0, 1), (1, 0)));
    assert_eq!(store.forget_letters(given_up.made_at).unwrap(), 0);
    assert_eq!(store.forget_letters(at(1_000)).unwrap(), 1);
    assert_eq!((store.letters(a.id, 9).unwrap(), store.letters(b.id, 9).unwrap()), (Vec::new(), vec![third]));
}
