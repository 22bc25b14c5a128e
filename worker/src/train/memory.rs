//! Whether this machine can hold a model and what it takes to train it: a size that is a slip of the pen is noticed before
//! memory is asked for it.

use crate::{
    Error, Result,
    kernels::Precision,
    model::{GptNeoConfig, gpt_neo::shapes},
};
use std::fs;

const GIB: f64 = (1_u64 << 30) as f64;

/// Refuses to train a model on the processor that can't be held by this machine: all its memory and swap space is less than
/// what is certainly needed. A machine that does not tell how much it has is taken to have enough.
///
/// # Errors
/// When it can't; the line names the sizes of the model.
pub(super) fn require(config: &GptNeoConfig, precision: Precision) -> Result<()> {
    machine().map_or(Ok(()), |machine| compare(config, precision, machine))
}

fn compare(config: &GptNeoConfig, precision: Precision, machine: u128) -> Result<()> {
    let needed = needed(config, precision);
    if needed <= machine {
        return Ok(());
    }
    Err(Error::input(format!(
        "a model of vocab_size {}, hidden_size {}, intermediate_size {}, num_layers {} and max_position_embeddings {} needs \
         at least {:.1} GiB to be trained, this machine has {:.1}; use smaller sizes or another machine",
        config.vocab_size,
        config.hidden_size,
        config.intermediate_size,
        config.num_layers(),
        config.max_position_embeddings,
        needed as f64 / GIB,
        machine as f64 / GIB
    )))
}

/// Bytes of weights and of the optimizer's two moments, and of gradients where these are as wide; what a batch takes comes on
/// top of that.
fn needed(config: &GptNeoConfig, precision: Precision) -> u128 {
    let parameters: u128 =
        shapes(config).iter().map(|one| one.shape.iter().map(|&side| side as u128).product::<u128>()).sum();
    let copies = if precision == Precision::Bf16 { 3 } else { 4 };
    parameters * copies * size_of::<f32>() as u128
}

/// Bytes of memory and swap space that this machine has; none where that is not told.
fn machine() -> Option<u128> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        rest.trim_start_matches(':').split_whitespace().next()?.parse::<u128>().ok()
    };
    Some((kilobytes("MemTotal")? + kilobytes("SwapTotal")?) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_not_be_held_is_refused() {
        let fields = serde_json::json!({"hidden_size": 8, "num_heads": 2, "num_layers": 1, "vocab_size": 5,
            "max_position_embeddings": 4});
        let config = GptNeoConfig::from_fields(fields.as_object().unwrap().clone()).unwrap();
        // Embeddings; attention with its bias; two layer norms; the MLP with its biases; the last layer norm.
        let parameters = 8 * (5 + 4) + (4 * 64 + 8) + 32 + (2 * 8 * 32 + 32 + 8) + 16;
        let bytes = 16 * parameters;
        assert_eq!(needed(&config, Precision::F32), bytes);
        compare(&config, Precision::F32, bytes).unwrap();
        compare(&config, Precision::Bf16, bytes * 3 / 4).unwrap();
        let refused = compare(&config, Precision::F32, bytes - 1).unwrap_err().to_string();
        assert!(refused.contains("vocab_size 5, hidden_size 8"), "{refused}");
        require(&config, Precision::F32).unwrap();
    }
}
