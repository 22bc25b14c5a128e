//! Values of single classes as one file: a line per model and kept class.

use crate::{
    Error, Result,
    measure::{CLASS_COLUMNS, ClassValues, PerClass},
};
use parquet::{
    basic::{Compression, ConvertedType, Repetition, Type as Physical, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};
use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
};

/// Names of the columns before those of [`CLASS_COLUMNS`].
const NAMES: [&str; 2] = ["model", "class"];

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Parquet,
}

/// The format that a file's name says.
pub(super) fn format(path: &Path) -> Result<Format> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref() {
        Some("csv") => Ok(Format::Csv),
        Some("parquet") => Ok(Format::Parquet),
        _ => Err(Error::input(format!(
            "per_class: {} names no format; give a file that ends in .csv or .parquet",
            path.display()
        ))),
    }
}

/// A file that is being written, model by model.
pub(super) enum ClassTable<W: Write + Send> {
    Csv(csv::Writer<W>),
    Parquet(SerializedFileWriter<W>),
}

impl<W: Write + Send> ClassTable<W> {
    pub(super) fn new(format: Format, out: W) -> io::Result<Self> {
        Ok(match format {
            Format::Csv => {
                let mut csv = csv::Writer::from_writer(out);
                csv.write_record(NAMES.into_iter().chain(CLASS_COLUMNS.iter().map(|column| column.name)))?;
                Self::Csv(csv)
            }
            Format::Parquet => {
                let compression = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(compression).build();
                Self::Parquet(SerializedFileWriter::new(out, schema()?, Arc::new(properties))?)
            }
        })
    }

    /// Adds the classes of a model. In Parquet they are a row group.
    pub(super) fn push(&mut self, model: &str, of: &PerClass) -> io::Result<()> {
        match self {
            Self::Csv(csv) => of.classes.iter().enumerate().try_for_each(|(i, class)| {
                let cells = of.columns.iter().map(|column| cell(column.as_ref(), i));
                csv.write_record([model.to_owned(), class.to_string()].into_iter().chain(cells))
                    .map_err(io::Error::from)
            }),
            Self::Parquet(parquet) => push_group(parquet, model, of).map_err(io::Error::from),
        }
    }

    /// Writes what is left to write.
    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Csv(mut csv) => csv.flush(),
            Self::Parquet(parquet) => parquet.close().map(drop).map_err(io::Error::from),
        }
    }
}

/// As in the table of measures: what is missing or not a number is an empty cell.
fn cell(column: Option<&ClassValues>, i: usize) -> String {
    match column {
        Some(ClassValues::Whole(values)) => values[i].to_string(),
        Some(ClassValues::Real(values)) if !values[i].is_nan() => format!("{:?}", values[i]),
        _ => String::new(),
    }
}

fn schema() -> parquet::errors::Result<Arc<Type>> {
    let field = |name, physical| Type::primitive_type_builder(name, physical);
    let required = Repetition::REQUIRED;
    let model = field(NAMES[0], Physical::BYTE_ARRAY).with_converted_type(ConvertedType::UTF8);
    let mut fields = vec![
        Arc::new(model.with_repetition(required).build()?),
        Arc::new(field(NAMES[1], Physical::INT32).with_repetition(required).build()?),
    ];
    for column in CLASS_COLUMNS {
        let physical = if column.is_whole { Physical::INT32 } else { Physical::DOUBLE };
        fields.push(Arc::new(field(column.name, physical).with_repetition(Repetition::OPTIONAL).build()?));
    }
    Ok(Arc::new(Type::group_type_builder("classes").with_fields(fields).build()?))
}

fn push_group<W: Write + Send>(
    file: &mut SerializedFileWriter<W>,
    model: &str,
    of: &PerClass,
) -> parquet::errors::Result<()> {
    let rows = of.classes.len();
    let mut group = file.next_row_group()?;
    if let Some(mut column) = group.next_column()? {
        let names = vec![ByteArray::from(model); rows];
        column.typed::<ByteArrayType>().write_batch(&names, None, None)?;
        column.close()?;
    }
    if let Some(mut column) = group.next_column()? {
        let classes: Vec<i32> = of.classes.iter().map(|&class| class as i32).collect();
        column.typed::<Int32Type>().write_batch(&classes, None, None)?;
        column.close()?;
    }
    for (kind, values) in CLASS_COLUMNS.iter().zip(&of.columns) {
        let Some(mut column) = group.next_column()? else { break };
        let levels =
            |is: &dyn Fn(usize) -> bool| -> Vec<i16> { (0..rows).map(|i| i16::from(is(i))).collect() };
        match values {
            Some(ClassValues::Whole(values)) => {
                column.typed::<Int32Type>().write_batch(values, Some(&levels(&|_| true)), None)?;
            }
            Some(ClassValues::Real(values)) => {
                let present: Vec<f64> = values.iter().copied().filter(|x| !x.is_nan()).collect();
                let levels = levels(&|i| !values[i].is_nan());
                column.typed::<DoubleType>().write_batch(&present, Some(&levels), None)?;
            }
            None if kind.is_whole => {
                column.typed::<Int32Type>().write_batch(&[], Some(&levels(&|_| false)), None)?;
            }
            None => {
                column.typed::<DoubleType>().write_batch(&[], Some(&levels(&|_| false)), None)?;
            }
        }
        column.close()?;
    }
    group.close().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_named_in_small_letters_or_capitals() {
        assert_eq!(format(Path::new("a/classes.CSV")).unwrap(), Format::Csv);
        assert_eq!(format(Path::new("classes.Parquet")).unwrap(), Format::Parquet);
        assert!(format(Path::new("csv")).is_err());
    }
}
