//! In which numbers matrix products are computed.

use crate::{Error, Result};
use burn::tensor::{DType, FloatDType, Tensor, backend::Backend};

/// The numbers that matrix products read and write. Weights, softmax, norms, loss and optimizer are
/// `f32` always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16 factors and products. On the CPU this gives the rounding, not the speed.
    Bf16,
}

impl Precision {
    /// Reads `f32` or `bf16`.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(Error::input(format!("dtype {text:?} is not supported; accepted: f32, bf16"))),
        }
    }

    /// Whether a device has these numbers.
    #[must_use]
    pub fn exists_on<B: Backend>(self, device: &B::Device) -> bool {
        self == Self::F32 || B::supports_dtype(device, DType::BF16)
    }

    /// The matrix product of two `f32` tensors, as `f32`.
    pub fn matmul<B: Backend, const D: usize>(self, a: Tensor<B, D>, b: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            Self::F32 => a.matmul(b),
            Self::Bf16 => {
                let product = a.cast(FloatDType::BF16).matmul(b.cast(FloatDType::BF16));
                product.cast(FloatDType::F32)
            }
        }
    }
}
