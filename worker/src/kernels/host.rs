//! What comes back from a device.

use crate::{Error, Result, device::lost};
use burn::tensor::{Int, Tensor, backend::Backend};

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
