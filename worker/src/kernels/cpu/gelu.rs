//! The Gaussian error linear unit: `x s` with `s = 1 / (1 + e^(-2u))`, which is `(1 + tanh(u)) / 2`.

use super::lanes::{exp, vectorised};
use crate::kernels::plain::gelu::CUBIC;
use rayon::prelude::*;

/// Entries of one task, about.
const CHUNK: usize = 1 << 14;
/// `2 sqrt(2 / pi)`.
const TWICE_ROOT: f32 = 1.595_769;

/// Of rows `x`, to each of which `bias` is added.
pub(super) fn forward(x: &[f32], bias: &[f32]) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    let chunk = chunk(bias);
    y.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).for_each(|(y, x)| forward_part(y, x, bias));
    y
}

/// Whole rows.
fn chunk(bias: &[f32]) -> usize {
    (CHUNK / bias.len()).max(1) * bias.len()
}

vectorised! {
    fn forward_part<'a>(y: &'a mut [f32], x: &'a [f32], bias: &'a [f32]) -> () {
        for (y, x) in y.chunks_exact_mut(bias.len()).zip(x.chunks_exact(bias.len())) {
            for ((y, &x), &bias) in y.iter_mut().zip(x).zip(bias) {
                let x = x + bias;
                *y = x * gate(x);
            }
        }
    }
}

pub(super) fn backward(x: &[f32], bias: &[f32], gradient: &[f32]) -> Vec<f32> {
    let mut y = gradient.to_vec();
    let chunk = chunk(bias);
    y.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).for_each(|(y, x)| backward_part(y, x, bias));
    y
}

vectorised! {
    fn backward_part<'a>(y: &'a mut [f32], x: &'a [f32], bias: &'a [f32]) -> () {
        for (y, x) in y.chunks_exact_mut(bias.len()).zip(x.chunks_exact(bias.len())) {
            for ((y, &x), &bias) in y.iter_mut().zip(x).zip(bias) {
                let x = x + bias;
                let gate = gate(x);
                let slope = TWICE_ROOT * (3.0 * CUBIC as f32 * x).mul_add(x, 1.0);
                *y *= (x * slope * (1.0 - gate)).mul_add(gate, gate);
            }
        }
    }
}

/// The factor of `x`.
#[inline(always)]
fn gate(x: f32) -> f32 {
    let twice_u = TWICE_ROOT * x * (CUBIC as f32 * x).mul_add(x, 1.0);
    1.0 / (1.0 + exp(-twice_u))
}
