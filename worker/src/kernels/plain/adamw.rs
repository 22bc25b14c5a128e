//! AdamW by PyTorch's formula (Loshchilov & Hutter 2019, arXiv 1711.05101).

use crate::{
    Result,
    kernels::{AdamWStep, Moments, host_floats},
};
use burn::tensor::{Tensor, backend::Backend};

pub(in crate::kernels) fn update<B: Backend>(
    Moments { parameter, first, second, .. }: Moments<B>,
    gradient: Tensor<B, 2>,
    scale: f64,
    step: AdamWStep,
) -> Moments<B> {
    let gradient = gradient * scale;
    let first = first * step.beta_1 + gradient.clone() * (1.0 - step.beta_1);
    let second = second * step.beta_2 + gradient.square() * (1.0 - step.beta_2);
    let denominator = second.clone().sqrt() / step.correction + step.epsilon;
    let change = first.clone() / denominator * step.rate;
    Moments { parameter: parameter * step.keep - change, first, second, factor: None }
}

pub(in crate::kernels) fn sum_of_squares<B: Backend>(x: &Tensor<B, 2>) -> Result<f64> {
    // Row sums first: one short vector comes back from the device.
    let rows = host_floats(x.clone().square().sum_dim(1))?;
    Ok(rows.iter().map(|&x| f64::from(x)).sum())
}
