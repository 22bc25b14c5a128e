//! A training curve, drawn: at most two points per column of pixels, the lowest and the highest, so that no
//! spike is lost and no more is sent than a screen shows.

use protocol::{real::Real, table::Curve};
use serde::Deserialize;

/// What lies on the x axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CurveX {
    /// Optimizer steps.
    #[default]
    Step,
    /// Tokens trained on.
    Tokens,
    /// Seconds of training.
    Time,
}

/// The value drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CurveY {
    /// Training loss, nats per token.
    #[default]
    Loss,
    /// Learning rate.
    LearningRate,
    /// Global gradient norm before clipping.
    GradNorm,
    /// Tokens per second.
    TokensPerS,
}

/// What is drawn, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawing {
    /// Columns of pixels.
    pub columns: usize,
    /// What lies on the x axis.
    pub x: CurveX,
    /// The value.
    pub y: CurveY,
    /// Whether the columns are equally wide in the logarithm of x.
    pub log: bool,
    /// First x.
    pub from: f64,
    /// Last x.
    pub to: f64,
    /// Weight of the past in the moving average.
    pub smooth: Option<f64>,
}

/// A point as recorded. What is not a number is NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recorded {
    /// Optimizer step, from 1.
    pub step: u64,
    /// Mean loss of the step's batch, nats per token.
    pub loss: f64,
    /// Learning rate.
    pub learning_rate: f64,
    /// Global gradient norm before clipping.
    pub grad_norm: f64,
    /// Tokens per second.
    pub tokens_per_s: f64,
}

/// A curve as recorded, by rising step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordedCurve {
    /// Steps planned in all.
    pub total_steps: Option<u64>,
    /// Tokens of one step's batch.
    pub tokens_per_step: f64,
    /// The points.
    pub points: Vec<Recorded>,
}

/// The points that are drawn.
#[must_use]
pub fn draw(curve: &RecordedCurve, drawing: &Drawing) -> Curve {
    let mut drawn = Curve {
        total_steps: curve.total_steps,
        recorded: curve.points.len() as u64,
        step: Vec::new(),
        tokens: Vec::new(),
        seconds: Vec::new(),
        value: Vec::new(),
        smooth: Vec::new(),
    };
    let (seconds, smooth) = (seconds(curve), drawing.smooth.map(|weight| averaged(curve, drawing.y, weight)));
    let x = |i: usize| match drawing.x {
        CurveX::Step => curve.points[i].step as f64,
        CurveX::Tokens => curve.points[i].step as f64 * curve.tokens_per_step,
        CurveX::Time => seconds[i],
    };
    let shown = |i: &usize| (drawing.from..=drawing.to).contains(&x(*i)) && !(drawing.log && x(*i) <= 0.0);
    let indices: Vec<usize> = (0..curve.points.len()).filter(shown).collect();
    for i in chosen(&indices, drawing, &x, &|i| value(&curve.points[i], drawing.y)) {
        let point = &curve.points[i];
        drawn.step.push(point.step);
        drawn.tokens.push(point.step as f64 * curve.tokens_per_step);
        drawn.seconds.push(rounded(seconds[i]));
        drawn.value.push(Real(rounded(value(point, drawing.y))));
        if let Some(smooth) = &smooth {
            drawn.smooth.push(Real(rounded(smooth[i])));
        }
    }
    drawn
}

/// Six significant digits: more than can be seen, and a third of what would be sent.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 5 - value.abs().log10().floor() as i32;
    // A power of ten below one is not exact: large values are divided.
    if digits >= 0 {
        let scale = 10_f64.powi(digits);
        (value * scale).round() / scale
    } else {
        let scale = 10_f64.powi(-digits);
        (value / scale).round() * scale
    }
}

const fn value(point: &Recorded, y: CurveY) -> f64 {
    match y {
        CurveY::Loss => point.loss,
        CurveY::LearningRate => point.learning_rate,
        CurveY::GradNorm => point.grad_norm,
        CurveY::TokensPerS => point.tokens_per_s,
    }
}

/// Of each column of pixels the lowest and the highest point, one that is not a number, and the very first
/// and last of all.
fn chosen(
    indices: &[usize],
    drawing: &Drawing,
    x: &dyn Fn(usize) -> f64,
    y: &dyn Fn(usize) -> f64,
) -> Vec<usize> {
    let (Some(&first), Some(&last)) = (indices.first(), indices.last()) else { return Vec::new() };
    if indices.len() <= 2 * drawing.columns {
        return indices.to_vec();
    }
    let scale = |x: f64| if drawing.log { x.ln() } else { x };
    let (low, high) = (scale(x(first)), scale(x(last)));
    let column = |i: usize| {
        let share = (scale(x(i)) - low) / (high - low);
        ((share * drawing.columns as f64) as usize).min(drawing.columns - 1)
    };
    let mut kept = Vec::with_capacity(2 * drawing.columns + 2);
    let mut from = 0;
    while from < indices.len() {
        let of = column(indices[from]);
        let to = from + indices[from..].iter().take_while(|&&i| column(i) == of).count();
        let group = &indices[from..to];
        let finite = || group.iter().copied().filter(|&i| !y(i).is_nan());
        let mut two = [
            finite().min_by(|a, b| y(*a).total_cmp(&y(*b))),
            finite().max_by(|a, b| y(*a).total_cmp(&y(*b))),
        ];
        if two[0].is_none() {
            // Nothing but NaN: a gap that must be seen.
            two = [group.first().copied(), None];
        }
        two.sort_unstable();
        kept.extend(two.into_iter().flatten());
        from = to;
    }
    kept.extend([first, last]);
    kept.sort_unstable();
    kept.dedup();
    kept
}

