//! The sequences of a split, memory-mapped.

use super::Manifest;
use crate::{Error, Result, files};
use memmap2::Mmap;
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

// `get` hands the file out as it is.
const _: () = assert!(cfg!(target_endian = "little"), "token files are little endian");

/// The sequences of one split of prepared data: `[len, block_size]` token ids.
///
/// They are read once when they are opened, for their hash, and again when they are asked for; the system may drop
/// what was read, so any number of sequences fits.
#[derive(Debug)]
pub struct Sequences {
    path: PathBuf,
    map: Mmap,
    len: usize,
    block_size: usize,
}

impl Sequences {
    /// Opens a split (`train` or `validation`) of a folder made by `prepare`, once its file has the length and the
    /// SHA-256 that the manifest says.
    ///
    /// # Errors
    /// When the folder has no such split, or its file is missing or damaged.
    pub fn open(data: &Path, split: &str) -> Result<Self> {
        let manifest = Manifest::read(data)?;
        let Some(output) = manifest.splits.get(split) else {
            let splits = manifest.splits.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(Error::input(format!("{}: no split {split:?}; it has {splits}", data.display())));
        };
        let path = data.join(file_name(split));
        let damaged = |what: String| {
            Err(Error::input(format!("{}: damaged, {what}; prepare the data again", path.display())))
        };
        let bytes = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => return damaged("it is missing".into()),
            Err(source) => return Err(Error::Io { path, source }),
        };
        let (len, block_size) = (output.sequences, u64::from(manifest.inputs.block_size));
        let expected = len.saturating_mul(block_size).saturating_mul(size_of::<u32>() as u64);
        if bytes != expected {
            return damaged(format!(
                "{bytes} bytes, but the manifest says {expected} ({len} sequences of {block_size} tokens)"
            ));
        }
        if files::sha256(&path)? != output.sha256 {
            return damaged("its SHA-256 is not that in the manifest".into());
        }
        let map = files::map(&path)?;
        Ok(Self { path, map, len: len as usize, block_size: block_size as usize })
    }

    /// Number of sequences.
    #[expect(clippy::len_without_is_empty, reason = "a split without sequences is refused when it is made")]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Tokens per sequence.
    #[must_use]
    pub const fn block_size(&self) -> usize {
        self.block_size
    }

    /// The file behind the sequences.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sequence `index`, without a copy.
    ///
    /// # Panics
    /// When `index` is not below [`Self::len`].
    #[must_use]
    pub fn get(&self, index: usize) -> &[u32] {
        assert!(index < self.len, "sequence {index} of {}", self.len);
        let width = self.block_size * size_of::<u32>();
        let bytes = &self.map[index * width..][..width];
        #[expect(
            unsafe_code,
            reason = "every bit pattern is a u32; the parts before and after are checked to be empty"
        )]
        let (before, tokens, after) = unsafe { bytes.align_to::<u32>() };
        assert!(
            before.is_empty() && after.is_empty(),
            "a mapping starts at a page and a sequence is whole words"
        );
        tokens
    }

    /// All sequences in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        (0..self.len).map(|index| self.get(index))
    }
}

/// The token file of a split.
pub(super) fn file_name(split: &str) -> String {
    format!("{split}.bin")
}
