//! The Gaussian error linear unit: `x s` with `s = 1 / (1 + e^(-2u))`, which is `(1 + tanh(u)) / 2`.

use super::lanes::{exp, vectorised};
use crate::kernels::plain::gelu::CUBIC;
use rayon::prelude::*;

/// Entries of one task.
const CHUNK: usize = 1 << 14;
/// `2 sqrt(2 / pi)`.
const TWICE_ROOT: f32 = 1.595_769;

pub(super) fn forward(x: &[f32]) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| forward_part(y, x));
    y
}

vectorised! {
    fn forward_part<'a>(y: &'a mut [f32], x: &'a [f32]) -> () {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = x * gate(x);
        }
    }
}

pub(super) fn backward(x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let mut y = gradient.to_vec();
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| backward_part(y, x));
    y
}

vectorised! {
    fn backward_part<'a>(y: &'a mut [f32], x: &'a [f32]) -> () {
        for (y, &x) in y.iter_mut().zip(x) {
            let gate = gate(x);
            let slope = TWICE_ROOT * (3.0 * CUBIC as f32 * x).mul_add(x, 1.0);
            *y *= (x * slope * (1.0 - gate)).mul_add(gate, gate);
        }
    }
}

/// The factor of `x`.
#[inline(always)]
fn gate(x: f32) -> f32 {
    let twice_u = TWICE_ROOT * x * (CUBIC as f32 * x).mul_add(x, 1.0);
    1.0 / (1.0 + exp(-twice_u))
}
