//! The weights of a checkpoint folder, open: the one place that knows which files they are in.
//!
//! Hugging Face's library keeps them in `model.safetensors` or, older, in `pytorch_model.bin`, each of
//! them in one file or in several with a table of contents. Where a folder has more than one form, the
//! library's order decides, which is that of [`FORMS`].

use super::{INDEX, WEIGHTS};
use crate::{
    Error, Result, files,
    model::gpt_neo::{EMBEDDING, HEAD},
    tensors::{self, Mapped},
    torch,
};
use safetensors::{Dtype, tensor::TensorView};
use sha2::{Digest as _, Sha256};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// File name of the weights as `torch.save` writes them.
pub const TORCH_WEIGHTS: &str = "pytorch_model.bin";
/// File name of their table of contents, when they are in several files.
pub const TORCH_INDEX: &str = "pytorch_model.bin.index.json";

/// The files that say where weights are, with whether they are a table of contents.
const FORMS: [(&str, bool); 4] =
    [(WEIGHTS, false), (INDEX, true), (TORCH_WEIGHTS, false), (TORCH_INDEX, true)];

/// Whether a folder has weights in any form.
#[must_use]
pub fn present(folder: &Path) -> bool {
    form(folder).is_some()
}

/// What identifies the weights of a checkpoint: the SHA-256 of their file, or of the names and SHA-256 of
/// several files.
///
/// # Errors
/// When there are none, or they can't be read.
pub fn hash(folder: &Path) -> Result<String> {
    let names = names(folder)?;
    let hashes = names.iter().map(|name| files::sha256(&folder.join(name))).collect::<Result<Vec<_>>>()?;
    if let [hash] = &hashes[..] {
        return Ok(hash.clone());
    }
    let all: String = names.iter().zip(&hashes).map(|(name, hash)| format!("{hash}  {name}\n")).collect();
    Ok(hex::encode(Sha256::digest(all)))
}

/// The weights of a checkpoint.
pub struct Weights {
    /// What an error about a missing tensor names.
    shown: PathBuf,
    files: Vec<File>,
    tensors: BTreeMap<String, Place>,
}

enum File {
    Safetensors(Mapped),
    Torch(torch::File),
}

/// Where a tensor is.
struct Place {
    /// Index of its file.
    file: usize,
    shape: Vec<usize>,
}

impl Weights {
    /// Opens the weights of a checkpoint folder.
    ///
    /// # Errors
    /// When there are none, or a file is missing, damaged or holds anything but tensors.
    pub fn open(folder: &Path) -> Result<Self> {
        let paths: Vec<PathBuf> = names(folder)?.iter().map(|name| folder.join(name)).collect();
        if let Some(missing) = paths.iter().find(|path| !path.exists()) {
            return Err(Error::input(format!(
                "{}: no such file, but the table of contents beside it names it; copy it here as well",
                missing.display()
            )));
        }
        let shown = if let [path] = &paths[..] { path.clone() } else { folder.to_owned() };
        Self::of(shown, &paths)
    }

