//! What goes to a device and comes back.

use crate::{Error, Result, device::lost};
use burn::tensor::{Int, Tensor, TensorData, backend::Backend};

/// Most numbers that go to a device at once: 64 KiB. For more, CUDA's driver may wait until the card has done all that it
/// was told before.
const AT_ONCE: usize = 16_384;

/// Whole numbers on a device, which is not waited for: many go there in pieces.
#[must_use]
pub fn device_ints<B: Backend>(values: &[i32], device: &B::Device) -> Tensor<B, 1, Int> {
    let piece = |values: &[i32]| Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device);
    if values.len() <= AT_ONCE {
        return piece(values);
    }
    Tensor::cat(values.chunks(AT_ONCE).map(piece).collect(), 0)
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

#[cfg(test)]
mod tests {
    use super::{AT_ONCE, device_ints, host_ints};
    use crate::kernels::backend::Cpu;
    use burn_flex::FlexDevice;

    #[test]
    fn whole_numbers_arrive_in_their_order_however_many_there_are() {
        for count in [0, 1, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE + 5] {
            let values: Vec<i32> = (0..count as i32).collect();
            assert_eq!(host_ints(device_ints::<Cpu>(&values, &FlexDevice)).unwrap(), values);
        }
    }
}
