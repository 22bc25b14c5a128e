//! Within-class covariance against the covariance of the class means.

use super::{Shared, classes::dot};
use faer::{
    Accum, Mat, MatRef, Par,
    diag::Diag,
    dyn_stack::{MemBuffer, MemStack},
    linalg::{
        evd::{ComputeEigenvectors, EvdError, self_adjoint_evd, self_adjoint_evd_scratch},
        matmul::matmul,
    },
};

/// Parts that the library cuts this work into, on however many threads: sums depend on it.
const PARTS: usize = 4;

/// `tr(pinv(C^T C/K) S)/K` with the within-class covariance `S`. At most `K - 1` directions of the means
/// count, and only those above rounding.
pub(super) fn pseudo_inverse(shared: &Shared<'_>) -> Vec<f64> {
    let (kept, dim) = (&shared.kept, shared.kept.dim());
    let k = kept.len() as f64;
    let Ok((values, directions)) = eigen(&shared.grams.matrix) else { return vec![f64::NAN] };
    // Symmetric, so that rows are columns.
    let within = MatRef::from_column_major_slice(covariance(shared), dim, dim);
    let mut images = Mat::zeros(dim, dim);
    matmul(images.as_mut(), Accum::Replace, within, directions.as_ref(), 1.0, Par::rayon(PARTS));
    let largest = values.last().copied().unwrap_or(f64::NAN);
    let rounding = largest * dim as f64 * f64::EPSILON;
    let kept_values = values.iter().enumerate().rev().take(kept.len() - 1);
    let trace: f64 = kept_values
        .filter(|&(_, &value)| value > rounding)
        .map(|(j, &value)| dot(directions.col_as_slice(j), images.col_as_slice(j)) / (value / k))
        .sum();
    vec![trace / k]
}

/// Eigenvalues, the smallest first, and eigenvectors.
fn eigen(matrix: &Mat<f64>) -> Result<(Vec<f64>, Mat<f64>), EvdError> {
    let (dim, par) = (matrix.nrows(), Par::rayon(PARTS));
    let (mut values, mut vectors) = (Diag::zeros(dim), Mat::zeros(dim, dim));
    let room = self_adjoint_evd_scratch::<f64>(dim, ComputeEigenvectors::Yes, par, Default::default());
    self_adjoint_evd(
        matrix.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        par,
        MemStack::new(&mut MemBuffer::new(room)),
        Default::default(),
    )?;
    Ok((values.column_vector().iter().copied().collect(), vectors))
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