    /// Opens one file.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_file(path: &Path) -> Result<Self> {
        Self::of(path.to_owned(), &[path.to_owned()])
    }

    fn of(shown: PathBuf, paths: &[PathBuf]) -> Result<Self> {
        let files = paths.iter().map(|path| File::open(path)).collect::<Result<Vec<_>>>()?;
        let mut tensors = BTreeMap::new();
        for (at, file) in files.iter().enumerate() {
            for (name, shape) in file.shapes()? {
                tensors.insert(name, Place { file: at, shape });
            }
        }
        Ok(Self { shown, files, tensors })
    }

    /// Names and shapes of all tensors, as stored.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, place)| (name.as_str(), &place.shape[..]))
    }

    /// The shape of a tensor, if there is one of this name. A checkpoint of the bare transformer leaves
    /// out the prefix `transformer.`.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.find(name).map(|(_, place)| &place.shape[..])
    }

    /// The values of a floating-point tensor that must have a certain shape.
    ///
    /// # Errors
    /// When it is missing, has another shape, or holds something else.
    pub fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (stored, place) = self.find(name).ok_or_else(|| self.refuse(format!("no tensor {name}")))?;
        if place.shape != shape {
            return Err(self.files[place.file].refuse(format!(
                "tensor {name} has shape {:?}; the configuration asks for {shape:?}",
                place.shape
            )));
        }
        self.files[place.file].floats(stored)
    }

    /// Refuses a head with other values than the embedding that it is said to be tied to: the library
    /// does not tie them then.
    ///
    /// # Errors
    /// When they differ.
    pub fn check_tied(&self) -> Result<()> {
        let (Some((head, there)), Some((embedding, here))) = (self.find(HEAD), self.find(EMBEDDING)) else {
            return Ok(());
        };
        let (head_file, file) = (&self.files[there.file], &self.files[here.file]);
        if there.shape != here.shape || head_file.bytes(head)? != file.bytes(embedding)? {
            return Err(head_file.refuse(format!(
                "{head} and {embedding} differ; only a head that is tied to the embedding is supported"
            )));
        }
        Ok(())
    }

    /// An error about these weights, in one line.
    pub(crate) fn refuse(&self, what: impl std::fmt::Display) -> Error {
        Error::input(format!("{}: {what}", self.shown.display()))
    }

    /// A tensor, under the name it is stored by. Of tied weights, some writers keep the head only.
    fn find(&self, name: &str) -> Option<(&str, &Place)> {
        let base = name.strip_prefix("transformer.").unwrap_or(name);
        let instead = if name == EMBEDDING { HEAD } else { name };
        [name, base, instead]
            .iter()
            .find_map(|name| self.tensors.get_key_value(*name))
            .map(|(name, place)| (name.as_str(), place))
    }
}

impl File {
    fn open(path: &Path) -> Result<Self> {
        if path.extension().is_some_and(|ending| ending == "safetensors") {
            Mapped::open(path).map(Self::Safetensors)
        } else {
            torch::File::open(path).map(Self::Torch)
        }
    }

    fn shapes(&self) -> Result<BTreeMap<String, Vec<usize>>> {
        Ok(match self {
            Self::Safetensors(file) => {
                let tensors = file.tensors()?;
                tensors.iter().map(|(name, tensor)| (name.to_owned(), tensor.shape().to_vec())).collect()
            }
            Self::Torch(file) => {
                // A file may use a name as often as it has bytes: the last one counts.
                let tensors: BTreeMap<_, _> = file
                    .entries()
                    .filter_map(|(name, entry)| match entry {
                        torch::Entry::Tensor(tensor) => Some((name, tensor.shape())),
                        _ => None,
                    })
                    .collect();
                tensors.into_iter().map(|(name, shape)| (name.to_owned(), shape.to_vec())).collect()
            }
        })
    }

    /// Type and bytes of a tensor.
    fn bytes(&self, name: &str) -> Result<(Dtype, Cow<'_, [u8]>)> {
        match self {
            Self::Safetensors(file) => {
                let tensor = file.tensor(name)?;
                Ok((tensor.dtype(), Cow::Borrowed(tensor.data())))
            }
            Self::Torch(file) => match file.get(name) {
                Some(torch::Entry::Tensor(tensor)) => Ok((tensor.dtype(), file.bytes(name, tensor)?)),
                _ => Err(self.refuse(format!("no tensor {name}"))),
            },
        }
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>> {
        let (dtype, bytes) = self.bytes(name)?;
        let count = bytes.len() * 8 / dtype.bitsize().max(1);
        let view = TensorView::new(dtype, vec![count], &bytes).map_err(|error| self.refuse(error))?;
        tensors::floats(name, &view).map_err(|error| self.refuse(error))
    }

    fn refuse(&self, what: impl std::fmt::Display) -> Error {
        match self {
            Self::Safetensors(file) => file.refuse(what),
            Self::Torch(file) => file.refuse(what),
        }
    }
}

fn form(folder: &Path) -> Option<(PathBuf, bool)> {
    FORMS.iter().map(|&(name, index)| (folder.join(name), index)).find(|(path, _)| path.exists())
}

/// The names of the files that hold the weights, sorted.
fn names(folder: &Path) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    match form(folder) {
        Some((index, true)) => {
            let files: BTreeSet<String> =
                files::read_json::<Index>(&index)?.weight_map.into_values().collect();
            Ok(files.into_iter().collect())
        }
        Some((file, false)) => {
            Ok(file.file_name().map(|name| name.to_string_lossy().into_owned()).into_iter().collect())
        }
        None => {
            Err(Error::input(format!("{}: neither {WEIGHTS} nor {TORCH_WEIGHTS} in it", folder.display())))
        }
    }
}
