//! Reading the golden values: expected numbers made with the published code and with Hugging Face's
//! `transformers`. README.md beside this file defines every one of them.

#![expect(dead_code, reason = "each test program uses some of these")]

use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

/// The backend that these tests run on: the GPU's in a build with one, Vulkan before CUDA.
#[cfg(feature = "vulkan")]
pub type Tested = worker::kernels::backend::Vulkan;
#[cfg(all(feature = "cuda", not(feature = "vulkan")))]
pub type Tested = worker::kernels::backend::Cuda;
#[cfg(not(feature = "gpu"))]
pub type Tested = worker::kernels::backend::Cpu;

/// The name of its device.
pub const DEVICE: &str = if cfg!(feature = "vulkan") {
    "vulkan"
} else if cfg!(feature = "cuda") {
    "cuda"
} else {
    "cpu"
};

/// Its device.
pub fn device() -> <Tested as burn::tensor::backend::BackendTypes>::Device {
    #[cfg(feature = "gpu")]
    worker::kernels::gpu::configure();
    Default::default()
}

/// A file of the golden values.
pub fn path(name: &str) -> PathBuf {
    manifest_folder().join("tests/golden").join(name)
}

/// The package's folder, also where the tests were copied from another machine.
fn manifest_folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// A JSON file of the golden values.
pub fn json(name: &str) -> serde_json::Value {
    let file = path(name);
    let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&bytes).unwrap()
}

/// A safetensors file.
pub struct Tensors(Vec<u8>);

impl Tensors {
    /// One of the golden values.
    pub fn read(name: &str) -> Self {
        Self::at(&path(name))
    }

    /// Any other.
    pub fn at(file: &Path) -> Self {
        Self(std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
    }

    fn parsed(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        self.parsed().names().into_iter().map(ToOwned::to_owned).collect()
    }

    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.parsed().tensor(name).unwrap().shape().to_vec()
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        worker::tensors::floats(name, &self.parsed().tensor(name).unwrap()).unwrap()
    }

    pub fn doubles(&self, name: &str) -> Vec<f64> {
        let tensors = self.parsed();
        let view = tensors.tensor(name).unwrap();
        assert_eq!(view.dtype(), safetensors::Dtype::F64, "{name}");
        view.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
    }

    pub fn integers(&self, name: &str) -> (Vec<i32>, Vec<usize>) {
        let tensors = self.parsed();
        let view = tensors.tensor(name).unwrap();
        (worker::tensors::integers(name, &view).unwrap(), view.shape().to_vec())
    }
}

/// Every entry within `tolerance` (absolute).
pub fn assert_close(values: &[f32], expected: &[f32], tolerance: f64, what: &str) {
    assert_eq!(values.len(), expected.len(), "{what}");
    for (at, (&value, &wanted)) in values.iter().zip(expected).enumerate() {
        let difference = (f64::from(value) - f64::from(wanted)).abs();
        assert!(difference <= tolerance, "{what}: entry {at} is {value} instead of {wanted}");
    }
}
