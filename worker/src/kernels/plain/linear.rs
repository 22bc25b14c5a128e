//! Linear layers.

use crate::model::Precision;
use burn::tensor::{Tensor, backend::Backend};

pub(in crate::kernels) fn forward<B: Backend>(
    x: &Tensor<B, 2>,
    weight: &Tensor<B, 2>,
    bias: Option<&Tensor<B, 2>>,
    precision: Precision,
) -> Tensor<B, 2> {
    let y = precision.matmul(x.clone(), weight.clone().transpose());
    match bias {
        Some(bias) => y + bias.clone(),
        None => y,
    }
}

pub(in crate::kernels) fn input_gradient<B: Backend>(
    gradient: &Tensor<B, 2>,
    weight: &Tensor<B, 2>,
    precision: Precision,
) -> Tensor<B, 2> {
    precision.matmul(gradient.clone(), weight.clone())
}

pub(in crate::kernels) fn weight_gradient<B: Backend>(
    gradient: &Tensor<B, 2>,
    x: &Tensor<B, 2>,
    precision: Precision,
) -> Tensor<B, 2> {
    precision.matmul(gradient.clone().transpose(), x.clone())
}
