//! `lc-worker analyze --list`: the groups of measures, from the registry that computes them.

use super::output;
use crate::{Result, measure::MEASURES};
use protocol::measures::{ALL, GROUPS, LOSS};
use serde::Serialize;

/// One group, as listed.
#[derive(Serialize)]
struct Group {
    name: &'static str,
    measures: Vec<Listed>,
}

/// One measure of a group.
#[derive(Serialize)]
struct Listed {
    columns: &'static [&'static str],
    formula: &'static str,
    source: &'static str,
    /// Whether `all` holds it.
    published: bool,
}

/// Prints the groups that `--measures` accepts, with columns, formula and source of their measures.
pub(super) fn list(json: bool) -> Result<()> {
    let groups: Vec<Group> = GROUPS.into_iter().map(group).collect();
    if json {
        return output::json(&groups);
    }
    let lines: Vec<String> = groups.iter().flat_map(lines).collect();
    output::line(&lines.join("\n"))
}

fn group(name: &'static str) -> Group {
    let measures = MEASURES.iter().filter(|measure| measure.group == name).map(|measure| Listed {
        columns: measure.columns,
        formula: measure.formula,
        source: measure.source,
        published: measure.published,
    });
    Group { name, measures: measures.collect() }
}

fn lines(group: &Group) -> Vec<String> {
    let name = group.name;
    if group.measures.is_empty() {
        // The groups that come from no formula.
        let what = match name {
            ALL => "every column of the published table",
            LOSS => "parameters, and what evaluation found",
            _ => "",
        };
        return vec![format!("{name:<12} {what}")];
    }
    group
        .measures
        .iter()
        .map(|measure| {
            let extra = if measure.published { "" } else { "; not in \"all\"" };
            format!(
                "{name:<12} {}: {} ({}){extra}",
                measure.columns.join(", "),
                measure.formula,
                measure.source
            )
        })
        .collect()
}
