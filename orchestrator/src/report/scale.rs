//! From values to positions, and the round numbers beside them.

/// A scale that leaves a margin around its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    /// A linear scale around finite values.
    pub fn around(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        let margin = if high > low { (high - low) * 0.08 } else { high.abs().max(1.0) * 0.05 };
        Self { low: low - margin, high: high + margin, log: false }
    }

    /// A logarithmic scale around values above zero.
    pub fn around_logarithms(values: impl Iterator<Item = f64>) -> Self {
        Self { log: true, ..Self::around(values.map(f64::ln)) }
    }

    /// A scale that suits values: logarithmic where they are above zero and span more than a factor of 30.
    pub fn fitting(values: impl Iterator<Item = f64> + Clone) -> Self {
        let (low, high) =
            values.clone().fold((f64::INFINITY, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
        if low > 0.0 && high / low > 30.0 { Self::around_logarithms(values) } else { Self::around(values) }
    }

    /// 0 at the lower end, 1 at the upper.
    #[must_use]
    pub fn share(self, value: f64) -> f64 {
        let value = if self.log { value.ln() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// Up to about `count` round numbers within the scale: steps of 1, 2 or 5; powers of ten, with 2 and 5 between
    /// few of them, on a logarithmic one.
    #[must_use]
    pub fn ticks(self, count: usize) -> Vec<f64> {
        if self.log {
            return self.log_ticks();
        }
        let raw = (self.high - self.low) / count.max(1) as f64;
        let power = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= raw).unwrap_or(raw);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }

    fn log_ticks(self) -> Vec<f64> {
        let (low, high) = (self.low.exp(), self.high.exp());
        let decades = (high / low).log10();
        let factors: &[f64] = if decades < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let every = (decades / 6.0).ceil().max(1.0) as usize;
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let powers = (first..=last).step_by(every).map(|power| 10_f64.powi(power));
        let all = powers.flat_map(|power| factors.iter().map(move |factor| factor * power));
        all.filter(|tick| (low..=high).contains(tick)).collect()
    }
}

/// A tick with as many digits as it needs.
#[must_use]
pub fn label(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.5}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Scale, label};

    fn labels(scale: Scale, count: usize) -> Vec<String> {
        scale.ticks(count).into_iter().map(label).collect()
    }

    #[test]
    fn ticks_are_round_and_within() {
        let scale = Scale::around([0.0, 1.0].into_iter());
        assert_eq!(labels(scale, 6), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(
            labels(Scale::fitting([0.5, 40.0].into_iter()), 5),
            ["0.5", "1", "2", "5", "10", "20", "50"]
        );
        assert_eq!(labels(Scale::fitting([1.0, 1e6].into_iter()), 5), ["10", "1000", "1e5"]);
    }

    #[test]
    fn a_single_value_lies_in_the_middle() {
        for x in [0.0, 5.0, -3.0] {
            assert!((Scale::around([x].into_iter()).share(x) - 0.5).abs() < 1e-9, "{x}");
        }
        assert!((Scale::around_logarithms([64.0].into_iter()).share(64.0) - 0.5).abs() < 1e-9);
    }
}
