//! The tests on what speaks CUDA.

use crate::model::backend::Cuda as Gpu;

#[path = "tests.rs"]
mod tests;
