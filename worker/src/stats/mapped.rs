//! A safetensors file, mapped: only the tensors that are looked at are read from the disk.

use crate::{Error, Result};
use memmap2::Mmap;
use safetensors::{SafeTensors, tensor::TensorView};
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

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
        let file = File::open(path).map_err(Error::io(path))?;
        #[expect(unsafe_code, reason = "files are replaced by renaming, never changed in place")]
        let bytes = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        Ok(Self { path: path.to_owned(), bytes })
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
        self.refuse(format!("damaged or not a safetensors file ({error}); make it again"))
    }
}
