//! What confusing two digits costs.
//!
//! A table of ten by ten, made from the parameters. It says nothing of how often a confusion happened.

use serde::Deserialize;

use crate::digit::{Digit, Grid};

/// One entry of the parameter `costs`: `{ digits = "38", cost = 0.5 }`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The two digits, in either order.
    pub digits: String,
    /// What confusing them costs, in either direction: 0 to 1.
    pub cost: f64,
}

/// What an answer costs, for each truth: 0 when right, 1 for a mistake that no pair names.
#[derive(Debug, Clone, PartialEq)]
pub struct Costs(Grid<f64>);

impl Costs {
    /// The table that the pairs describe.
    ///
    /// # Errors
    /// A sentence for the organizer, naming the pair: not two different digits, named twice, cost outside 0 to 1.
    pub fn new(pairs: &[Pair]) -> Result<Self, String> {
        let mut table = Grid::filled(1.0);
        for digit in Digit::all() {
            *table.at_mut(digit, digit) = 0.0;
        }
        let mut seen = Vec::new();
        for (at, Pair { digits, cost }) in pairs.iter().enumerate() {
            let place = format!("params `costs[{at}]`");
            let (a, b) = two(digits)
                .ok_or_else(|| format!("{place}: `{digits}` is not two different digits; write them as in \"38\""))?;
            if !(0.0..=1.0).contains(cost) {
                return Err(format!("{place}: a cost of {cost}; write a number from 0 to 1"));
            }
            let pair = (a.min(b), a.max(b));
            if seen.contains(&pair) {
                return Err(format!("{place}: {} and {} have a cost already; remove one of the two", pair.0, pair.1));
            }
            seen.push(pair);
            *table.at_mut(a, b) = *cost;
            *table.at_mut(b, a) = *cost;
        }
        Ok(Self(table))
    }

    /// What answering `answer` costs where `truth` is right.
    pub fn of(&self, truth: Digit, answer: Digit) -> f64 {
        *self.0.at(truth, answer)
    }
}

fn two(text: &str) -> Option<(Digit, Digit)> {
    let (a, b) = text.split_at_checked(1)?;
    let (a, b) = (Digit::parse(a)?, Digit::parse(b)?);
    (a != b).then_some((a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(digits: &str, cost: f64) -> Pair {
        Pair { digits: digits.to_owned(), cost }
    }

    fn digit(text: &str) -> Digit {
        Digit::parse(text).unwrap()
    }

    #[test]
    fn a_pair_costs_the_same_both_ways_and_others_cost_one() {
        let costs = Costs::new(&[pair("38", 0.5), pair("71", 0.75)]).unwrap();
        let of = |truth, answer| costs.of(digit(truth), digit(answer));
        assert_eq!((of("3", "8"), of("8", "3"), of("1", "7"), of("7", "1")), (0.5, 0.5, 0.75, 0.75));
        assert_eq!((of("3", "3"), of("3", "7"), of("0", "9")), (0.0, 1.0, 1.0));
    }

    #[test]
    fn wrong_pairs_are_named() {
        let error = |pairs: &[Pair]| Costs::new(pairs).unwrap_err();
        for digits in ["", "3", "33", "3x", "389", "é8"] {
            assert!(error(&[pair("17", 0.5), pair(digits, 0.5)]).contains("`costs[1]`"), "{digits}");
        }
        for cost in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(error(&[pair("38", cost)]).contains("from 0 to 1"), "{cost}");
        }
        assert!(error(&[pair("38", 0.5), pair("83", 0.25)]).contains("3 and 8 have a cost already"));
    }
}
