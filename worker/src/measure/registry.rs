//! What a measure is; [`super::catalogue`] lists them all.

use super::{Inputs, Shared, classes::Centre, pairs::Wanted};

/// A measure: one or two columns.
#[derive(Clone, Copy)]
pub struct Measure {
    /// Measures are asked for by group.
    pub group: &'static str,
    /// Names of its columns.
    pub columns: &'static [&'static str],
    /// What it is. `K` kept classes, `M_i` class means, `c_i` means less their plain mean, `v_i`
    /// within-class variance, `w_i` rows of the linear head; pairs are all `i < j`.
    pub formula: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// Whether the published table of October 2024 has it.
    pub published: bool,
    /// Optional inputs without which it is missing.
    pub needs: &'static [Need],
    /// What the means `c_i` of its formula are less.
    pub(super) centre: Centre,
    /// What it takes from the pass over all pairs.
    pub(super) pairs: Wanted,
    /// What it takes from the Gram matrices.
    pub(super) grams: WantedGrams,
    pub(super) compute: fn(&Shared<'_>) -> Vec<f64>,
}

/// An optional input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// [`Inputs::vars`](super::Inputs::vars).
    Vars,
    /// [`Inputs::weights`](super::Inputs::weights).
    Weights,
    /// [`Inputs::decisions`](super::Inputs::decisions).
    Decisions,
    /// [`Inputs::covariance`](super::Inputs::covariance).
    Covariance,
    /// [`Inputs::foreign_mean`](super::Inputs::foreign_mean).
    ForeignMean,
}

impl Need {
    /// Whether the input is there.
    pub(super) const fn is_met(self, inputs: &Inputs<'_>) -> bool {
        match self {
            Self::Vars => inputs.vars.is_some(),
            Self::Weights => inputs.weights.is_some(),
            Self::Decisions => inputs.decisions.is_some(),
            Self::Covariance => inputs.covariance.is_some(),
            Self::ForeignMean => inputs.foreign_mean.is_some(),
        }
    }
}

/// Which Gram matrices a measure takes part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WantedGrams {
    pub(super) centred: bool,
    pub(super) units: bool,
    pub(super) weights: bool,
}
