//! Choices from a seed that are the same on every machine and in every version.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

/// The source of all choices.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    /// The choices of one stream; streams have nothing in common.
    pub(super) fn new(stream: u64) -> Self {
        let mut rng = ChaCha8Rng::from_seed(*b"simple stories from simple words");
        rng.set_stream(stream);
        Self(rng)
    }

    /// A number below `bound`. (The bias of a bound that is no power of two is far below what 64 bits can show.)
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True in `percent` of 100 cases.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// An index below `length`, after Zipf and Mandelbrot: the weight of rank r is 1/(r + 1 + `flat`).
    pub(super) fn rank(&mut self, length: usize, flat: u64) -> usize {
        let weight = |rank: usize| 720_720 / (rank as u64 + 1 + flat);
        let mut left = self.below((0..length).map(weight).sum());
        (0..length)
            .find(|&rank| {
                let weight = weight(rank);
                let here = left < weight;
                left = left.saturating_sub(weight);
                here
            })
            .unwrap_or(length - 1)
    }

    /// One of a list whose frequent items come first.
    pub(super) fn one_of<'a>(&mut self, list: &[&'a str], flat: u64) -> &'a str {
        list[self.rank(list.len(), flat)]
    }
}
