//! Quotas: how many submissions an entrant may make in a phase. One ledger row for an entrant and phase, changed in the
//! same transaction as the submission that it counts, so that no race passes it.

use super::units::Millis;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A limit over a window of time needs its charges remembered one by one, so it is bounded.
pub const MAX_WINDOW_LIMIT: u32 = 10_000;
/// Refunds for the challenge's faults that an entrant gets in 24 hours.
pub const MAX_CHALLENGE_REFUNDS: usize = 3;
/// The longest rolling window.
pub const MAX_ROLLING: Millis = Millis(31 * 86_400_000);

/// The span that a rule counts over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// A calendar day in a time zone (IANA name).
    Day(String),
    /// The last so much time.
    Rolling(Millis),
    /// The whole phase.
    Total,
}

/// At most `limit` submissions in each window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaRule {
    /// How many.
    pub limit: u32,
    /// In which span.
    pub window: Window,
}

/// What an entrant has used in a phase.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Charged submissions in all.
    pub total: u64,
    /// When those were charged that a window may still count, oldest first.
    pub recent: Vec<Timestamp>,
    /// When the challenge's faults were refunded, within the last 24 hours.
    pub refunds: Vec<Timestamp>,
    /// Submissions that have not ended.
    pub open: u32,
    /// Submissions beyond the rules that an organizer granted and that are left. They are used when a rule has nothing left.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub extra: u32,
    /// When those of them were reserved that have not ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beyond: Vec<Timestamp>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How a rule stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The rule.
    pub rule: QuotaRule,
    /// Used in the current window.
    pub used: u64,
    /// Left in it.
    pub remaining: u64,
    /// When at least one more will be left, if nothing is now; for a day, when it ends.
    pub resets_at: Option<Timestamp>,
}

/// What follows for the quota when a submission ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Settlement {
    /// It counts.
    Charge,
    /// It does not count.
    Refund,
    /// It does not count, up to [`MAX_CHALLENGE_REFUNDS`].
    RefundCapped,
}

impl QuotaRule {
    /// Where the window that `now` lies in begins and ends. `None` at the end: it slides, or never ends.
    fn window(&self, now: Timestamp) -> (Timestamp, Option<Timestamp>) {
        match &self.window {
            Window::Total => (Timestamp::MIN, None),
            Window::Rolling(span) => (now.saturating_sub(span_of(*span)).unwrap_or(Timestamp::MIN), None),
            Window::Day(zone) => {
                // The zone was checked at publication; if its name has gone since, days of UTC are still days.
                let zoned = now.to_zoned(TimeZone::get(zone).unwrap_or(TimeZone::UTC));
                let start = zoned.start_of_day().map_or(now, |day| day.timestamp());
                // Not so many hours later: days differ, and some begin at one.
                let end = zoned.tomorrow().and_then(|day| day.start_of_day()).map_or(now, |day| day.timestamp());
                (start, Some(end))
            }
        }
    }

    /// How the rule stands for `ledger` at `now`.
    pub fn standing(&self, ledger: &Ledger, now: Timestamp) -> Standing {
        let (start, end) = self.window(now);
        let rolling = matches!(self.window, Window::Rolling(_));
        // A rolling window is open at its start: what is exactly one span old has left it.
        // A day has an end: a submission that arrived before midnight and was checked slowly is not of the next day, whose
        // submissions may be charged already.
        let inside =
            |at: &&Timestamp| if rolling { **at > start } else { **at >= start && end.is_none_or(|end| **at < end) };
        let used = match self.window {
            Window::Total => ledger.total,
            Window::Day(_) | Window::Rolling(_) => ledger.recent.iter().filter(inside).count() as u64,
        };
        let remaining = u64::from(self.limit).saturating_sub(used);
        let resets_at = match &self.window {
            Window::Total => None,
            Window::Day(_) => end,
            Window::Rolling(_) if remaining > 0 || self.limit == 0 => None,
            Window::Rolling(span) => {
                let over = usize::try_from(used - u64::from(self.limit)).unwrap_or(usize::MAX);
                let oldest = ledger.recent.iter().filter(inside).nth(over);
                oldest.and_then(|at| at.checked_add(span_of(*span)).ok())
            }
        };
        Standing { rule: self.clone(), used, remaining, resets_at }
    }
}

