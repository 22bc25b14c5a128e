//! The tests on what speaks Vulkan.

use crate::model::backend::Vulkan as Gpu;

#[path = "tests.rs"]
mod tests;
