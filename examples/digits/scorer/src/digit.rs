//! The ten digits, and tables of ten by ten.
//!
//! It knows what a digit is written like, and nothing of what a mistake costs.

use std::fmt;

/// How many digits there are.
const DIGITS: usize = 10;

/// A digit: 0 to 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digit(u8);

impl Digit {
    /// Reads exactly one of `0` to `9`; `7.0`, `07` and ` 7` are none.
    pub fn parse(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [byte @ b'0'..=b'9'] => Some(Self(byte - b'0')),
            _ => None,
        }
    }

    /// All ten, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..DIGITS as u8).map(Self)
    }
}

impl fmt::Display for Digit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Something for each truth and each answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grid<T>([[T; DIGITS]; DIGITS]);

impl<T: Copy> Grid<T> {
    /// The same everywhere.
    pub fn filled(value: T) -> Self {
        Self([[value; DIGITS]; DIGITS])
    }
}

#[expect(clippy::indexing_slicing, reason = "a digit is below ten: only `parse` and `all` make one")]
impl<T> Grid<T> {
    /// What is there for `truth` read as `answer`.
    pub fn at(&self, truth: Digit, answer: Digit) -> &T {
        &self.0[usize::from(truth.0)][usize::from(answer.0)]
    }

    /// The place for `truth` read as `answer`.
    pub fn at_mut(&mut self, truth: Digit, answer: Digit) -> &mut T {
        &mut self.0[usize::from(truth.0)][usize::from(answer.0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digit_is_one_character() {
        let all: Vec<_> = Digit::all().collect();
        assert_eq!(all.len(), 10);
        assert!(all.iter().all(|digit| Digit::parse(&digit.to_string()) == Some(*digit)));
        for text in ["", "7.0", "07", " 7", "-1", "10", "seven", "٣", "NaN", "1e308"] {
            assert_eq!(Digit::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_grid_tells_truth_from_answer() {
        let mut grid = Grid::filled(0);
        let (three, eight) = (Digit::parse("3").unwrap(), Digit::parse("8").unwrap());
        *grid.at_mut(three, eight) = 1;
        assert_eq!((*grid.at(three, eight), *grid.at(eight, three)), (1, 0));
    }
}
