//! How often the linear head decides as the nearest class mean does.

use super::{Decisions, Shared};

/// Validation samples of the kept classes on which both agree, and on which they do not.
pub(super) fn hits_and_misses(shared: &Shared<'_>) -> Vec<f64> {
    let [hits, samples] = sums(shared);
    vec![hits as f64, (samples - hits) as f64]
}

/// Share of the validation samples of the kept classes on which both agree.
pub(super) fn agreement(shared: &Shared<'_>) -> Vec<f64> {
    let [hits, samples] = sums(shared).map(|sum| sum as f64);
    let share = hits / samples;
    vec![if shared.kept.compat { f64::from(share as f32) } else { share }]
}

/// Mean of that share over the kept classes that have validation samples.
pub(super) fn unweighted_agreement(shared: &Shared<'_>) -> Vec<f64> {
    let shares: Vec<f64> = by_class(shared).into_iter().filter(|share| !share.is_nan()).collect();
    vec![shares.iter().sum::<f64>() / shares.len() as f64]
}

/// That share in each class; NaN without validation samples.
pub(super) fn by_class(shared: &Shared<'_>) -> Vec<f64> {
    samples_and_hits(shared).map(|[samples, hits]| f64::from(hits) / f64::from(samples)).collect()
}

/// Validation samples of each kept class, and those on which both agree.
pub(super) fn samples_and_hits(shared: &Shared<'_>) -> impl Iterator<Item = [i32; 2]> {
    let decisions = decisions(shared);
    shared.kept.classes.iter().map(move |&class| [decisions.counts[class], decisions.hits[class]])
}

fn sums(shared: &Shared<'_>) -> [i64; 2] {
    samples_and_hits(shared).fold([0, 0], |[hits, samples], [more_samples, more_hits]| {
        [hits + i64::from(more_hits), samples + i64::from(more_samples)]
    })
}

fn decisions<'a>(shared: &Shared<'a>) -> Decisions<'a> {
    shared.kept.inputs.decisions.expect("measures that need decisions are only computed with them")
}
