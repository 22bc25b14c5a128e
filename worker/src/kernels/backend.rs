//! Which burn backend a device means.

/// The CPU backend.
pub type Cpu = burn::backend::Flex;

/// The NVIDIA backend.
#[cfg(feature = "cuda")]
pub type Cuda = burn_cuda::Cuda<f32, i32>;

/// The Vulkan backend.
#[cfg(feature = "vulkan")]
pub type Vulkan = burn_wgpu::Vulkan<f32, i32, u8>;

/// Runs an expression with `$backend` naming the device's backend type and `$place` its device value.
///
/// The code behind it is compiled once per backend; which one runs is decided by the device.
#[macro_export]
macro_rules! on_device {
    ($device:expr, |$backend:ident, $place:ident| $body:expr) => {
        match $device {
            $crate::device::Device::Cpu => {
                type $backend = $crate::kernels::backend::Cpu;
                let $place = burn_flex::FlexDevice;
                $body
            }
            #[cfg(feature = "cuda")]
            $crate::device::Device::Cuda(index) => {
                type $backend = $crate::kernels::backend::Cuda;
                let $place = burn_cuda::CudaDevice::new(index);
                $body
            }
            #[cfg(feature = "vulkan")]
            $crate::device::Device::Vulkan => {
                type $backend = $crate::kernels::backend::Vulkan;
                let $place = burn_wgpu::WgpuDevice::DefaultDevice;
                $body
            }
            #[cfg(not(feature = "vulkan"))]
            $crate::device::Device::Vulkan => Err($crate::Error::input(
                "this lc-worker was built without Vulkan; build it with --features vulkan or use --device cpu",
            )),
            #[cfg(not(feature = "cuda"))]
            $crate::device::Device::Cuda(_) => Err($crate::Error::input(
                "this lc-worker was built without CUDA; build one with `make cuda` or use --device cpu",
            )),
        }
    };
}
