//! What a device's library has taken of its memory.

use burn_cubecl::{CubeBackend, CubeRuntime};
use worker::kernels::{Kernels, backend::Cpu};

pub(super) trait Pool: Kernels {
    /// Bytes that the library holds for what this thread computes: those in use, and those that it keeps for what comes.
    /// Not what the driver takes for itself and for programs.
    fn reserved(device: &Self::Device) -> Option<u64>;
}

impl Pool for Cpu {
    fn reserved(_: &Self::Device) -> Option<u64> {
        None
    }
}

impl<R: CubeRuntime> Pool for CubeBackend<R, f32, i32, u8> {
    fn reserved(device: &Self::Device) -> Option<u64> {
        R::client(device).memory_usage().ok().map(|usage| usage.bytes_reserved)
    }
}
