//! The tests on what speaks Vulkan.

use crate::kernels::backend::Vulkan as Gpu;

#[path = "tests.rs"]
mod tests;
