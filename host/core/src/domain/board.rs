//! Leaderboards: a total order over entries, as bytes that sort.
//!
//! The order: column by column in each one's direction, a missing value after every present one, then the earlier
//! submission, then the lower id. Two entries are never equal.

use super::challenge::{Column, Leaderboard, Rule, Version};
use super::digest::Digest;
use super::id::{ChallengeId, EntrantId, LeaderboardId, SubmissionId};
use super::metric::Direction;
use super::report::{Report, Score};
use super::submission::Submission;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A board as the store keeps it. A board that is defined anew is another one, filled from the reports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BoardKey {
    /// The challenge.
    pub challenge: ChallengeId,
    /// The leaderboard.
    pub board: LeaderboardId,
    /// Digest of what its order depends on.
    pub definition: Digest,
}

/// What an entrant has on a board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Whose.
    pub entrant: EntrantId,
    /// Which submission.
    pub submission: SubmissionId,
    /// When it arrived.
    pub submitted_at: Timestamp,
    /// Sorts the entries; hex, smaller is better.
    pub key: String,
    /// The scores of all splits for the metrics of the columns.
    pub scores: Vec<Score>,
}

/// An entry and where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// The board.
    pub board: BoardKey,
    /// The board's rule.
    pub rule: Rule,
    /// The entry.
    pub entry: Entry,
}

/// Whether `new` takes the place of `current`. Taking an entry's own place again changes nothing, so that doing it twice
/// is doing it once.
pub fn replaces(rule: Rule, current: Option<&Entry>, new: &Entry) -> bool {
    let Some(current) = current else { return true };
    match rule {
        Rule::Best => new.key < current.key,
        Rule::Last => (new.submitted_at, new.submission) > (current.submitted_at, current.submission),
    }
}

/// The direction of `column`: its own, or its metric's.
pub fn direction(column: &Column, version: &Version, board: &Leaderboard) -> Direction {
    let described = || {
        let phase = version.challenge.phases.iter().find(|phase| board.phases.contains(&phase.id))?;
        version.scorers.get(&phase.task)?.description.metric(&column.metric)
    };
    column.direction.or_else(|| described().map(|metric| metric.direction)).unwrap_or(Direction::Higher)
}

/// The key of `board` under `version`.
pub fn board_key(version: &Version, board: &Leaderboard) -> BoardKey {
    let columns: Vec<_> = board.columns.iter().map(|c| (&c.metric, direction(c, version, board))).collect();
    let definition = (&board.phases, board.rule, columns, &board.split);
    let text = serde_json::to_vec(&definition).expect("names and enums always have a JSON form");
    BoardKey { challenge: version.challenge.id.clone(), board: board.id.clone(), definition: Digest::of(&text) }
}

/// Where the scores of a submission go, under the definitions of `version`.
pub fn placements(version: &Version, submission: &Submission, report: &Report) -> Vec<Placement> {
    let place = |board: &Leaderboard| {
        let wanted = |score: &&Score| board.columns.iter().any(|column| column.metric == score.metric);
        let scores: Vec<_> = report.scores.iter().filter(wanted).cloned().collect();
        let value = |column: &Column| report.score(&column.metric, board.split.as_deref());
        let columns = board.columns.iter().map(|column| (direction(column, version, board), value(column)));
        let entry = Entry {
            entrant: submission.entrant.clone(),
            submission: submission.id,
            submitted_at: submission.submitted_at,
            key: order_key(columns, submission.submitted_at, submission.id),
            scores,
        };
        Placement { board: board_key(version, board), rule: board.rule, entry }
    };
    version.challenge.boards_of(&submission.phase).map(place).collect()
}

/// Bytes that sort as the board does, in hex.
pub fn order_key(
    columns: impl IntoIterator<Item = (Direction, Option<f64>)>,
    submitted_at: Timestamp,
    id: SubmissionId,
) -> String {
    let mut key = Vec::with_capacity(64);
    for (direction, value) in columns {
        match value {
            Some(value) => {
                let up = ascending(value);
                key.push(0);
                key.extend(match direction {
                    Direction::Lower => up.to_be_bytes(),
                    Direction::Higher => (!up).to_be_bytes(),
                });
            }
            None => key.push(1),
        }
    }
    // Nanoseconds since the epoch, shifted so that negative ones sort first.
    key.extend((submitted_at.as_nanosecond() as u128 ^ (1 << 127)).to_be_bytes());
    key.extend(id.0.to_bytes());
    hex::encode(key)
}

/// An integer that sorts as the finite `value` does; both zeros are one.
fn ascending(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Ordering;

    fn id(n: u64) -> SubmissionId {
        SubmissionId(ulid::Ulid::from_parts(n, 0))
    }

    fn at(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap()
    }

    #[test]
    fn missing_is_last_in_both_directions_and_ties_go_to_the_earlier() {
        for direction in [Direction::Higher, Direction::Lower] {
            let key = |value, time, n| order_key([(direction, value)], at(time), id(n));
            assert!(key(Some(f64::MIN), 0, 1) < key(None, 0, 1));
            assert!(key(Some(f64::MAX), 0, 1) < key(None, 0, 1));
            assert!(key(Some(0.5), -1, 2) < key(Some(0.5), 0, 1));
            assert!(key(Some(0.5), 0, 1) < key(Some(0.5), 0, 2));
            assert_eq!(key(Some(0.0), 0, 1), key(Some(-0.0), 0, 1));
        }
    }

    fn better(direction: Direction, a: Option<f64>, b: Option<f64>) -> Ordering {
        match (a, b) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => {
                let up = a.partial_cmp(&b).unwrap();
                if direction == Direction::Lower { up } else { up.reverse() }
            }
        }
    }

    proptest! {
        #[test]
        fn keys_sort_as_the_rule_says(
            a in proptest::option::of(-1e300..1e300f64), b in proptest::option::of(-1e300..1e300f64),
            c in proptest::option::of(-2..2i32), d in proptest::option::of(-2..2i32),
            times in (0..3i64, 0..3i64), ids in (0..3u64, 0..3u64),
        ) {
            let (c, d) = (c.map(f64::from), d.map(f64::from));
            let key = |x, y, time, n| order_key([(Direction::Higher, x), (Direction::Lower, y)], at(time), id(n));
            let expected = better(Direction::Higher, a, b)
                .then(better(Direction::Lower, c, d))
                .then(times.0.cmp(&times.1))
                .then(ids.0.cmp(&ids.1));
            prop_assert_eq!(key(a, c, times.0, ids.0).cmp(&key(b, d, times.1, ids.1)), expected);
        }
    }
}
