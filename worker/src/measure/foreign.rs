//! Class means against the mean embedding of texts from elsewhere.

use super::{Shared, classes::dot};

/// Mean of `|cos(M_i, m)|`, class means not centred.
pub(super) fn orthogonality_deviation(shared: &Shared<'_>) -> Vec<f64> {
    let kept = &shared.kept;
    let foreign =
        kept.inputs.foreign_mean.expect("measures that need the foreign mean are only computed with it");
    let norm = dot(foreign, foreign).sqrt();
    // The published tool takes a mean of zero for orthogonal; here it has no angle.
    let least = if kept.compat { 1e-8 } else { 0.0 };
    let cosine = |mean: &[f64]| dot(mean, foreign) / (dot(mean, mean).sqrt() * norm).max(least);
    let cosines = kept.of_each(|i| cosine(kept.mean(i)).abs());
    vec![cosines.iter().sum::<f64>() / kept.len() as f64]
}
