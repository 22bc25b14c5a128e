//! The parameters, the forward and the backward pass.

use super::{
    Batch, GptNeoConfig,
    block::{self, Block},
};
use crate::kernels::{
    Kernels, Precision, device_ints,
    dropout::{Dropout, Place},
};
use burn::tensor::{Tensor, backend::Backend};
use std::{convert::Infallible, sync::Arc};

/// The parameters of a block, in the order of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each other name is that of a tensor in NAMES")]
pub enum Part {
    Ln1Weight,
    Ln1Bias,
    /// The weights of keys, values and queries, one below the other: one product takes them all.
    Projections,
    Out,
    OutBias,
    Ln2Weight,
    Ln2Bias,
    Fc,
    FcBias,
    Proj,
    ProjBias,
}

/// Parameters of a block.
const PARTS: usize = Part::ProjBias as usize + 1;

/// Names of a block's tensors below `transformer.h.<i>.`, in the order of the library.
const NAMES: [&str; 13] = [
    "ln_1.weight",
    "ln_1.bias",
    "attn.attention.k_proj.weight",
    "attn.attention.v_proj.weight",
    "attn.attention.q_proj.weight",
    "attn.attention.out_proj.weight",
    "attn.attention.out_proj.bias",
    "ln_2.weight",
    "ln_2.bias",
    "mlp.c_fc.weight",
    "mlp.c_fc.bias",
    "mlp.c_proj.weight",
    "mlp.c_proj.bias",
];

/// Name of the token embedding in a checkpoint.
pub const EMBEDDING: &str = "transformer.wte.weight";
/// Name of the head in a checkpoint, where it is stored beside the embedding that it is tied to.
pub const HEAD: &str = "lm_head.weight";

/// Name and shape of a tensor in a checkpoint; a vector is a single row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorShape {
    /// Name in a checkpoint.
    pub name: String,
    /// `[out, in]`, `[entries, width]` or `[1, width]`.
    pub shape: [usize; 2],
}

impl TensorShape {
    /// The shape in a checkpoint, where vectors have one dimension.
    #[must_use]
    pub fn stored(&self) -> Vec<usize> {
        if is_vector(&self.name) { vec![self.shape[1]] } else { self.shape.to_vec() }
    }

    /// Whether the tensor stands below the one before it in one parameter of the model.
    fn is_below(&self) -> bool {
        [".v_proj.weight", ".q_proj.weight"].iter().any(|end| self.name.ends_with(end))
    }
}

/// Whether a parameter belongs to a layer norm.
#[must_use]
pub fn is_layer_norm(name: &str) -> bool {
    name.contains(".ln_")
}

/// Whether a parameter is a vector: biases and layer norms, the ones without weight decay.
#[must_use]
pub fn is_vector(name: &str) -> bool {
    name.ends_with(".bias") || is_layer_norm(name)
}

/// Names and shapes of all tensors of a checkpoint, in the order of the library; the head is the embedding.
#[must_use]
pub fn shapes(config: &GptNeoConfig) -> Vec<TensorShape> {
    let (d, f) = (config.hidden_size, config.intermediate_size);
    let mut all = vec![
        (EMBEDDING.to_owned(), [config.vocab_size, d]),
        ("transformer.wpe.weight".to_owned(), [config.max_position_embeddings, d]),
    ];
    for layer in 0..config.num_layers() {
        let shapes = [
            [1, d],
            [1, d],
            [d, d],
            [d, d],
            [d, d],
            [d, d],
            [1, d],
            [1, d],
            [1, d],
            [f, d],
            [1, f],
            [d, f],
            [1, d],
        ];
        let names = NAMES.iter().map(|name| format!("transformer.h.{layer}.{name}"));
        all.extend(names.zip(shapes));
    }
    all.push(("transformer.ln_f.weight".to_owned(), [1, d]));
    all.push(("transformer.ln_f.bias".to_owned(), [1, d]));
    all.into_iter().map(|(name, shape)| TensorShape { name, shape }).collect()
}

/// The tensors of each parameter of a model: one, or some that stand one below the other.
fn of_parameters(shapes: &[TensorShape]) -> impl Iterator<Item = &[TensorShape]> {
    shapes.chunk_by(|_, next| next.is_below())
}

/// Whether each parameter of a model [is a vector](is_vector).
#[must_use]
pub fn vectors(config: &GptNeoConfig) -> Vec<bool> {
    of_parameters(&shapes(config)).map(|of_one| is_vector(&of_one[0].name)).collect()
}

/// One tensor for each of [`shapes`], from a list with one for each parameter: of the model, of gradients or of moments.
#[must_use]
pub fn tensors<B: Backend>(config: &GptNeoConfig, list: &[Tensor<B, 2>]) -> Vec<Tensor<B, 2>> {
    let shapes = shapes(config);
    let split = |(of_one, all): (&[TensorShape], &Tensor<B, 2>)| match of_one {
        [_] => vec![all.clone()],
        several => all.clone().chunk(several.len(), 0),
    };
    of_parameters(&shapes).zip(list).flat_map(split).collect()
}

