//! How far the rows of the linear head are from the centred class means.

use super::{
    Shared,
    classes::{dot, sum_of},
    moments::per_class,
    rows, structure,
};

/// `|W C^T/|W C^T| - (I - J/K)/sqrt(K-1)|`, the head as it is.
pub(super) fn error(shared: &Shared<'_>) -> Vec<f64> {
    let (kept, k) = (&shared.kept, shared.kept.len());
    if structure::is_small(k, kept.dim()) {
        let weights: Vec<f64> = (0..k).flat_map(|i| kept.weight(i)).map(|&w| f64::from(w)).collect();
        return single(shared, vec![structure::direct(&weights, &kept.centred, k, kept.dim())]);
    }
    let trace = products_by_class(shared).into_iter().sum();
    let weights = rows::sum(&|i, columns, out| kept.copy_weight(i, columns, out), k, kept.dim());
    let error = structure::closed(k, trace, dot(&weights, &kept.residue), shared.grams.weights_centred);
    single(shared, vec![error])
}

/// Mean and unbiased variance of `w_i.c_i`.
pub(super) fn products(shared: &Shared<'_>) -> Vec<f64> {
    per_class(&products_by_class(shared)).into()
}

/// Mean and unbiased variance of `cos(w_i, c_i)`.
pub(super) fn cosines(shared: &Shared<'_>) -> Vec<f64> {
    single(shared, per_class(&cosines_by_class(shared)).into())
}

/// Mean and unbiased variance of `|w_i/|w_i| - c_i/|c_i||`.
pub(super) fn distances(shared: &Shared<'_>) -> Vec<f64> {
    per_class(&distances_by_class(shared)).into()
}

/// Mean and unbiased variance of `|w_i - c_i|`.
pub(super) fn plain_distances(shared: &Shared<'_>) -> Vec<f64> {
    let kept = &shared.kept;
    let apart = |i| sum_of(kept.weight(i), kept.centred(i), |w, c| (w - c) * (w - c)).sqrt();
    per_class(&kept.of_each(apart)).into()
}

/// `w_i.c_i` of each class.
pub(super) fn products_by_class(shared: &Shared<'_>) -> Vec<f64> {
    shared.kept.of_each(|i| product(shared, i))
}

/// `cos(w_i, c_i)` of each class.
pub(super) fn cosines_by_class(shared: &Shared<'_>) -> Vec<f64> {
    let cosine = |i| product(shared, i) / (weight_norm(shared, i) * shared.kept.norms[i]).max(1e-8);
    shared.kept.of_each(cosine)
}

/// `|w_i/|w_i| - c_i/|c_i||` of each class.
pub(super) fn distances_by_class(shared: &Shared<'_>) -> Vec<f64> {
    shared.kept.of_each(|i| {
        let (kept, norm) = (&shared.kept, shared.kept.norms[i]);
        let (weight, centred) = (kept.weight(i), kept.centred(i));
        let squares = if kept.compat {
            let single = norm_in_single(weight) + f32::EPSILON;
            sum_of(weight, centred, |w, c| (f64::from(w as f32 / single) - c / norm).powi(2))
        } else {
            let weight_norm = weight_norm(shared, i);
            sum_of(weight, centred, |w, c| (w / weight_norm - c / norm).powi(2))
        };
        squares.sqrt()
    })
}

fn product(shared: &Shared<'_>, i: usize) -> f64 {
    dot(shared.kept.weight(i), shared.kept.centred(i))
}

fn weight_norm(shared: &Shared<'_>, i: usize) -> f64 {
    let squares = shared.kept.weight(i).iter().map(|&w| f64::from(w) * f64::from(w));
    squares.sum::<f64>().sqrt()
}

/// Rounds what the published tool computes in single precision, if that is asked for.
fn single(shared: &Shared<'_>, mut values: Vec<f64>) -> Vec<f64> {
    if shared.kept.compat {
        values.iter_mut().for_each(|x| *x = f64::from(*x as f32));
    }
    values
}

/// A norm in single precision, added up in the order of eight lanes and then the rest, as the published tool's
/// library does on processors.
fn norm_in_single(x: &[f32]) -> f32 {
    let (chunks, rest) = x.as_chunks::<8>();
    let mut lanes = [0f32; 8];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += x * x);
    }
    lanes.into_iter().chain(rest.iter().map(|x| x * x)).fold(0.0, |sum, x| sum + x).sqrt()
}
