//! Inner products of the centred class means.
//!
//! From `2 sum_{i<j} c_i.c_j = |sum c_i|^2 - sum q_i` and
//! `2 sum_{i<j} (c_i.c_j)^2 = |C^T C|^2 - sum q_i^2`.

use super::{
    Shared,
    classes::{dot, sum_of},
    moments::not_below_zero,
    rows,
};

/// Mean and population variance over pairs of `c_i.c_j`, not normalised: the published columns.
pub(super) fn plain(shared: &Shared<'_>) -> Vec<f64> {
    over_pairs(&shared.kept.residue, &shared.kept.squares, shared.grams.centred, shared.kept.pairs())
}

/// Mean and population variance over pairs of `cos(c_i, c_j)`.
pub(super) fn cosine(shared: &Shared<'_>) -> Vec<f64> {
    let kept = &shared.kept;
    let sum = rows::sum(&|i, columns, out| kept.copy_direction(i, columns, out), kept.len(), kept.dim());
    // The very squares that the Gram matrix has on its diagonal, rounding included.
    let squares = kept.of_each(|i| {
        let (norm, row) = (kept.norms[i], kept.centred(i));
        sum_of(row, row, |x, _| (x / norm) * (x / norm))
    });
    over_pairs(&sum, &squares, shared.grams.units, kept.pairs())
}

/// Mean over the other classes of `c_i.c_j`, for each class: `(c_i.sum c - q_i)/(K-1)`.
pub(super) fn by_class(shared: &Shared<'_>) -> Vec<f64> {
    let kept = &shared.kept;
    let others = kept.len() as f64 - 1.0;
    kept.of_each(|i| (dot(kept.centred(i), &kept.residue) - kept.squares[i]) / others)
}

fn over_pairs(sum: &[f64], squares: &[f64], gram: f64, pairs: f64) -> Vec<f64> {
    let mean = (dot(sum, sum) - squares.iter().sum::<f64>()) / 2.0 / pairs;
    let second = (gram - dot(squares, squares)) / 2.0 / pairs;
    vec![mean, not_below_zero(second - mean * mean)]
}
