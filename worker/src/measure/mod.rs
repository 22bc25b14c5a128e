//! The neural-collapse measures of one model, in plain `f64` linear algebra.
//!
//! Class statistics in, numbers out; no files, no model. With `K` classes and width `D`, nothing of size
//! `K x K` is ever stored: what is a polynomial of inner products has a closed form in `D x D` Gram matrices
//! (`gram`), and the rest shares one tiled pass over all pairs (`pairs`). Results do not depend on the
//! number of threads.
//!
//! A measure follows its formula where that is not finite: classes with equal means make `cdnv`
//! and the kernels infinite (or NaN, where a formula says 0/0); [`Measured::duplicates`] counts them.

mod catalogue;
mod cdnv;
mod classes;
mod covariance;
mod decisions;
mod duality;
mod etf;
mod foreign;
mod frequency;
mod gram;
mod interference;
mod kernels;
mod lanes;
mod moments;
mod norms;
mod pairs;
mod per_class;
mod registry;
mod rows;
mod structure;
mod tile;

pub use catalogue::MEASURES;
pub use classes::{Decisions, Filter, Inputs, Options};
pub use per_class::{CLASS_COLUMNS, ClassColumn, ClassValues, PerClass};
pub use registry::{Measure, Need};

pub(crate) use classes::Kept;
#[cfg(feature = "cuda")]
pub(crate) use moments::Moments;
pub(crate) use pairs::{Pairs, Wanted};
#[cfg(feature = "cuda")]
pub(crate) use tile::CANCELS;

use classes::Centre;
use faer::Mat;
use registry::WantedGrams;
use rows::Rows;
use std::convert::Infallible;

/// The measures of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Columns and values, in the order of [`MEASURES`]. A value is missing where an input is, or where
    /// there are fewer than two classes.
    pub values: Vec<(&'static str, Option<f64>)>,
    /// Classes kept.
    pub classes: usize,
    /// Pairs of classes with equal means, where a measure over all pairs was asked for.
    pub duplicates: u64,
    /// Values of single classes, if they were asked for and there are at least two.
    pub per_class: Option<PerClass>,
}

impl Measured {
    /// The value of a column.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<f64> {
        self.values.iter().find(|(name, _)| *name == column).and_then(|(_, value)| *value)
    }
}

/// What measures share.
pub(crate) struct Shared<'a> {
    kept: Kept<'a>,
    pairs: Pairs,
    grams: Grams,
}

/// Gram matrices and their products; empty and NaN where none was asked for.
struct Grams {
    /// `C^T C`.
    matrix: Mat<f64>,
    /// `|C^T C|^2`.
    centred: f64,
    /// `|U^T U|^2`, rows `c_i/|c_i|`.
    units: f64,
    /// `<W^T W, C^T C>`.
    weights_centred: f64,
}

/// Computes the measures of the groups that `wanted` accepts, on the processor.
///
/// # Panics
/// When the lengths of the inputs do not fit together.
pub fn compute(inputs: &Inputs<'_>, options: &Options, wanted: impl Fn(&Measure) -> bool) -> Measured {
    let Ok(measured) =
        compute_with(inputs, options, wanted, |kept, wanted| Ok::<_, Infallible>(pairs::pass(kept, wanted)));
    measured
}

/// As [`compute`], with the pass over all pairs, the most of the work, done elsewhere.
///
/// # Errors
/// Those of the pass.
///
/// # Panics
/// When the lengths of the inputs do not fit together.
pub(crate) fn compute_with<E>(
    inputs: &Inputs<'_>,
    options: &Options,
    wanted: impl Fn(&Measure) -> bool,
    pass: impl Fn(&Kept<'_>, Wanted) -> Result<Pairs, E>,
) -> Result<Measured, E> {
    let kept = Kept::new(inputs, options, Centre::Plain);
    let classes = kept.len();
    let asked: Vec<&Measure> = MEASURES.iter().filter(|measure| wanted(measure)).collect();
    let able = |centre: Centre| -> Vec<&Measure> {
        let is_able = |measure: &&Measure| {
            measure.centre == centre && classes >= 2 && measure.needs.iter().all(|need| need.is_met(inputs))
        };
        asked.iter().copied().filter(is_able).collect()
    };
    let per_class = options.per_class && classes >= 2;

    let measures = able(Centre::Plain);
    let by_class = Wanted {
        cdnv: inputs.vars.is_some(),
        cdnv_by_class: inputs.vars.is_some(),
        log: true,
        log_by_class: true,
        ..Wanted::NONE
    };
    let shared = Shared::new(kept, &measures, if per_class { by_class } else { Wanted::NONE }, &pass)?;
    let mut computed = shared.values(&measures);
    let per_class = per_class.then(|| per_class::compute(&shared));
    let duplicates = shared.pairs.sums.duplicates;
    drop(shared);

    let measures = able(Centre::Weighted);
    if !measures.is_empty() {
        let kept = Kept::new(inputs, options, Centre::Weighted);
        computed.extend(Shared::new(kept, &measures, Wanted::NONE, &pass)?.values(&measures));
    }

    let value = |column| {
        let found = computed.iter().find(|(name, _)| *name == column);
        (column, found.map(|(_, value)| *value))
    };
    let values = asked.iter().flat_map(|measure| measure.columns).map(|column| value(*column)).collect();
    Ok(Measured { values, classes, duplicates, per_class })
}

impl<'a> Shared<'a> {
    /// Computes what the measures share, and what is wanted of the pairs beyond it.
    fn new<E>(
        kept: Kept<'a>,
        measures: &[&Measure],
        also: Wanted,
        pass: impl Fn(&Kept<'_>, Wanted) -> Result<Pairs, E>,
    ) -> Result<Self, E> {
        let wanted = measures.iter().fold(also, |all, measure| all.and(measure.pairs));
        let grams = Grams::new(&kept, measures);
        Ok(Self { pairs: pass(&kept, wanted)?, grams, kept })
    }

    fn values(&self, measures: &[&Measure]) -> Vec<(&'static str, f64)> {
        let of = |measure: &&Measure| measure.columns.iter().copied().zip((measure.compute)(self));
        measures.iter().flat_map(of).collect()
    }
}

impl Grams {
    fn new(kept: &Kept<'_>, measures: &[&Measure]) -> Self {
        let wants = |part: fn(&WantedGrams) -> bool| measures.iter().any(|measure| part(&measure.grams));
        let gram = |rows: &Rows<'_>| gram::gram(rows, kept.len(), kept.dim());
        let mut all =
            Self { matrix: Mat::new(), centred: f64::NAN, units: f64::NAN, weights_centred: f64::NAN };
        if wants(|grams| grams.centred || grams.weights) {
            all.matrix = gram(&|i, columns, out| out.copy_from_slice(&kept.centred(i)[columns]));
            all.centred = gram::inner_product(&all.matrix, &all.matrix);
        }
        if wants(|grams| grams.weights) {
            let weights = gram(&|i, columns, out| kept.copy_weight(i, columns, out));
            all.weights_centred = gram::inner_product(&all.matrix, &weights);
        }
        if wants(|grams| grams.units) {
            let units = gram(&|i, columns, out| kept.copy_direction(i, columns, out));
            all.units = gram::inner_product(&units, &units);
        }
        all
    }
}
