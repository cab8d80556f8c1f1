//! Sums whose error does not grow with the number of terms.
//!
//! Neumaier's variant of Kahan's summation (A. Neumaier, *Rundungsfehleranalyse einiger Verfahren zur Summation
//! endlicher Summen*, ZAMM 54, 1974), in the order given: the same terms in the same order give the same bits.

/// The sum of `terms`; 0 of none.
pub fn sum(terms: impl IntoIterator<Item = f64>) -> f64 {
    let (mut total, mut lost) = (0.0_f64, 0.0_f64);
    for term in terms {
        let next = total + term;
        lost += if total.abs() >= term.abs() { (total - next) + term } else { (term - next) + total };
        total = next;
    }
    // With an infinity among the terms `lost` is NaN, and the plain total is the right answer.
    if lost.is_finite() { total + lost } else { total }
}

/// The arithmetic mean of `terms`, or nothing of none.
pub fn mean(terms: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut count = 0_u64;
    let total = sum(terms.into_iter().inspect(|_| count += 1));
    (count > 0).then(|| total / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_are_not_lost() {
        assert_eq!(sum([1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(sum(std::iter::repeat_n(0.1, 1_000_000)), 100_000.0);
        assert_eq!(sum([]), 0.0);
    }

    #[test]
    fn infinities_stay_infinite() {
        assert_eq!(sum([1.0, f64::INFINITY, 1.0]), f64::INFINITY);
    }

    #[test]
    fn a_mean_of_none_is_none() {
        assert_eq!(mean([]), None);
        assert_eq!(mean([1.0, 2.0]), Some(1.5));
    }
}
