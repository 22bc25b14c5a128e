//! One row of the table.

use super::{
    checkpoint::{self, Checkpoint, Head},
    columns::{Columns, LOSS_COLUMNS},
    entries::Entry,
    scores::Scores,
};
use crate::{
    Error, Result,
    measure::{self, Decisions, Filter, Inputs, Measured, Need},
    report::Report,
    stats::{Decs, Means, Vars, means_hash},
};
use protocol::{output::MeasureRow, real::Real, spec::AnalyzeSpec, stage::StageKind};
use std::{collections::BTreeMap, path::Path};

/// Computes the row of one checkpoint. Nothing of it stays in memory but the row.
pub(super) fn compute(
    spec: &AnalyzeSpec,
    entry: &Entry,
    columns: &Columns,
    filter: &Filter,
    report: &Report,
) -> Result<MeasureRow> {
    let model = entry.row_name();
    let warn = |what: &str| report.warn(format!("{model}: {what}"));
    let mut values = BTreeMap::new();

    let mut head = None;
    if columns.wants_loss() || columns.need(Need::Weights) {
        match checkpoint::find(&spec.models, &entry.name, entry.checkpoint) {
            Ok(folder) => {
                let checkpoint = Checkpoint::open(&folder)?;
                if columns.wants_loss() {
                    let scores = loss(&folder, &checkpoint)?;
                    if scores.len() < LOSS_COLUMNS.len() {
                        warn("no complete eval_results.json; some cells stay empty");
                    }
                    values.extend(scores);
                }
                if columns.need(Need::Weights) {
                    head = Some(checkpoint.head()?);
                }
            }
            Err(missing) => warn(&format!("{missing}; some cells stay empty")),
        }
    }

    let statistics = Statistics::read(&spec.stats, entry, columns, &warn)?;
    if let Some(head) = &head {
        statistics.check_head(entry, &spec.stats, head)?;
    }
    let measured = statistics.measure(head.as_ref(), filter, columns);
    explain(&measured, &warn);
    let found =
        measured.values.iter().filter_map(|(column, value)| Some(((*column).to_owned(), Real((*value)?))));
    values.extend(found);
    Ok(MeasureRow { model, values })
}

fn loss(folder: &Path, checkpoint: &Checkpoint) -> Result<BTreeMap<String, Real>> {
    let scores = Scores::read(folder)?;
    let values = [
        Some(Real(checkpoint.n_params() as f64)),
        scores.and_then(|scores| scores.accuracy),
        scores.and_then(|scores| scores.loss),
        scores.and_then(|scores| scores.perplexity()),
    ];
    let present =
        LOSS_COLUMNS.iter().zip(values).filter_map(|(column, value)| Some(((*column).to_owned(), value?)));
    Ok(present.collect())
}

fn explain(measured: &Measured, warn: &impl Fn(&str)) {
    if measured.classes < 2 {
        warn(&format!("{} classes pass the filter, two are needed; cells stay empty", measured.classes));
    }
    if measured.duplicates > 0 {
        warn(&format!(
            "{} pairs of classes have equal means; cdnv and kernels are not finite",
            measured.duplicates
        ));
    }
}

struct Statistics {
    means: Vec<f64>,
    counts: Vec<i32>,
    dim: usize,
    vars: Option<Vars>,
    decs: Option<Decs>,
}

impl Statistics {
    fn read(stats: &Path, entry: &Entry, columns: &Columns, warn: &impl Fn(&str)) -> Result<Self> {
        let path = entry.path(stats, StageKind::Means);
        let means = Means::read(&path)?;
        if means_hash(&means) != means.meta.hash {
            return Err(Error::input(format!(
                "{}: its means do not have its hash; collect it again",
                path.display()
            )));
        }
        let classes = means.counts.len();
        let fits = |stage, counts: &[i32]| {
            let path = entry.path(stats, stage);
            let found = counts.len();
            let refused =
                || Error::input(format!("{}: {found} classes; the means have {classes}", path.display()));
            if found == classes { Ok(()) } else { Err(refused()) }
        };

        let mut vars = None;
        let path = entry.path(stats, StageKind::Vars);
        if columns.need(Need::Vars) && path.exists() {
            let read = Vars::read(&path)?;
            fits(StageKind::Vars, &read.counts)?;
            if read.counts == means.counts {
                vars = Some(read);
            } else {
                warn("variances and means were collected over different samples; cells stay empty");
            }
        } else if columns.need(Need::Vars) {
            warn("no variances; cells stay empty");
        }
        let mut decs = None;
        let path = entry.path(stats, StageKind::Decs);
        if columns.need(Need::Decisions) && path.exists() {
            let read = Decs::read(&path)?;
            fits(StageKind::Decs, &read.counts)?;
            decs = Some(read);
        } else if columns.need(Need::Decisions) {
            warn("no decisions; cells stay empty");
        }
        let dim = means.dim;
        let (means, counts) = means.into_means();
        Ok(Self { means, counts, dim, vars, decs })
    }

    fn check_head(&self, entry: &Entry, stats: &Path, head: &Head) -> Result<()> {
        if (head.classes, head.width) == (self.counts.len(), self.dim) {
            return Ok(());
        }
        Err(Error::input(format!(
            "{}: {} classes of width {}; the checkpoint's linear head has {} of width {}",
            entry.path(stats, StageKind::Means).display(),
            self.counts.len(),
            self.dim,
            head.classes,
            head.width,
        )))
    }

    fn measure(&self, head: Option<&Head>, filter: &Filter, columns: &Columns) -> Measured {
        let inputs = Inputs {
            dim: self.dim,
            counts: &self.counts,
            means: &self.means,
            vars: self.vars.as_ref().map(|vars| vars.totals.as_slice()),
            weights: head.map(|head| head.weights.as_slice()),
            decisions: self.decs.as_ref().map(|decs| Decisions { counts: &decs.counts, hits: &decs.totals }),
            covariance: None,
            foreign_mean: None,
        };
        measure::compute(&inputs, filter, |measure| columns.wants(measure))
    }
}
