//! A batch of sequences of equal length.

use burn::tensor::{Tensor, backend::Backend};

/// A batch of sequences of equal length, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, `[sequences * length]`.
    pub ids: Vec<i32>,
    /// Tokens per sequence.
    pub length: usize,
}

impl Batch {
    /// A batch of some sequences.
    #[must_use]
    pub fn new<'a>(sequences: impl IntoIterator<Item = &'a [u32]>, length: usize) -> Self {
        let ids = sequences.into_iter().flatten().map(|&id| id as i32).collect();
        Self { ids, length }
    }

    /// Number of sequences.
    #[must_use]
    pub const fn sequences(&self) -> usize {
        self.ids.len() / self.length
    }

    /// The next token of every position but each sequence's last: `[sequences * (length - 1)]`.
    #[must_use]
    pub fn targets(&self) -> Vec<i32> {
        self.ids.chunks(self.length).flat_map(|row| &row[1..]).copied().collect()
    }

    /// Drops the last position of each sequence, which has no target: `[sequences * length, width]` to
    /// `[sequences * (length - 1), width]`.
    #[must_use]
    pub fn with_targets<B: Backend>(&self, hidden: Tensor<B, 2>) -> Tensor<B, 2> {
        let ([_, width], batch, length) = (hidden.dims(), self.sequences(), self.length);
        let kept = hidden.reshape([batch, length, width]).narrow(1, 0, length - 1);
        kept.reshape([batch * (length - 1), width])
    }

    /// The reverse for gradients: zeros for the last position of each sequence.
    #[must_use]
    pub fn without_targets<B: Backend>(&self, gradient: Tensor<B, 2>) -> Tensor<B, 2> {
        let ([_, width], batch, length) = (gradient.dims(), self.sequences(), self.length);
        let zeros = Tensor::zeros([batch, 1, width], &gradient.device());
        let all = Tensor::cat(vec![gradient.reshape([batch, length - 1, width]), zeros], 1);
        all.reshape([batch * length, width])
    }
}
