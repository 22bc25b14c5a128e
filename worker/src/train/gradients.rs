//! Loss and gradients of one batch.
//!
//! The head is left out of automatic differentiation: its loss and gradients are computed in chunks of
//! tokens ([`head::loss_gradients`]), and the trunk then goes backward from the gradient of its output.

use crate::{
    Error, Result,
    model::{GptNeo, attention::Masks, dropout::Dropout, head},
};
use burn::{
    backend::Autodiff,
    tensor::{Int, Tensor, TensorData, backend::Backend},
};

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
    pub fn sequences(&self) -> usize {
        self.ids.len() / self.length
    }

    /// The ids on a device, `[sequences, length]`.
    #[must_use]
    pub fn tensor<B: Backend>(&self, device: &B::Device) -> Tensor<B, 2, Int> {
        let shape = [self.sequences(), self.length];
        Tensor::from_data(TensorData::new(self.ids.clone(), shape), device)
    }

    /// The next token of every position but each sequence's last: `[sequences * (length - 1)]`.
    #[must_use]
    pub fn targets(&self) -> Vec<i32> {
        self.ids.chunks(self.length).flat_map(|row| &row[1..]).copied().collect()
    }
}

/// Drops the last position of each sequence, which has no target: `[batch * length, width]` to
/// `[batch * (length - 1), width]`.
pub fn with_targets<B: Backend>(hidden: Tensor<B, 2>, length: usize) -> Tensor<B, 2> {
    let [rows, width] = hidden.dims();
    let batch = rows / length;
    hidden.reshape([batch, length, width]).narrow(1, 0, length - 1).reshape([batch * (length - 1), width])
}

/// The mean loss of a batch over all its targets, and the gradient of every parameter in the order of
/// the model's parameters.
///
/// # Errors
/// When the device fails.
pub fn loss_and_gradients<B: Backend>(
    model: &GptNeo<B>,
    batch: &Batch,
    masks: &Masks<Autodiff<B>>,
    dropout: Option<&mut Dropout>,
) -> Result<(f64, Vec<Tensor<B, 2>>)> {
    let tracked =
        model.clone().map(|parameter| Tensor::<Autodiff<B>, 2>::from_inner(parameter).require_grad());
    let device = model.token_embedding().device();
    let hidden = tracked.forward(batch.tensor(&device), masks, dropout);
    let hidden = with_targets(hidden, batch.length);
    let head = head::loss_gradients(
        hidden.clone().inner(),
        model.token_embedding(),
        &batch.targets(),
        model.precision,
    )?;
    let mut gradients = (hidden * Tensor::from_inner(head.hidden)).sum().backward();
    let mut all = Vec::with_capacity(tracked.parameters().len());
    for parameter in tracked.parameters() {
        let gradient = parameter
            .grad_remove(&mut gradients)
            .ok_or_else(|| Error::failed("a parameter received no gradient"))?;
        all.push(gradient);
    }
    // The tied head and the embedding are one parameter.
    let embedding = all.remove(0);
    all.insert(0, embedding + head.embedding);
    Ok((head.loss, all))
}
