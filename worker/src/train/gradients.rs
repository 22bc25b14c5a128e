//! Loss and gradients of one batch.

use crate::{
    Result,
    kernels::{Kernels, LossGradients, Scalar, dropout::Dropout},
    model::{Batch, GptNeo},
};
use burn::tensor::Tensor;

/// The mean loss of a batch over all its targets, and the gradient of every parameter in the order of
/// the model's parameters.
///
/// # Errors
/// When the device fails.
pub fn loss_and_gradients<B: Kernels>(
    model: &GptNeo<B>,
    batch: &Batch,
    dropout: Option<Dropout>,
) -> Result<(Scalar<B>, Vec<Tensor<B, 2>>)> {
    let (hidden, trace) = model.forward_traced(batch, dropout);
    let LossGradients { loss, hidden, head } =
        B::cross_entropy(&batch.with_targets(hidden), model.head(), &batch.targets(), model.precision())?;
    Ok((loss, model.backward(batch, trace, &batch.without_targets(hidden), head)))
}
