//! What a GPT-Neo step computes, one operation at a time, each with its backward pass.
//!
//! [`Kernels`] extends a burn backend. Its methods are written in burn's tensor operations
//! ([`plain`]), which run on every device; a backend overrides what it can do better. [`cpu`] does so for
//! the processor: loops over memory that is in the cache, no temporaries of the size of the logits or of
//! the attention scores; `gpu`, in builds with one, for CUDA and Vulkan. All are tested against each other and against
//! golden values.
//!
//! What they are told and give is here as well: [`backend`], which burn backend a device means; [`Precision`], in which
//! numbers matrix products are computed; [`dropout`], masks from the run's seed; [`Scalar`] and [`host_floats`], what
//! comes back from a device; [`device_ints`], how indices get there.
//!
//! Backward passes are written out, not recorded: the model ([`crate::model`]) calls them in reverse order
//! and decides what is kept and what is computed again.
//!
//! Matrices are row-major `[rows, columns]`; weights have the orientation of the checkpoint, `[out, in]`.

pub mod backend;
pub mod cpu;
pub(crate) mod doubles;
pub mod dropout;
#[cfg(feature = "gpu")]
pub mod gpu;
mod host;
pub mod plain;
mod precision;
mod scalar;
#[cfg(test)]
mod tests;

use crate::Result;
use burn::tensor::{Tensor, backend::Backend};
use dropout::Mask;
pub use host::{device_ints, host_floats, host_ints};
pub use precision::Precision;
pub use scalar::Scalar;

/// How the rows of queries, keys and values are split, and what they see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Sequences.
    pub batch: usize,
    /// Heads; each takes `width / heads` neighbouring columns.
    pub heads: usize,
    /// How many positions a position sees, itself included: `window` for a local layer, the length of the
    /// sequence for a global one. Never a later one.
    pub window: usize,
    /// In which numbers scores and mixtures are computed.
    pub precision: Precision,
}

/// The outcome of attention.
#[derive(Clone, Debug)]
pub struct Attended<B: Backend> {
    /// The mixture of values, `[batch * length, width]`.
    pub mixed: Tensor<B, 2>,
    /// Logarithm of the sum of the exponentials of the scores, `[batch * heads, length]`.
    pub log_sums: Tensor<B, 2>,
}

/// Gradients of a layer norm.
#[derive(Clone, Debug)]
pub struct LayerNormGradients<B: Backend> {
    /// Of the input, `[rows, width]`, with what it was added to.
    pub input: Tensor<B, 2>,
    /// Of the weight, `[1, width]`.
    pub weight: Tensor<B, 2>,
    /// Of the bias, `[1, width]`.
    pub bias: Tensor<B, 2>,
}

/// A gradient of a linear layer's result.
#[derive(Clone, Debug)]
pub struct OfLinear<B: Backend> {
    /// The gradient as a [factor](Kernels::factor), `[rows, columns]`.
    pub factor: Tensor<B, 2>,
    /// The gradient of the layer's bias: the sum of all rows before they were rounded, `[1, columns]`.
    pub bias: Tensor<B, 2>,
}

/// The mean cross-entropy and its gradients.
#[derive(Clone, Debug)]
pub struct LossGradients<B: Backend> {
    /// Mean over all rows, nats per token.
    pub loss: Scalar<B>,
    /// Gradient of the hidden states, `[rows, width]`.
    pub hidden: Tensor<B, 2>,
    /// Gradient of the head, `[vocabulary, width]`.
    pub head: Tensor<B, 2>,
}

/// The numbers of one AdamW update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Decay rate of the running mean of the gradients.
    pub beta_1: f64,
    /// Decay rate of the running mean of their squares.
    pub beta_2: f64,
    /// Added to the denominator.
    pub epsilon: f64,
    /// What the parameter is multiplied with: `1 - learning rate * weight decay`.
    pub keep: f64,
    /// Learning rate by the bias correction of the first moment.
    pub rate: f64,
    /// Square root of the bias correction of the second moment.
    pub correction: f64,
}

