//! Numbers in `f64` on a device and back: what statistics and measures are added up in.

use crate::{Error, Result, device::lost};
use burn::tensor::{DType, Tensor, TensorData, backend::Backend};

/// Refuses devices without such numbers: a few graphics cards, which speak Vulkan.
pub(crate) fn check<B: Backend>(device: &B::Device) -> Result<()> {
    if B::supports_dtype(device, DType::F64) {
        return Ok(());
    }
    Err(Error::input("this device has no f64, in which statistics are added up; use --device cpu"))
}

/// A matrix on a device, given row by row.
pub(crate) fn matrix<B: Backend>(values: Vec<f64>, shape: [usize; 2], device: &B::Device) -> Tensor<B, 2> {
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F64))
}

/// The entries of such a matrix, row by row; waits for the device.
pub(crate) fn read<B: Backend>(matrix: &Tensor<B, 2>) -> Result<Vec<f64>> {
    let failed = |what: String| Error::failed(format!("reading from the device: {what}"));
    let data = matrix.clone().try_into_data().map_err(|e| failed(format!("{e:?}")))?;
    lost::check()?;
    data.into_vec().map_err(|e| failed(format!("{e:?}")))
}
