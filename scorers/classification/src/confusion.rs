//! The confusion matrix as CSV: a row for each true label, a column for each predicted one.

use std::fmt::Write;

/// Beyond this many labels there is no matrix: a participant could name a new label in every row.
pub(crate) const MOST_LABELS: usize = 100;

/// Beyond this many bytes neither: a matrix is to be read, and no submission may use up what the host takes.
const MOST_BYTES: usize = 1 << 20;

/// The matrix over `rows`, or why there is none.
pub(crate) fn csv(classes: &[String], truth: &[usize], predicted: &[usize], rows: &[usize]) -> Result<String, String> {
    let width = classes.len();
    if width > MOST_LABELS {
        return Err(format!("more than {MOST_LABELS} labels"));
    }
    // Each label stands in it twice, perhaps quoted, and a count has at most twenty digits.
    let labels: usize = classes.iter().map(|label| 4 * (label.len() + 2)).sum();
    if labels + 21 * width * width > MOST_BYTES {
        return Err(format!("it would be larger than {} KiB", MOST_BYTES >> 10));
    }
    let mut counts = vec![0_u64; width * width];
    for &row in rows {
        let place = truth.get(row).zip(predicted.get(row)).map(|(truth, predicted)| truth * width + predicted);
        if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
            *count += 1;
        }
    }
    let names: Vec<String> = classes.iter().map(|label| cell(label)).collect();
    let mut csv = format!("truth,{}\n", names.join(","));
    for (name, counts) in names.iter().zip(counts.chunks_exact(width.max(1))) {
        csv.push_str(name);
        for count in counts {
            // Writing to a string cannot fail.
            let _ = write!(csv, ",{count}");
        }
        csv.push('\n');
    }
    Ok(csv)
}

/// A label as a cell. A participant's label may not become a formula in an organizer's spreadsheet.
fn cell(label: &str) -> String {
    let formula = label.starts_with(['=', '+', '-', '@', '\t', '\r']) && label.parse::<f64>().is_err();
    let label = if formula { format!("'{label}") } else { label.to_owned() };
    if label.contains([',', '"', '\n', '\r']) { format!("\"{}\"", label.replace('"', "\"\"")) } else { label }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_truth_and_prediction() {
        let classes = ["a,b".to_owned(), "=x".to_owned(), "-1".to_owned()];
        let csv = csv(&classes, &[0, 0, 1, 2], &[0, 1, 1, 0], &[0, 1, 2]).unwrap();
        assert_eq!(csv, "truth,\"a,b\",'=x,-1\n\"a,b\",1,1,0\n'=x,0,1,0\n-1,0,0,0\n");
    }

    #[test]
    fn too_many_labels_make_no_matrix() {
        assert!(csv(&vec![String::new(); MOST_LABELS + 1], &[], &[], &[]).unwrap_err().contains("100 labels"));
        assert!(csv(&vec!["\"".repeat(256); MOST_LABELS], &[], &[], &[]).is_ok());
        let error = csv(&["a".to_owned(), "b".repeat(1 << 18)], &[], &[], &[]).unwrap_err();
        assert_eq!(error, "it would be larger than 1024 KiB");
    }
}
