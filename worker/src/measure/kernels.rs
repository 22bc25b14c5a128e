//! Kernels of the distance `d` of the directions of two class means, over pairs.

use super::Shared;

/// Mean and population variance of `-ln d`.
pub(super) fn log(shared: &Shared<'_>) -> Vec<f64> {
    shared.pairs.log.finish(shared.kept.pairs()).into()
}

/// Mean and population variance of `sign(s) d^-s`, `s = width - 2`.
pub(super) fn riesz(shared: &Shared<'_>) -> Vec<f64> {
    shared.pairs.riesz.finish(shared.kept.pairs()).into()
}

/// Mean and population variance of `d`.
pub(super) fn distance(shared: &Shared<'_>) -> Vec<f64> {
    shared.pairs.distance.finish(shared.kept.pairs()).into()
}
