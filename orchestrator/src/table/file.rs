//! The runs table as a file: what is shown, all rows of it.

use chrono::{DateTime, SecondsFormat};
use parquet::{
    basic::{Compression, ConvertedType, Repetition, Type as Physical, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, DoubleType},
    errors::Result,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};
use protocol::table::{Cell, Column, ColumnKind, RunsPage};
use std::{io, sync::Arc};

/// A column of the file. Where several runs are one row, a column of numbers becomes three.
struct FileColumn<'a> {
    name: String,
    kind: ColumnKind,
    value: Box<dyn Fn(usize) -> Option<Plain> + 'a>,
}

/// A value in a file.
enum Plain {
    Number(f64),
    Text(String),
}

fn columns(page: &RunsPage) -> Vec<FileColumn<'_>> {
    let mut columns = Vec::new();
    for (at, column) in page.columns.iter().enumerate() {
        let cell = move |row: usize| page.rows.get(row).and_then(|row| row.cells.get(at));
        let pooled = page.rows.iter().any(|row| matches!(row.cells.get(at), Some(Cell::Spread(_))));
        if !pooled {
            let value = move |row| plain(column, cell(row)?);
            columns.push(FileColumn { name: column.name.clone(), kind: column.kind, value: Box::new(value) });
            continue;
        }
        for part in ["mean", "se", "n"] {
            let value = move |row| match cell(row)? {
                Cell::Spread(spread) => match part {
                    "mean" => Some(Plain::Number(spread.mean.0)),
                    "se" => spread.se.map(|se| Plain::Number(se.0)),
                    _ => Some(Plain::Number(spread.n as f64)),
                },
                _ => None,
            };
            let name = format!("{}_{part}", column.name);
            columns.push(FileColumn { name, kind: ColumnKind::Number, value: Box::new(value) });
        }
    }
    columns
}

fn plain(column: &Column, cell: &Cell) -> Option<Plain> {
    match cell {
        Cell::Nothing | Cell::Spread(_) => None,
        Cell::Text(text) => Some(Plain::Text(text.clone())),
        Cell::Number(value) if column.kind == ColumnKind::Time => {
            let moment = DateTime::from_timestamp_millis(value.0 as i64)?;
            Some(Plain::Text(moment.to_rfc3339_opts(SecondsFormat::Millis, true)))
        }
        Cell::Number(value) => Some(Plain::Number(value.0)).filter(|_| !value.0.is_nan()),
    }
}

/// As CSV: a missing value is an empty cell, moments are in UTC.
///
/// # Errors
/// Never in memory; the signature is that of the writer.
pub fn csv(page: &RunsPage) -> io::Result<Vec<u8>> {
    let columns = columns(page);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns.iter().map(|column| &column.name))?;
    for row in 0..page.rows.len() {
        writer.write_record(columns.iter().map(|column| match (column.value)(row) {
            None => String::new(),
            Some(Plain::Text(text)) => text,
            Some(Plain::Number(number)) => crate::results::cell(number),
        }))?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// As Parquet: numbers as doubles, the rest as strings; what is missing is null.
///
/// # Errors
/// When a column's name is not one that Parquet can hold.
pub fn parquet(page: &RunsPage) -> io::Result<Vec<u8>> {
    encode(&columns(page), page.rows.len()).map_err(|error| io::Error::other(error.to_string()))
}

fn encode(columns: &[FileColumn<'_>], rows: usize) -> Result<Vec<u8>> {
    let mut fields = Vec::with_capacity(columns.len());
    for column in columns {
        let field = if is_number(column.kind) {
            Type::primitive_type_builder(&column.name, Physical::DOUBLE)
        } else {
            Type::primitive_type_builder(&column.name, Physical::BYTE_ARRAY)
                .with_converted_type(ConvertedType::UTF8)
        };
        fields.push(Arc::new(field.with_repetition(Repetition::OPTIONAL).build()?));
    }
    let schema = Arc::new(Type::group_type_builder("runs").with_fields(fields).build()?);
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for column in columns {
        let Some(mut writer) = group.next_column()? else { break };
        let values: Vec<Option<Plain>> = (0..rows).map(&column.value).collect();
        if is_number(column.kind) {
            let number = |value: &Option<Plain>| match value {
                Some(Plain::Number(number)) => Some(*number),
                _ => None,
            };
            let present: Vec<i16> = values.iter().map(|value| i16::from(number(value).is_some())).collect();
            let values: Vec<f64> = values.iter().filter_map(number).collect();
            writer.typed::<DoubleType>().write_batch(&values, Some(&present), None)?;
        } else {
            let text = |value: Option<Plain>| match value {
                Some(Plain::Text(text)) => Some(text),
                Some(Plain::Number(number)) => Some(crate::results::cell(number)),
                None => None,
            };
            let present: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
            let values: Vec<ByteArray> =
                values.into_iter().filter_map(text).map(|text| ByteArray::from(text.as_str())).collect();
            writer.typed::<ByteArrayType>().write_batch(&values, Some(&present), None)?;
        }
        writer.close()?;
    }
    group.close()?;
    writer.into_inner()
}

const fn is_number(kind: ColumnKind) -> bool {
    matches!(kind, ColumnKind::Number | ColumnKind::Duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::{
        file::reader::{FileReader as _, SerializedFileReader},
        record::RowAccessor as _,
    };
    use protocol::{
        real::Real,
        table::{ColumnGroup, Spread, TableRow},
    };

    fn page() -> RunsPage {
        let column =
            |name: &str, kind| Column { name: name.into(), kind, group: ColumnGroup::Run, varies: true };
        let row = |cells| TableRow { run: None, runs: 2, filter: String::new(), cells };
        let spread = Spread { mean: Real(0.5), se: Some(Real(0.25)), n: 2 };
        RunsPage {
            columns: vec![
                column("run", ColumnKind::Text),
                column("started", ColumnKind::Time),
                column("val_loss", ColumnKind::Number),
            ],
            rows: vec![
                row(vec![Cell::Text("01x0064_01d".into()), Cell::Number(Real(1000.0)), Cell::Spread(spread)]),
                row(vec![Cell::Text("a,b".into()), Cell::Nothing, Cell::Nothing]),
            ],
            total: 2,
            runs: 4,
        }
    }

    #[test]
    fn averaged_numbers_become_three_columns() {
        let text = String::from_utf8(csv(&page()).unwrap()).unwrap();
        assert_eq!(
            text,
            "run,started,val_loss_mean,val_loss_se,val_loss_n\n\
             01x0064_01d,1970-01-01T00:00:01.000Z,0.5,0.25,2\n\"a,b\",,,,\n"
        );
    }

    #[test]
    fn parquet_holds_the_same() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, &parquet(&page()).unwrap()).unwrap();
        let reader = SerializedFileReader::new(file.reopen().unwrap()).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows[0].get_string(0).unwrap(), "01x0064_01d");
        assert_eq!(rows[0].get_double(2).unwrap(), 0.5);
        assert!(rows[1].get_double(2).is_err(), "a missing value is null");
    }
}
