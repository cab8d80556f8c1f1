//! Registries that keep the engine waiting, and who does not wait with it.

use super::super::{Registry, named};
use super::support::{Real, soon};
use gradus_core::domain::run::ImageRef;
use gradus_core::ports::runner::{Ended, RefusalCode, Runner as _, Swept};
use gradus_core::testing::runner_contract::Bench as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// A registry that takes connections and never answers, and an image of a participant's there.
fn silent() -> (TcpListener, Registry, ImageRef) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let image = format!("{host}/teams/x@sha256:{}", "1".repeat(64)).parse().unwrap();
    let registry =
        Registry { host, credentials: None, participants: vec!["teams/".to_owned()], challenges: Vec::new() };
    (listener, registry, image)
}

#[test]
fn fetching_what_does_not_come_ends_in_its_time() {
    let (_listener, registry, image) = silent();
    let Some(real) = Real::with(|settings| settings.registries = vec![registry]) else { return };
    let since = Instant::now();
    let fetched = named::fetched(&real.runner.shared, &image, None, Duration::from_secs(1));
    let fetched = real.runtime.block_on(fetched).unwrap();
    let Err(Ended::Refused { code: RefusalCode::NotStarted, text }) = &fetched else { panic!("{fetched:?}") };
    assert!(text.contains("within 1 s"), "{text}");
    assert!(since.elapsed() < soon(3_000), "{:?}", since.elapsed());
}

#[test]
fn who_removes_images_does_not_wait_for_who_fetches_one() {
    let (_listener, registry, _) = silent();
    let Some(real) = Real::with(|settings| settings.registries = vec![registry]) else { return };
    let shared = &real.runner.shared;
    let _fetches = real.runtime.block_on(shared.fetching.lock());
    let since = Instant::now();
    assert_eq!(real.wait(real.runner.prune(Vec::new())).unwrap(), 0);
    assert_eq!(real.wait(real.runner.sweep(Vec::new())).unwrap(), Swept::default());
    assert!(since.elapsed() < soon(5_000), "{:?}", since.elapsed());
}
