//! Random weights from a seed.
//!
//! As the library does it: matrices and embeddings from a normal distribution with standard deviation
//! `initializer_range`, biases zero, layer norms one and zero. Each parameter draws from its own ChaCha8
//! stream, keyed by seed and name, with the Box-Muller transform in `f64`: a seed gives the same
//! weights on every device and in every version of this program.

use super::{GptNeo, GptNeoConfig};
use burn::tensor::{Tensor, TensorData, backend::Backend};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use sha2::{Digest, Sha256};

/// A new model.
#[must_use]
pub fn random<B: Backend>(config: &GptNeoConfig, seed: u32, device: &B::Device) -> GptNeo<B> {
    GptNeo::build(config, |name, shape| {
        let [rows, columns] = shape;
        let values = if name.ends_with(".bias") {
            vec![0.0; rows * columns]
        } else if super::gpt_neo::is_layer_norm(name) {
            vec![1.0; rows * columns]
        } else {
            normal(seed, name, rows * columns, config.initializer_range)
        };
        Tensor::from_data(TensorData::new(values, shape), device)
    })
}

fn normal(seed: u32, name: &str, count: usize, deviation: f64) -> Vec<f32> {
    let key: [u8; 32] = Sha256::new()
        .chain_update(b"initial weights\0")
        .chain_update(seed.to_le_bytes())
        .chain_update(name)
        .finalize()
        .into();
    let mut generator = ChaCha8Rng::from_seed(key);
    // 53 random bits in (0, 1]: the logarithm stays finite.
    let mut uniform = || ((generator.next_u64() >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = deviation * (-2.0 * uniform().ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * uniform()).sin_cos();
        values.push((radius * cos) as f32);
        values.push((radius * sin) as f32);
    }
    values.truncate(count);
    values
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn values_are_pinned_and_normal() {
        let values = normal(7, "transformer.wte.weight", 100_001, 0.02);
        assert_eq!(values.len(), 100_001);
        assert_eq!(values[..3], normal(7, "transformer.wte.weight", 3, 0.02)[..]);
        assert_ne!(values[..3], normal(8, "transformer.wte.weight", 3, 0.02)[..]);
        assert_ne!(values[..3], normal(7, "transformer.wpe.weight", 3, 0.02)[..]);
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / 1e5;
        let square = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 3e-4, "{mean}");
        assert!((square.sqrt() - 0.02).abs() < 2e-4, "{}", square.sqrt());
    }
}
