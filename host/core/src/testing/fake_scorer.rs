//! A scorer for tests of use cases: what it does is written in the predictions.
//!
//! `score 0.5` scores, `split 0.5` does so on the splits `public` and `private`, and `attach 0.5` leaves an attachment
//! too big for a row besides; `invalid`, `trap`, `fuel`, `wall`, `platform`, `panic` and `wait` end in the other ways.

use crate::domain::digest::Digest;
use crate::domain::limits::Limits;
use crate::domain::metric::{Description, Direction, Metric};
use crate::domain::report::{Attachment, Audience, Cost, LimitKind, Problems, Score};
use crate::domain::run_record::RunRecord;
use crate::domain::submission::MAX_INLINE;
use crate::ports::blobs::read_all;
use crate::ports::scorer::{Attached, Ended, Listener, NotAdmitted, Ran, Returned, Run, Scorer, ScorerError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// The scorer; it counts its runs.
#[derive(Debug, Default)]
pub struct FakeScorer {
    /// Runs of `score`.
    pub runs: AtomicUsize,
}

fn ran<T>(ended: Ended<T>) -> Ran<T> {
    let log = b"a word for organizers".to_vec();
    Ran { ended, cost: Cost { fuel: 1, peak_memory: 1 }, log, notes: Vec::new(), attachments: Vec::new() }
}

/// An attachment that does not go into a row.
fn big() -> Attached {
    let bytes = vec![b'x'; MAX_INLINE + 1];
    let about = Attachment {
        name: "big.txt".to_owned(),
        media_type: "text/plain".to_owned(),
        audience: Audience::Organizer,
        len: bytes.len() as u64,
        digest: Digest::of(&bytes),
    };
    Attached { about, bytes }
}

fn words(run: &Run) -> String {
    let written = run.predictions.iter().find(|file| file.path != RunRecord::METADATA);
    let bytes = written.and_then(|file| read_all(&*file.bytes).ok());
    String::from_utf8_lossy(&bytes.unwrap_or_default()).trim().to_owned()
}

impl Scorer for FakeScorer {
    fn engine(&self) -> String {
        "fake 1".to_owned()
    }

    fn admit(
        &self,
        component: &[u8],
        params: &str,
        _limits: &Limits,
    ) -> Result<Result<Description, NotAdmitted>, ScorerError> {
        if component == b"bad" {
            return Ok(Err(NotAdmitted::Component("it is bad".to_owned())));
        }
        if params.contains("bad") {
            return Ok(Err(NotAdmitted::Params("they are bad".to_owned())));
        }
        let metric = Metric {
            name: "accuracy".to_owned(),
            title: "Accuracy".to_owned(),
            direction: Direction::Higher,
            unit: None,
            precision: 2,
        };
        Ok(Ok(Description {
            name: "fake".to_owned(),
            version: "1".to_owned(),
            summary: String::new(),
            metrics: vec![metric],
            params_schema: "{}".to_owned(),
        }))
    }

    fn validate(&self, run: &Run) -> Result<Ran<()>, ScorerError> {
        assert!(run.reference.is_empty(), "the format check never sees reference data");
        Ok(ran(match words(run).as_str() {
            "malformed" => Ended::InvalidSubmission(Problems::one("it is malformed")),
            "check-trap" => Ended::Failed("a trap".to_owned()),
            _ => Ended::Value(()),
        }))
    }

    fn score(&self, run: &Run, _listener: &mut dyn Listener) -> Result<Ran<Returned>, ScorerError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        assert!(!run.reference.is_empty(), "scoring sees the reference data");
        let words = words(run);
        let score = |split: Option<&str>, value: &str| {
            let split = split.map(ToOwned::to_owned);
            Score { metric: "accuracy".to_owned(), split, value: value.parse().unwrap_or(0.0) }
        };
        let scored = |scores| Ended::Value(Returned { scores, cases: Vec::new() });
        Ok(ran(match words.split_once(' ') {
            Some(("score", value)) => scored(vec![score(None, value)]),
            Some(("split", value)) => scored(["public", "private"].map(|split| score(Some(split), value)).into()),
            Some(("attach", value)) => {
                return Ok(Ran { attachments: vec![big()], ..ran(scored(vec![score(None, value)])) });
            }
            _ => match words.as_str() {
                "invalid" => Ended::InvalidSubmission(Problems::one("a row is wrong")),
                "fuel" => Ended::Limit { limit: LimitKind::Fuel, used: 2, allowed: 1 },
                "wall" => Ended::Limit { limit: LimitKind::Wall, used: 2, allowed: 1 },
                "platform" => return Err(ScorerError { what: "no slot".to_owned(), source: None }),
                "panic" => panic!("as told"),
                "wait" => {
                    while !run.stop.load(Ordering::SeqCst) {
                        thread::sleep(Duration::from_millis(1));
                    }
                    Ended::Stopped
                }
                _ => Ended::Failed("a trap".to_owned()),
            },
        }))
    }
}
