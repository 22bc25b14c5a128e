//! The tied head: logits, loss, and the gradient of the loss, never with more than a chunk of logits
//! in memory.

use super::Precision;
use crate::{Error, Result};
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData, backend::Backend};

/// Most logits held at once: 64 MiB in `f32`.
const CHUNK_ELEMENTS: usize = 1 << 24;

/// Rows of hidden states whose logits fit into a chunk.
fn chunk_rows(vocabulary: usize) -> usize {
    (CHUNK_ELEMENTS / vocabulary).max(16)
}

/// The ranges of rows to work through.
fn chunks(rows: usize, vocabulary: usize) -> impl Iterator<Item = (usize, usize)> {
    let step = chunk_rows(vocabulary);
    (0..rows).step_by(step).map(move |start| (start, step.min(rows - start)))
}

/// Logits `[rows, vocabulary]` of hidden states `[rows, width]`.
#[must_use]
pub fn logits<B: Backend>(
    hidden: Tensor<B, 2>,
    embedding: &Tensor<B, 2>,
    precision: Precision,
) -> Tensor<B, 2> {
    precision.matmul(hidden, embedding.clone().transpose())
}

/// The mean cross-entropy and its gradients.
pub struct LossGradients<B: Backend> {
    /// Mean over all rows, nats per token.
    pub loss: f64,
    /// Gradient of the hidden states, `[rows, width]`.
    pub hidden: Tensor<B, 2>,
    /// Gradient of the head, `[vocabulary, width]`.
    pub embedding: Tensor<B, 2>,
}

/// Cross-entropy of `targets` `[rows]` given `hidden` `[rows, width]`, with gradients, in chunks.
///
/// # Errors
/// When the device fails.
pub fn loss_gradients<B: Backend>(
    hidden: Tensor<B, 2>,
    embedding: &Tensor<B, 2>,
    targets: &[i32],
    precision: Precision,
) -> Result<LossGradients<B>> {
    let ([rows, _], device) = (hidden.dims(), hidden.device());
    let [vocabulary, _] = embedding.dims();
    let scale = 1.0 / rows as f64;
    let mut loss = Vec::new();
    let mut hidden_gradients = Vec::new();
    let mut embedding_gradient: Option<Tensor<B, 2>> = None;
    for (start, length) in chunks(rows, vocabulary) {
        let chunk = hidden.clone().narrow(0, start, length);
        let target = column::<B>(&targets[start..start + length], &device);
        let Exponentials { losses, values, sums } =
            Exponentials::of(logits(chunk.clone(), embedding, precision), target.clone());
        loss.push(losses);
        // The gradient of the logits is `softmax - one_hot`. Neither is formed: the sums divide the small
        // sides of both products, and the one-hot part is a selection and an addition of rows.
        let rows = target.reshape([length]);
        let towards = embedding.clone().select(0, rows.clone());
        hidden_gradients
            .push((precision.matmul(values.clone(), embedding.clone()) / sums.clone() - towards) * scale);
        let mut gradient = precision.matmul(values.transpose(), chunk.clone() / sums * scale);
        if let Some(sum) = embedding_gradient.take() {
            gradient = gradient + sum;
        }
        let towards = chunk * -scale;
        embedding_gradient = Some(gradient.select_assign(0, rows, towards, IndexingUpdateOp::Add));
    }
    let embedding = embedding_gradient.ok_or_else(|| Error::failed("a batch without targets"))?;
    Ok(LossGradients { loss: total(loss)? * scale, hidden: Tensor::cat(hidden_gradients, 0), embedding })
}

/// Sum of the cross-entropies and number of right predictions (first of the largest logits).
///
/// # Errors
/// When the device fails.
pub fn loss_and_hits<B: Backend>(
    hidden: Tensor<B, 2>,
    embedding: &Tensor<B, 2>,
    targets: &[i32],
) -> Result<(f64, u64)> {
    let ([rows, _], device) = (hidden.dims(), hidden.device());
    let [vocabulary, _] = embedding.dims();
    let (mut loss, mut hits) = (Vec::new(), 0);
    for (start, length) in chunks(rows, vocabulary) {
        let expected = &targets[start..start + length];
        let logits = logits(hidden.clone().narrow(0, start, length), embedding, Precision::F32);
        let best = host_ints(logits.clone().argmax(1))?;
        hits += best.iter().zip(expected).filter(|(a, b)| a == b).count() as u64;
        loss.push(Exponentials::of(logits, column::<B>(expected, &device)).losses);
    }
    Ok((total(loss)?, hits))
}

/// What the cross-entropy and its gradient need of a chunk of logits.
struct Exponentials<B: Backend> {
    /// Cross-entropy of each row with its target, `[rows, 1]`.
    losses: Tensor<B, 2>,
    /// `exp(logit - largest of the row)`, `[rows, vocabulary]`.
    values: Tensor<B, 2>,
    /// Sums of `values` over the vocabulary, `[rows, 1]`.
    sums: Tensor<B, 2>,
}

impl<B: Backend> Exponentials<B> {
    fn of(logits: Tensor<B, 2>, target: Tensor<B, 2, Int>) -> Self {
        let largest = logits.clone().max_dim(1);
        let right = logits.clone().gather(1, target) - largest.clone();
        let values = (logits - largest).exp();
        let sums = values.clone().sum_dim(1);
        Self { losses: sums.clone().log() - right, values, sums }
    }
}

fn column<B: Backend>(values: &[i32], device: &B::Device) -> Tensor<B, 2, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1]), device)
}

/// The sum of all entries, in `f64` and in order.
fn total<B: Backend>(parts: Vec<Tensor<B, 2>>) -> Result<f64> {
    Ok(host_floats(Tensor::cat(parts, 0))?.iter().map(|&x| f64::from(x)).sum())
}

/// The entries of a tensor, row by row, on the host.
///
/// # Errors
/// When the device fails.
pub fn host_floats<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Result<Vec<f32>> {
    let data =
        tensor.try_into_data().map_err(|e| Error::failed(format!("reading from the device: {e:?}")))?;
    data.into_vec().map_err(|e| Error::failed(format!("reading from the device: {e:?}")))
}

/// The entries of an integer tensor, row by row, on the host.
///
/// # Errors
/// When the device fails.
pub fn host_ints<B: Backend, const D: usize>(tensor: Tensor<B, D, Int>) -> Result<Vec<i32>> {
    let data =
        tensor.try_into_data().map_err(|e| Error::failed(format!("reading from the device: {e:?}")))?;
    data.convert::<i32>().into_vec().map_err(|e| Error::failed(format!("reading from the device: {e:?}")))
}