/// How gradients are clipped.
#[derive(Clone, Debug)]
pub struct Clipping<B: Backend> {
    /// The Euclidean norm of all gradients together.
    pub norm: Scalar<B>,
    /// What they are multiplied with so that it is at most what was asked for: Hugging Face's
    /// `most / (norm + 1e-6)`, at most 1. Negative on a device where the norm is not a number: then
    /// [`Kernels::adamw`] changes nothing.
    pub scale: Scalar<B>,
}

/// Sums over the embeddings of each class, in `f64`.
#[derive(Clone, Debug)]
pub struct ClassSums<B: Backend> {
    /// Of the embeddings, `[classes, width]`.
    pub totals: Tensor<B, 2>,
    /// Of their squared norms, `[classes, 1]`.
    pub squares: Tensor<B, 2>,
}

/// A parameter and its moments.
#[derive(Clone, Debug)]
pub struct Moments<B: Backend> {
    /// The parameter.
    pub parameter: Tensor<B, 2>,
    /// Running mean of its gradients.
    pub first: Tensor<B, 2>,
    /// Running mean of their squares.
    pub second: Tensor<B, 2>,
    /// The parameter as a [factor](Kernels::factor), where that is not the parameter itself.
    pub factor: Option<Tensor<B, 2>>,
}

impl<B: Backend> Clipping<B> {
    /// Clipping of gradients whose squares have this sum.
    fn of_squares(squares: f64, most: f64) -> Self {
        let norm = squares.sqrt();
        Self { norm: Scalar::Known(norm), scale: Scalar::Known((most / (norm + 1e-6)).min(1.0)) }
    }
}

/// The operations of a model and its training on a backend.
///
/// Errors are those of the device. Results of an operation do not depend on the number of threads.
pub trait Kernels: Backend {
    /// Whether a device has tensor cores that take [`Precision::Tf32`].
    fn has_tf32(_device: &Self::Device) -> bool {
        false
    }

    /// The product of two matrices, or of as many pairs as the first dimensions tell: `f32` in and out.
    fn product<const D: usize>(
        a: Tensor<Self, D>,
        b: Tensor<Self, D>,
        precision: Precision,
    ) -> Tensor<Self, D> {
        plain::linear::product(a, b, precision)
    }

    /// What becomes a factor of several products in `precision`, rounded once for all of them. Products take it as they take
    /// what is not rounded; other operations of this trait take it, too.
    fn factor(x: Tensor<Self, 2>, _precision: Precision) -> Tensor<Self, 2> {
        x
    }

    /// `x W^T + b` for `x` `[rows, in]`, `W` `[out, in]` and `b` `[1, out]`.
    fn linear_forward(
        x: &Tensor<Self, 2>,
        weight: &Tensor<Self, 2>,
        bias: Option<&Tensor<Self, 2>>,
        precision: Precision,
    ) -> Tensor<Self, 2> {
        plain::linear::forward(x, weight, bias, precision)
    }

    /// `x W^T` as a [factor](Self::factor).
    fn linear_as_factor(
        x: &Tensor<Self, 2>,
        weight: &Tensor<Self, 2>,
        precision: Precision,
    ) -> Tensor<Self, 2> {
        Self::linear_forward(x, weight, None, precision)
    }

    /// `r + x W^T + b` for `r` `[rows, out]`.
    fn linear_onto(
        residual: Tensor<Self, 2>,
        x: &Tensor<Self, 2>,
        weight: &Tensor<Self, 2>,
        bias: &Tensor<Self, 2>,
        precision: Precision,
    ) -> Tensor<Self, 2> {
        residual + Self::linear_forward(x, weight, Some(bias), precision)
    }

    /// `g W` for the gradient `g` `[rows, out]` of [`Self::linear_forward`]'s result: the gradient of its input.
    fn linear_input_gradient(
        gradient: &Tensor<Self, 2>,
        weight: &Tensor<Self, 2>,
        precision: Precision,
    ) -> Tensor<Self, 2> {
        plain::linear::input_gradient(gradient, weight, precision)
    }

    /// The same as a [factor](Self::factor).
    fn linear_input_gradient_as_factor(
        gradient: &Tensor<Self, 2>,
        weight: &Tensor<Self, 2>,
        precision: Precision,
    ) -> Tensor<Self, 2> {
        Self::linear_input_gradient(gradient, weight, precision)
    }

