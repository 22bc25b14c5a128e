//! How far collection is: the table that the published tool prints.

use super::entries::{self, STAGES};
use crate::Result;
use protocol::{spec::AnalyzeSpec, stage::StageKind};
use std::fmt::Write as _;

/// Train sequences and seen classes of the published runs, which the table ends with.
const PUBLISHED: (u64, usize) = (229_367, 29_233);
/// Width of the table's rules.
const RULE: usize = 79;
/// Least width of a column.
const COLUMN: usize = 6;

/// The number of sequences in the statistics of each stage, and the number of classes seen, of all
/// models that `spec` names. `-` stands for statistics that are not there.
///
/// # Errors
/// When nothing is found or a file is damaged.
pub fn progress(spec: &AnalyzeSpec) -> Result<String> {
    let mut rows = Vec::new();
    for entry in entries::find(spec)? {
        let mut cells = Vec::new();
        let mut unique = "-".to_owned();
        for stage in STAGES {
            let summary = entry.summary(&spec.stats, stage)?;
            if let (StageKind::Means, Some(means)) = (stage, &summary) {
                unique = means.classes_seen.to_string();
            }
            cells.push(summary.map_or("-".to_owned(), |summary| summary.n_seqs.to_string()));
        }
        cells.push(unique);
        rows.push((entry.row_name(), cells));
    }

    let (sequences, classes) = PUBLISHED;
    let total = format!("total ({})", rows.len());
    rows.insert(0, ("model".into(), ["means", "vars", "decs", "unique"].map(Into::into).to_vec()));
    rows.push((total, [sequences; 3].iter().map(u64::to_string).chain([classes.to_string()]).collect()));
    let first = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default() + 1;
    let width =
        rows.iter().flat_map(|(_, cells)| cells).map(String::len).max().unwrap_or_default().max(COLUMN);

    let rule = "-".repeat(RULE);
    let mut table = format!("{rule}\n");
    for (name, cells) in rows {
        let _ = write!(table, "{name:first$}");
        for cell in cells {
            let _ = write!(table, " {cell:>width$}");
        }
        table.push('\n');
    }
    table.push_str(&rule);
    table.push('\n');
    Ok(table)
}