/// A GPT-Neo language model with a tied head.
#[derive(Clone, Debug)]
pub struct GptNeo<B: Backend> {
    /// The configuration.
    pub config: Arc<GptNeoConfig>,
    precision: Precision,
    parameters: Vec<Tensor<B, 2>>,
    /// Matrices as products take them, where that is not as they are; renewed by whoever changes parameters.
    factors: Vec<Option<Tensor<B, 2>>>,
}

impl<B: Backend> GptNeo<B> {
    /// Makes a model by asking for each tensor of a checkpoint in turn.
    ///
    /// # Errors
    /// The first failure of `make`.
    pub fn try_build<E>(
        config: &GptNeoConfig,
        mut make: impl FnMut(&TensorShape) -> Result<Tensor<B, 2>, E>,
    ) -> Result<Self, E> {
        let shapes = shapes(config);
        let parameter = |of_one: &[TensorShape]| {
            let tensors = of_one.iter().map(&mut make).collect::<Result<Vec<_>, E>>()?;
            Ok(if tensors.len() == 1 { tensors[0].clone() } else { Tensor::cat(tensors, 0) })
        };
        let parameters = of_parameters(&shapes).map(parameter).collect::<Result<_, E>>()?;
        Ok(Self::exact(Arc::new(config.clone()), parameters))
    }

    /// As [`Self::try_build`], for what can't fail.
    pub fn build(config: &GptNeoConfig, mut make: impl FnMut(&str, [usize; 2]) -> Tensor<B, 2>) -> Self {
        let made = Self::try_build(config, |one| Ok::<_, Infallible>(make(&one.name, one.shape)));
        made.unwrap_or_else(|never| match never {})
    }

    /// A model on the same or another backend, made parameter by parameter, whose products are `f32`.
    pub fn map<C: Backend>(self, change: impl FnMut(Tensor<B, 2>) -> Tensor<C, 2>) -> GptNeo<C> {
        GptNeo::exact(self.config, self.parameters.into_iter().map(change).collect())
    }

    fn exact(config: Arc<GptNeoConfig>, parameters: Vec<Tensor<B, 2>>) -> Self {
        let factors = vec![None; parameters.len()];
        Self { config, precision: Precision::F32, parameters, factors }
    }

    /// In which numbers matrix products are computed.
    #[must_use]
    pub const fn precision(&self) -> Precision {
        self.precision
    }

    /// All parameters, in the order of [`shapes`], some of which [stand in one](Part::Projections).
    #[must_use]
    pub fn parameters(&self) -> &[Tensor<B, 2>] {
        &self.parameters
    }

    /// All parameters, to be changed in place, and those of them that products take rounded, rounded: who changes the one
    /// changes the other.
    pub fn parameters_mut(&mut self) -> (&mut [Tensor<B, 2>], &mut [Option<Tensor<B, 2>>]) {
        (&mut self.parameters, &mut self.factors)
    }

    /// Number of parameters, the tied head counted once.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(|p| p.shape().num_elements()).sum()
    }

    /// The token embedding, which is the head as well: `[vocabulary, width]`.
    #[must_use]
    pub fn token_embedding(&self) -> &Tensor<B, 2> {
        &self.parameters[0]
    }

    /// The head as products take it: `[vocabulary, width]`.
    #[must_use]
    pub fn head(&self) -> &Tensor<B, 2> {
        self.as_factor(0)
    }

    /// A parameter of block `layer`.
    pub(super) fn part(&self, layer: usize, part: Part) -> &Tensor<B, 2> {
        &self.parameters[index(layer, part)]
    }

    /// The same as products take it.
    pub(super) fn part_as_factor(&self, layer: usize, part: Part) -> &Tensor<B, 2> {
        self.as_factor(index(layer, part))
    }

    fn as_factor(&self, index: usize) -> &Tensor<B, 2> {
        self.factors[index].as_ref().unwrap_or(&self.parameters[index])
    }
}

/// Where a parameter of block `layer` stands among all.
const fn index(layer: usize, part: Part) -> usize {
    2 + layer * PARTS + part as usize
}