    /// `g^T x`: the gradient of [`Self::linear_forward`]'s weight.
    fn linear_weight_gradient(
        gradient: &Tensor<Self, 2>,
        x: &Tensor<Self, 2>,
        precision: Precision,
    ) -> Tensor<Self, 2> {
        plain::linear::weight_gradient(gradient, x, precision)
    }

    /// The sum of all rows, `[1, columns]`.
    fn sum_rows(x: &Tensor<Self, 2>) -> Tensor<Self, 2> {
        x.clone().sum_dim(0)
    }

    /// What the backward pass of a linear layer takes of its result's gradient.
    fn of_linear(gradient: Tensor<Self, 2>, precision: Precision) -> OfLinear<Self> {
        let bias = Self::sum_rows(&gradient);
        OfLinear { factor: Self::factor(gradient, precision), bias }
    }

    /// Layer norm of each row of `x` `[rows, width]`, with the biased variance; `weight` and `bias` are
    /// `[1, width]`.
    fn layer_norm_forward(
        x: &Tensor<Self, 2>,
        weight: &Tensor<Self, 2>,
        bias: &Tensor<Self, 2>,
        epsilon: f64,
    ) -> Tensor<Self, 2> {
        plain::layer_norm::forward(x, weight, bias, epsilon)
    }

    /// The same as a [factor](Self::factor).
    fn layer_norm_as_factor(
        x: &Tensor<Self, 2>,
        weight: &Tensor<Self, 2>,
        bias: &Tensor<Self, 2>,
        epsilon: f64,
        _precision: Precision,
    ) -> Tensor<Self, 2> {
        Self::layer_norm_forward(x, weight, bias, epsilon)
    }

    /// Gradients of [`Self::layer_norm_forward`] from that of its result. That of the input is added to `onto`, where there
    /// is one: the gradient that goes past the layer norm.
    fn layer_norm_backward(
        x: &Tensor<Self, 2>,
        weight: &Tensor<Self, 2>,
        gradient: &Tensor<Self, 2>,
        onto: Option<Tensor<Self, 2>>,
        epsilon: f64,
    ) -> LayerNormGradients<Self> {
        plain::layer_norm::backward(x, weight, gradient, onto, epsilon)
    }

    /// The tanh form of the Gaussian error linear unit, of `x` `[rows, columns]` with `bias` `[1, columns]` added to each
    /// row; a [factor](Self::factor) if `x` is one.
    fn gelu_new(x: &Tensor<Self, 2>, bias: &Tensor<Self, 2>) -> Tensor<Self, 2> {
        plain::gelu::forward(&(x.clone() + bias.clone()))
    }

    /// The gradients of input and bias of [`Self::gelu_new`] from that of its result; the input's is a
    /// [factor](Self::factor) if `x` is one.
    fn gelu_new_backward(
        x: &Tensor<Self, 2>,
        bias: &Tensor<Self, 2>,
        gradient: &Tensor<Self, 2>,
    ) -> OfLinear<Self> {
        let factor = plain::gelu::backward(&(x.clone() + bias.clone()), gradient);
        OfLinear { bias: Self::sum_rows(&factor), factor }
    }

    /// Mixes the values by the softmax of the queries' products with the keys (not scaled); `dropout`
    /// drops weights. `projected` has keys, values and queries side by side, `[batch * length, 3 * width]`. The mixture may be
    /// a [factor](Self::factor).
    fn attention_forward(
        projected: &Tensor<Self, 2>,
        heads: Heads,
        dropout: Option<&Mask>,
    ) -> Attended<Self> {
        plain::attention::forward(projected, heads, dropout)
    }

    /// The gradient of what is projected from that of the mixture; it may be a [factor](Self::factor).
    fn attention_backward(
        projected: &Tensor<Self, 2>,
        attended: &Attended<Self>,
        gradient: &Tensor<Self, 2>,
        heads: Heads,
        dropout: Option<&Mask>,
    ) -> Tensor<Self, 2> {
        plain::attention::backward(projected, attended, gradient, heads, dropout)
    }

