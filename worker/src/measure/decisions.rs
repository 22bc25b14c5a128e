//! How often the linear head decides as the nearest class mean does.

use super::Shared;

/// Validation samples of the kept classes on which both agree, and on which they do not.
pub(super) fn hits_and_misses(shared: &Shared<'_>) -> Vec<f64> {
    let (hits, samples) = sums(shared);
    vec![hits as f64, (samples - hits) as f64]
}

/// Share of the validation samples of the kept classes on which both agree.
pub(super) fn agreement(shared: &Shared<'_>) -> Vec<f64> {
    let (hits, samples) = sums(shared);
    vec![hits as f64 / samples as f64]
}

fn sums(shared: &Shared<'_>) -> (i64, i64) {
    let Some(decisions) = shared.kept.inputs.decisions else {
        unreachable!("measures that need decisions are only computed with them")
    };
    let over_kept = |of: &[i32]| shared.kept.classes.iter().map(|&class| i64::from(of[class])).sum();
    (over_kept(decisions.hits), over_kept(decisions.counts))
}
