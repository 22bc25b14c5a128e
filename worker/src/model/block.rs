//! One transformer block: attention and MLP, each behind a layer norm and added to its input.

use super::{GptNeo, config::AttentionKind, gpt_neo::Part};
use crate::kernels::{
    Attended, Heads, Kernels, LayerNormGradients, OfLinear,
    dropout::{Dropout, Mask, Place},
};
use burn::tensor::Tensor;

/// What the backward pass of a block needs of its forward pass; the rest is computed again.
pub(super) struct Trace<B: Kernels> {
    /// The block's input.
    input: Tensor<B, 2>,
    /// Keys, values and queries.
    projected: Tensor<B, 2>,
    attended: Attended<B>,
    /// The input of the MLP's layer norm.
    middle: Tensor<B, 2>,
    /// The MLP's hidden layer before its bias and activation.
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
        let projected = self.as_factor(&normed, Part::Projections);
        let attended = B::attention_forward(&projected, heads, self.attention_mask().as_ref());
        let place = Place::Attended(self.layer);
        let middle = self.onto(&x, &attended.mixed, Part::Out, Part::OutBias, place);

        let normed = self.layer_norm(&middle, Part::Ln2Weight, Part::Ln2Bias);
        let inner = self.as_factor(&normed, Part::Fc);
        let y = B::gelu_new(&inner, self.part(Part::FcBias));
        let output = self.onto(&middle, &y, Part::Proj, Part::ProjBias, Place::Mlp(self.layer));
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
        let of_inner = self.part(Part::FcBias);
        let y = self.residual(gradient.clone(), Place::Mlp(self.layer));
        let OfLinear { factor: y, bias: proj_bias } = self.of_linear(y);
        let proj = self.weight_gradient(&y, &B::gelu_new(&inner, of_inner));
        let y = self.input_gradient_as_factor(&y, Part::Proj);
        let OfLinear { factor: y, bias: fc_bias } = B::gelu_new_backward(&inner, of_inner, &y);
        let fc = self.weight_gradient(&y, &self.layer_norm(&middle, Part::Ln2Weight, Part::Ln2Bias));
        let y = self.input_gradient(&y, Part::Fc);
        let ln_2 = self.layer_norm_backward(&middle, Part::Ln2Weight, &y, gradient);
        let gradient = ln_2.input;

        let y = self.residual(gradient.clone(), Place::Attended(self.layer));
        let OfLinear { factor: y, bias: out_bias } = self.of_linear(y);
        let out = self.weight_gradient(&y, &attended.mixed);
        let y = self.input_gradient_as_factor(&y, Part::Out);
        let mask = self.attention_mask();
        let y = B::attention_backward(&projected, &attended, &y, self.heads(&y), mask.as_ref());
        let y = self.factor(y);
        let projections = self.weight_gradient(&y, &self.layer_norm(&input, Part::Ln1Weight, Part::Ln1Bias));
        let y = self.input_gradient(&y, Part::Projections);
        let ln_1 = self.layer_norm_backward(&input, Part::Ln1Weight, &y, gradient);
        let parts = vec![
            ln_1.weight,
            ln_1.bias,
            projections,
            out,
            out_bias, //
            ln_2.weight,
            ln_2.bias,
            fc,
            fc_bias,
            proj,
            proj_bias,
        ];
        (ln_1.input, parts)
    }

    fn heads(&self, x: &Tensor<B, 2>) -> Heads {
        let config = &self.model.config;
        let window = match config.attention_layers[self.layer] {
            AttentionKind::Global => x.dims()[0] / self.batch,
            AttentionKind::Local => config.window_size,
        };
        Heads { batch: self.batch, heads: config.num_heads, window, precision: self.model.precision() }
    }

    fn part(&self, part: Part) -> &Tensor<B, 2> {
        self.model.part(self.layer, part)
    }

    /// A weight as products take it.
    fn weight(&self, part: Part) -> &Tensor<B, 2> {
        self.model.part_as_factor(self.layer, part)
    }

    fn factor(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        B::factor(x, self.model.precision())
    }

    fn of_linear(&self, gradient: Tensor<B, 2>) -> OfLinear<B> {
        B::of_linear(gradient, self.model.precision())
    }

    /// A linear layer without bias whose result becomes a factor.
    fn as_factor(&self, x: &Tensor<B, 2>, weight: Part) -> Tensor<B, 2> {
        B::linear_as_factor(x, self.weight(weight), self.model.precision())
    }

    /// The residual stream with what a linear layer adds to it, of which dropout drops entries.
    fn onto(
        &self,
        stream: &Tensor<B, 2>,
        x: &Tensor<B, 2>,
        weight: Part,
        bias: Part,
        place: Place,
    ) -> Tensor<B, 2> {
        let (weight, bias, precision) = (self.weight(weight), self.part(bias), self.model.precision());
        match self.residual_mask(place) {
            Some(mask) => stream.clone() + mask.apply(B::linear_forward(x, weight, Some(bias), precision)),
            None => B::linear_onto(stream.clone(), x, weight, bias, precision),
        }
    }

    fn input_gradient_as_factor(&self, gradient: &Tensor<B, 2>, weight: Part) -> Tensor<B, 2> {
        B::linear_input_gradient_as_factor(gradient, self.weight(weight), self.model.precision())
    }

    fn input_gradient(&self, gradient: &Tensor<B, 2>, weight: Part) -> Tensor<B, 2> {
        B::linear_input_gradient(gradient, self.weight(weight), self.model.precision())
    }

    fn weight_gradient(&self, gradient: &Tensor<B, 2>, x: &Tensor<B, 2>) -> Tensor<B, 2> {
        B::linear_weight_gradient(gradient, x, self.model.precision())
    }

    /// A layer norm, whose result becomes a factor.
    fn layer_norm(&self, x: &Tensor<B, 2>, weight: Part, bias: Part) -> Tensor<B, 2> {
        let epsilon = self.model.config.layer_norm_epsilon;
        B::layer_norm_as_factor(x, self.part(weight), self.part(bias), epsilon, self.model.precision())
    }

    fn layer_norm_backward(
        &self,
        x: &Tensor<B, 2>,
        weight: Part,
        gradient: &Tensor<B, 2>,
        onto: Tensor<B, 2>,
    ) -> LayerNormGradients<B> {
        let epsilon = self.model.config.layer_norm_epsilon;
        B::layer_norm_backward(x, self.part(weight), gradient, Some(onto), epsilon)
    }

    fn attention_mask(&self) -> Option<Mask> {
        self.dropout?.mask(Place::Attention(self.layer), self.model.config.attention_dropout)
    }

    /// Drops entries of the gradient of what is added to the residual stream.
    fn residual(&self, y: Tensor<B, 2>, place: Place) -> Tensor<B, 2> {
        match self.residual_mask(place) {
            Some(mask) => mask.apply(y),
            None => y,
        }
    }

    fn residual_mask(&self, place: Place) -> Option<Mask> {
        self.dropout?.mask(place, self.model.config.resid_dropout)
    }
}
