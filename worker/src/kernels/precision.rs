//! In which numbers matrix products are computed.

use super::Kernels;
use burn::tensor::DType;

/// The numbers that matrix products read and write. Weights, softmax, norms, loss and optimizer are
/// `f32` always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Single precision of which products read ten bits of the factors' fractions, by a GPU's tensor cores: TF32.
    Tf32,
    /// bfloat16 factors and products. On the CPU this gives the rounding, not the speed.
    Bf16,
}

impl Precision {
    /// Whether a device has these numbers.
    #[must_use]
    pub fn exists_on<B: Kernels>(self, device: &B::Device) -> bool {
        match self {
            Self::F32 => true,
            Self::Tf32 => B::has_tf32(device),
            Self::Bf16 => B::supports_dtype(device, DType::BF16),
        }
    }
}
