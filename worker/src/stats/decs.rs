//! Agreement of the linear and the nearest-mean decision.

use super::{Meta, file};
use crate::Result;
use std::path::Path;

/// Numbers of samples on which both decisions agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decs {
    /// Samples, `[classes]`.
    pub counts: Vec<i32>,
    /// Samples with equal decisions, `[classes]`.
    pub totals: Vec<i32>,
    /// Of the file; its hash is that of the means that decided.
    pub meta: Meta,
}

impl Decs {
    /// Reads a statistics file.
    ///
    /// # Errors
    /// When it can't be read, is damaged, or holds something else; the line names the file.
    pub fn read(path: &Path) -> Result<Self> {
        let file::Content { counts, totals, meta, .. } = file::read(path, 1)?;
        Ok(Self { counts, totals, meta })
    }

    /// Writes a statistics file atomically.
    ///
    /// # Errors
    /// When the file can't be written.
    ///
    /// # Panics
    /// When the lengths of `counts` and `totals` differ.
    pub fn write(&self, path: &Path) -> Result<()> {
        file::write(path, &self.counts, &self.totals, &[self.counts.len()], None, &self.meta)
    }
}
