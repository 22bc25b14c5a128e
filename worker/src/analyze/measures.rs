//! Where measures are computed.

use crate::{
    Result,
    device::Device,
    measure::{self, Inputs, Measure, Measured, Options},
};

/// The measures of one model, of the groups that `wanted` accepts. On an NVIDIA GPU the pass over all pairs of classes, the
/// most of the work, is done there; all else, and everything on other devices, by the processor.
///
/// # Errors
/// When the device fails.
///
/// # Panics
/// When the lengths of the inputs do not fit together.
pub fn measures(
    device: Device,
    inputs: &Inputs<'_>,
    options: &Options,
    wanted: impl Fn(&Measure) -> bool,
) -> Result<Measured> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(index) => {
            let device = burn_cuda::CudaDevice::new(index);
            measure::compute_with(inputs, options, wanted, |kept, wanted| {
                crate::kernels::gpu::pairs::pass::<cubecl::cuda::CudaRuntime>(&device, kept, wanted)
            })
        }
        _ => Ok(measure::compute(inputs, options, wanted)),
    }
}
