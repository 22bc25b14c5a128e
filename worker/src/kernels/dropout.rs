//! Dropout whose masks depend on nothing but the run's seed, the step and the place in the model.
//!
//! Entry `i` of a mask is decided by word `i` of a ChaCha8 stream, keyed by the seed and numbered by step and
//! place, so that any part of a mask can be made at any time: the backward pass makes it again.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// Where in the model entries are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The sum of token and position embeddings.
    Embedding,
    /// The attention weights of a block.
    Attention(usize),
    /// The outcome of a block's attention.
    Attended(usize),
    /// The outcome of a block's MLP.
    Mlp(usize),
}

/// The masks of one training step; without them (evaluation, collection) nothing is dropped.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    seed: u32,
    step: u64,
}

/// The mask of one place.
#[derive(Clone, Debug)]
pub struct Mask {
    generator: ChaCha8Rng,
    /// A word below it drops its entry.
    threshold: u32,
    /// What the others are multiplied with.
    keep: f32,
}

impl Dropout {
    /// Masks of one training step. The same seed and step give the same masks on every device.
    #[must_use]
    pub const fn at_step(seed: u32, step: u64) -> Self {
        Self { seed, step }
    }

    /// The mask that zeroes each entry with probability `rate` and scales the rest by `1 / (1 - rate)`;
    /// none if nothing is dropped.
    #[must_use]
    pub fn mask(self, place: Place, rate: f64) -> Option<Mask> {
        if rate == 0.0 {
            return None;
        }
        let place = match place {
            Place::Embedding => 0,
            Place::Attention(layer) => 3 * layer + 1,
            Place::Attended(layer) => 3 * layer + 2,
            Place::Mlp(layer) => 3 * layer + 3,
        };
        let mut generator = ChaCha8Rng::seed_from_u64(u64::from(self.seed));
        // Initial weights and data order use other keys.
        generator.set_stream((self.step << 16) | place as u64);
        Some(Mask { generator, threshold: (rate * 2f64.powi(32)) as u32, keep: (1.0 / (1.0 - rate)) as f32 })
    }
}

impl Mask {
    /// Multiplies `values`, the entries from `first` on, by their factors.
    pub fn multiply(&self, first: usize, values: &mut [f32]) {
        let mut generator = self.generator.clone();
        generator.set_word_pos(first as u128);
        for value in values {
            *value *= if generator.next_u32() < self.threshold { 0.0 } else { self.keep };
        }
    }

    /// All entries multiplied by their factors.
    #[must_use]
    pub fn apply<B: Backend, const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D> {
        let shape = x.shape();
        let mut mask = vec![1.0; shape.num_elements()];
        self.multiply(0, &mut mask);
        let mask = Tensor::from_data(TensorData::new(mask, shape), &x.device());
        x * mask
    }
}
