//! Which columns a table has, from the names of measure groups.

use crate::{
    Error, Result,
    measure::{MEASURES, Measure, Need},
};

/// The group of what evaluation and the checkpoint itself tell.
const LOSS: &str = "loss";
/// Its columns.
pub(super) const LOSS_COLUMNS: [&str; 4] = ["n_params", "val_acc", "val_loss", "perplex"];
/// All published columns.
const ALL: &str = "all";

/// The groups that were asked for.
#[derive(Debug)]
pub(super) struct Columns {
    groups: Vec<String>,
}

/// What `measures` may hold: `all` (every published column) and the names of single groups.
#[must_use]
pub fn accepted_groups() -> Vec<&'static str> {
    let mut groups = vec![ALL, LOSS];
    for measure in MEASURES.iter().filter(|measure| is_available(measure)) {
        if !groups.contains(&measure.group) {
            groups.push(measure.group);
        }
    }
    groups
}

/// Whether statistics files and checkpoints hold what a measure needs.
fn is_available(measure: &Measure) -> bool {
    measure.needs.iter().all(|need| matches!(need, Need::Vars | Need::Weights | Need::Decisions))
}

impl Columns {
    pub(super) fn parse(groups: &[String]) -> Result<Self> {
        let accepted = accepted_groups();
        let unknown = groups.iter().find(|group| !accepted.contains(&group.as_str()));
        let refused = match unknown {
            Some(unknown) => format!("measures: {unknown:?} is not a group"),
            None if groups.is_empty() => "measures: none given".into(),
            None => return Ok(Self { groups: groups.to_vec() }),
        };
        Err(Error::input(format!("{refused}; accepted: {}", accepted.join(", "))))
    }

    fn asks_for(&self, group: &str) -> bool {
        self.groups.iter().any(|asked| asked == group)
    }

    /// Whether the columns of [`LOSS_COLUMNS`] are wanted.
    pub(super) fn wants_loss(&self) -> bool {
        self.asks_for(ALL) || self.asks_for(LOSS)
    }

    /// Whether a measure is wanted.
    pub(super) fn wants(&self, measure: &Measure) -> bool {
        is_available(measure) && (self.asks_for(measure.group) || (measure.published && self.asks_for(ALL)))
    }

    /// Whether a wanted measure takes this input.
    pub(super) fn need(&self, need: Need) -> bool {
        MEASURES.iter().any(|measure| self.wants(measure) && measure.needs.contains(&need))
    }

    /// Names of all columns, in order, without the row name.
    pub(super) fn names(&self) -> Vec<String> {
        let loss: &[&str] = if self.wants_loss() { &LOSS_COLUMNS } else { &[] };
        let measures =
            MEASURES.iter().filter(|measure| self.wants(measure)).flat_map(|measure| measure.columns);
        loss.iter().chain(measures).map(|&name| name.to_owned()).collect()
    }
}

/// Whether a column holds whole numbers.
pub(super) fn is_count(column: &str) -> bool {
    matches!(column, "n_params" | "hits" | "misses")
}
