//! Layer norm.

use crate::kernels::LayerNormGradients;
use burn::tensor::{Tensor, backend::Backend};

pub(in crate::kernels) fn forward<B: Backend>(
    x: &Tensor<B, 2>,
    weight: &Tensor<B, 2>,
    bias: &Tensor<B, 2>,
    epsilon: f64,
) -> Tensor<B, 2> {
    let (normed, _) = normalise(x, epsilon);
    normed * weight.clone() + bias.clone()
}

pub(in crate::kernels) fn backward<B: Backend>(
    x: &Tensor<B, 2>,
    weight: &Tensor<B, 2>,
    gradient: &Tensor<B, 2>,
    onto: Option<Tensor<B, 2>>,
    epsilon: f64,
) -> LayerNormGradients<B> {
    let (normed, deviation) = normalise(x, epsilon);
    let weighted = gradient.clone() * weight.clone();
    let mean = weighted.clone().mean_dim(1);
    let along = (weighted.clone() * normed.clone()).mean_dim(1);
    let input = (weighted - mean - normed.clone() * along) / deviation;
    LayerNormGradients {
        input: match onto {
            Some(onto) => onto + input,
            None => input,
        },
        weight: (gradient.clone() * normed).sum_dim(0),
        bias: gradient.clone().sum_dim(0),
    }
}

/// Rows of mean zero and variance one, and their standard deviations before `[rows, 1]`.
fn normalise<B: Backend>(x: &Tensor<B, 2>, epsilon: f64) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let centred = x.clone() - x.clone().mean_dim(1);
    let deviation = (centred.clone().square().mean_dim(1) + epsilon).sqrt();
    (centred / deviation.clone(), deviation)
}
