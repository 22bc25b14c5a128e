//! How two quantities go along with each other: correlation, significance, power.

/// Pearson's correlation; none for fewer than three pairs, or where one of both does not vary.
#[must_use]
pub fn correlation(x: &[f64], y: &[f64]) -> Option<f64> {
    let (x, y) = (standardised(x)?, standardised(y)?);
    Some(x.iter().zip(&y).map(|(a, b)| a * b).sum::<f64>().clamp(-1.0, 1.0))
}

/// Values with mean 0 and sum of squares 1; none for fewer than three, or where they do not vary.
#[must_use]
pub fn standardised(values: &[f64]) -> Option<Vec<f64>> {
    if values.len() < 3 {
        return None;
    }
    // Scaled first: squares of very large values overflow.
    let size = values.iter().fold(0.0_f64, |size, value| size.max(value.abs()));
    let scaled = || values.iter().map(|value| if size > 0.0 { value / size } else { 0.0 });
    let mean = scaled().sum::<f64>() / values.len() as f64;
    let centred: Vec<f64> = scaled().map(|value| value - mean).collect();
    let norm = centred.iter().map(|value| value * value).sum::<f64>().sqrt();
    // What is left of equal values is rounding.
    let noise = mean.abs().max(f64::MIN_POSITIVE) * f64::EPSILON * values.len() as f64;
    (norm > noise).then(|| centred.into_iter().map(|value| value / norm).collect())
}

/// p-values corrected for testing all of them, by Holm's method: the smallest times their number, the next
/// times one less, and never falling (S. Holm, 1979).
#[must_use]
pub fn holm(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> = p.iter().enumerate().filter_map(|(at, p)| Some((at, (*p)?))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (mut corrected, mut highest) = (vec![None; p.len()], 0.0_f64);
    let tests = order.len();
    for (rank, (at, p)) in order.into_iter().enumerate() {
        highest = highest.max(p * (tests - rank) as f64).min(1.0);
        corrected[at] = Some(highest);
    }
    corrected
}

/// The two-sided 5 % quantile of the standard normal distribution.
const Z_5: f64 = 1.959_963_984_540_054;

/// The probability that a two-sided test at 5 % finds a correlation of `r` in `n` pairs, by Fisher's
/// transformation: atanh of a sample's correlation is nearly normal with variance 1 / (n - 3).
#[must_use]
pub fn power(r: f64, n: usize) -> Option<f64> {
    if n < 4 {
        return None;
    }
    let shift = r.abs().min(1.0 - 1e-15).atanh() * ((n - 3) as f64).sqrt();
    Some(normal(shift - Z_5) + normal(-shift - Z_5))
}

/// The smallest R² that such a test finds in `n` pairs with a probability of 80 %.
#[must_use]
pub fn detectable_r2(n: usize) -> Option<f64> {
    power(0.0, n)?;
    let (mut low, mut high) = (0.0, 1.0 - 1e-12);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if power(middle, n)? < 0.8 { low = middle } else { high = middle }
    }
    Some(high * high)
}

/// The standard normal distribution function.
fn normal(x: f64) -> f64 {
    0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_correlates_fully_and_a_constant_not_at_all() {
        let near = |r: Option<f64>, to: f64| (r.unwrap() - to).abs() < 1e-12;
        assert!(near(correlation(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]), 1.0));
        assert!(near(correlation(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1.0));
        assert_eq!(correlation(&[1.0, 2.0, 3.0], &[0.1, 0.1, 0.1]), None);
        assert_eq!(correlation(&[1.0, 2.0], &[1.0, 2.0]), None);
        assert!((correlation(&[1e200, 2e200, 3e200], &[2.0, 4.0, 6.0]).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn holm_multiplies_by_what_is_left_and_never_falls() {
        let p = [Some(0.01), Some(0.04), None, Some(0.03), Some(0.005)];
        let corrected = holm(&p);
        let expected = [Some(0.03), Some(0.06), None, Some(0.06), Some(0.02)];
        for (a, b) in corrected.iter().zip(expected) {
            assert!(a.zip(b).is_none_or(|(a, b)| (a - b).abs() < 1e-15) && a.is_some() == b.is_some());
        }
        assert_eq!(holm(&[Some(0.9), Some(0.8)]), [Some(1.0), Some(1.0)]);
    }

    #[test]
    fn power_is_that_of_the_textbooks() {
        // J. Cohen, 1988, table 3.3.5: r = 0.5 needs 29 pairs for 80 %, r = 0.3 needs 85.
        assert!((power(0.5, 29).unwrap() - 0.80).abs() < 0.01);
        assert!((power(0.3, 85).unwrap() - 0.80).abs() < 0.01);
        assert!((power(0.0, 50).unwrap() - 0.05).abs() < 1e-12);
        assert!((detectable_r2(29).unwrap().sqrt() - 0.5).abs() < 0.01);
        assert_eq!(power(0.5, 3), None);
    }
}
