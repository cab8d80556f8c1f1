//! How long work took lately, and so how long what waits may take.

use crate::domain::units::Millis;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Durations that are remembered of a challenge's stage.
const REMEMBERED: usize = 64;
/// Fewer tell too little.
const ENOUGH: usize = 3;

/// A range of time, from its least to its most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Hardly less.
    #[serde(rename = "least_ms")]
    pub least: Millis,
    /// Hardly more.
    #[serde(rename = "most_ms")]
    pub most: Millis,
}

impl Span {
    /// One after the other.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            least: Millis(self.least.0.saturating_add(other.least.0)),
            most: Millis(self.most.0.saturating_add(other.most.0)),
        }
    }

    /// So many, one after the other.
    pub(super) fn times(self, count: u64) -> Self {
        Self { least: Millis(self.least.0.saturating_mul(count)), most: Millis(self.most.0.saturating_mul(count)) }
    }

    /// By so many at once.
    pub(super) fn shared(self, by: u64) -> Self {
        let by = by.max(1);
        Self { least: Millis(self.least.0 / by), most: Millis(self.most.0.div_ceil(by)) }
    }
}

/// The last durations of one kind of work.
#[derive(Debug, Default)]
pub(super) struct Durations {
    last: VecDeque<Millis>,
}

impl Durations {
    pub(super) fn add(&mut self, took: Millis) {
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(took);
    }

    /// From the tenth to the ninetieth of a hundred; `None`: too few are known.
    pub(super) fn span(&self) -> Option<Span> {
        if self.last.len() < ENOUGH {
            return None;
        }
        let mut sorted: Vec<Millis> = self.last.iter().copied().collect();
        sorted.sort_unstable();
        let last = sorted.len() - 1;
        Some(Span { least: sorted[last / 10], most: sorted[last - last / 10] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_told_from_a_few_on_and_leaves_the_odd_ones_out() {
        let mut durations = Durations::default();
        for took in [30, 10] {
            durations.add(Millis(took));
        }
        assert_eq!(durations.span(), None);
        durations.add(Millis(20));
        assert_eq!(durations.span(), Some(Span { least: Millis(10), most: Millis(30) }));
        for took in 0..100 {
            durations.add(Millis(if took % 20 == 0 { 10_000 } else { 100 + took }));
        }
        let span = durations.span().unwrap();
        assert!(span.least.0 >= 136 && span.most.0 < 200, "{span:?}");
        assert_eq!(span.times(4).shared(3).most.0, (span.most.0 * 4).div_ceil(3));
    }
}
