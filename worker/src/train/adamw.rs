//! AdamW by PyTorch's formula, with decoupled decay of matrices only, and clipping by the global norm.

use crate::{
    Result,
    model::{
        GptNeo,
        gpt_neo::{is_vector, shapes},
        head::host_floats,
    },
};
use burn::tensor::{Tensor, backend::Backend};

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

impl<B: Backend> AdamW<B> {
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
        let decayed = shapes(&model.config).iter().map(|parameter| !is_vector(&parameter.name)).collect();
        Self { first, second, decayed, weight_decay }
    }

    /// One update. `step` counts from 1.
    pub fn update(
        &mut self,
        model: &mut GptNeo<B>,
        gradients: Vec<Tensor<B, 2>>,
        learning_rate: f64,
        step: u64,
    ) {
        let count = step.min(i32::MAX as u64) as i32;
        let correction_1 = 1.0 - BETA_1.powi(count);
        let correction_2 = (1.0 - BETA_2.powi(count)).sqrt();
        let moments = self.first.iter_mut().zip(&mut self.second);
        let parameters = model.parameters_mut().iter_mut().zip(&self.decayed);
        for (((parameter, &decayed), (first, second)), gradient) in parameters.zip(moments).zip(gradients) {
            first.inplace(|m| m * BETA_1 + gradient.clone() * (1.0 - BETA_1));
            second.inplace(|v| v * BETA_2 + gradient.square() * (1.0 - BETA_2));
            let denominator = second.clone().sqrt() / correction_2 + EPSILON;
            let change = first.clone() / denominator * (learning_rate / correction_1);
            let keep = if decayed { 1.0 - learning_rate * self.weight_decay } else { 1.0 };
            parameter.inplace(|p| p * keep - change);
        }
    }
}

/// The Euclidean norm of all gradients together, in `f64`.
///
/// # Errors
/// When the device fails.
pub fn global_norm<B: Backend>(gradients: &[Tensor<B, 2>]) -> Result<f64> {
    // Row sums first: one short vector per parameter comes back from the device.
    let mut sum = 0.0;
    for gradient in gradients {
        let rows = host_floats(gradient.clone().square().sum_dim(1))?;
        sum += rows.iter().map(|&x| f64::from(x)).sum::<f64>();
    }
    Ok(sum.sqrt())
}

/// Scales gradients of global norm `norm` down to `most`, by the library's `most / (norm + 1e-6)`.
#[must_use]
pub fn clip<B: Backend>(gradients: Vec<Tensor<B, 2>>, norm: f64, most: f64) -> Vec<Tensor<B, 2>> {
    let scale = most / (norm + 1e-6);
    if scale >= 1.0 {
        return gradients;
    }
    gradients.into_iter().map(|gradient| gradient * scale).collect()
}
