//! AdamW by PyTorch's formula, with decoupled decay of matrices only, and clipping by the global norm.

use crate::{
    Result,
    kernels::{AdamWStep, Kernels, Moments, Scalar},
    model::{GptNeo, gpt_neo::vectors},
};
use burn::tensor::{Tensor, backend::Backend};
use std::mem;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Moments of the gradients, each list in the order of the model's parameters.
pub struct AdamW<B: Backend> {
    /// Running mean of the gradients.
    pub first: Vec<Tensor<B, 2>>,
    /// Running mean of their squares.
    pub second: Vec<Tensor<B, 2>>,
    decayed: Vec<bool>,
    weight_decay: f64,
}

impl<B: Kernels> AdamW<B> {
    /// An optimizer that has seen nothing.
    #[must_use]
    pub fn new(model: &GptNeo<B>, weight_decay: f64) -> Self {
        let zeros = || model.parameters().iter().map(Tensor::zeros_like).collect();
        Self::with_moments(model, weight_decay, zeros(), zeros())
    }

    /// An optimizer that goes on with saved moments.
    #[must_use]
    pub fn with_moments(
        model: &GptNeo<B>,
        weight_decay: f64,
        first: Vec<Tensor<B, 2>>,
        second: Vec<Tensor<B, 2>>,
    ) -> Self {
        // As the library's Trainer groups them: no decay for biases and layer norms.
        let decayed = vectors(&model.config).into_iter().map(|is_vector| !is_vector).collect();
        Self { first, second, decayed, weight_decay }
    }

    /// One update by gradients that are multiplied with `scale` first. `step` counts from 1.
    ///
    /// # Errors
    /// When the device fails.
    pub fn update(
        &mut self,
        model: &mut GptNeo<B>,
        gradients: Vec<Tensor<B, 2>>,
        scale: &Scalar<B>,
        learning_rate: f64,
        step: u64,
    ) -> Result<()> {
        let count = step.min(i32::MAX as u64) as i32;
        let rate = learning_rate / (1.0 - BETA_1.powi(count));
        let correction = (1.0 - BETA_2.powi(count)).sqrt();
        // Takes the place of what is changed, so that this has one owner and is changed where it is. Of one entry: no card
        // gives memory of no bytes.
        let nothing = Tensor::empty([1, 1], &model.token_embedding().device());
        let mut gradients: Vec<_> = gradients.into_iter().map(Some).collect();
        for decay in [true, false] {
            let keep = if decay { 1.0 - learning_rate * self.weight_decay } else { 1.0 };
            let numbers =
                AdamWStep { beta_1: BETA_1, beta_2: BETA_2, epsilon: EPSILON, keep, rate, correction };
            let chosen: Vec<usize> = (0..gradients.len()).filter(|&at| self.decayed[at] == decay).collect();
            let (parameters, factors) = model.parameters_mut();
            let held = chosen.iter().filter_map(|&at| {
                let [parameter, first, second] =
                    [&mut parameters[at], &mut self.first[at], &mut self.second[at]]
                        .map(|tensor| mem::replace(tensor, nothing.clone()));
                Some((
                    Moments { parameter, first, second, factor: factors[at].take() },
                    gradients[at].take()?,
                ))
            });
            let updated = B::adamw(held.collect(), scale, numbers)?;
            for (&at, Moments { parameter, first, second, factor }) in chosen.iter().zip(updated) {
                (parameters[at], self.first[at], self.second[at]) = (parameter, first, second);
                factors[at] = factor;
            }
        }
        Ok(())
    }
}
