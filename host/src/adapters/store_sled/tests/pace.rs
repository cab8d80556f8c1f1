//! How long an acknowledgement takes. Prints figures and asserts none.

use super::*;
use std::time::{Duration, Instant};

#[test]
#[ignore = "takes seconds and prints figures: run it by name with --nocapture"]
fn pace_of_admissions() {
    for (clients, each) in [(1_u64, 600_u64), (16, 200)] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        let began = Instant::now();
        let mut took: Vec<Duration> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..clients)
                .map(|client| {
                    let store = &store;
                    scope.spawn(move || {
                        let admit = |n: u64| {
                            let mut asked = rows::admission(1 + client * each + n, "c", &format!("e{client}"));
                            asked.submission.files = Body::Inline("x".repeat(1_000));
                            let began = Instant::now();
                            store.admit(asked).unwrap();
                            began.elapsed()
                        };
                        (0..each).map(admit).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let all = began.elapsed();
        took.sort();
        let (median, worst) = (took[took.len() / 2], took[took.len() * 99 / 100]);
        let rate = took.len() as f64 / all.as_secs_f64();
        println!("{clients} clients: {rate:.0}/s, median {median:?}, p99 {worst:?}, {:?}", store.stats());
    }
}
