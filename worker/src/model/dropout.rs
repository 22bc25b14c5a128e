//! Dropout whose masks depend on nothing but the run's seed, the step and the place in the model.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// Gives masks to one forward pass; without one (evaluation, collection) nothing is dropped.
pub struct Dropout {
    generator: ChaCha8Rng,
}

impl Dropout {
    /// Masks of one training step. The same seed and step give the same masks on every device.
    #[must_use]
    pub fn at_step(seed: u32, step: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(u64::from(seed));
        // Streams separate steps; initial weights and data order use other seeds.
        generator.set_stream(step.wrapping_add(1));
        Self { generator }
    }

    /// Zeroes each entry with probability `rate` and scales the rest by `1 / (1 - rate)`.
    pub fn apply<B: Backend, const D: usize>(&mut self, x: Tensor<B, D>, rate: f64) -> Tensor<B, D> {
        if rate == 0.0 {
            return x;
        }
        let shape = x.shape();
        let keep = (1.0 / (1.0 - rate)) as f32;
        let threshold = (rate * 2f64.powi(32)) as u32;
        let mask: Vec<f32> = (0..shape.num_elements())
            .map(|_| if self.generator.next_u32() < threshold { 0.0 } else { keep })
            .collect();
        let mask = Tensor::from_data(TensorData::new(mask, shape), &x.device());
        x * mask
    }
}
