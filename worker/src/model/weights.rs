//! Reading the tensors of safetensors files into plain `f32` values.

use crate::{Error, Result};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::{fs::File, path::Path};

/// Runs `read` on the content of a safetensors file, mapped into memory.
///
/// # Errors
/// When the file can't be read, is cut short or is no safetensors file (the line names it), and
/// whatever `read` fails with.
pub fn with_file<T>(path: &Path, read: impl FnOnce(&SafeTensors<'_>) -> Result<T>) -> Result<T> {
    let file = File::open(path).map_err(Error::io(path))?;
    #[expect(unsafe_code, reason = "files of a checkpoint are never changed in place, only replaced")]
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(Error::io(path))?;
    let tensors = SafeTensors::deserialize(&map).map_err(|error| {
        Error::input(format!(
            "{}: not a whole safetensors file ({error}); write it again or fetch it again",
            path.display()
        ))
    })?;
    read(&tensors)
}

/// The values of a floating-point tensor as `f32`.
///
/// # Errors
/// When the tensor holds something else.
pub fn floats(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>> {
    let bytes = view.data();
    Ok(match view.dtype() {
        Dtype::F32 => chunks(bytes).map(f32::from_le_bytes).collect(),
        Dtype::F64 => chunks(bytes).map(|b| f64::from_le_bytes(b) as f32).collect(),
        Dtype::F16 => chunks(bytes).map(|b| f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => chunks(bytes).map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
        other => {
            return Err(Error::input(format!(
                "tensor {name} holds {other:?}; expected F32, F64, F16 or BF16"
            )));
        }
    })
}

/// The values of an integer tensor as `i32`.
///
/// # Errors
/// When the tensor holds something else, or a value that does not fit.
pub fn integers(name: &str, view: &TensorView<'_>) -> Result<Vec<i32>> {
    let bytes = view.data();
    match view.dtype() {
        Dtype::I32 => Ok(chunks(bytes).map(i32::from_le_bytes).collect()),
        Dtype::I64 => chunks(bytes)
            .map(|b| {
                let value = i64::from_le_bytes(b);
                i32::try_from(value).map_err(|_| Error::input(format!("tensor {name}: {value} is too large")))
            })
            .collect(),
        other => Err(Error::input(format!("tensor {name} holds {other:?}; expected I32 or I64"))),
    }
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}
