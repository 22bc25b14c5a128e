//! The tied head: logits of hidden states, and what comes back from a device.

use super::Precision;
use crate::{Error, Result, device::lost, kernels::Kernels};
use burn::tensor::{Int, Tensor, backend::Backend};

/// Logits `[rows, vocabulary]` of hidden states `[rows, width]`.
#[must_use]
pub fn logits<B: Kernels>(hidden: &Tensor<B, 2>, head: &Tensor<B, 2>) -> Tensor<B, 2> {
    B::linear_forward(hidden, head, None, Precision::F32)
}

/// The entries of a tensor, row by row, on the host.
///
/// # Errors
/// When the device fails.
pub fn host_floats<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Result<Vec<f32>> {
    let data =
        tensor.try_into_data().map_err(|e| Error::failed(format!("reading from the device: {e:?}")))?;
    lost::check()?;
    data.into_vec().map_err(|e| Error::failed(format!("reading from the device: {e:?}")))
}

/// The entries of an integer tensor, row by row, on the host.
///
/// # Errors
/// When the device fails.
pub fn host_ints<B: Backend, const D: usize>(tensor: Tensor<B, D, Int>) -> Result<Vec<i32>> {
    let data =
        tensor.try_into_data().map_err(|e| Error::failed(format!("reading from the device: {e:?}")))?;
    lost::check()?;
    data.convert::<i32>().into_vec().map_err(|e| Error::failed(format!("reading from the device: {e:?}")))
}
