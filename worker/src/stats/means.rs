//! Class means.

use super::{Meta, file, hash};
use crate::{Result, tensors::Mapped};
use std::path::Path;

/// The optional tensor of a file.
const SQUARES: &str = "squares";

/// Sums of the embeddings of each class.
#[derive(Clone, Debug, PartialEq)]
pub struct Means {
    /// Samples, `[classes]`.
    pub counts: Vec<i32>,
    /// Sums of embeddings, `[classes, width]`, row by row.
    pub totals: Vec<f64>,
    /// Width of the embeddings.
    pub dim: usize,
    /// Sums of squared norms of embeddings, `[classes]`, from which [`Means::within`] gives the variances.
    /// Missing in files of other programs.
    pub squares: Option<Vec<f64>>,
    /// Of the file; [`Means::write`] fills in the hash.
    pub meta: Meta,
}

impl Means {
    /// Reads a statistics file.
    ///
    /// # Errors
    /// When it can't be read, is damaged, or holds something else; the line names the file.
    pub fn read(path: &Path) -> Result<Self> {
        let opened = Mapped::open(path)?;
        let file::Content { counts, totals, shape, meta } = file::content(&opened, 2)?;
        let squares = file::more(&opened, SQUARES, &shape[..1])?;
        Ok(Self { counts, totals, dim: shape[1], squares, meta })
    }

    /// Writes a statistics file atomically, with the [hash](super::means_hash) of these means.
    ///
    /// # Errors
    /// When the file can't be written.
    ///
    /// # Panics
    /// When the lengths of `counts` and `totals` do not fit together.
    pub fn write(&self, path: &Path) -> Result<()> {
        let meta = Meta { hash: hash::means_hash(self), ..self.meta.clone() };
        let squares = self.squares.as_deref();
        let squares =
            squares.map(|values| file::More { name: SQUARES, shape: vec![self.counts.len()], values });
        file::write(path, &self.counts, &self.totals, &[self.counts.len(), self.dim], squares, &meta)
    }

    /// The mean of one class: its total divided by the count, zero for a class without samples.
    pub fn mean(&self, class: usize) -> impl Iterator<Item = f64> {
        let divisor = divisor(self.counts[class]);
        self.totals[class * self.dim..(class + 1) * self.dim].iter().map(move |total| total / divisor)
    }

    /// All class means, `[classes, width]`, row by row.
    #[must_use]
    pub fn means(&self) -> Vec<f64> {
        (0..self.counts.len()).flat_map(|class| self.mean(class)).collect()
    }

    /// All class means, `[classes, width]`, in place of the totals, and the counts.
    #[must_use]
    pub fn into_means(mut self) -> (Vec<f64>, Vec<i32>) {
        for (row, &count) in self.totals.chunks_exact_mut(self.dim.max(1)).zip(&self.counts) {
            row.iter_mut().for_each(|total| *total /= divisor(count));
        }
        (self.totals, self.counts)
    }

    /// Sums of squared distances to the class mean, `[classes]`, without reading the data again: the sum of
    /// the squared norms less `|total|^2/count`. None without [`Means::squares`].
    #[must_use]
    pub fn within(&self) -> Option<Vec<f64>> {
        let classes = self.counts.iter().zip(self.totals.chunks_exact(self.dim.max(1)));
        let within = |((&count, total), &square): ((&i32, &[f64]), &f64)| {
            // No samples, or one, which is its own mean.
            if count < 2 {
                return 0.0;
            }
            let within = square - total.iter().map(|x| x * x).sum::<f64>() / f64::from(count);
            // Rounding must not make a variance negative; NaN stays.
            if within < 0.0 { 0.0 } else { within }
        };
        Some(classes.zip(self.squares.as_ref()?).map(within).collect())
    }

    /// Whether all sums are numbers.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.totals.iter().chain(self.squares.iter().flatten()).all(|total| total.is_finite())
    }

    /// Classes with at least one sample.
    #[must_use]
    pub fn classes_seen(&self) -> usize {
        self.counts.iter().filter(|&&n| n > 0).count()
    }

    /// Samples of all classes.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.counts.iter().map(|&n| n.max(0) as u64).sum()
    }
}

/// What totals are divided by: the count as a single-precision number, as published means are (exact
/// up to 2^24), and a tiny number instead of zero.
fn divisor(count: i32) -> f64 {
    f64::from(count as f32 + f64::EPSILON as f32)
}
