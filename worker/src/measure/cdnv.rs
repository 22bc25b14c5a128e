//! Class-distance normalised variance.

use super::Shared;

/// Mean over pairs of `(v_i + v_j)/2 / |M_i - M_j|^4`: the published column, with the *fourth* power.
pub(super) fn fourth_power(shared: &Shared<'_>) -> Vec<f64> {
    vec![shared.pairs.sums.cdnv_squared / shared.kept.pairs()]
}

/// Mean over pairs of `(v_i + v_j)/2 / |M_i - M_j|^2`: as first defined.
pub(super) fn square(shared: &Shared<'_>) -> Vec<f64> {
    vec![shared.pairs.sums.cdnv / shared.kept.pairs()]
}

/// Mean over the other classes `j` of `(v_i + v_j)/2 / |M_i - M_j|^4`, for each class.
pub(super) fn by_class(shared: &Shared<'_>) -> Vec<f64> {
    let others = shared.kept.len() as f64 - 1.0;
    shared.pairs.cdnv_squared.iter().map(|sum| sum / others).collect()
}
