//! Weights in.

use super::{CONFIG, INDEX, WEIGHTS};
use crate::{
    Error, Result, files,
    model::{GptNeo, GptNeoConfig, gpt_neo::ParameterShape},
    tensors::{self, Mapped},
};
use burn::tensor::{Tensor, TensorData, backend::Backend};
use std::{collections::BTreeMap, path::Path};

/// Loads a checkpoint folder, of this program or of Hugging Face's library, also sharded.
///
/// # Errors
/// When a file is missing or damaged, a tensor is missing, or has the wrong shape.
pub fn load<B: Backend>(folder: &Path, device: &B::Device) -> Result<GptNeo<B>> {
    let config = GptNeoConfig::read(&folder.join(CONFIG))?;
    let index = folder.join(INDEX);
    if index.exists() {
        return load_sharded(folder, &index, &config, device);
    }
    let file = folder.join(WEIGHTS);
    if !file.exists() {
        return Err(Error::input(format!("{}: no {WEIGHTS} in it", folder.display())));
    }
    load_tensors(&file, "", &config, device)
}

/// Loads one tensor per parameter, each stored under its name behind `prefix`.
///
/// # Errors
/// When the file is damaged, a tensor is missing, or has the wrong shape.
pub fn load_tensors<B: Backend>(
    file: &Path,
    prefix: &str,
    config: &GptNeoConfig,
    device: &B::Device,
) -> Result<GptNeo<B>> {
    let file = Mapped::open(file)?;
    let tensors = file.tensors()?;
    GptNeo::try_build(config, |parameter| {
        take(&tensors, prefix, parameter, device).map_err(|error| file.refuse(error))
    })
}

fn load_sharded<B: Backend>(
    folder: &Path,
    index: &Path,
    config: &GptNeoConfig,
    device: &B::Device,
) -> Result<GptNeo<B>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let Index { weight_map } = files::read_json(index)?;
    GptNeo::try_build(config, |parameter| {
        let file = [parameter.name.as_str(), base_name(&parameter.name)]
            .into_iter()
            .find_map(|name| weight_map.get(name))
            .ok_or_else(|| Error::input(format!("{}: no tensor {}", index.display(), parameter.name)))?;
        let file = Mapped::open(&folder.join(file))?;
        take(&file.tensors()?, "", parameter, device).map_err(|error| file.refuse(error))
    })
}

/// The name in a checkpoint of the bare transformer.
fn base_name(name: &str) -> &str {
    name.strip_prefix("transformer.").unwrap_or(name)
}

fn take<B: Backend>(
    tensors: &safetensors::SafeTensors<'_>,
    prefix: &str,
    parameter: &ParameterShape,
    device: &B::Device,
) -> Result<Tensor<B, 2>> {
    let name = format!("{prefix}{}", parameter.name);
    let view = tensors
        .tensor(&name)
        .or_else(|_| tensors.tensor(base_name(&name)))
        .map_err(|_| Error::input(format!("no tensor {name}")))?;
    if view.shape() != parameter.stored() {
        return Err(Error::input(format!(
            "tensor {name} has shape {:?}; the configuration asks for {:?}",
            view.shape(),
            parameter.stored()
        )));
    }
    let values = tensors::floats(&name, &view)?;
    Ok(Tensor::from_data(TensorData::new(values, parameter.shape), device))
}
