//! Cross-entropy behind the head, in chunks of tokens.

use super::linear::product;
use crate::{
    Error, Result,
    kernels::{LossGradients, Precision, Scalar, host_floats, host_ints},
};
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData, backend::Backend};

/// Most logits held at once: 64 MiB in `f32`.
const CHUNK_ELEMENTS: usize = 1 << 24;

/// The ranges of rows to work through: first and number.
fn chunks(rows: usize, vocabulary: usize) -> impl Iterator<Item = (usize, usize)> {
    let step = (CHUNK_ELEMENTS / vocabulary).max(16);
    (0..rows).step_by(step).map(move |start| (start, step.min(rows - start)))
}

pub(in crate::kernels) fn gradients<B: Backend>(
    hidden: &Tensor<B, 2>,
    head: &Tensor<B, 2>,
    targets: &[i32],
    precision: Precision,
) -> Result<LossGradients<B>> {
    let ([rows, _], device) = (hidden.dims(), hidden.device());
    let [vocabulary, _] = head.dims();
    let scale = 1.0 / rows as f64;
    let mut loss = Vec::new();
    let mut hidden_gradients = Vec::new();
    let mut head_gradient: Option<Tensor<B, 2>> = None;
    for (start, length) in chunks(rows, vocabulary) {
        let chunk = hidden.clone().narrow(0, start, length);
        let target = column::<B>(&targets[start..start + length], &device);
        let Exponentials { losses, values, sums } =
            Exponentials::of(logits(chunk.clone(), head, precision), target.clone());
        loss.push(losses);
        // The gradient of the logits is `softmax - one_hot`. Neither is formed: the sums divide the small
        // sides of both products, and the one-hot part is a selection and an addition of rows.
        let rows = target.reshape([length]);
        let towards = head.clone().select(0, rows.clone());
        hidden_gradients
            .push((product(values.clone(), head.clone(), precision) / sums.clone() - towards) * scale);
        let mut gradient = product(values.transpose(), chunk.clone() / sums * scale, precision);
        if let Some(sum) = head_gradient.take() {
            gradient = gradient + sum;
        }
        let towards = chunk * -scale;
        head_gradient = Some(gradient.select_assign(0, rows, towards, IndexingUpdateOp::Add));
    }
    let head = head_gradient.ok_or_else(|| Error::failed("a batch without targets"))?;
    Ok(LossGradients {
        loss: Scalar::Known(total(loss)? * scale),
        hidden: Tensor::cat(hidden_gradients, 0),
        head,
    })
}

pub(in crate::kernels) fn loss_and_hits<B: Backend>(
    hidden: &Tensor<B, 2>,
    head: &Tensor<B, 2>,
    targets: &[i32],
) -> Result<(f64, u64)> {
    let ([rows, _], device) = (hidden.dims(), hidden.device());
    let [vocabulary, _] = head.dims();
    let (mut loss, mut hits) = (Vec::new(), 0);
    for (start, length) in chunks(rows, vocabulary) {
        let expected = &targets[start..start + length];
        let logits = logits(hidden.clone().narrow(0, start, length), head, Precision::F32);
        let best = host_ints(logits.clone().argmax(1))?;
        hits += best.iter().zip(expected).filter(|(a, b)| a == b).count() as u64;
        loss.push(Exponentials::of(logits, column::<B>(expected, &device)).losses);
    }
    Ok((total(loss)?, hits))
}

fn logits<B: Backend>(hidden: Tensor<B, 2>, head: &Tensor<B, 2>, precision: Precision) -> Tensor<B, 2> {
    product(hidden, head.clone().transpose(), precision)
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
