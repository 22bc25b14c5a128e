//! `lc-worker analyze --list`: the measures, from the registry that computes them.

use super::output;
use crate::{Result, measure::MEASURES};
use serde::Serialize;

/// One measure, as listed.
#[derive(Serialize)]
struct Listed {
    group: &'static str,
    columns: &'static [&'static str],
    formula: &'static str,
    source: &'static str,
}

/// Prints group, columns, formula and source of every measure.
pub(super) fn list(json: bool) -> Result<()> {
    let listed = MEASURES.iter().map(|measure| Listed {
        group: measure.group,
        columns: measure.columns,
        formula: measure.formula,
        source: measure.source,
    });
    if json {
        return output::json(&listed.collect::<Vec<_>>());
    }
    let lines = listed.map(|measure| {
        let columns = measure.columns.join(", ");
        format!("{:<12} {columns}: {} ({})", measure.group, measure.formula, measure.source)
    });
    output::line(&lines.collect::<Vec<_>>().join("\n"))
}
