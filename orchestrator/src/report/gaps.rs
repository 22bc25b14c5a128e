//! Which models a report leaves out, and why that may be.

use protocol::report::Report;
use std::collections::BTreeMap;

/// One line for all measures that leave out the same number of models; none where nothing is left out.
#[must_use]
pub fn gaps(report: &Report) -> Vec<String> {
    let mut left_out = BTreeMap::<u64, Vec<&str>>::new();
    for row in report.rows.iter().filter(|row| row.n < report.selected) {
        left_out.entry(report.selected - row.n).or_default().push(&row.measure);
    }
    let line = |(count, measures): (u64, Vec<&str>)| {
        format!(
            "{}: {count} of {} models left out, value missing or infinite (classes with equal means? 'lcctl logs RUN analyze' \
             says so)",
            measures.join(", "),
            report.selected
        )
    };
    left_out.into_iter().rev().map(line).collect()
}
