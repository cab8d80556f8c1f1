//! Area under the ROC curve.
//!
//! The probability that a positive row is ranked above a negative one, ties counting half: the Mann-Whitney U statistic
//! over P·N (J. A. Hanley and B. J. McNeil, *The meaning and use of the area under a receiver operating characteristic
//! curve*, Radiology 143, 1982). The same as the trapezoidal area of scikit-learn's `roc_auc_score`. From 0 to 1; 0.5 is
//! chance. Columns of probabilities are taken as they were handed in, as there: only their order matters, and dividing
//! the rows of one by different sums would change it. Undefined when all rows are positive or none is, which only the reference data decide.

use super::Undefined;

/// The area, of rows given as (is positive, score). Counted in whole numbers, so that only the last division rounds.
///
/// # Errors
/// All rows are positive, or none is.
pub fn auc(rows: impl Iterator<Item = (bool, f64)>) -> Result<f64, Undefined> {
    // Adding zero makes a zero of a negative zero, which then ties with the others.
    let mut rows: Vec<(bool, f64)> = rows.map(|(positive, score)| (positive, score + 0.0)).collect();
    rows.sort_unstable_by(|a, b| a.1.total_cmp(&b.1));
    let (mut positives, mut negatives, mut twice_won) = (0_u64, 0_u64, 0_u128);
    for ties in rows.chunk_by(|a, b| a.1 == b.1) {
        let positive = ties.iter().filter(|row| row.0).count() as u64;
        let negative = ties.len() as u64 - positive;
        twice_won += u128::from(positive) * u128::from(2 * negatives + negative);
        positives += positive;
        negatives += negative;
    }
    if positives == 0 || negatives == 0 {
        let lacking = "the reference needs rows with the label and rows with another";
        return Err(Undefined { lacking, by_predictions: false, usual: None });
    }
    Ok(twice_won as f64 / (2 * u128::from(positives) * u128::from(negatives)) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(bool, f64)]) -> Option<f64> {
        auc(rows.iter().copied()).ok()
    }

    #[test]
    fn by_hand() {
        let (yes, no) = (true, false);
        assert_eq!(of(&[(no, 0.1), (no, 0.4), (yes, 0.35), (yes, 0.8)]), Some(0.75));
        assert_eq!(of(&[(no, 0.5), (yes, 0.5), (yes, 0.5)]), Some(0.5));
        assert_eq!(of(&[(no, 0.0), (yes, -0.0)]), Some(0.5));
        assert_eq!(of(&[(no, 0.0), (yes, 1.0)]), Some(1.0));
        assert_eq!(of(&[(yes, 0.0), (no, 1.0)]), Some(0.0));
        assert_eq!(of(&[(yes, 0.0)]), None);
        assert_eq!(of(&[(no, 0.0), (no, 1.0)]), None);
        assert_eq!(of(&[]), None);
    }
}
