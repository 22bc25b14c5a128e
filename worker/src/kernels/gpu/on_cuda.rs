//! The tests on what speaks CUDA.

use crate::kernels::backend::Cuda as Gpu;

#[path = "tests.rs"]
mod tests;

#[path = "pairs_tests.rs"]
mod pairs;