fn span_of(span: Millis) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(span.0).unwrap_or(i64::MAX))
}

impl Ledger {
    /// Gives `extra` submissions beyond the rules.
    pub fn grant(&mut self, extra: u32) {
        self.extra = self.extra.saturating_add(extra);
    }

    /// The standing of the first rule that has nothing left.
    fn used_up(&self, rules: &[QuotaRule], now: Timestamp) -> Option<Standing> {
        rules.iter().map(|rule| rule.standing(self, now)).find(|standing| standing.remaining == 0)
    }

    /// The rule that refuses one more submission at `now`, if one does.
    pub fn refusal(&self, rules: &[QuotaRule], now: Timestamp) -> Option<Standing> {
        if self.extra > 0 { None } else { self.used_up(rules, now) }
    }

    /// Reserves one submission at `now`.
    ///
    /// # Errors
    /// The standing of the first rule that has nothing left, if nothing was granted beyond it; the ledger is unchanged.
    pub fn reserve(&mut self, rules: &[QuotaRule], now: Timestamp) -> Result<(), Standing> {
        if let Some(standing) = self.used_up(rules, now) {
            if self.extra == 0 {
                return Err(standing);
            }
            self.extra -= 1;
            self.open += 1;
            self.beyond.push(now);
            return Ok(());
        }
        self.forget(rules, now);
        let windowed = rules.iter().any(|rule| rule.window != Window::Total);
        if windowed {
            // A clock that jumped back must not break the order.
            let at = self.recent.partition_point(|earlier| *earlier <= now);
            self.recent.insert(at, now);
        }
        self.total += 1;
        self.open += 1;
        Ok(())
    }

