//! Norms of the centred class means.

use super::{Shared, moments::per_class};

/// Mean and unbiased variance of `n_i`.
pub(super) fn plain(shared: &Shared<'_>) -> Vec<f64> {
    per_class(&shared.kept.norms).into()
}

/// Mean and unbiased variance of `ln n_i`; a class at the global mean makes it infinite.
pub(super) fn log(shared: &Shared<'_>) -> Vec<f64> {
    per_class(&logs(shared)).into()
}

/// `ln n_i` of each class.
pub(super) fn logs(shared: &Shared<'_>) -> Vec<f64> {
    shared.kept.squares.iter().map(|q| 0.5 * q.ln()).collect()
}
