//! One transformer block: attention and MLP, each behind a layer norm and added to its input.

use super::{GptNeo, attention, attention::Masks, dropout::Dropout, gpt_neo::Part};
use burn::tensor::{Tensor, backend::Backend};

/// Applies block `layer` to `x` `[batch * sequence, width]`.
pub(super) fn forward<B: Backend>(
    model: &GptNeo<B>,
    layer: usize,
    x: Tensor<B, 2>,
    batch: usize,
    masks: &Masks<B>,
    mut dropout: Option<&mut Dropout>,
) -> Tensor<B, 2> {
    let config = &model.config;
    let part = |part| model.part(layer, part);
    // `x W^T` for `x` `[rows, in]` and `W` `[out, in]`.
    let linear = |x: Tensor<B, 2>, weight| model.precision.matmul(x, part(weight).transpose());
    let residual = |y: Tensor<B, 2>, dropout: &mut Option<&mut Dropout>| match dropout {
        Some(dropout) => dropout.apply(y, config.resid_dropout),
        None => y,
    };

    let normed = layer_norm(x.clone(), part(Part::Ln1Weight), part(Part::Ln1Bias), config.layer_norm_epsilon);
    let attended = attention::attend(
        attention::Projected {
            query: linear(normed.clone(), Part::Query),
            key: linear(normed.clone(), Part::Key),
            value: linear(normed, Part::Value),
        },
        attention::Shape { batch, heads: config.num_heads, precision: model.precision },
        masks.of(config.attention_layers[layer]),
        dropout.as_deref_mut().map(|dropout| (dropout, config.attention_dropout)),
    );
    let attended = linear(attended, Part::Out) + part(Part::OutBias);
    let x = x + residual(attended, &mut dropout);

    let normed = layer_norm(x.clone(), part(Part::Ln2Weight), part(Part::Ln2Bias), config.layer_norm_epsilon);
    let inner = gelu_new(linear(normed, Part::Fc) + part(Part::FcBias));
    let y = linear(inner, Part::Proj) + part(Part::ProjBias);
    x + residual(y, &mut dropout)
}

/// Layer norm over the last dimension, with the biased variance.
pub(super) fn layer_norm<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    bias: Tensor<B, 2>,
    epsilon: f64,
) -> Tensor<B, 2> {
    let centred = x.clone() - x.mean_dim(1);
    let deviation = (centred.clone().square().mean_dim(1) + epsilon).sqrt();
    centred / deviation * weight + bias
}

/// The tanh form of the Gaussian error linear unit.
fn gelu_new<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let root = (2.0 / std::f64::consts::PI).sqrt();
    let inner = (x.clone().square() * 0.044_715 + 1.0) * x.clone() * root;
    (inner.tanh() + 1.0) * x * 0.5
}
