//! The table of measures of a study as CSV, as the published tables are written, and as Parquet ([`mod@parquet`]); values
//! of single classes ([`classes`]).

pub mod classes;
pub mod parquet;

use crate::files::write_atomically;
use protocol::view::Results;
use std::{fs, io, path::Path};

/// One line per checkpoint: `model` and the columns; a missing value is an empty cell.
///
/// # Errors
/// Writing to memory does not fail; the type is csv's.
pub fn csv_bytes(results: &Results) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(std::iter::once("model").chain(results.columns.iter().map(String::as_str)))?;
    for row in &results.rows {
        let cells =
            results.columns.iter().map(|column| row.values.get(column).map_or(String::new(), |x| cell(x.0)));
        writer.write_record(std::iter::once(row.model.clone()).chain(cells))?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// The shortest text that reads back as the same number, whole numbers without a fraction; empty for what is not a
/// number, as the published tables have it.
#[must_use]
pub fn cell(x: f64) -> String {
    if x.is_nan() {
        return String::new();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if x.fract() == 0.0 && x.abs() < 9e15 {
        return format!("{x:.0}");
    }
    // Debug is the shortest that reads back, with an exponent where that is shorter.
    format!("{x:?}")
}

/// Writes the table of a study with at least one row, unless the file holds it already.
///
/// # Errors
/// When it can't be written; then the file is as it was.
pub fn write_csv(path: &Path, results: &Results) -> io::Result<()> {
    if results.rows.is_empty() {
        return Ok(());
    }
    let bytes = csv_bytes(results)?;
    if fs::read(path).is_ok_and(|current| current == bytes) {
        return Ok(());
    }
    write_atomically(path, &bytes, 0o644)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{output::MeasureRow, real::Real};

    #[test]
    fn cells_read_back_as_the_same_numbers() {
        for x in [0.1, 1e-300, 123_456.789, f64::MIN_POSITIVE, 2.5e20, -0.000_123] {
            assert_eq!(cell(x).parse::<f64>().unwrap(), x, "{x}");
        }
        assert_eq!(cell(3_397_440.0), "3397440");
        assert_eq!([cell(f64::INFINITY), cell(f64::NEG_INFINITY), cell(f64::NAN)], ["inf", "-inf", ""]);
    }

    #[test]
    fn a_missing_measure_is_an_empty_cell() {
        let row =
            MeasureRow { model: "01x0064_01d00@0".into(), values: [("b".to_owned(), Real(2.0))].into() };
        let results = Results { columns: vec!["a".into(), "b".into()], rows: vec![row] };
        assert_eq!(csv_bytes(&results).unwrap(), b"model,a,b\n01x0064_01d00@0,,2\n");
    }

    #[test]
    fn a_table_is_written_only_when_it_differs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results/s.csv");
        let mut results = Results { columns: vec!["a".into()], rows: Vec::new() };
        write_csv(&path, &results).unwrap();
        assert!(!path.exists());
        results.rows.push(MeasureRow { model: "m".into(), values: [("a".to_owned(), Real(1.5))].into() });
        write_csv(&path, &results).unwrap();
        let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
        let first = inode(&path);
        write_csv(&path, &results).unwrap();
        assert_eq!(
            (inode(&path), fs::read_to_string(&path).unwrap()),
            (first, "model,a\nm,1.5\n".to_owned())
        );
    }
}
