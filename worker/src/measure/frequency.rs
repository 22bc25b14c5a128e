//! How measures of single classes go with the frequency of their tokens: Pearson's correlation with the logarithm
//! of the number of train samples. Quantities that spread over orders of magnitude enter by their logarithms.

use super::{Shared, cdnv, decisions, duality, moments::correlation, norms};

/// Of the logarithm of [`cdnv::by_class`].
pub(super) fn cdnv(shared: &Shared<'_>) -> Vec<f64> {
    let logs: Vec<f64> = cdnv::by_class(shared).into_iter().map(f64::ln).collect();
    vec![correlation(&frequencies(shared), &logs)]
}

/// Of `ln n_i`.
pub(super) fn norms(shared: &Shared<'_>) -> Vec<f64> {
    vec![correlation(&frequencies(shared), &norms::logs(shared))]
}

/// Of `cos(w_i, c_i)`.
pub(super) fn cosines(shared: &Shared<'_>) -> Vec<f64> {
    vec![correlation(&frequencies(shared), &duality::cosines_by_class(shared))]
}

/// Of [`decisions::by_class`], over the classes that have validation samples.
pub(super) fn agreement(shared: &Shared<'_>) -> Vec<f64> {
    let both = frequencies(shared).into_iter().zip(decisions::by_class(shared));
    let (frequencies, shares): (Vec<f64>, Vec<f64>) = both.filter(|(_, share)| !share.is_nan()).unzip();
    vec![correlation(&frequencies, &shares)]
}

fn frequencies(shared: &Shared<'_>) -> Vec<f64> {
    shared.kept.counts().map(|count| f64::from(count).ln()).collect()
}
