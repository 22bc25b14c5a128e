//! What a statistics file says about itself, without its totals.

use super::file;
use crate::{Result, tensors::Mapped};
use std::{collections::BTreeMap, path::Path};

/// A statistics file in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Hash of the class means that the statistics belong to.
    pub hash: String,
    /// Sequences that were read.
    pub n_seqs: u64,
    /// Classes with at least one sample.
    pub classes_seen: usize,
    /// What the statistics were made from.
    pub made_from: BTreeMap<String, String>,
    /// Width of the embeddings (means only).
    pub width: Option<usize>,
}

impl Summary {
    /// Reads the header and the counts of a statistics file of any kind.
    ///
    /// # Errors
    /// When it can't be read, is damaged, or holds something else; the line names the file.
    pub fn read(path: &Path) -> Result<Self> {
        let opened = Mapped::open(path)?;
        let (counts, meta) = file::counts_and_meta(&opened)?;
        let width = opened.tensor("totals")?.shape().get(1).copied();
        let classes_seen = counts.iter().filter(|&&n| n > 0).count();
        Ok(Self { hash: meta.hash, n_seqs: meta.n_seqs, classes_seen, made_from: meta.made_from, width })
    }
}
