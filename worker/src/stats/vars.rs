//! Within-class variances.

use super::{Meta, file};
use crate::Result;
use std::path::Path;

/// Sums of squared distances to the class mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Vars {
    /// Samples, `[classes]`.
    pub counts: Vec<i32>,
    /// Sums of squared distances, `[classes]`.
    pub totals: Vec<f64>,
    /// Of the file; its hash is that of the means that the distances were taken from.
    pub meta: Meta,
}

impl Vars {
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
        file::write(path, &self.counts, &self.totals, &[self.counts.len()], &self.meta)
    }
}
