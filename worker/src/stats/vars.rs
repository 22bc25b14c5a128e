//! Within-class variances.

use super::{Meta, file};
use crate::{Result, tensors::Mapped};
use std::path::Path;

/// The optional matrix of a file.
const COVARIANCE: &str = "covariance";

/// Sums of squared distances to the class mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Vars {
    /// Samples, `[classes]`.
    pub counts: Vec<i32>,
    /// Sums of squared distances, `[classes]`.
    pub totals: Vec<f64>,
    /// Sum over the samples of all classes of `(x - M_y)(x - M_y)^T`, `[width, width]`, row by row; not
    /// divided by their number. Missing where it was not collected.
    pub covariance: Option<Vec<f64>>,
    /// Of the file; its hash is that of the means that the distances were taken from.
    pub meta: Meta,
}

impl Vars {
    /// Reads a statistics file.
    ///
    /// # Errors
    /// When it can't be read, is damaged, or holds something else; the line names the file.
    pub fn read(path: &Path) -> Result<Self> {
        let opened = Mapped::open(path)?;
        let file::Content { counts, totals, meta, .. } = file::content(&opened, 1)?;
        let width = file::side(&opened, COVARIANCE)?;
        let covariance = file::more(&opened, COVARIANCE, &[width, width])?;
        Ok(Self { counts, totals, covariance, meta })
    }

    /// Writes a statistics file atomically.
    ///
    /// # Errors
    /// When the file can't be written.
    ///
    /// # Panics
    /// When the lengths of `counts` and `totals` differ, or the covariance is no square.
    pub fn write(&self, path: &Path) -> Result<()> {
        let covariance = self.covariance.as_deref().map(|values| {
            let width = values.len().isqrt();
            file::More { name: COVARIANCE, shape: vec![width, width], values }
        });
        file::write(path, &self.counts, &self.totals, &[self.counts.len()], covariance, &self.meta)
    }
}