/// Seconds of training up to each point: its steps since the point before at its own pace.
fn seconds(curve: &RecordedCurve) -> Vec<f64> {
    let (mut total, mut step) = (0.0, 0);
    let next = |point: &Recorded| {
        let steps = point.step.saturating_sub(step) as f64;
        step = point.step;
        if point.tokens_per_s > 0.0 {
            total += steps * curve.tokens_per_step / point.tokens_per_s;
        }
        total
    };
    curve.points.iter().map(next).collect()
}

/// The exponential moving average, corrected for its start (as Adam's moments are). NaN is passed over.
fn averaged(curve: &RecordedCurve, y: CurveY, weight: f64) -> Vec<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    let next = |point: &Recorded| {
        let value = value(point, y);
        if !value.is_nan() {
            sum = weight * sum + (1.0 - weight) * value;
            weights = weight * weights + (1.0 - weight);
        }
        if weights > 0.0 { sum / weights } else { f64::NAN }
    };
    curve.points.iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(loss: impl Fn(u64) -> f64, steps: u64) -> RecordedCurve {
        let point = |step| Recorded {
            step,
            loss: loss(step),
            learning_rate: 1e-3,
            grad_norm: 1.0,
            tokens_per_s: 100.0,
        };
        RecordedCurve { total_steps: None, tokens_per_step: 50.0, points: (1..=steps).map(point).collect() }
    }

    const PLAIN: Drawing = Drawing {
        columns: 100,
        x: CurveX::Step,
        y: CurveY::Loss,
        log: false,
        from: f64::NEG_INFINITY,
        to: f64::INFINITY,
        smooth: None,
    };

    #[test]
    fn a_short_curve_is_drawn_whole() {
        let drawn = draw(&curve(|step| 5.0 - step as f64 * 0.01, 200), &PLAIN);
        assert_eq!(drawn.step, (1..=200).collect::<Vec<_>>());
        assert_eq!((drawn.tokens[9], drawn.seconds[9]), (500.0, 5.0));
    }

    #[test]
    fn no_spike_is_lost_and_no_more_is_sent_than_is_seen() {
        let spike = |step| if step == 54_321 { 99.0 } else { 3.0 + (step as f64 * 0.7).sin() };
        for log in [false, true] {
            let drawn = draw(&curve(spike, 100_000), &Drawing { log, ..PLAIN });
            assert!(drawn.step.len() <= 2 * PLAIN.columns + 2, "{}", drawn.step.len());
            assert!(drawn.step.contains(&54_321));
            assert_eq!((drawn.step[0], drawn.step.last()), (1, Some(&100_000)));
            assert!(drawn.step.is_sorted());
            assert_eq!(drawn.recorded, 100_000);
        }
    }

    #[test]
    fn values_are_sent_with_six_digits() {
        let sent = [2.345_678_901_2, -1_234.567_89, 9.999_999_9e-5, 123_456_789.0, 0.0].map(rounded);
        assert_eq!(sent, [2.345_68, -1_234.57, 0.0001, 123_457_000.0, 0.0]);
        assert!(rounded(f64::NAN).is_nan() && rounded(f64::INFINITY).is_infinite());
    }

    #[test]
    fn a_part_is_drawn_in_more_detail() {
        let drawn = draw(&curve(|step| step as f64, 100_000), &Drawing { from: 500.0, to: 620.0, ..PLAIN });
        assert_eq!(drawn.step, (500..=620).collect::<Vec<_>>());
    }

    #[test]
    fn the_average_sees_every_point_and_starts_at_the_first() {
        let drawing = Drawing { smooth: Some(0.9), ..PLAIN };
        let drawn = draw(&curve(|_| 2.0, 1000), &drawing);
        assert!(drawn.smooth.iter().all(|value| (value.0 - 2.0).abs() < 1e-12));
        let drawn = draw(&curve(|step| if step % 2 == 0 { 1.0 } else { 3.0 }, 10_000), &drawing);
        assert!((drawn.smooth.last().unwrap().0 - 2.0).abs() < 0.1);
        assert_eq!(drawn.smooth[0].0, 3.0);
    }

    #[test]
    fn a_stretch_of_nan_stays_a_gap() {
        let drawn = draw(&curve(|step| if step > 5000 { f64::NAN } else { 1.0 }, 10_000), &PLAIN);
        assert!(drawn.value.last().unwrap().0.is_nan());
        assert!(draw(&RecordedCurve::default(), &PLAIN).step.is_empty());
    }
}
