//! The hash that ties variances and decisions to the means they were made with.

use super::Means;
use sha2::{Digest as _, Sha256};

/// SHA-256 (hex) of the class means `[classes, width]` as little-endian f64, row by row; unseen classes
/// count as zeros. The published tool computes the same.
#[must_use]
pub fn means_hash(means: &Means) -> String {
    let mut hash = Sha256::new();
    let mut row = Vec::with_capacity(means.dim * size_of::<f64>());
    for class in 0..means.counts.len() {
        row.clear();
        means.mean(class).for_each(|x| row.extend_from_slice(&x.to_le_bytes()));
        hash.update(&row);
    }
    hex::encode(hash.finalize())
}
