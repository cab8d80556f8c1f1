//! The confusion matrix as CSV: a row for each true label, a column for each predicted one.

use std::fmt::Write;

/// Beyond this many labels there is no matrix: a participant could name a new label in every row.
pub(crate) const MOST_LABELS: usize = 100;

/// The matrix over `rows`, or nothing if there are too many labels.
pub(crate) fn csv(classes: &[String], truth: &[usize], predicted: &[usize], rows: &[usize]) -> Option<String> {
    let width = classes.len();
    if width > MOST_LABELS {
        return None;
    }
    let mut counts = vec![0_u64; width * width];
    for &row in rows {
        let (truth, predicted) = (truth.get(row)?, predicted.get(row)?);
        *counts.get_mut(truth * width + predicted)? += 1;
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
    Some(csv)
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
        assert_eq!(csv(&vec![String::new(); MOST_LABELS + 1], &[], &[], &[]), None);
    }
}
