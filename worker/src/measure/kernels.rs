//! Kernels of the distance `d` of the directions of two class means, over pairs.

use super::{Shared, moments::Moments};

/// Mean and population variance of `-ln d`.
pub(super) fn log(shared: &Shared<'_>) -> Vec<f64> {
    over_pairs(shared, &shared.pairs.sums.log)
}

/// Mean and population variance of `sign(s) d^-s`, `s = width - 2`.
pub(super) fn riesz(shared: &Shared<'_>) -> Vec<f64> {
    over_pairs(shared, &shared.pairs.sums.riesz)
}

/// Mean and population variance of `d`.
pub(super) fn distance(shared: &Shared<'_>) -> Vec<f64> {
    over_pairs(shared, &shared.pairs.sums.distance)
}

/// Mean over the other classes of `-ln d`, for each class.
pub(super) fn log_by_class(shared: &Shared<'_>) -> Vec<f64> {
    let others = shared.kept.len() as f64 - 1.0;
    shared.pairs.log.iter().map(|sum| sum / others).collect()
}

fn over_pairs(shared: &Shared<'_>, moments: &Moments) -> Vec<f64> {
    let pairs = shared.kept.pairs();
    if shared.kept.compat { moments.finish_single(pairs) } else { moments.finish(pairs) }.into()
}
