//! Results as a Parquet file of one row group, compressed with zstd.

use parquet::{
    basic::{Compression, ConvertedType, Repetition, Type as Physical, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type},
    errors::Result,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};
use protocol::{output::MeasureRow, real::Real, view::Results};
use std::sync::Arc;

/// Columns that count: whole numbers in every row.
const COUNTS: [&str; 3] = ["n_params", "hits", "misses"];

/// The bytes of the file: `model` as a string, counts as int64, measures as doubles; what is missing
/// or not a number is null.
///
/// # Errors
/// When a column's name is not one that Parquet can hold.
pub(super) fn encode(results: &Results) -> Result<Vec<u8>> {
    let mut fields = vec![Arc::new(
        Type::primitive_type_builder("model", Physical::BYTE_ARRAY)
            .with_converted_type(ConvertedType::UTF8)
            .with_repetition(Repetition::REQUIRED)
            .build()?,
    )];
    for column in &results.columns {
        let physical = if counts(column) { Physical::INT64 } else { Physical::DOUBLE };
        let field = Type::primitive_type_builder(column, physical).with_repetition(Repetition::OPTIONAL);
        fields.push(Arc::new(field.build()?));
    }
    let schema = Arc::new(Type::group_type_builder("results").with_fields(fields).build()?);
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;

    if let Some(mut column) = group.next_column()? {
        let models: Vec<_> = results.rows.iter().map(|row| ByteArray::from(row.model.as_str())).collect();
        column.typed::<ByteArrayType>().write_batch(&models, None, None)?;
        column.close()?;
    }
    for name in &results.columns {
        let Some(mut column) = group.next_column()? else { break };
        let cell = |row: &MeasureRow| row.values.get(name).copied().filter(|value| !value.0.is_nan());
        let cells: Vec<Option<Real>> = results.rows.iter().map(cell).collect();
        let present: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
        if counts(name) {
            let values: Vec<_> = cells.into_iter().flatten().map(|value| value.0 as i64).collect();
            column.typed::<Int64Type>().write_batch(&values, Some(&present), None)?;
        } else {
            let values: Vec<_> = cells.into_iter().flatten().map(|value| value.0).collect();
            column.typed::<DoubleType>().write_batch(&values, Some(&present), None)?;
        }
        column.close()?;
    }
    group.close()?;
    writer.into_inner()
}

fn counts(column: &str) -> bool {
    COUNTS.contains(&column)
}

#[cfg(test)]
mod tests {
    use super::encode;
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
        std::fs::write(file.path(), encode(&results).unwrap()).unwrap();
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
