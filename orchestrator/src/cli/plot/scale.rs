//! From values to positions, and the round numbers beside them.

/// A linear scale that leaves a margin around its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    /// Lower end.
    pub low: f64,
    /// Upper end, above the lower.
    pub high: f64,
}

impl Scale {
    /// A scale around finite values.
    pub(super) fn around(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        let margin = if high > low { (high - low) * 0.08 } else { high.abs().max(1.0) * 0.05 };
        Self { low: low - margin, high: high + margin }
    }

    /// 0 at the lower end, 1 at the upper.
    pub(super) fn share(self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// Up to about `count` round numbers within the scale (steps of 1, 2 or 5).
    pub(super) fn ticks(self, count: usize) -> Vec<f64> {
        let raw = (self.high - self.low) / count.max(1) as f64;
        let power = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= raw).unwrap_or(raw);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

/// A tick with as many digits as it needs.
pub(super) fn label(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.5}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Scale, label};

    #[test]
    fn ticks_are_round_and_within() {
        let scale = Scale::around([0.0, 1.0].into_iter());
        let labels: Vec<_> = scale.ticks(6).into_iter().map(label).collect();
        assert_eq!(labels, ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
    }

    #[test]
    fn a_single_value_lies_in_the_middle() {
        for x in [0.0, 5.0, -3.0] {
            assert!((Scale::around([x].into_iter()).share(x) - 0.5).abs() < 1e-9, "{x}");
        }
    }
}
