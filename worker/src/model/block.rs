//! One transformer block: attention and MLP, each behind a layer norm and added to its input.

use super::{
    GptNeo,
    config::AttentionKind,
    dropout::{Dropout, Mask, Place},
    gpt_neo::Part,
};
use crate::kernels::{Attended, Heads, Kernels, LayerNormGradients, Projected};
use burn::tensor::Tensor;

/// What the backward pass of a block needs of its forward pass; the rest is computed again.
pub(super) struct Trace<B: Kernels> {
    /// The block's input.
    input: Tensor<B, 2>,
    projected: Projected<B>,
    attended: Attended<B>,
    /// The input of the MLP's layer norm.
    middle: Tensor<B, 2>,
    /// The MLP's hidden layer before its activation.
    inner: Tensor<B, 2>,
}

/// A block of a model, for sequences of a batch.
#[derive(Clone, Copy)]
pub(super) struct Block<'a, B: Kernels> {
    pub(super) model: &'a GptNeo<B>,
    pub(super) layer: usize,
    /// Sequences.
    pub(super) batch: usize,
    pub(super) dropout: Option<Dropout>,
}

impl<B: Kernels> Block<'_, B> {
    /// Applies the block to `x` `[batch * length, width]`.
    pub(super) fn forward(&self, x: Tensor<B, 2>) -> (Tensor<B, 2>, Trace<B>) {
        let heads = self.heads(&x);
        let normed = self.layer_norm(&x, Part::Ln1Weight, Part::Ln1Bias);
        let projected = Projected {
            query: self.linear(&normed, Part::Query, None),
            key: self.linear(&normed, Part::Key, None),
            value: self.linear(&normed, Part::Value, None),
        };
        let attended = B::attention_forward(&projected, heads, self.attention_mask().as_ref());
        let y = self.linear(&attended.mixed, Part::Out, Some(Part::OutBias));
        let middle = x.clone() + self.residual(y, Place::Attended(self.layer));

        let normed = self.layer_norm(&middle, Part::Ln2Weight, Part::Ln2Bias);
        let inner = self.linear(&normed, Part::Fc, Some(Part::FcBias));
        let y = self.linear(&B::gelu_new(&inner), Part::Proj, Some(Part::ProjBias));
        let output = middle.clone() + self.residual(y, Place::Mlp(self.layer));
        (output, Trace { input: x, projected, attended, middle, inner })
    }

    /// The gradient of the block's input from that of its output, and those of its parameters in the order
    /// of [`Part`].
    pub(super) fn backward(
        &self,
        trace: Trace<B>,
        gradient: Tensor<B, 2>,
    ) -> (Tensor<B, 2>, Vec<Tensor<B, 2>>) {
        let Trace { input, projected, attended, middle, inner } = trace;
        let y = self.residual(gradient.clone(), Place::Mlp(self.layer));
        let proj_bias = B::sum_rows(&y);
        let proj = self.weight_gradient(&y, &B::gelu_new(&inner));
        let y = B::gelu_new_backward(&inner, &self.input_gradient(&y, Part::Proj));
        let fc_bias = B::sum_rows(&y);
        let fc = self.weight_gradient(&y, &self.layer_norm(&middle, Part::Ln2Weight, Part::Ln2Bias));
        let y = self.input_gradient(&y, Part::Fc);
        let ln_2 = self.layer_norm_backward(&middle, Part::Ln2Weight, &y);
        let gradient = gradient + ln_2.input;

        let y = self.residual(gradient.clone(), Place::Attended(self.layer));
        let out_bias = B::sum_rows(&y);
        let out = self.weight_gradient(&y, &attended.mixed);
        let y = self.input_gradient(&y, Part::Out);
        let mask = self.attention_mask();
        let Projected { query, key, value } =
            B::attention_backward(&projected, &attended, &y, self.heads(&y), mask.as_ref());
        let normed = self.layer_norm(&input, Part::Ln1Weight, Part::Ln1Bias);
        let y = self.input_gradient(&query, Part::Query)
            + self.input_gradient(&key, Part::Key)
            + self.input_gradient(&value, Part::Value);
        let ln_1 = self.layer_norm_backward(&input, Part::Ln1Weight, &y);
        let [key, value, query] = [key, value, query].map(|y| self.weight_gradient(&y, &normed));
        let parts = vec![
            ln_1.weight,
            ln_1.bias,
            key,
            value,
            query,
            out,
            out_bias, //
            ln_2.weight,
            ln_2.bias,
            fc,
            fc_bias,
            proj,
            proj_bias,
        ];
        (gradient + ln_1.input, parts)
    }

    fn heads(&self, x: &Tensor<B, 2>) -> Heads {
        let config = &self.model.config;
        let window = match config.attention_layers[self.layer] {
            AttentionKind::Global => x.dims()[0] / self.batch,
            AttentionKind::Local => config.window_size,
        };
        Heads { batch: self.batch, heads: config.num_heads, window, precision: self.model.precision }
    }

    fn part(&self, part: Part) -> &Tensor<B, 2> {
        self.model.part(self.layer, part)
    }

    fn linear(&self, x: &Tensor<B, 2>, weight: Part, bias: Option<Part>) -> Tensor<B, 2> {
        B::linear_forward(x, self.part(weight), bias.map(|bias| self.part(bias)), self.model.precision)
    }

    fn input_gradient(&self, gradient: &Tensor<B, 2>, weight: Part) -> Tensor<B, 2> {
        B::linear_input_gradient(gradient, self.part(weight), self.model.precision)
    }

    fn weight_gradient(&self, gradient: &Tensor<B, 2>, x: &Tensor<B, 2>) -> Tensor<B, 2> {
        B::linear_weight_gradient(gradient, x, self.model.precision)
    }

    fn layer_norm(&self, x: &Tensor<B, 2>, weight: Part, bias: Part) -> Tensor<B, 2> {
        B::layer_norm_forward(x, self.part(weight), self.part(bias), self.model.config.layer_norm_epsilon)
    }

    fn layer_norm_backward(
        &self,
        x: &Tensor<B, 2>,
        weight: Part,
        gradient: &Tensor<B, 2>,
    ) -> LayerNormGradients<B> {
        B::layer_norm_backward(x, self.part(weight), gradient, self.model.config.layer_norm_epsilon)
    }

    fn attention_mask(&self) -> Option<Mask> {
        self.dropout?.mask(Place::Attention(self.layer), self.model.config.attention_dropout)
    }

    /// Drops entries of what is added to the residual stream, or of its gradient.
    fn residual(&self, y: Tensor<B, 2>, place: Place) -> Tensor<B, 2> {
        match self.dropout.and_then(|dropout| dropout.mask(place, self.model.config.resid_dropout)) {
            Some(mask) => mask.apply(y),
            None => y,
        }
    }
}
