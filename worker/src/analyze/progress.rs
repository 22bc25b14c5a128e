//! How far collection is: the table that the published tool prints.

use super::entries::{self, STAGES};
use crate::Result;
use protocol::spec::AnalyzeSpec;
use serde::Serialize;
use std::fmt::Write as _;

/// Train sequences and seen classes of the published runs, which the table ends with.
const PUBLISHED: (u64, usize) = (229_367, 29_233);
/// Width of the table's rules.
const RULE: usize = 79;
/// Least width of a column.
const COLUMN: usize = 6;

/// How far the collection of one model is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Row name: `02x0768_01d07@0`.
    pub model: String,
    /// Sequences in the means, finished or not; none if there are none yet.
    pub means: Option<u64>,
    /// Sequences in the variances.
    pub vars: Option<u64>,
    /// Sequences in the decisions.
    pub decs: Option<u64>,
    /// Classes seen while collecting the means.
    pub classes: Option<u64>,
}

/// How far the collection is of all models that `spec` names.
///
/// # Errors
/// When nothing is found or a file is damaged.
pub fn collected(spec: &AnalyzeSpec) -> Result<Vec<Collected>> {
    entries::find(spec, true)?
        .into_iter()
        .map(|entry| {
            let [means, vars, decs] = STAGES.map(|stage| entry.so_far(&spec.stats, stage));
            let (means, vars, decs) = (means?, vars?, decs?);
            Ok(Collected {
                model: entry.row_name(),
                classes: means.as_ref().map(|means| means.classes_seen as u64),
                means: means.map(|means| means.n_seqs),
                vars: vars.map(|vars| vars.n_seqs),
                decs: decs.map(|decs| decs.n_seqs),
            })
        })
        .collect()
}

/// The table of [`collected`] as the published tool prints it. `-` stands for statistics that are not
/// there.
///
/// # Errors
/// When nothing is found or a file is damaged.
pub fn progress(spec: &AnalyzeSpec) -> Result<String> {
    let mut rows: Vec<_> = collected(spec)?
        .into_iter()
        .map(|row| {
            let cells = [row.means, row.vars, row.decs, row.classes];
            let written = |cell: Option<u64>| cell.map_or("-".to_owned(), |count| count.to_string());
            (row.model, cells.map(written).to_vec())
        })
        .collect();

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
