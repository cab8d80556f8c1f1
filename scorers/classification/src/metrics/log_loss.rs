//! Log loss, or cross-entropy.
//!
//! −1/n Σ ln p, with p the probability that was given to the true label, natural logarithm (C. M. Bishop, *Pattern
//! Recognition and Machine Learning*, 2006, p. 209). p is clipped to [ε, 1 − ε] with ε = 2⁻⁵², the spacing of 64-bit
//! floats at 1, as scikit-learn's `log_loss` has done since 1.3; so a row costs at most 36.04. From ε up; less is
//! better.
//!
//! With a column for each label, p is divided by the row's sum where that is further from 1 than √ε = 1.5 × 10⁻⁸. There
//! scikit-learn warns that these are no probabilities and takes them as they are, by which a participant would gain
//! 0.001 with columns that sum up to 1.001. Dividing them first gives its value. No other metric divides.

use gradus_sdk::sum;

use super::Undefined;

/// The log loss, of the probabilities that were given to the true labels.
///
/// # Errors
/// There are no rows.
pub fn log_loss(given: impl Iterator<Item = f64>) -> Result<f64, Undefined> {
    let row = |p: f64| -p.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln();
    let none = Undefined { lacking: "there are no rows", by_predictions: false, usual: None };
    sum::mean(given.map(row)).ok_or(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let of = |given: &[f64]| log_loss(given.iter().copied()).unwrap();
        assert_eq!(of(&[0.5, 0.5]), 2.0_f64.ln());
        assert_eq!(of(&[1.0]), -(1.0 - f64::EPSILON).ln());
        assert_eq!(of(&[0.0]), 52.0 * 2.0_f64.ln());
        assert!(log_loss([].into_iter()).is_err());
    }
}
