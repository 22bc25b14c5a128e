//! The tied head: logits of hidden states.

use crate::kernels::{Kernels, Precision};
use burn::tensor::Tensor;

/// Logits `[rows, vocabulary]` of hidden states `[rows, width]`.
#[must_use]
pub fn logits<B: Kernels>(hidden: &Tensor<B, 2>, head: &Tensor<B, 2>) -> Tensor<B, 2> {
    B::linear_forward(hidden, head, None, Precision::F32)
}
