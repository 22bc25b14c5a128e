//! Safetensors files, mapped: only the tensors that are looked at are read from the disk.

use crate::{Error, Result, files};
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{
    SafeTensors,
    tensor::{Dtype, TensorView},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The beginning of a safetensors file with this header: its length and itself, filled up so that what follows is
/// aligned.
#[must_use]
pub fn beginning(header: String) -> Vec<u8> {
    let mut header = header.into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes(), &header[..]].concat()
}

/// An open safetensors file.
pub struct Mapped {
    path: PathBuf,
    bytes: Mmap,
}

impl Mapped {
    /// Maps a file.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), bytes: files::map(path)? })
    }

    /// The tensors.
    ///
    /// # Errors
    /// When the file is cut short or is no safetensors file.
    pub fn tensors(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.bytes).map_err(|error| self.broken(error))
    }

    /// The string metadata.
    ///
    /// # Errors
    /// When the file is cut short or is no safetensors file.
    pub fn metadata(&self) -> Result<BTreeMap<String, String>> {
        let (_, header) = SafeTensors::read_metadata(&self.bytes).map_err(|error| self.broken(error))?;
        Ok(header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// The file up to the end of its header, and the tensors' bytes that follow.
    ///
    /// # Errors
    /// When the file is cut short or is no safetensors file.
    pub(crate) fn header_and_data(&self) -> Result<(&[u8], &[u8])> {
        let (length, _) = SafeTensors::read_metadata(&self.bytes).map_err(|error| self.broken(error))?;
        Ok(self.bytes.split_at(size_of::<u64>() + length))
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn tensor(&self, name: &str) -> Result<TensorView<'_>> {
        let tensors = self.tensors()?;
        tensors.tensor(name).map_err(|_| {
            let mut names = tensors.names();
            names.sort_unstable();
            self.refuse(format!("no tensor `{name}` (it has: {})", names.join(", ")))
        })
    }

    /// An error about this file's content, in one line.
    pub(crate) fn refuse(&self, what: impl std::fmt::Display) -> Error {
        Error::input(format!("{}: {what}", self.path.display()))
    }

    fn broken(&self, error: impl std::fmt::Display) -> Error {
        self.refuse(format!("damaged or not a safetensors file ({error}); delete it and make it again"))
    }
}

/// The values of a floating-point tensor as `f32`.
///
/// # Errors
/// When the tensor holds something else.
pub fn floats(name: &str, tensor: &TensorView<'_>) -> Result<Vec<f32>> {
    let bytes = tensor.data();
    Ok(match tensor.dtype() {
        Dtype::F32 => each(bytes).map(f32::from_le_bytes).collect(),
        Dtype::F64 => each(bytes).map(|b| f64::from_le_bytes(b) as f32).collect(),
        Dtype::F16 => each(bytes).map(|b| f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => each(bytes).map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
        other => return Err(Error::input(format!("`{name}` is {other}; accepted: F32, F64, F16, BF16"))),
    })
}

/// The values of an integer tensor as `i32`.
///
/// # Errors
/// When the tensor holds something else, or a value that does not fit.
pub fn integers(name: &str, tensor: &TensorView<'_>) -> Result<Vec<i32>> {
    let narrow = |value: i64| {
        i32::try_from(value).map_err(|_| Error::input(format!("`{name}` holds {value}, which is too large")))
    };
    match tensor.dtype() {
        Dtype::I32 => Ok(each(tensor.data()).map(i32::from_le_bytes).collect()),
        Dtype::I64 => each(tensor.data()).map(|b| narrow(i64::from_le_bytes(b))).collect(),
        other => Err(Error::input(format!("`{name}` is {other}; accepted: I32, I64"))),
    }
}

fn each<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}
