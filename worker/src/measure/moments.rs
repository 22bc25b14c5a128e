//! Mean and variance, of values per class and of values per pair of classes.

/// Mean and unbiased variance (divided by the number less one) of values per class.
pub(super) fn per_class(values: &[f64]) -> [f64; 2] {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    [mean, squares / (n - 1.0)]
}

/// Sums that give mean and *population* variance (divided by the number) of values per pair. They are
/// taken around a shift near the mean, so that one pass is enough.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    shift: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    pub(super) const fn around(shift: f64) -> Self {
        Self { shift, sum: 0.0, squares: 0.0 }
    }

    pub(super) fn push(&mut self, x: f64) {
        let x = x - self.shift;
        self.sum += x;
        self.squares += x * x;
    }

    /// Adds sums around the same shift.
    pub(super) fn merge(&mut self, other: &Self) {
        debug_assert!(self.shift.total_cmp(&other.shift).is_eq(), "sums around different shifts");
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// Mean and population variance over `pairs` values.
    pub(super) fn finish(&self, pairs: f64) -> [f64; 2] {
        let mean = self.sum / pairs;
        [self.shift + mean, not_below_zero(self.squares / pairs - mean * mean)]
    }
}

/// A variance that rounding pushed below zero is zero; NaN stays.
pub(super) fn not_below_zero(variance: f64) -> f64 {
    if variance < 0.0 { 0.0 } else { variance }
}
