//! Weights in.

use super::{CONFIG, Sums, WEIGHTS, Weights};
use crate::{
    Error, Result,
    model::{GptNeo, GptNeoConfig, gpt_neo::TensorShape},
};
use burn::tensor::{Tensor, TensorData, backend::Backend};
use std::path::Path;

/// Loads a checkpoint folder, of this program or of Hugging Face's library, in any form that
/// [`Weights`] reads.
///
/// # Errors
/// When a file is missing or damaged (where the folder has hashes, by them), a tensor is missing, or has
/// the wrong shape, and when the head is not the embedding.
pub fn load<B: Backend>(folder: &Path, device: &B::Device) -> Result<GptNeo<B>> {
    check(folder)?;
    let config = GptNeoConfig::read(&folder.join(CONFIG))?;
    let weights = Weights::open(folder)?;
    weights.check_tied()?;
    GptNeo::try_build(&config, |tensor| take(&weights, "", tensor, device))
}

/// Checks configuration and weights of a checkpoint folder by their hashes, where it has such.
///
/// # Errors
/// [`Error::Input`] when one is damaged or missing; the line says what to do.
pub fn check(folder: &Path) -> Result<()> {
    let Some(sums) = Sums::read(folder)? else { return Ok(()) };
    [CONFIG, WEIGHTS].iter().try_for_each(|name| sums.check(name)).map_err(|error| match error {
        Error::Input(what) => Error::Input(format!(
            "{what}; restore it from a copy or train again with another --out (if it was changed on purpose, delete \
             SHA256SUMS)"
        )),
        other => other,
    })
}

/// Loads the tensors of a model's parameters from a safetensors file, each stored under its name behind `prefix`.
///
/// # Errors
/// When the file is damaged, a tensor is missing, or has the wrong shape.
pub fn load_tensors<B: Backend>(
    file: &Path,
    prefix: &str,
    config: &GptNeoConfig,
    device: &B::Device,
) -> Result<GptNeo<B>> {
    let weights = Weights::open_file(file)?;
    GptNeo::try_build(config, |tensor| take(&weights, prefix, tensor, device))
}

fn take<B: Backend>(
    weights: &Weights,
    prefix: &str,
    tensor: &TensorShape,
    device: &B::Device,
) -> Result<Tensor<B, 2>> {
    let values = weights.floats(&format!("{prefix}{}", tensor.name), &tensor.stored())?;
    Ok(Tensor::from_data(TensorData::new(values, tensor.shape), device))
}
