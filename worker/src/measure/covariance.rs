//! Within-class covariance against the covariance of the class means.

use super::{Shared, gram};
use faer::Side;

/// `tr(pinv(C^T C/K) S)/K` with the within-class covariance `S`. At most `K - 1` directions of the means
/// count, and only those above rounding.
pub(super) fn pseudo_inverse(shared: &Shared<'_>) -> Vec<f64> {
    let (kept, dim) = (&shared.kept, shared.kept.dim());
    let k = kept.len() as f64;
    let between = gram::gram(&kept.centred, kept.len(), dim);
    let Ok(eigen) = between.self_adjoint_eigen(Side::Lower) else { return vec![f64::NAN] };
    let values: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
    let largest = values.last().copied().unwrap_or(f64::NAN);
    let rounding = largest * dim as f64 * f64::EPSILON;
    let kept_values = values.iter().enumerate().rev().take(kept.len() - 1);
    let trace: f64 = kept_values
        .filter(|&(_, &value)| value > rounding)
        .map(|(j, &value)| {
            let direction: Vec<f64> = eigen.U().col(j).iter().copied().collect();
            quadratic_form(covariance(shared), &direction) / (value / k)
        })
        .sum();
    vec![trace / k]
}

/// `tr S/tr(C^T C/K)`.
pub(super) fn quotient(shared: &Shared<'_>) -> Vec<f64> {
    let kept = &shared.kept;
    let within: f64 = covariance(shared).iter().step_by(kept.dim() + 1).sum();
    vec![within * kept.len() as f64 / kept.squares.iter().sum::<f64>()]
}

fn covariance<'a>(shared: &Shared<'a>) -> &'a [f64] {
    shared.kept.inputs.covariance.expect("measures that need the covariance are only computed with it")
}

fn quadratic_form(matrix: &[f64], x: &[f64]) -> f64 {
    matrix.chunks_exact(x.len()).zip(x).map(|(row, xi)| xi * super::classes::dot(row, x)).sum()
}
