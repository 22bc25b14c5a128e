//! Tables as Parquet files of one row group, compressed with zstd.

use parquet::{
    basic::{Compression, ConvertedType, Repetition, Type as Physical, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type},
    errors::Result,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};
use protocol::{output::MeasureRow, view::Results};
use std::sync::Arc;

/// Measures that count: whole numbers in every row.
const COUNTS: [&str; 3] = ["n_params", "hits", "misses"];

/// A column of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Its value in every row. What is missing or not a number is null.
    pub cells: Cells,
}

/// The values of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    /// Strings.
    Text(Vec<Option<String>>),
    /// Whole numbers: int64.
    Count(Vec<Option<f64>>),
    /// Doubles.
    Number(Vec<Option<f64>>),
}

/// Whether a measure counts something.
#[must_use]
pub fn counts(measure: &str) -> bool {
    COUNTS.contains(&measure)
}

/// The measures of a study: `model`, then its columns.
///
/// # Errors
/// When a column's name is not one that Parquet can hold.
pub fn measures(results: &Results) -> Result<Vec<u8>> {
    let models = results.rows.iter().map(|row| Some(row.model.clone())).collect();
    let mut columns = vec![Column { name: "model".to_owned(), cells: Cells::Text(models) }];
    columns.extend(results.columns.iter().map(|name| {
        let cell = |row: &MeasureRow| row.values.get(name).map(|value| value.0);
        let cells = results.rows.iter().map(cell).collect();
        let cells = if counts(name) { Cells::Count(cells) } else { Cells::Number(cells) };
        Column { name: name.clone(), cells }
    }));
    encode("results", &columns)
}

/// The bytes of a file. `table` names its schema.
///
/// # Errors
/// When a column's name is not one that Parquet can hold.
pub fn encode(table: &str, columns: &[Column]) -> Result<Vec<u8>> {
    let mut fields = Vec::with_capacity(columns.len());
    for Column { name, cells } in columns {
        let field = match cells {
            Cells::Text(_) => Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
                .with_converted_type(ConvertedType::UTF8),
            Cells::Count(_) => Type::primitive_type_builder(name, Physical::INT64),
            Cells::Number(_) => Type::primitive_type_builder(name, Physical::DOUBLE),
        };
        fields.push(Arc::new(field.with_repetition(Repetition::OPTIONAL).build()?));
    }
    let schema = Arc::new(Type::group_type_builder(table).with_fields(fields).build()?);
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for column in columns {
        let Some(mut writer) = group.next_column()? else { break };
        match &column.cells {
            Cells::Text(cells) => {
                let (values, present) = split(cells.iter().map(Option::as_deref));
                let values: Vec<_> = values.into_iter().map(ByteArray::from).collect();
                writer.typed::<ByteArrayType>().write_batch(&values, Some(&present), None)?;
            }
            Cells::Count(cells) => {
                let (values, present) = split(cells.iter().map(|cell| number(*cell)));
                let values: Vec<_> = values.into_iter().map(|value| value as i64).collect();
                writer.typed::<Int64Type>().write_batch(&values, Some(&present), None)?;
            }
            Cells::Number(cells) => {
                let (values, present) = split(cells.iter().map(|cell| number(*cell)));
                writer.typed::<DoubleType>().write_batch(&values, Some(&present), None)?;
            }
        }
        writer.close()?;
    }
    group.close()?;
    writer.into_inner()
}

fn number(cell: Option<f64>) -> Option<f64> {
    cell.filter(|value| !value.is_nan())
}

/// The values that are there, and for each row whether one is.
fn split<T>(cells: impl Iterator<Item = Option<T>>) -> (Vec<T>, Vec<i16>) {
    let (mut values, mut present) = (Vec::new(), Vec::new());
    for cell in cells {
        present.push(i16::from(cell.is_some()));
        values.extend(cell);
    }
    (values, present)
}

#[cfg(test)]
mod tests {
    use super::measures;
    use parquet::{
        file::reader::{FileReader as _, SerializedFileReader},
        record::RowAccessor as _,
    };
    use protocol::{output::MeasureRow, real::Real, view::Results};

    #[test]
    fn what_was_written_reads_back() {
        let row = |model: &str, hits: f64, cdnv: Option<f64>| MeasureRow {
            model: model.into(),
            values: [("hits", Some(hits)), ("cdnv", cdnv)]
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), Real(value?))))
                .collect(),
        };
        let results = Results {
            columns: vec!["hits".into(), "cdnv".into()],
            rows: vec![
                row("01x0032_01d00@0", 12.0, Some(0.25)),
                row("01x0064_01d00@0", 7.0, None),
                row("01x0128_01d00@0", 7.0, Some(f64::NAN)),
            ],
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), measures(&results).unwrap()).unwrap();
        let reader = SerializedFileReader::new(file.reopen().unwrap()).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0].get_string(0).unwrap(), "01x0032_01d00@0");
        assert_eq!(rows[0].get_long(1).unwrap(), 12);
        assert_eq!(rows[0].get_double(2).unwrap(), 0.25);
        assert!(rows[1].get_double(2).is_err(), "a missing measure is null");
        assert!(rows[2].get_double(2).is_err(), "so is one that the formula gives no number for");
    }
}
