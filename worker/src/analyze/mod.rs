//! Statistics files and checkpoints in, table of measures out.
//!
//! One row per run and checkpoint, one row at a time. A file that is not there leaves cells empty, with a
//! warning; a file that is damaged, or belongs to other means, weights or data, is refused by
//! name, the latter before anything is computed. The numbers themselves come from [`crate::measure`].

mod checkpoint;
mod class_table;
mod columns;
mod entries;
mod foreign;
mod measures;
mod origin;
mod progress;
mod row;
mod scores;
mod table;

pub use measures::measures;
pub use progress::{Collected, collected, progress};

use crate::{
    Error, Result,
    device::{self, Device},
    files,
    measure::{Filter, Options, PerClass},
    report::Report,
};
use class_table::{ClassTable, Format};
use columns::Columns;
use entries::Entry;
use protocol::{
    output::{AnalyzeOutput, MeasureRow},
    spec::AnalyzeSpec,
};
use std::{io, path::Path};

/// Computes the measures of all models that `spec` names, and writes the tables if it says where.
///
/// # Errors
/// When a measure group is unknown, nothing is found, a file is damaged or belongs to other means, a
/// table can't be written, or a stop was asked for.
pub fn analyze(spec: &AnalyzeSpec, report: &Report) -> Result<AnalyzeOutput> {
    let columns = Columns::parse(spec)?;
    let device = device::resolve(&spec.device, report)?;
    if device == Device::Vulkan {
        return Err(Error::input("device: analyze computes on cpu or cuda; Vulkan has no logarithm in f64"));
    }
    let filter = Filter { min_per_class: spec.min_per_class, max_per_class: spec.max_per_class };
    if filter.max_per_class.is_some_and(|max| max <= filter.min_per_class) {
        return Err(Error::input(
            "max_per_class must be above min_per_class: it is the first count left out",
        ));
    }
    let options = Options { filter, compat: spec.compat, per_class: spec.per_class.is_some() };
    let format = spec.per_class.as_deref().map(class_table::format).transpose()?;
    if let (Some(out), Some(per_class)) = (&spec.out, &spec.per_class) {
        let absolute = |file: &Path| std::path::absolute(file).map_err(Error::io(file));
        if absolute(out)? == absolute(per_class)? {
            return Err(Error::input(format!(
                "--out and --per-class are both {}; give each a file of its own",
                out.display()
            )));
        }
    }
    for (flag, file) in [("--out", &spec.out), ("--per-class", &spec.per_class)] {
        if let Some(file) = file {
            files::require_writable(flag, file, file.parent().unwrap_or(file))?;
        }
    }
    let entries = entries::with_means(spec, report)?;
    entries.iter().try_for_each(|entry| entry.check_hashes(&spec.stats, &columns))?;

    let job = Job { spec, device, columns, options, entries, report };
    job.check_origins()?;
    let rows = match (&spec.per_class, format) {
        (Some(path), Some(format)) => job.rows_and_classes(path, format)?,
        _ => job.rows(|_, _| Ok(()))?,
    };
    let output = AnalyzeOutput { columns: job.columns.names(), rows };
    if let Some(out) = &spec.out {
        table::write(out, &output)?;
    }
    Ok(output)
}

/// The columns of the table that `spec` asks for, in order, without the row name.
///
/// # Errors
/// When a measure group is unknown.
pub fn column_names(spec: &AnalyzeSpec) -> Result<Vec<String>> {
    Columns::parse(spec).map(|columns| columns.names())
}

/// What is to be computed, of which checkpoints.
struct Job<'a> {
    spec: &'a AnalyzeSpec,
    device: Device,
    columns: Columns,
    options: Options,
    entries: Vec<Entry>,
    report: &'a Report,
}

impl Job<'_> {
    /// Looks at what all rows are made from; reads every weight, which takes its time.
    fn check_origins(&self) -> Result<()> {
        self.entries.iter().try_for_each(|entry| {
            self.go_on(0)?;
            origin::check(self.spec, &self.columns, entry)
        })
    }

    /// Stops where that was asked for, after so many rows.
    fn go_on(&self, rows: usize) -> Result<()> {
        if self.report.stop_requested() {
            let total = self.entries.len();
            return Err(self
                .report
                .stopped(format!("stopped after {rows} of {total} models; no table was written")));
        }
        Ok(())
    }

    /// The row of each checkpoint, one after the other; `classes` gets the values per class.
    fn rows(&self, mut classes: impl FnMut(&str, &PerClass) -> Result<()>) -> Result<Vec<MeasureRow>> {
        let total = self.entries.len() as u64;
        let mut rows = Vec::with_capacity(self.entries.len());
        self.report.progress(0, total, "models");
        for entry in &self.entries {
            self.go_on(rows.len())?;
            let (row, per_class) = row::compute(self, entry)?;
            if let Some(of) = per_class {
                classes(&row.model, &of)?;
            }
            rows.push(row);
            self.report.progress(rows.len() as u64, total, "models");
        }
        Ok(rows)
    }

    /// The same, with the values per class written to a file as they come.
    fn rows_and_classes(&self, path: &Path, format: Format) -> Result<Vec<MeasureRow>> {
        let mut computed = None;
        let written = files::write_atomically(path, |out| {
            let mut table = ClassTable::new(format, out)?;
            let rows = self.rows(|model, of| table.push(model, of).map_err(Error::io(path)));
            let failed = rows.is_err();
            computed = Some(rows);
            if failed { Err(io::Error::other("nothing to write")) } else { table.finish() }
        });
        match computed {
            Some(Err(error)) => Err(error),
            Some(Ok(rows)) => written.map(|()| rows),
            None => written.map(|()| Vec::new()),
        }
    }
}
