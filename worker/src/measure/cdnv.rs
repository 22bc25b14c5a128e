//! Class-distance normalised variance.

use super::Shared;

/// Mean over pairs of `(v_i + v_j)/2 / |M_i - M_j|^4`: the published column, with the *fourth* power.
pub(super) fn fourth_power(shared: &Shared<'_>) -> Vec<f64> {
    vec![shared.pairs.cdnv_squared / shared.kept.pairs()]
}

/// Mean over pairs of `(v_i + v_j)/2 / |M_i - M_j|^2`: as first defined.
pub(super) fn square(shared: &Shared<'_>) -> Vec<f64> {
    vec![shared.pairs.cdnv / shared.kept.pairs()]
}
