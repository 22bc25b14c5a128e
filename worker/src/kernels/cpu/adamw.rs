//! AdamW in one pass over a parameter, its moments and its gradient.

use super::lanes::vectorised;
use crate::kernels::AdamWStep;
use rayon::prelude::*;

/// Entries of one task.
const CHUNK: usize = 1 << 14;

/// Updates parameter, first and second moment.
pub(super) fn update(
    [parameter, first, second]: [&mut [f32]; 3],
    gradient: &[f32],
    scale: f64,
    step: AdamWStep,
) {
    parameter
        .par_chunks_mut(CHUNK)
        .zip(first.par_chunks_mut(CHUNK))
        .zip(second.par_chunks_mut(CHUNK))
        .zip(gradient.par_chunks(CHUNK))
        .for_each(|(((parameter, first), second), gradient)| {
            update_part([parameter, first, second], gradient, scale as f32, step);
        });
}

vectorised! {
    fn update_part<'a>(moments: [&'a mut [f32]; 3], gradient: &'a [f32], scale: f32, step: AdamWStep) -> () {
        let [parameter, first, second] = moments;
        let AdamWStep { beta_1, beta_2, epsilon, keep, rate, correction } = step;
        let [b1, b2, c1, c2] = [beta_1, beta_2, 1.0 - beta_1, 1.0 - beta_2].map(|x| x as f32);
        let [epsilon, keep, rate, correction] = [epsilon, keep, rate, correction].map(|x| x as f32);
        for (((p, m), v), &g) in parameter.iter_mut().zip(first).zip(second).zip(gradient) {
            let g = g * scale;
            *m = *m * b1 + g * c1;
            *v = *v * b2 + g * g * c2;
            *p = *p * keep - *m / (v.sqrt() / correction + epsilon) * rate;
        }
    }
}

pub(super) fn sum_of_squares(x: &[f32]) -> f64 {
    let parts: Vec<f64> = x.par_chunks(CHUNK).map(squares).collect();
    parts.iter().sum()
}

vectorised! {
    fn squares<'a>(x: &'a [f32]) -> f64 {
        let mut lanes = [0f64; 8];
        let (chunks, rest) = x.as_chunks::<8>();
        for chunk in chunks {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(x) * f64::from(x);
            }
        }
        for (lane, &x) in lanes.iter_mut().zip(rest) {
            *lane += f64::from(x) * f64::from(x);
        }
        lanes.iter().sum()
    }
}