    /// Ends a submission that was reserved at `reserved_at`. Returns whether its charge was given back.
    pub fn settle(&mut self, reserved_at: Timestamp, settlement: Settlement, now: Timestamp) -> bool {
        self.open = self.open.saturating_sub(1);
        let day_ago = now.saturating_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN);
        self.refunds.retain(|at| *at > day_ago);
        let refund = match settlement {
            Settlement::Charge => false,
            Settlement::Refund => true,
            Settlement::RefundCapped => self.refunds.len() < MAX_CHALLENGE_REFUNDS,
        };
        if refund && settlement == Settlement::RefundCapped {
            self.refunds.push(now);
        }
        if let Some(at) = self.beyond.iter().position(|at| *at == reserved_at) {
            self.beyond.remove(at);
            self.extra += u32::from(refund);
            return refund;
        }
        if refund {
            self.total = self.total.saturating_sub(1);
            if let Some(at) = self.recent.iter().position(|at| *at == reserved_at) {
                self.recent.remove(at);
            }
        }
        refund
    }

    /// Drops charges that no window counts any more. A clock that jumps back by more than two days is not provided for.
    fn forget(&mut self, rules: &[QuotaRule], now: Timestamp) {
        let longest = rules.iter().map(|rule| match &rule.window {
            Window::Total => SignedDuration::ZERO,
            Window::Day(_) => SignedDuration::from_hours(72),
            Window::Rolling(span) => span_of(*span) + SignedDuration::from_hours(48),
        });
        let keep = longest.max().unwrap_or(SignedDuration::ZERO);
        let oldest = now.saturating_sub(keep).unwrap_or(Timestamp::MIN);
        self.recent.retain(|at| *at >= oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn per_day(limit: u32, zone: &str) -> QuotaRule {
        QuotaRule { limit, window: Window::Day(zone.into()) }
    }

    #[test]
    fn a_slow_check_before_midnight_is_not_charged_to_the_next_day() {
        let rules = [per_day(1, "UTC")];
        let mut ledger = Ledger::default();
        ledger.reserve(&rules, at("2026-03-02T00:00:00.5Z")).unwrap();
        ledger.reserve(&rules, at("2026-03-01T23:59:59.9Z")).unwrap();
        assert!(ledger.reserve(&rules, at("2026-03-01T23:59:59.95Z")).is_err());
        assert!(ledger.reserve(&rules, at("2026-03-02T00:00:01Z")).is_err());
    }

    #[test]
    fn a_day_begins_anew_at_midnight_of_its_zone() {
        let rules = [per_day(1, "Europe/Zurich")];
        let mut ledger = Ledger::default();
        ledger.reserve(&rules, at("2026-03-28T22:59:59Z")).unwrap();
        let refused = ledger.reserve(&rules, at("2026-03-28T22:59:59.5Z")).unwrap_err();
        assert_eq!(refused.resets_at, Some(at("2026-03-28T23:00:00Z")), "midnight in Zurich");
        ledger.reserve(&rules, at("2026-03-28T23:00:00Z")).unwrap();
        // 29 March 2026 has 23 hours there.
        let refused = ledger.reserve(&rules, at("2026-03-29T10:00:00Z")).unwrap_err();
        assert_eq!(refused.resets_at, Some(at("2026-03-29T22:00:00Z")));
    }

    #[test]
    fn each_day_is_as_long_as_it_is_where_it_is() {
        for (zone, now, begins, ends, hours) in [
            // Nights in which clocks are changed, forward and back.
            ("Europe/Zurich", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 23),
            ("Europe/Zurich", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 25),
            ("America/New_York", "2026-11-01T06:30:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", 25),
            ("Australia/Lord_Howe", "2026-04-05T06:00:00Z", "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z", 24),
            // Where midnight itself is left out, the day begins at one.
            ("Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z", 23),
            // A whole day that was left out, when an island went over the date line.
            ("Pacific/Apia", "2011-12-30T08:00:00Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z", 24),
            // Leap day, and the day after.
            ("UTC", "2028-02-29T23:59:59.999Z", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z", 24),
            ("Asia/Kathmandu", "2028-02-28T18:15:00Z", "2028-02-28T18:15:00Z", "2028-02-29T18:15:00Z", 24),
        ] {
            let rule = per_day(1, zone);
            let (start, end) = rule.window(at(now));
            let end = end.unwrap();
            assert_eq!((start, end), (at(begins), at(ends)), "{zone} {now}");
            assert_eq!(end.duration_since(start).as_hours(), hours, "{zone} {now}");
            // All instants of a day are of one window, and its end is of the next.
            let last = end.checked_sub(SignedDuration::from_nanos(1)).unwrap();
            for inside in [start, last] {
                assert_eq!(rule.window(inside), (start, Some(end)), "{zone} {inside}");
            }
            assert_eq!(rule.window(end).0, end, "{zone}");
            let mut ledger = Ledger::default();
            ledger.reserve(&[rule], last).unwrap();
            assert!(ledger.reserve(&[per_day(1, zone)], start).is_err());
            ledger.reserve(&[per_day(1, zone)], end).unwrap();
        }
    }

    proptest! {
        /// However the clock jumps within two days, no window has more than it may.
        #[test]
        fn no_jump_of_the_clock_passes_a_quota(
            limit in 1_u32..4,
            jumps in vec(-36_i64 * 3_600..36 * 3_600, 1..60),
            zone in prop::sample::select(vec!["UTC", "Europe/Zurich", "America/New_York", "Pacific/Kiritimati"]),
        ) {
            let span = Millis(5 * 3_600_000);
            let rules = [per_day(limit, zone), QuotaRule { limit, window: Window::Rolling(span) }];
            let mut ledger = Ledger::default();
            let mut accepted = Vec::new();
            let middle = at("2026-03-28T12:00:00Z");
            for jump in jumps {
                let now = middle + SignedDuration::from_secs(jump / 2);
                if ledger.reserve(&rules, now).is_ok() {
                    accepted.push(now);
                }
            }
            for first in &accepted {
                let (start, end) = rules[0].window(*first);
                let of_the_day = accepted.iter().filter(|at| **at >= start && end.is_none_or(|end| **at < end)).count();
                let end = *first + span_of(span);
                let of_the_span = accepted.iter().filter(|at| *at >= first && **at < end).count();
                prop_assert!(of_the_day <= limit as usize && of_the_span <= limit as usize, "{accepted:?}");
            }
        }
    }

    #[test]
    fn a_day_at_its_first_instant_ends_a_day_later() {
        let standing = per_day(2, "UTC").standing(&Ledger::default(), at("2026-01-01T00:00:00Z"));
        assert_eq!(standing.resets_at, Some(at("2026-01-02T00:00:00Z")));
    }

    #[test]
    fn a_rolling_window_says_when_one_is_free_again() {
        let rules = [QuotaRule { limit: 2, window: Window::Rolling(Millis(3_600_000)) }];
        let mut ledger = Ledger::default();
        ledger.reserve(&rules, at("2026-01-01T00:00:00Z")).unwrap();
        ledger.reserve(&rules, at("2026-01-01T00:30:00Z")).unwrap();
        let refused = ledger.reserve(&rules, at("2026-01-01T00:40:00Z")).unwrap_err();
        assert_eq!(refused.resets_at, Some(at("2026-01-01T01:00:00Z")));
        ledger.reserve(&rules, at("2026-01-01T01:00:00Z")).unwrap();
    }

    #[test]
    fn all_rules_hold_and_zero_means_closed() {
        let rules = [per_day(5, "UTC"), QuotaRule { limit: 0, window: Window::Total }];
        let mut ledger = Ledger::default();
        let refused = ledger.reserve(&rules, at("2026-01-01T00:00:00Z")).unwrap_err();
        assert_eq!((refused.rule.window, refused.resets_at), (Window::Total, None));
        assert_eq!(ledger, Ledger::default(), "a refusal changes nothing");
    }

    #[test]
    fn refunds_give_back_and_those_for_the_challenge_are_capped() {
        let rules = [per_day(10, "UTC"), QuotaRule { limit: 10, window: Window::Total }];
        let mut ledger = Ledger::default();
        let times: Vec<_> = (0..5).map(|n| at(&format!("2026-01-01T00:00:0{n}Z"))).collect();
        for time in &times {
            ledger.reserve(&rules, *time).unwrap();
        }
        let now = at("2026-01-01T01:00:00Z");
        let back: Vec<_> = times.iter().map(|time| ledger.settle(*time, Settlement::RefundCapped, now)).collect();
        assert_eq!(back, [true, true, true, false, false]);
        assert_eq!((ledger.total, ledger.recent.len(), ledger.open), (2, 2, 0));
    }

    #[test]
    fn what_is_granted_is_used_beyond_the_rules_and_comes_back_as_it_went() {
        let rules = [QuotaRule { limit: 1, window: Window::Total }];
        let mut ledger = Ledger::default();
        ledger.grant(1);
        let times: Vec<_> = (0..3).map(|n| at(&format!("2026-01-01T00:00:0{n}Z"))).collect();
        ledger.reserve(&rules, times[0]).unwrap();
        assert_eq!((ledger.extra, ledger.total), (1, 1), "the rules come first");
        ledger.reserve(&rules, times[1]).unwrap();
        assert!(ledger.reserve(&rules, times[2]).is_err() && ledger.refusal(&rules, times[2]).is_some());
        assert!(ledger.settle(times[1], Settlement::Refund, times[2]));
        assert_eq!((ledger.extra, ledger.total, ledger.open), (1, 1, 1));
        ledger.reserve(&rules, times[2]).unwrap();
        assert!(!ledger.settle(times[2], Settlement::Charge, times[2]));
        assert!(ledger.settle(times[0], Settlement::Refund, times[2]));
        assert_eq!(ledger, Ledger { refunds: Vec::new(), ..Ledger::default() });
    }

    #[test]
    fn the_row_stays_small() {
        let rules = [per_day(3, "UTC")];
        let mut ledger = Ledger::default();
        for day in 1..=28 {
            ledger.reserve(&rules, at(&format!("2026-02-{day:02}T12:00:00Z"))).unwrap();
        }
        assert!(ledger.recent.len() <= 4, "{}", ledger.recent.len());
        assert_eq!(ledger.total, 28);
    }
}
