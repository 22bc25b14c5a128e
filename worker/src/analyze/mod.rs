//! Statistics files and checkpoints in, table of measures out.
//!
//! One row per run and checkpoint, one row at a time. A file that is not there leaves cells empty, with a
//! warning; a file that is damaged, or belongs to other means, is refused by name before anything is
//! computed. The numbers themselves come from [`crate::measure`].

mod checkpoint;
mod columns;
mod entries;
mod progress;
mod row;
mod scores;
mod table;

pub use columns::accepted_groups;
pub use progress::{Collected, collected, progress};

use crate::{Error, Result, measure::Filter, report::Report};
use columns::Columns;
use protocol::{output::AnalyzeOutput, spec::AnalyzeSpec};

/// Computes the measures of all models that `spec` names, and writes the table if it says where.
///
/// # Errors
/// When a measure group is unknown, nothing is found, a file is damaged or belongs to other means, the
/// table can't be written, or a stop was asked for.
pub fn analyze(spec: &AnalyzeSpec, report: &Report) -> Result<AnalyzeOutput> {
    let columns = Columns::parse(&spec.measures)?;
    let filter = Filter { min_per_class: spec.min_per_class, max_per_class: spec.max_per_class };
    if filter.max_per_class.is_some_and(|max| max <= filter.min_per_class) {
        return Err(Error::input(
            "max_per_class must be above min_per_class: it is the first count left out",
        ));
    }
    let entries = entries::with_means(spec, report)?;
    entries.iter().try_for_each(|entry| entry.check_hashes(&spec.stats, &columns))?;

    let total = entries.len() as u64;
    let mut rows = Vec::with_capacity(entries.len());
    report.progress(0, total, "models");
    for entry in &entries {
        if report.stop_requested() {
            return Err(report
                .stopped(format!("stopped after {} of {total} models; no table was written", rows.len())));
        }
        rows.push(row::compute(spec, entry, &columns, &filter, report)?);
        report.progress(rows.len() as u64, total, "models");
    }
    let output = AnalyzeOutput { columns: columns.names(), rows };
    if let Some(out) = &spec.out {
        table::write(out, &output)?;
    }
    Ok(output)
}
