//! Causal attention, global or within a window, without scaling of the scores.

use super::{GptNeoConfig, Precision, config::AttentionKind, dropout::Dropout};
use burn::tensor::{Bool, Tensor, TensorData, activation::softmax, backend::Backend};

/// Which positions may not see which, per kind of attention: `[1, 1, sequence, sequence]`, true where
/// a query (row) must not see a key (column).
#[derive(Clone, Debug)]
pub struct Masks<B: Backend> {
    global: Tensor<B, 4, Bool>,
    local: Tensor<B, 4, Bool>,
}

impl<B: Backend> Masks<B> {
    /// The masks for sequences of `length` tokens.
    #[must_use]
    pub fn new(config: &GptNeoConfig, length: usize, device: &B::Device) -> Self {
        let mask = |window: usize| {
            let hidden: Vec<bool> = (0..length)
                .flat_map(|query| (0..length).map(move |key| key > query || key + window <= query))
                .collect();
            Tensor::from_data(TensorData::new(hidden, [1, 1, length, length]), device)
        };
        Self { global: mask(length), local: mask(config.window_size) }
    }

    /// The mask of a kind of attention.
    pub(super) fn of(&self, kind: AttentionKind) -> Tensor<B, 4, Bool> {
        match kind {
            AttentionKind::Global => self.global.clone(),
            AttentionKind::Local => self.local.clone(),
        }
    }
}

/// Queries, keys and values, each `[batch * sequence, width]`.
pub(super) struct Projected<B: Backend> {
    pub(super) query: Tensor<B, 2>,
    pub(super) key: Tensor<B, 2>,
    pub(super) value: Tensor<B, 2>,
}

/// How rows are split into sequences and heads, and how they are multiplied.
pub(super) struct Shape {
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) precision: Precision,
}

/// Mixes the values by the softmax of the queries' products with the keys; `[batch * sequence, width]`.
pub(super) fn attend<B: Backend>(
    projected: Projected<B>,
    Shape { batch, heads, precision }: Shape,
    mask: Tensor<B, 4, Bool>,
    dropout: Option<(&mut Dropout, f64)>,
) -> Tensor<B, 2> {
    let [rows, width] = projected.query.dims();
    let length = rows / batch;
    let split = |x: Tensor<B, 2>| x.reshape([batch, length, heads, width / heads]).swap_dims(1, 2);
    let scores = precision.matmul(split(projected.query), split(projected.key).transpose());
    let hidden = mask.expand([batch, heads, length, length]);
    let weights = softmax(scores.mask_fill(hidden, f32::MIN), 3);
    let weights = match dropout {
        Some((dropout, rate)) => dropout.apply(weights, rate),
        None => weights,
    };
    precision.matmul(weights, split(projected.value)).swap_dims(1, 2).reshape([rows, width])
}
