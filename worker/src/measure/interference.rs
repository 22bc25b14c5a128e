//! Inner products of the centred class means.
//!
//! From `2 sum_{i<j} c_i.c_j = |sum c_i|^2 - sum q_i` and
//! `2 sum_{i<j} (c_i.c_j)^2 = |C^T C|^2 - sum q_i^2`.

use super::{
    Shared,
    classes::{dot, sum_rows},
    moments::not_below_zero,
};

/// Mean and population variance over pairs of `c_i.c_j`, not normalised: the published columns.
pub(super) fn plain(shared: &Shared<'_>) -> Vec<f64> {
    over_pairs(&shared.kept.residue(), &shared.kept.squares, shared.grams.centred, shared.kept.pairs())
}

/// Mean and population variance over pairs of `cos(c_i, c_j)`.
pub(super) fn cosine(shared: &Shared<'_>) -> Vec<f64> {
    let kept = &shared.kept;
    let unit = |i: usize| kept.centred(i).iter().map(move |x| x / kept.norms[i]);
    let sum = sum_rows(kept.dim(), (0..kept.len()).map(unit));
    // The very squares that the Gram matrix has on its diagonal, rounding included.
    let squares: Vec<f64> = (0..kept.len()).map(|i| unit(i).map(|x| x * x).sum()).collect();
    over_pairs(&sum, &squares, shared.grams.units, kept.pairs())
}

/// Mean over the other classes of `c_i.c_j`, for each class: `(c_i.sum c - q_i)/(K-1)`.
pub(super) fn by_class(shared: &Shared<'_>) -> Vec<f64> {
    let kept = &shared.kept;
    let (sum, others) = (kept.residue(), kept.len() as f64 - 1.0);
    (0..kept.len()).map(|i| (dot(kept.centred(i), &sum) - kept.squares[i]) / others).collect()
}

fn over_pairs(sum: &[f64], squares: &[f64], gram: f64, pairs: f64) -> Vec<f64> {
    let mean = (dot(sum, sum) - squares.iter().sum::<f64>()) / 2.0 / pairs;
    let second = (gram - dot(squares, squares)) / 2.0 / pairs;
    vec![mean, not_below_zero(second - mean * mean)]
}
