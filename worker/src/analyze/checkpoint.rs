//! What the measures need of a checkpoint: its number of parameters and the rows of its linear head.

use crate::{
    Error, Result, files,
    model::checkpoint::{CONFIG, INDEX, WEIGHTS, locate},
    stats::run_name,
    tensors::{Mapped, floats},
};
use safetensors::SafeTensors;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "transformer.wte.weight";

/// The folder of a run's checkpoint under a folder of model folders, or in a model folder itself.
///
/// # Errors
/// When it is not there; the line says what is.
pub(super) fn find(models: &Path, name: &str, index: u32) -> Result<PathBuf> {
    let is_run = |folder: &Path| folder.file_name().is_some_and(|it| run_name(&it.to_string_lossy()) == name);
    if is_run(models) {
        return Ok(locate(models, Some(index))?.folder);
    }
    let listed = fs::read_dir(models).and_then(|files| files.map(|file| Ok(file?.path())).collect());
    let mut folders: Vec<PathBuf> = listed.map_err(Error::io(models))?;
    folders.retain(|folder| folder.is_dir() && is_run(folder));
    // The plain name comes before one with a prefix.
    folders.sort_by_key(|folder| folder.as_os_str().len());
    let model = folders.first().ok_or_else(|| {
        Error::input(format!("{}: no model folder {name} or TinyStories-{name}", models.display()))
    })?;
    Ok(locate(model, Some(index))?.folder)
}

/// An open checkpoint.
pub(super) struct Checkpoint {
    shards: Vec<Mapped>,
    tied: bool,
}

/// The rows of a linear head, `[classes, width]`.
pub(super) struct Head {
    pub(super) weights: Vec<f32>,
    pub(super) classes: usize,
    pub(super) width: usize,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default = "yes")]
    tie_word_embeddings: bool,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens a Hugging Face checkpoint folder, sharded or not.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let config: Config = files::read_json(&folder.join(CONFIG))?;
        let index = folder.join(INDEX);
        let names: BTreeSet<String> = if index.exists() {
            files::read_json::<Index>(&index)?.weight_map.into_values().collect()
        } else {
            BTreeSet::from([WEIGHTS.to_owned()])
        };
        let shards = names.iter().map(|name| Mapped::open(&folder.join(name))).collect::<Result<_>>()?;
        Ok(Self { shards, tied: config.tie_word_embeddings })
    }

    /// Parameters, a tied head counted once. Causal masks, which older checkpoints hold, are none.
    pub(super) fn n_params(&self) -> Result<u64> {
        let mut parameters = BTreeMap::new();
        for shard in &self.shards {
            for (name, tensor) in shard.tensors()?.tensors() {
                parameters.insert(name, tensor.shape().iter().product::<usize>() as u64);
            }
        }
        let tied_head = self.tied && parameters.contains_key(EMBEDDING);
        parameters.retain(|name, _| {
            let mask =
                name.ends_with(".attn.attention.bias") || name.ends_with(".attn.attention.masked_bias");
            !mask && (!tied_head || name != HEAD)
        });
        Ok(parameters.values().sum())
    }

    /// The linear head: its own weights, or the embedding that it is tied to.
    pub(super) fn head(&self) -> Result<Head> {
        for name in [HEAD, EMBEDDING] {
            for shard in &self.shards {
                let tensors: SafeTensors<'_> = shard.tensors()?;
                let Ok(tensor) = tensors.tensor(name) else { continue };
                let &[classes, width] = tensor.shape() else {
                    return Err(
                        shard.refuse(format!("`{name}` has shape {:?}; expected two axes", tensor.shape()))
                    );
                };
                let weights = floats(name, &tensor).map_err(|error| shard.refuse(error))?;
                return Ok(Head { weights, classes, width });
            }
        }
        let what = format!("no linear head: neither `{HEAD}` nor `{EMBEDDING}`");
        Err(self.shards.first().map_or_else(|| Error::input(what.clone()), |shard| shard.refuse(&what)))
    }
}
