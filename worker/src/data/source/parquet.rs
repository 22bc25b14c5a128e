//! `.parquet`: one text per row in the column `text`; uncompressed, snappy or zstd.
//!
//! `utf8` and `large_utf8` are the same in a Parquet file: a column of byte arrays, read here a page at a
//! time without going through Arrow.

use crate::{Error, Result};
use ::parquet::{
    basic::Type,
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{ByteArray, ByteArrayType},
    errors::ParquetError,
    file::reader::{FileReader as _, SerializedFileReader},
};
use std::{
    fs::File,
    path::{Path, PathBuf},
    vec,
};

const COLUMN: &str = "text";
const ROWS_AT_A_TIME: usize = 256;

/// Number of rows, from the file's metadata.
///
/// # Errors
/// When the file is not Parquet, or has no column of texts.
pub fn count(path: &Path) -> Result<u64> {
    let rows = Rows::open(path)?.reader.metadata().file_metadata().num_rows();
    u64::try_from(rows).map_err(|_| Error::input(format!("{}: corrupt: {rows} rows", path.display())))
}

/// The texts in order.
///
/// # Errors
/// When the file is not Parquet, or has no column of texts. An item fails for a row that has no text or
/// is not UTF-8, naming the row (from 1), and for a file that turns out to be corrupt.
pub fn read(path: &Path) -> Result<impl Iterator<Item = Result<String>> + use<>> {
    Rows::open(path)
}

struct Rows {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    column: usize,
    // Definition level of a row that has a value.
    present: i16,
    group: usize,
    current: Option<ColumnReaderImpl<ByteArrayType>>,
    ready: vec::IntoIter<ByteArray>,
    row: u64,
    failed: bool,
}

impl Rows {
    fn open(path: &Path) -> Result<Self> {
        let corrupt = corrupt(path);
        let file = File::open(path).map_err(Error::io(path))?;
        let reader = SerializedFileReader::new(file).map_err(corrupt)?;
        let schema = reader.metadata().file_metadata().schema_descr();
        let Some(column) = schema.columns().iter().position(|column| column.path().parts() == [COLUMN])
        else {
            let columns: Vec<_> =
                schema.root_schema().get_fields().iter().map(|field| field.name()).collect();
            return Err(Error::input(format!(
                "{}: no column `{COLUMN}` of texts; it has {}",
                path.display(),
                columns.join(", ")
            )));
        };
        let described = schema.column(column);
        if described.physical_type() != Type::BYTE_ARRAY || described.max_rep_level() > 0 {
            return Err(Error::input(format!(
                "{}: column `{COLUMN}` holds {}; accepted: one string per row",
                path.display(),
                described.physical_type(),
            )));
        }
        let present = described.max_def_level();
        Ok(Self {
            path: path.to_owned(),
            reader,
            column,
            present,
            group: 0,
            current: None,
            ready: Vec::new().into_iter(),
            row: 0,
            failed: false,
        })
    }

    fn next_text(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(bytes) = self.ready.next() {
                self.row += 1;
                return match std::str::from_utf8(bytes.data()) {
                    Ok(text) => Ok(Some(text.to_owned())),
                    Err(_) => Err(self.bad_row(0, "not UTF-8")),
                };
            }
            if !self.fill().map_err(corrupt(&self.path))?? {
                return Ok(None);
            }
        }
    }

    /// Reads some rows of the current row group, or opens the next one; false after the last.
    fn fill(&mut self) -> Result<Result<bool>, ParquetError> {
        let Some(column) = &mut self.current else {
            if self.group == self.reader.num_row_groups() {
                return Ok(Ok(false));
            }
            let ColumnReader::ByteArrayColumnReader(column) =
                self.reader.get_row_group(self.group)?.get_column_reader(self.column)?
            else {
                return Err(ParquetError::General(format!("column `{COLUMN}` changes its type")));
            };
            self.group += 1;
            self.current = Some(column);
            return Ok(Ok(true));
        };
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let (rows, ..) = column.read_records(ROWS_AT_A_TIME, Some(&mut levels), None, &mut values)?;
        if rows == 0 {
            self.current = None;
        }
        if values.len() < rows {
            let missing = levels.iter().position(|&level| level < self.present).unwrap_or(values.len());
            return Ok(Err(self.bad_row(missing as u64 + 1, "no text (null)")));
        }
        self.ready = values.into_iter();
        Ok(Ok(true))
    }

    fn bad_row(&self, ahead: u64, why: &str) -> Error {
        Error::input(format!(
            "{}: row {}: {why}; accepted: UTF-8 text",
            self.path.display(),
            self.row + ahead
        ))
    }
}

impl Iterator for Rows {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let text = self.next_text().transpose();
        self.failed = matches!(text, Some(Err(_)));
        text
    }
}

fn corrupt(path: &Path) -> impl Fn(ParquetError) -> Error + use<> {
    let path = path.to_owned();
    move |error| {
        let error = error.to_string().replace('\n', " ");
        Error::input(format!(
            "{}: can't be read as Parquet: {error}; accepted: whole files, uncompressed or with snappy or zstd",
            path.display()
        ))
    }
}