    /// Cross-entropy of `targets` `[rows]` given `hidden` `[rows, width]` and the head `[vocabulary,
    /// width]`, with gradients; never with more than a chunk of logits in memory.
    ///
    /// # Errors
    /// When the device fails.
    fn cross_entropy(
        hidden: &Tensor<Self, 2>,
        head: &Tensor<Self, 2>,
        targets: &[i32],
        precision: Precision,
    ) -> Result<LossGradients<Self>> {
        plain::cross_entropy::gradients(hidden, head, targets, precision)
    }

    /// Sum of the cross-entropies and number of right predictions (first of the largest logits).
    ///
    /// # Errors
    /// When the device fails.
    fn loss_and_hits(
        hidden: &Tensor<Self, 2>,
        head: &Tensor<Self, 2>,
        targets: &[i32],
    ) -> Result<(f64, u64)> {
        plain::cross_entropy::loss_and_hits(hidden, head, targets)
    }

    /// For each row of `x` `[rows, width]` the class `c` of `classes` `[classes, width]` with the largest
    /// `x . c + offset`, the first of equals; `offsets` is `[1, classes]`. Never with more than a block of scores
    /// in memory.
    ///
    /// # Errors
    /// When the device fails.
    fn decide(
        x: &Tensor<Self, 2>,
        classes: &Tensor<Self, 2>,
        offsets: Option<&Tensor<Self, 2>>,
        precision: Precision,
    ) -> Result<Vec<i32>> {
        plain::decide::decide(x, classes, offsets, precision)
    }

    /// Adds row `i` of `values` `[rows, columns]` to row `indices[i]` of `sums`, in order.
    fn add_rows(sums: Tensor<Self, 2>, indices: &[i32], values: Tensor<Self, 2>) -> Tensor<Self, 2> {
        plain::rows::add(sums, indices, values)
    }

    /// Adds each row of `x` `[rows, width]` to the total of its class, and its squared norm, in `f64`. A class takes its
    /// rows in their order: how rows are cut into batches changes nothing.
    fn add_to_classes(sums: ClassSums<Self>, classes: &[i32], x: &Tensor<Self, 2>) -> ClassSums<Self> {
        plain::classes::add(sums, classes, x)
    }

    /// Adds the squared distance of each row of `x` `[rows, width]` to the mean of its class, of `means` `[classes,
    /// width]`, to the class's entry of `totals` `[classes, 1]`. Means, totals and distances are `f64`; order as in
    /// [`Self::add_to_classes`].
    fn add_distances(
        totals: Tensor<Self, 2>,
        means: &Tensor<Self, 2>,
        classes: &[i32],
        x: &Tensor<Self, 2>,
    ) -> Tensor<Self, 2> {
        plain::classes::add_distances(totals, means, classes, x)
    }

    /// Adds `(x - M_y)(x - M_y)^T` of each row `x` with class `y` to `sums` `[width, width]`, `means` being `[classes, width]`;
    /// sums, means and products are `f64`. Rows come in pieces of `piece`, each added for itself: how pieces are gathered into
    /// batches changes nothing.
    fn add_outer_products(
        sums: Tensor<Self, 2>,
        means: &Tensor<Self, 2>,
        classes: &[i32],
        x: &Tensor<Self, 2>,
        piece: usize,
    ) -> Tensor<Self, 2> {
        plain::classes::add_outer_products(sums, means, classes, x, piece)
    }

    /// The norm of all gradients together, and what clips it to `most`.
    ///
    /// # Errors
    /// When the device fails.
    fn clipping(gradients: &[Tensor<Self, 2>], most: f64) -> Result<Clipping<Self>> {
        let squares: Result<Vec<f64>> = gradients.iter().map(plain::adamw::sum_of_squares).collect();
        Ok(Clipping::of_squares(squares?.iter().sum(), most))
    }

    /// One AdamW update by PyTorch's formula of parameters that share its numbers, of gradients that are multiplied with
    /// `scale` first. Where a parameter comes with its factor, that is what the updated one is rounded to.
    ///
    /// # Errors
    /// When the device fails.
    fn adamw(
        all: Vec<(Moments<Self>, Tensor<Self, 2>)>,
        scale: &Scalar<Self>,
        step: AdamWStep,
    ) -> Result<Vec<Moments<Self>>> {
        let scale = scale.read()?;
        let update = |(moments, gradient)| plain::adamw::update(moments, gradient, scale, step);
        Ok(all.into_iter().map(update).collect())
    }
}