impl<B: Kernels> GptNeo<B> {
    /// The same model whose matrix products are computed in other numbers.
    #[must_use]
    pub fn in_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        // Each is rounded once, not by each product.
        let factor = |(parameter, is_vector): (&Tensor<B, 2>, bool)| {
            let rounded = (!is_vector).then(|| B::factor(parameter.clone(), precision));
            rounded.filter(|factor| factor.dtype() != parameter.dtype())
        };
        self.factors = self.parameters.iter().zip(vectors(&self.config)).map(factor).collect();
        self
    }

    /// The last embeddings: what the head reads, after the final layer norm.
    ///
    /// `ids` is `[batch, sequence]` with at most `max_position_embeddings` positions; the result is
    /// `[batch * sequence, width]`.
    #[must_use]
    pub fn forward(&self, ids: &Batch) -> Tensor<B, 2> {
        self.run(ids, |_, _| ())
    }

    /// As [`Self::forward`]; `inspect` sees the input of each block by index.
    pub fn run(&self, ids: &Batch, mut inspect: impl FnMut(usize, &Tensor<B, 2>)) -> Tensor<B, 2> {
        let mut x = self.embed(ids);
        for layer in 0..self.config.num_layers() {
            inspect(layer, &x);
            x = self.block(layer, ids, None).forward(x).0;
        }
        self.last_norm(&x)
    }

    /// As [`Self::forward`], keeping what [`Self::backward`] needs.
    #[must_use]
    pub fn forward_traced(&self, ids: &Batch, dropout: Option<Dropout>) -> (Tensor<B, 2>, Trace<B>) {
        let mut x = drop_embedding(self.embed(ids), dropout, &self.config);
        let mut blocks = Vec::with_capacity(self.config.num_layers());
        for layer in 0..self.config.num_layers() {
            let (output, trace) = self.block(layer, ids, dropout).forward(x);
            blocks.push(trace);
            x = output;
        }
        (self.last_norm(&x), Trace { blocks, last: x, dropout })
    }

    /// Gradients of all parameters, in their order, from that of [`Self::forward_traced`]'s
    /// result. `head` is the gradient that the embedding has from its other use.
    #[must_use]
    pub fn backward(
        &self,
        ids: &Batch,
        trace: Trace<B>,
        gradient: &Tensor<B, 2>,
        head: Tensor<B, 2>,
    ) -> Vec<Tensor<B, 2>> {
        let Trace { blocks, last, dropout } = trace;
        let weight = &self.parameters[self.parameters.len() - 2];
        let norm = B::layer_norm_backward(&last, weight, gradient, None, self.config.layer_norm_epsilon);
        drop(last);
        let mut parts = Vec::with_capacity(self.config.num_layers());
        let mut gradient = norm.input;
        for (layer, trace) in blocks.into_iter().enumerate().rev() {
            let (input, of_block) = self.block(layer, ids, dropout).backward(trace, gradient);
            parts.push(of_block);
            gradient = input;
        }
        let gradient = drop_embedding(gradient, dropout, &self.config);
        let positions = self.position_gradient(&gradient, ids);
        let mut all = vec![B::add_rows(head, &ids.ids, gradient), positions];
        all.extend(parts.into_iter().rev().flatten());
        all.extend([norm.weight, norm.bias]);
        all
    }

    fn block(&self, layer: usize, ids: &Batch, dropout: Option<Dropout>) -> Block<'_, B> {
        Block { model: self, layer, batch: ids.sequences(), dropout }
    }

    /// The sum of token and position embeddings.
    fn embed(&self, ids: &Batch) -> Tensor<B, 2> {
        let (batch, length, width) = (ids.sequences(), ids.length, self.config.hidden_size);
        let device = self.parameters[0].device();
        let tokens = self.parameters[0].clone().select(0, device_ints(&ids.ids, &device));
        let positions = self.parameters[1].clone().narrow(0, 0, length);
        let x = tokens.reshape([batch, length, width]) + positions.unsqueeze_dim(0);
        x.reshape([batch * length, width])
    }

    /// The gradient of the position embedding; positions that no sequence has get zero.
    fn position_gradient(&self, gradient: &Tensor<B, 2>, ids: &Batch) -> Tensor<B, 2> {
        let (batch, length, width) = (ids.sequences(), ids.length, self.config.hidden_size);
        let sum = B::sum_rows(&gradient.clone().reshape([batch, length * width])).reshape([length, width]);
        let rest = self.config.max_position_embeddings - length;
        if rest == 0 {
            return sum;
        }
        let device = gradient.device();
        Tensor::cat(vec![sum, Tensor::zeros([rest, width], &device)], 0)
    }

    fn last_norm(&self, x: &Tensor<B, 2>) -> Tensor<B, 2> {
        let last = self.parameters.len() - 2;
        let (weight, bias) = (&self.parameters[last], &self.parameters[last + 1]);
        B::layer_norm_forward(x, weight, bias, self.config.layer_norm_epsilon)
    }
}

/// What the backward pass needs of a forward pass.
pub struct Trace<B: Kernels> {
    blocks: Vec<block::Trace<B>>,
    /// The input of the final layer norm.
    last: Tensor<B, 2>,
    dropout: Option<Dropout>,
}

/// Drops entries of the embeddings, or of their gradient.
fn drop_embedding<B: Kernels>(
    x: Tensor<B, 2>,
    dropout: Option<Dropout>,
    config: &GptNeoConfig,
) -> Tensor<B, 2> {
    match dropout.and_then(|dropout| dropout.mask(Place::Embedding, config.embed_dropout)) {
        Some(mask) => mask.apply(x),
        None => x,
    }
}
