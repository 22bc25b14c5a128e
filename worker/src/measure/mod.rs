//! The neural-collapse measures of one model, in plain `f64` linear algebra.
//!
//! Class statistics in, numbers out; no files, no model. With `K` classes and width `D`, nothing of size
//! `K x K` is ever stored: what is a polynomial of inner products has a closed form in `D x D` Gram matrices
//! (`gram`), and the rest shares one tiled pass over all pairs (`pairs`). Results do not depend on the
//! number of threads.
//!
//! A measure follows its formula where that is not finite: classes with equal means make `cdnv`
//! and the kernels infinite (or NaN, where a formula says 0/0); [`Measured::duplicates`] counts them.

mod cdnv;
mod classes;
mod covariance;
mod decisions;
mod duality;
mod etf;
mod foreign;
mod gram;
mod interference;
mod kernels;
mod moments;
mod norms;
mod pairs;
mod registry;
mod structure;

pub use classes::{Decisions, Filter, Inputs};
pub use registry::{MEASURES, Measure, Need};

use classes::Kept;
use pairs::{PairSums, Wanted};
use registry::Grams;

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
    pairs: PairSums,
    grams: GramProducts,
}

/// Inner products of Gram matrices; NaN where none was asked for.
struct GramProducts {
    /// `|C^T C|^2`.
    centred: f64,
    /// `|U^T U|^2`, rows `c_i/|c_i|`.
    units: f64,
    /// `<W^T W, C^T C>`.
    weights_centred: f64,
}

/// Computes the measures of the groups that `wanted` accepts.
///
/// # Panics
/// When the lengths of the inputs do not fit together.
pub fn compute(inputs: &Inputs<'_>, filter: &Filter, wanted: impl Fn(&Measure) -> bool) -> Measured {
    let kept = Kept::new(inputs, filter);
    let classes = kept.len();
    let possible = |measure: &Measure| {
        let given = |need: &Need| match need {
            Need::Vars => inputs.vars.is_some(),
            Need::Weights => inputs.weights.is_some(),
            Need::Decisions => inputs.decisions.is_some(),
            Need::Covariance => inputs.covariance.is_some(),
            Need::ForeignMean => inputs.foreign_mean.is_some(),
        };
        classes >= 2 && measure.needs.iter().all(given)
    };
    let asked: Vec<&Measure> = MEASURES.iter().filter(|measure| wanted(measure)).collect();
    let able: Vec<&Measure> = asked.iter().copied().filter(|measure| possible(measure)).collect();
    let pairs = able.iter().fold(Wanted::default(), |all, measure| all.and(measure.pairs));
    let grams = gram_products(&kept, &able);
    let shared = Shared { pairs: pairs::pass(&kept, pairs), grams, kept };

    let mut values = Vec::new();
    for measure in asked {
        if possible(measure) {
            let computed = (measure.compute)(&shared);
            values.extend(measure.columns.iter().copied().zip(computed.into_iter().map(Some)));
        } else {
            values.extend(measure.columns.iter().map(|column| (*column, None)));
        }
    }
    Measured { values, classes, duplicates: shared.pairs.duplicates }
}

fn gram_products(kept: &Kept<'_>, measures: &[&Measure]) -> GramProducts {
    let wants = |part: fn(&Grams) -> bool| measures.iter().any(|measure| part(&measure.grams));
    let mut products = GramProducts { centred: f64::NAN, units: f64::NAN, weights_centred: f64::NAN };
    if wants(|grams| grams.weights) {
        let weights = kept.weights();
        let all = gram::inner_products(&[&kept.centred, &weights], kept.len(), kept.dim());
        (products.centred, products.weights_centred) = (all[0][0], all[0][1]);
    } else if wants(|grams| grams.centred) {
        products.centred = gram::inner_products(&[&kept.centred], kept.len(), kept.dim())[0][0];
    }
    if wants(|grams| grams.units) {
        products.units = gram::inner_products(&[&kept.units()], kept.len(), kept.dim())[0][0];
    }
    products
}
