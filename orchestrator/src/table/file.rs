//! The runs table as a file: what is shown, all rows of it.

use crate::results::{
    self,
    parquet::{Cells, counts, encode},
};
use chrono::{DateTime, SecondsFormat};
use protocol::table::{Cell, Column, ColumnGroup, ColumnKind, RunsPage};
use std::io;

/// Columns of whole numbers that are no measures.
const WHOLE: [&str; 7] = ["id", "depth", "width", "seed", "epochs", "priority", "step"];

/// A column of the file. Where several runs are one row, a column of numbers becomes three.
struct FileColumn<'a> {
    name: String,
    kind: FileKind,
    value: Box<dyn Fn(usize) -> Option<Plain> + 'a>,
}

/// What a column of the file holds.
#[derive(Clone, Copy)]
enum FileKind {
    Text,
    Count,
    Number,
}

/// A value in a file.
enum Plain {
    Number(f64),
    Text(String),
}

impl Plain {
    fn text(self) -> String {
        match self {
            Self::Number(number) => results::cell(number),
            Self::Text(text) => text,
        }
    }

    fn number(self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Text(_) => None,
        }
    }
}

fn columns(page: &RunsPage) -> Vec<FileColumn<'_>> {
    let mut columns = Vec::new();
    for (at, column) in page.columns.iter().enumerate() {
        let cell = move |row: usize| page.rows.get(row).and_then(|row| row.cells.get(at));
        let pooled = page.rows.iter().any(|row| matches!(row.cells.get(at), Some(Cell::Spread(_))));
        if !pooled {
            let value = move |row| plain(column, cell(row)?);
            columns.push(FileColumn {
                name: column.name.clone(),
                kind: kind(column),
                value: Box::new(value),
            });
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
            let kind = if part == "n" { FileKind::Count } else { FileKind::Number };
            columns.push(FileColumn { name, kind, value: Box::new(value) });
        }
    }
    columns
}

/// Of a column by itself, whatever values it has: files of different runs have the same types.
fn kind(column: &Column) -> FileKind {
    let whole = match column.group {
        ColumnGroup::Measure => counts(&column.name),
        ColumnGroup::Setting => false,
        _ => WHOLE.contains(&column.name.as_str()),
    };
    match column.kind {
        ColumnKind::Number | ColumnKind::Duration if whole => FileKind::Count,
        ColumnKind::Number | ColumnKind::Duration => FileKind::Number,
        ColumnKind::Text | ColumnKind::State | ColumnKind::Time => FileKind::Text,
    }
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
/// Writing to memory does not fail; the type is csv's.
pub fn csv(page: &RunsPage) -> io::Result<Vec<u8>> {
    let columns = columns(page);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns.iter().map(|column| &column.name))?;
    for row in 0..page.rows.len() {
        let cell = |column: &FileColumn<'_>| (column.value)(row).map(Plain::text).unwrap_or_default();
        writer.write_record(columns.iter().map(cell))?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// As Parquet: whole numbers as int64, others as doubles, the rest as strings; what is missing is null.
///
/// # Errors
/// When a column's name is not one that Parquet can hold.
pub fn parquet(page: &RunsPage) -> io::Result<Vec<u8>> {
    let columns = columns(page).into_iter().map(|column| {
        let values = (0..page.rows.len()).map(&column.value);
        let cells = match column.kind {
            FileKind::Text => Cells::Text(values.map(|value| value.map(Plain::text)).collect()),
            FileKind::Count => Cells::Count(values.map(|value| value.and_then(Plain::number)).collect()),
            FileKind::Number => Cells::Number(values.map(|value| value.and_then(Plain::number)).collect()),
        };
        results::parquet::Column { name: column.name, cells }
    });
    let columns: Vec<_> = columns.collect();
    encode("runs", &columns).map_err(|error| io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::parquet::{
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
        assert_eq!(rows[0].get_long(4).unwrap(), 2, "what counts is a whole number");
        assert!(rows[1].get_double(2).is_err(), "a missing value is null");
    }
}
