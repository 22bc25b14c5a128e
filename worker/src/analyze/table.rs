//! The table as CSV.

use super::columns::is_count;
use crate::{Result, files};
use protocol::{output::AnalyzeOutput, real::Real};
use std::path::Path;

/// Writes a table atomically: one line per row, its name in the column `model`.
pub(super) fn write(path: &Path, output: &AnalyzeOutput) -> Result<()> {
    files::write_atomically(path, |out| {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(std::iter::once("model").chain(output.columns.iter().map(String::as_str)))?;
        for row in &output.rows {
            let cells = output.columns.iter().map(|column| cell(column, row.values.get(column).copied()));
            csv.write_record(std::iter::once(row.model.clone()).chain(cells))?;
        }
        csv.flush()
    })
}

/// Counts as whole numbers, others in the shortest form that reads back as the same number; what is
/// missing or not a number is an empty cell, as published tables have it.
fn cell(column: &str, value: Option<Real>) -> String {
    match value {
        None => String::new(),
        Some(Real(x)) if x.is_nan() => String::new(),
        Some(Real(x)) if is_count(column) => format!("{x}"),
        Some(Real(x)) => format!("{x:?}"),
    }
}
