//! One row of the table.

use super::{
    Job,
    checkpoint::{self, Checkpoint, Head},
    columns::LOSS_COLUMNS,
    entries::Entry,
    foreign,
    measures::measures,
    scores::Scores,
};
use crate::{
    Error, Result, files,
    measure::{Decisions, Inputs, Measured, Need, PerClass},
    model::checkpoint::{Found, Located},
    stats::{Decs, Means, Vars, means_hash},
};
use protocol::{output::MeasureRow, real::Real, stage::StageKind};
use std::{collections::BTreeMap, path::Path};

/// Computes the row of one checkpoint, and the values of its classes. Nothing else of it stays in memory.
pub(super) fn compute(job: &Job<'_>, entry: &Entry) -> Result<(MeasureRow, Option<PerClass>)> {
    let (spec, columns) = (job.spec, &job.columns);
    let model = entry.row_name();
    let warn = |what: &str| job.report.warn(format!("{model}: {what}"));
    let mut values = BTreeMap::new();

    let (mut head, mut evaluated) = (None, None);
    if columns.wants_loss() || columns.need(Need::Weights) {
        match checkpoint::find(spec, entry)? {
            Found::There(Located { folder, .. }) => {
                let checkpoint = Checkpoint::open(&folder)?;
                if columns.wants_loss() {
                    let scores = Scores::read(&folder)?;
                    let found = loss(scores.as_ref(), &checkpoint);
                    if found.len() < LOSS_COLUMNS.len() {
                        warn("no complete eval_results.json; some cells stay empty");
                    }
                    values.extend(found);
                    evaluated = scores.and_then(|scores| scores.sequences);
                }
                if columns.need(Need::Weights) {
                    head = Some(checkpoint.head()?);
                }
            }
            Found::Missing(missing) => warn(&format!("{missing}; some cells stay empty")),
        }
    }

    let statistics = Statistics::read(job, entry, &warn)?;
    if let Some(head) = &head {
        statistics.check_head(entry, &spec.stats, head)?;
    }
    // The published tool writes unfinished decisions as it writes finished ones.
    if let Some((decs, evaluated)) = statistics.decs.as_ref().zip(evaluated)
        && decs.meta.n_seqs != evaluated
    {
        warn(&format!(
            "decisions over {} sequences, but the evaluation was over {evaluated}; unless that was over other data, they \
             are unfinished",
            decs.meta.n_seqs
        ));
    }
    let measured = statistics.measure(head.as_ref(), job)?;
    explain(&measured, &warn);
    let found =
        measured.values.iter().filter_map(|(column, value)| Some(((*column).to_owned(), Real((*value)?))));
    values.extend(found);
    Ok((MeasureRow { model, values }, measured.per_class))
}

fn loss(scores: Option<&Scores>, checkpoint: &Checkpoint) -> BTreeMap<String, Real> {
    let values = [
        Some(Real(checkpoint.n_params() as f64)),
        scores.and_then(|scores| scores.accuracy),
        scores.and_then(|scores| scores.loss),
        scores.and_then(Scores::perplexity),
    ];
    let present =
        LOSS_COLUMNS.iter().zip(values).filter_map(|(column, value)| Some(((*column).to_owned(), value?)));
    present.collect()
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
    /// Divided by the number of samples.
    covariance: Option<Vec<f64>>,
    decs: Option<Decs>,
    foreign_mean: Option<Vec<f64>>,
}

impl Statistics {
    fn read(job: &Job<'_>, entry: &Entry, warn: &impl Fn(&str)) -> Result<Self> {
        let (spec, columns) = (job.spec, &job.columns);
        let path = entry.path(&spec.stats, StageKind::Means);
        let means = Means::read(&path)?;
        if means_hash(&means) != means.meta.hash {
            return Err(Error::input(format!(
                "{}: its means do not have its hash; collect it again",
                path.display()
            )));
        }
        let foreign_mean = match &spec.foreign_stats {
            Some(stats) => {
                let mean = foreign::mean(stats, entry, &means)?;
                if mean.is_none() {
                    warn("no means over other texts; cells stay empty");
                }
                mean
            }
            None => None,
        };
        let (mut vars, covariance) = Self::variances(job, entry, &means, warn)?;
        if !columns.need(Need::Vars) {
            vars = None;
        }
        let mut decs = None;
        let path = entry.path(&spec.stats, StageKind::Decs);
        if columns.need(Need::Decisions) && files::exists(&path)? {
            let read = Decs::read(&path)?;
            fits(&path, &read.counts, &means)?;
            decs = Some(read);
        } else if columns.need(Need::Decisions) {
            warn("no decisions; cells stay empty");
        }
        let dim = means.dim;
        let (means, counts) = means.into_means();
        Ok(Self { means, counts, dim, vars, covariance, decs, foreign_mean })
    }

    /// The variances, and the covariance around the class means divided by the number of samples.
    fn variances(
        job: &Job<'_>,
        entry: &Entry,
        means: &Means,
        warn: &impl Fn(&str),
    ) -> Result<(Option<Vars>, Option<Vec<f64>>)> {
        let path = entry.path(&job.spec.stats, StageKind::Vars);
        if !job.columns.need(Need::Vars) && !job.columns.need(Need::Covariance) {
            return Ok((None, None));
        }
        if !files::exists(&path)? {
            warn("no variances; cells stay empty");
            return Ok((None, None));
        }
        let mut vars = Vars::read(&path)?;
        fits(&path, &vars.counts, means)?;
        if vars.counts != means.counts {
            warn("variances and means were collected over different samples; cells stay empty");
            return Ok((None, None));
        }
        let mut covariance = vars.covariance.take();
        if let Some(covariance) = &mut covariance {
            let (found, dim) = (covariance.len().isqrt(), means.dim);
            if found != dim {
                let path = path.display();
                return Err(Error::input(format!(
                    "{path}: a covariance of width {found}; the means have {dim}"
                )));
            }
            let samples = means.tokens() as f64;
            covariance.iter_mut().for_each(|total| *total /= samples);
        } else if job.columns.need(Need::Covariance) {
            warn("the variances have no covariance; cells stay empty");
        }
        Ok((Some(vars), covariance))
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

    fn measure(&self, head: Option<&Head>, job: &Job<'_>) -> Result<Measured> {
        let inputs = Inputs {
            dim: self.dim,
            counts: &self.counts,
            means: &self.means,
            vars: self.vars.as_ref().map(|vars| vars.totals.as_slice()),
            weights: head.map(|head| head.weights.as_slice()),
            decisions: self.decs.as_ref().map(|decs| Decisions { counts: &decs.counts, hits: &decs.totals }),
            covariance: self.covariance.as_deref(),
            foreign_mean: self.foreign_mean.as_deref(),
        };
        measures(job.device, &inputs, &job.options, |measure| job.columns.wants(measure))
    }
}

/// Refuses statistics of another number of classes than the means have.
fn fits(path: &Path, counts: &[i32], means: &Means) -> Result<()> {
    let (found, classes) = (counts.len(), means.counts.len());
    if found == classes {
        return Ok(());
    }
    Err(Error::input(format!("{}: {found} classes; the means have {classes}", path.display())))
}
