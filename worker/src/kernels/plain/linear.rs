//! Linear layers.

use crate::kernels::Precision;
use burn::tensor::{FloatDType, Tensor, backend::Backend};

pub(in crate::kernels) fn product<B: Backend, const D: usize>(
    a: Tensor<B, D>,
    b: Tensor<B, D>,
    precision: Precision,
) -> Tensor<B, D> {
    match precision {
        Precision::F32 | Precision::Tf32 => a.matmul(b),
        Precision::Bf16 => {
            let product = a.cast(FloatDType::BF16).matmul(b.cast(FloatDType::BF16));
            product.cast(FloatDType::F32)
        }
    }
}

pub(in crate::kernels) fn forward<B: Backend>(
    x: &Tensor<B, 2>,
    weight: &Tensor<B, 2>,
    bias: Option<&Tensor<B, 2>>,
    precision: Precision,
) -> Tensor<B, 2> {
    let y = product(x.clone(), weight.clone().transpose(), precision);
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
    product(gradient.clone(), weight.clone(), precision)
}

pub(in crate::kernels) fn weight_gradient<B: Backend>(
    gradient: &Tensor<B, 2>,
    x: &Tensor<B, 2>,
    precision: Precision,
) -> Tensor<B, 2> {
    product(gradient.clone().transpose(), x.clone(), precision)
}
