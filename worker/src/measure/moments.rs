//! Mean and variance, of values per class and of values per pair of classes.

use super::lanes;

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
pub(crate) struct Moments {
    shift: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    pub(super) const fn around(shift: f64) -> Self {
        Self { shift, sum: 0.0, squares: 0.0 }
    }

    /// Takes values; a vectorised loop where it is inlined into one.
    #[inline(always)]
    pub(super) fn push_all(&mut self, values: &[f64]) {
        let [sum, squares] = lanes::sums_around(self.shift, values);
        self.add(sum, squares);
    }

    /// What values are taken around.
    #[cfg(feature = "cuda")]
    pub(crate) const fn shift(&self) -> f64 {
        self.shift
    }

    /// Adds sums of values and of their squares that were taken around the shift.
    pub(super) fn add(&mut self, sum: f64, squares: f64) {
        self.sum += sum;
        self.squares += squares;
    }

    /// Adds sums around the same shift.
    pub(super) fn merge(&mut self, other: &Self) {
        debug_assert!(self.shift.total_cmp(&other.shift).is_eq(), "sums around different shifts");
        self.add(other.sum, other.squares);
    }

    /// Mean and population variance over `pairs` values.
    pub(super) fn finish(&self, pairs: f64) -> [f64; 2] {
        let mean = self.sum / pairs;
        [self.shift + mean, not_below_zero(self.squares / pairs - mean * mean)]
    }

    /// The same with sums that overflow as single precision does, of values rounded to it.
    pub(super) fn finish_single(&self, pairs: f64) -> [f64; 2] {
        let [mean, variance] = self.finish(pairs);
        if !self.sum.is_finite() {
            // A value overflowed: it is infinitely far from a mean that is infinite.
            return [self.sum, f64::NAN];
        }
        let single = |mean: f64| f64::from((mean * pairs) as f32) / pairs;
        [single(mean), if single(mean).is_finite() { single(variance) } else { f64::INFINITY }]
    }
}

/// What values per class of size 1 (logarithms, cosines, shares) differ by through rounding: distances keep twelve digits,
/// see [`super::tile`].
const NOISE: f64 = 1e-12;

/// Pearson's correlation of two values per class; NaN where one of them is the same for all, up to [`NOISE`].
pub(super) fn correlation(x: &[f64], y: &[f64]) -> f64 {
    // Not around their mean, whose rounding grows with their number.
    let is_constant = |values: &[f64]| {
        values.iter().all(|value| (value - values[0]).abs() <= NOISE * values[0].abs().max(1.0))
    };
    if is_constant(x) || is_constant(y) {
        return f64::NAN;
    }
    let n = x.len() as f64;
    let (x_mean, y_mean) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (x, y) = (x - x_mean, y - y_mean);
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    // Rounding must not take it beyond what it can be; NaN stays.
    (xy / (xx * yy).sqrt()).clamp(-1.0, 1.0)
}

/// A variance that rounding pushed below zero is zero; NaN stays.
pub(super) fn not_below_zero(variance: f64) -> f64 {
    if variance < 0.0 { 0.0 } else { variance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correlation_stays_within_its_bounds_whatever_is_rounded() {
        for factor in 1..30 {
            for count in 3..8 {
                let x: Vec<f64> = (1..=count).map(|i| f64::from(i * i)).collect();
                for sign in [1.0, -1.0] {
                    let y: Vec<f64> = x.iter().map(|x| sign * x * f64::from(factor) * 0.1).collect();
                    let found = sign * correlation(&x, &y);
                    assert!((1.0 - 1e-12..=1.0).contains(&found), "{factor} {count}: {found:?}");
                }
            }
        }
    }
}
