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
        return single(shared, vec![structure::direct(&kept.weights(), &kept.centred, k, kept.dim())]);
    }
    let trace = (0..k).map(|i| product(shared, i)).sum();
    let weights = sum_rows(kept.dim(), (0..k).map(|i| kept.weight(i)));
    let error = structure::closed(k, trace, dot(&weights, &kept.residue()), shared.grams.weights_centred);
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
    per_class(&over_classes(shared, |i| {
        let pairs = shared.kept.weight(i).zip(shared.kept.centred(i));
        pairs.map(|(w, c)| (w - c).powi(2)).sum::<f64>().sqrt()
    }))
    .into()
}

/// `w_i.c_i` of each class.
pub(super) fn products_by_class(shared: &Shared<'_>) -> Vec<f64> {
    over_classes(shared, |i| product(shared, i))
}

/// `cos(w_i, c_i)` of each class.
pub(super) fn cosines_by_class(shared: &Shared<'_>) -> Vec<f64> {
    over_classes(shared, |i| product(shared, i) / (weight_norm(shared, i) * shared.kept.norms[i]).max(1e-8))
}

/// `|w_i/|w_i| - c_i/|c_i||` of each class.
pub(super) fn distances_by_class(shared: &Shared<'_>) -> Vec<f64> {
    over_classes(shared, |i| {
        let (kept, norm) = (&shared.kept, shared.kept.norms[i]);
        let directions = kept.centred(i).iter().map(|c| c / norm);
        let squares = if kept.compat {
            let single = norm_in_single(kept.weight(i).map(|w| w as f32)) + f32::EPSILON;
            kept.weight(i)
                .zip(directions)
                .map(|(w, c)| (f64::from(w as f32 / single) - c).powi(2))
                .sum::<f64>()
        } else {
            let weight_norm = weight_norm(shared, i);
            kept.weight(i).zip(directions).map(|(w, c)| (w / weight_norm - c).powi(2)).sum()
        };
        squares.sqrt()
    })
}

fn over_classes(shared: &Shared<'_>, value: impl Fn(usize) -> f64) -> Vec<f64> {
    (0..shared.kept.len()).map(value).collect()
}

fn product(shared: &Shared<'_>, i: usize) -> f64 {
    shared.kept.weight(i).zip(shared.kept.centred(i)).map(|(w, c)| w * c).sum()
}

fn weight_norm(shared: &Shared<'_>, i: usize) -> f64 {
    shared.kept.weight(i).map(|w| w * w).sum::<f64>().sqrt()
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
fn norm_in_single(x: impl Iterator<Item = f32>) -> f32 {
    let x: Vec<f32> = x.collect();
    let (chunks, rest) = x.as_chunks::<8>();
    let mut lanes = [0f32; 8];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += x * x);
    }
    lanes.into_iter().chain(rest.iter().map(|x| x * x)).fold(0.0, |sum, x| sum + x).sqrt()
}
