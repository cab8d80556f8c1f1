//! Counts which digit was read as which, and makes the metrics of it.
//!
//! Pure arithmetic over counts: it reads no file and writes no report.

use crate::costs::Costs;
use crate::digit::{Digit, Grid};

/// How often each digit was read as each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(Grid<u32>);

impl Tally {
    /// Counts one image.
    pub fn add(&mut self, truth: Digit, answer: Digit) {
        *self.0.at_mut(truth, answer) += 1;
    }

    /// How many images show `truth`.
    pub fn shown(&self, truth: Digit) -> u32 {
        Digit::all().map(|answer| self.count(truth, answer)).sum()
    }

    /// How many images that show `truth` were read as `answer`.
    pub fn count(&self, truth: Digit, answer: Digit) -> u32 {
        *self.0.at(truth, answer)
    }

    /// All images.
    pub fn total(&self) -> u32 {
        Digit::all().map(|digit| self.shown(digit)).sum()
    }

    /// 1 − the mean cost; `None` without images.
    pub fn thrift(&self, costs: &Costs) -> Option<f64> {
        let pairs = Digit::all().flat_map(|truth| Digit::all().map(move |answer| (truth, answer)));
        let total: f64 =
            pairs.map(|(truth, answer)| costs.of(truth, answer) * f64::from(self.count(truth, answer))).sum();
        (self.total() > 0).then(|| 1.0 - total / f64::from(self.total()))
    }

    /// The share of images that were read rightly; `None` without images.
    pub fn accuracy(&self) -> Option<f64> {
        let right: u32 = Digit::all().map(|digit| self.count(digit, digit)).sum();
        (self.total() > 0).then(|| f64::from(right) / f64::from(self.total()))
    }

    /// The share of the images of `truth` that were read rightly; `None` when no image shows it.
    pub fn recall(&self, truth: Digit) -> Option<f64> {
        let shown = self.shown(truth);
        (shown > 0).then(|| f64::from(self.count(truth, truth)) / f64::from(shown))
    }

    /// The digit with the lowest recall, and that recall; the smallest of equals. `None` without images.
    pub fn weakest(&self) -> Option<(Digit, f64)> {
        let recalls = Digit::all().filter_map(|digit| Some((digit, self.recall(digit)?)));
        recalls.reduce(|weakest, next| if next.1 < weakest.1 { next } else { weakest })
    }

    /// What `truth` was most often mistaken for, and how often; the smallest of equals. `None` without a mistake.
    pub fn mistaken_for(&self, truth: Digit) -> Option<(Digit, u32)> {
        let wrong = Digit::all().filter(|answer| *answer != truth);
        let counts = wrong.map(|answer| (answer, self.count(truth, answer))).filter(|(_, count)| *count > 0);
        counts.reduce(|most, next| if next.1 > most.1 { next } else { most })
    }

    /// The whole table as CSV: a row for each truth, a column for each answer.
    pub fn csv(&self) -> String {
        let line = |first: &str, cells: Vec<String>| format!("{first},{}\n", cells.join(","));
        let mut csv = line("truth", Digit::all().map(|digit| format!("read as {digit}")).collect());
        for truth in Digit::all() {
            let cells = Digit::all().map(|answer| self.count(truth, answer).to_string()).collect();
            csv.push_str(&line(&truth.to_string(), cells));
        }
        csv
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::costs::Pair;

    fn digit(text: &str) -> Digit {
        Digit::parse(text).unwrap()
    }

    fn tally(pairs: &[(&str, &str)]) -> Tally {
        let mut tally = Tally::default();
        for (truth, answer) in pairs {
            tally.add(digit(truth), digit(answer));
        }
        tally
    }

    #[test]
    fn look_alikes_cost_less() {
        let costs = Costs::new(&[Pair { digits: "38".to_owned(), cost: 0.5 }]).unwrap();
        let tally = tally(&[("3", "8"), ("8", "3"), ("3", "3"), ("3", "5")]);
        assert_eq!(tally.thrift(&costs), Some(1.0 - 2.0 / 4.0));
        assert_eq!(tally.accuracy(), Some(0.25));
        assert_eq!(tally.recall(digit("3")), Some(1.0 / 3.0));
        assert_eq!(tally.recall(digit("5")), None);
    }

    #[test]
    fn nothing_has_no_value() {
        let empty = Tally::default();
        assert_eq!((empty.accuracy(), empty.weakest(), empty.mistaken_for(digit("1"))), (None, None, None));
        assert_eq!(empty.thrift(&Costs::new(&[]).unwrap()), None);
    }

    #[test]
    fn the_weakest_is_the_smallest_of_equals() {
        let tally = tally(&[("2", "2"), ("4", "9"), ("4", "4"), ("7", "1"), ("7", "7")]);
        assert_eq!(tally.weakest(), Some((digit("4"), 0.5)));
    }

    #[test]
    fn mistaken_for_ignores_right_answers() {
        let tally = tally(&[("4", "4"), ("4", "4"), ("4", "9"), ("4", "9"), ("4", "0")]);
        assert_eq!(tally.mistaken_for(digit("4")), Some((digit("9"), 2)));
        assert_eq!(tally.mistaken_for(digit("9")), None);
    }

    #[test]
    fn the_table_has_a_row_for_each_truth() {
        let csv = tally(&[("0", "9"), ("9", "9")]).csv();
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(lines.len(), 11);
        assert!(lines[0].starts_with("truth,read as 0,") && lines[0].ends_with(",read as 9"), "{csv}");
        assert_eq!((lines[1], lines[10]), ("0,0,0,0,0,0,0,0,0,0,1", "9,0,0,0,0,0,0,0,0,0,1"));
    }
}
