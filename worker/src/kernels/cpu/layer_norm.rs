//! Layer norm, row by row.

use super::{
    lanes::{dot, sum, vectorised},
    rows::in_order,
};
use rayon::prelude::*;

/// Rows of one task.
const ROWS: usize = 64;

pub(super) fn forward(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f64) -> Vec<f32> {
    let part = ROWS * weight.len();
    let mut y = vec![0.0; x.len()];
    y.par_chunks_mut(part)
        .zip(x.par_chunks(part))
        .for_each(|(y, x)| forward_part(y, x, weight, bias, epsilon));
    y
}

vectorised! {
    fn forward_part<'a>(y: &'a mut [f32], x: &'a [f32], weight: &'a [f32], bias: &'a [f32], epsilon: f64) -> () {
        let width = weight.len();
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let scale = normalise(y, x, epsilon);
            for ((y, &weight), &bias) in y.iter_mut().zip(weight).zip(bias) {
                *y = (*y * scale).mul_add(weight, bias);
            }
        }
    }
}

/// Gradients of input, weight and bias.
pub(super) fn backward(x: &[f32], weight: &[f32], gradient: &[f32], epsilon: f64) -> [Vec<f32>; 3] {
    let width = weight.len();
    let part = ROWS * width;
    let mut input = vec![0.0; x.len()];
    let parts: Vec<[Vec<f32>; 2]> = input
        .par_chunks_mut(part)
        .zip(x.par_chunks(part))
        .zip(gradient.par_chunks(part))
        .map(|((input, x), gradient)| backward_part(input, x, gradient, weight, epsilon))
        .collect();
    let (of_weight, of_bias): (Vec<_>, Vec<_>) = parts.into_iter().map(Into::into).unzip();
    [input, in_order(&of_weight, width), in_order(&of_bias, width)]
}

vectorised! {
    /// The part's share of the gradients of weight and bias.
    fn backward_part<'a>(input: &'a mut [f32], x: &'a [f32], gradient: &'a [f32], weight: &'a [f32], epsilon: f64) -> [Vec<f32>; 2] {
        let width = weight.len();
        let [mut of_weight, mut of_bias, mut normed] = [(); 3].map(|()| vec![0.0; width]);
        let rows = x.chunks_exact(width).zip(gradient.chunks_exact(width));
        for (input, (x, gradient)) in input.chunks_exact_mut(width).zip(rows) {
            let scale = normalise(&mut normed, x, epsilon);
            for x in &mut normed {
                *x *= scale;
            }
            let sums = of_weight.iter_mut().zip(&mut of_bias);
            for (((of_weight, of_bias), &gradient), &normed) in sums.zip(gradient).zip(&normed) {
                *of_weight = gradient.mul_add(normed, *of_weight);
                *of_bias += gradient;
            }
            for ((input, &gradient), &weight) in input.iter_mut().zip(gradient).zip(weight) {
                *input = gradient * weight;
            }
            let mean = sum(input) / width as f32;
            let along = dot(input, &normed) / width as f32;
            for (input, &normed) in input.iter_mut().zip(&normed) {
                *input = scale * (-normed).mul_add(along, *input - mean);
            }
        }
        [of_weight, of_bias]
    }
}

/// Writes `x` less its mean to `y`; gives the reciprocal of the standard deviation.
#[inline(always)]
fn normalise(y: &mut [f32], x: &[f32], epsilon: f64) -> f32 {
    let mean = sum(x) / x.len() as f32;
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x - mean;
    }
    1.0 / (dot(y, y) / x.len() as f32 + epsilon as f32).sqrt()
}
