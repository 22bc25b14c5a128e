//! Values of single classes against how often they occur, from the file that `analyze` leaves.

use parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::{Field, Row},
};
use protocol::{real::Real, table::ClassCurve};
use std::{fs::File, path::Path};

/// Bins per factor of ten in the count.
const PER_DECADE: f64 = 8.0;
/// Columns that are no values of a class.
const NOT_VALUES: [&str; 3] = ["model", "class", "count"];

/// Reads a column of a file; the first one of values if none is named.
///
/// # Errors
/// One line: there is no such file, no such column, or it is damaged.
pub fn read(file: &Path, column: Option<&str>) -> Result<ClassCurve, String> {
    let open = File::open(file).map_err(|_| {
        "there are no values of single classes of this checkpoint; run its analyze stage again".to_owned()
    })?;
    let broken = |error: parquet::errors::ParquetError| format!("{}: {error}", file.display());
    let reader = SerializedFileReader::new(open).map_err(broken)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let names = schema.columns().iter().map(|column| column.name().to_owned());
    let columns: Vec<String> = names.filter(|name| !NOT_VALUES.contains(&&**name)).collect();
    let chosen = match column {
        Some(name) => columns.iter().find(|known| *known == name).cloned(),
        None => columns.first().cloned(),
    };
    let Some(column) = chosen else {
        let wanted = column.unwrap_or("values");
        return Err(format!("{wanted} is not among {}", columns.join(", ")));
    };
    let mut points = Vec::new();
    for row in reader.get_row_iter(None).map_err(broken)? {
        let row = row.map_err(broken)?;
        if let (Some(count), Some(value)) = (number(&row, "count"), number(&row, &column))
            && count > 0.0
        {
            points.push((count, value));
        }
    }
    Ok(binned(column, columns, points))
}

fn number(row: &Row, name: &str) -> Option<f64> {
    let (_, field) = row.get_column_iter().find(|(column, _)| *column == name)?;
    let value = match field {
        Field::Double(value) => *value,
        Field::Int(value) => f64::from(*value),
        _ => return None,
    };
    (!value.is_nan()).then_some(value)
}

fn binned(column: String, columns: Vec<String>, points: Vec<(f64, f64)>) -> ClassCurve {
    let classes = points.len() as u64;
    let mut bins = std::collections::BTreeMap::<i64, Vec<f64>>::new();
    for (count, value) in points {
        bins.entry((count.log10() * PER_DECADE).floor() as i64).or_default().push(value);
    }
    let mut curve = ClassCurve {
        column,
        columns,
        classes,
        count: Vec::new(),
        n: Vec::new(),
        median: Vec::new(),
        lower: Vec::new(),
        upper: Vec::new(),
    };
    for (bin, mut values) in bins {
        values.sort_by(f64::total_cmp);
        curve.count.push(10_f64.powf((bin as f64 + 0.5) / PER_DECADE));
        curve.n.push(values.len() as u64);
        curve.median.push(Real(quantile(&values, 0.5)));
        curve.lower.push(Real(quantile(&values, 0.25)));
        curve.upper.push(Real(quantile(&values, 0.75)));
    }
    curve
}

/// A quantile of sorted values, between two of them by a straight line.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    // The difference of equal infinities is no number.
    if low == high || low.is_infinite() { low } else { low + (high - low) * place.fract() }
}

#[cfg(test)]
mod tests {
    use super::{binned, quantile, read};

    #[test]
    fn classes_fall_into_bins_of_equal_width_in_the_logarithm() {
        let points = (1..=1000).map(|count| (f64::from(count), f64::from(count) * 2.0)).collect();
        let curve = binned("norm".into(), vec!["norm".into()], points);
        assert_eq!((curve.classes, curve.n.iter().sum::<u64>()), (1000, 1000));
        assert!(curve.count.is_sorted());
        for (i, count) in curve.count.iter().enumerate().skip(12) {
            let (low, high) = (curve.lower[i].0, curve.upper[i].0);
            assert!(low <= curve.median[i].0 && curve.median[i].0 <= high);
            assert!((1.5..2.7).contains(&(curve.median[i].0 / count)), "{count}");
        }
    }

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), 2.5);
        assert_eq!(quantile(&[7.0], 0.25), 7.0);
        let infinite = [f64::NEG_INFINITY, 1.0, f64::INFINITY, f64::INFINITY];
        assert_eq!(
            [0.25, 0.5, 0.9].map(|share| quantile(&infinite, share)),
            [f64::NEG_INFINITY, f64::INFINITY, f64::INFINITY]
        );
    }

    #[test]
    fn a_file_that_is_missing_is_said_in_words() {
        assert!(read(std::path::Path::new("/no/such.parquet"), None).unwrap_err().contains("analyze"));
    }
}
