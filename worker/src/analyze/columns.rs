//! Which columns a table has, from the names of measure groups.

use crate::{
    Error, Result,
    measure::{CLASS_COLUMNS, MEASURES, Measure, Need},
};
use protocol::{
    measures::{ALL, GROUPS, LOSS},
    spec::AnalyzeSpec,
};

/// The columns of [`LOSS`].
pub(super) const LOSS_COLUMNS: [&str; 4] = ["n_params", "val_acc", "val_loss", "perplex"];

/// The groups that were asked for.
#[derive(Debug)]
pub(super) struct Columns {
    groups: Vec<String>,
    /// Whether means over other texts are given, which asks for what is made of them.
    foreign: bool,
    /// Whether values per class are wanted, for which every input is read.
    per_class: bool,
}

impl Columns {
    pub(super) fn parse(spec: &AnalyzeSpec) -> Result<Self> {
        let groups = &spec.measures;
        let foreign = spec.foreign_stats.is_some();
        let columns = Self { groups: groups.clone(), foreign, per_class: spec.per_class.is_some() };
        let unknown = groups.iter().find(|group| !GROUPS.contains(&group.as_str()));
        let refused = match unknown {
            Some(unknown) => format!("measures: {unknown:?} is not a group"),
            None if groups.is_empty() => "measures: none given".into(),
            None if columns.need(Need::ForeignMean) && !foreign => {
                return Err(Error::input(
                    "measures: \"ood\" compares with the means over other texts; give their statistics folder \
                     (--foreign-stats)",
                ));
            }
            None => return Ok(columns),
        };
        Err(Error::input(format!("{refused}; accepted: {}", GROUPS.join(", "))))
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
        self.asks_for(measure.group)
            || (measure.published && self.asks_for(ALL))
            || (self.foreign && measure.needs.contains(&Need::ForeignMean))
    }

    /// Whether anything that is wanted takes this input.
    pub(super) fn need(&self, need: Need) -> bool {
        MEASURES.iter().any(|measure| self.wants(measure) && measure.needs.contains(&need))
            || (self.per_class && CLASS_COLUMNS.iter().any(|column| column.need == Some(need)))
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
