//! How far the rows of the linear head are from the centred class means.

use super::{
    Shared,
    classes::{dot, sum_rows},
    moments::per_class,
    structure,
};

/// `|W C^T/|W C^T| - (I - J/K)/sqrt(K-1)|`, the head as it is.
pub(super) fn error(shared: &Shared<'_>) -> Vec<f64> {
    let (kept, k) = (&shared.kept, shared.kept.len());
    if structure::is_small(k, kept.dim()) {
        return vec![structure::direct(&kept.weights(), &kept.centred, k, kept.dim())];
    }
    let trace = (0..k).map(|i| product(shared, i)).sum();
    let weights = sum_rows(kept.dim(), (0..k).map(|i| kept.weight(i)));
    vec![structure::closed(k, trace, dot(&weights, &kept.residue()), shared.grams.weights_centred)]
}

/// Mean and unbiased variance of `w_i.c_i`.
pub(super) fn products(shared: &Shared<'_>) -> Vec<f64> {
    over_classes(shared, product)
}

/// Mean and unbiased variance of `cos(w_i, c_i)`.
pub(super) fn cosines(shared: &Shared<'_>) -> Vec<f64> {
    over_classes(shared, |shared, i| {
        product(shared, i) / (weight_norm(shared, i) * shared.kept.norms[i]).max(1e-8)
    })
}

/// Mean and unbiased variance of `|w_i/|w_i| - c_i/|c_i||`.
pub(super) fn distances(shared: &Shared<'_>) -> Vec<f64> {
    over_classes(shared, |shared, i| distance(shared, i, weight_norm(shared, i), shared.kept.norms[i]))
}

/// Mean and unbiased variance of `|w_i - c_i|`.
pub(super) fn plain_distances(shared: &Shared<'_>) -> Vec<f64> {
    over_classes(shared, |shared, i| distance(shared, i, 1.0, 1.0))
}

fn over_classes(shared: &Shared<'_>, value: impl Fn(&Shared<'_>, usize) -> f64) -> Vec<f64> {
    let values: Vec<f64> = (0..shared.kept.len()).map(|i| value(shared, i)).collect();
    per_class(&values).into()
}

fn product(shared: &Shared<'_>, i: usize) -> f64 {
    shared.kept.weight(i).zip(shared.kept.centred(i)).map(|(w, c)| w * c).sum()
}

fn weight_norm(shared: &Shared<'_>, i: usize) -> f64 {
    shared.kept.weight(i).map(|w| w * w).sum::<f64>().sqrt()
}

fn distance(shared: &Shared<'_>, i: usize, weight_norm: f64, mean_norm: f64) -> f64 {
    let pairs = shared.kept.weight(i).zip(shared.kept.centred(i));
    pairs.map(|(w, c)| (w / weight_norm - c / mean_norm).powi(2)).sum::<f64>().sqrt()
}
