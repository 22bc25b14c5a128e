//! How far the centred class means are from a simplex equiangular tight frame.

use super::{Shared, classes::dot, structure};

/// `|C C^T/|C C^T| - (I - J/K)/sqrt(K-1)|`.
pub(super) fn error(shared: &Shared<'_>) -> Vec<f64> {
    let (kept, k) = (&shared.kept, shared.kept.len());
    if structure::is_small(k, kept.dim()) {
        return vec![structure::direct(&kept.centred, &kept.centred, k, kept.dim())];
    }
    let trace = kept.squares.iter().sum();
    vec![structure::closed(k, trace, dot(&kept.residue, &kept.residue), shared.grams.centred)]
}

/// `(tr A)^2/|A|^2` with `A = C^T C`: in how many directions the means spread, at most
/// `min(width, K - 1)`. The ETF error of centred means is a function of it alone:
/// `sqrt(2 - 2 sqrt(PR/(K-1)))`.
pub(super) fn participation_ratio(shared: &Shared<'_>) -> Vec<f64> {
    let trace: f64 = shared.kept.squares.iter().sum();
    vec![trace * trace / shared.grams.centred]
}

/// The participation ratio as a share of the width: one for a tight frame.
pub(super) fn share_of_width(shared: &Shared<'_>) -> Vec<f64> {
    vec![participation_ratio(shared)[0] / shared.kept.dim() as f64]
}

/// `|U^T U|^2`, rows `c_i/|c_i|`: the sum over all ordered pairs, equal ones included, of `cos(c_i, c_j)^2`.
/// At least `K^2/width` for `K >= width`, which a tight frame reaches.
pub(super) fn frame_potential(shared: &Shared<'_>) -> Vec<f64> {
    vec![shared.grams.units]
}
