//! What the measures need of a checkpoint: its number of parameters and the rows of its linear head.

use super::entries::Entry;
use crate::{
    Error, Result, files,
    model::{
        checkpoint::{self, CONFIG, Found, Weights},
        gpt_neo::{EMBEDDING, HEAD},
    },
    stats::run_name,
};
use protocol::{spec::AnalyzeSpec, stage::StageKind};
use serde::Deserialize;
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// The folder of a run's checkpoint under a folder of model folders, or in a model folder itself. Of several folders of
/// the run's name, the one that the means were collected from.
///
/// # Errors
/// When several folders have the run's name and none is told to be meant, a folder can't be read, or is damaged so that
/// the index of its checkpoint is not known.
pub(super) fn find(spec: &AnalyzeSpec, entry: &Entry) -> Result<Found> {
    let (models, name, index) = (&spec.models, &entry.name, entry.checkpoint);
    let is_run =
        |folder: &Path| folder.file_name().is_some_and(|it| run_name(&it.to_string_lossy()) == *name);
    if is_run(models) {
        return checkpoint::find(models, Some(index));
    }
    let listed = fs::read_dir(models).and_then(|files| files.map(|file| Ok(file?.path())).collect());
    let mut folders: Vec<PathBuf> = match listed {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        listed => listed.map_err(Error::io(models))?,
    };
    folders.retain(|folder| is_run(folder) && !folder.is_file());
    folders.sort();
    let folder = match &folders[..] {
        [] => {
            return Ok(Found::Missing(format!(
                "{}: no model folder {name} or TinyStories-{name}",
                models.display()
            )));
        }
        [only] => only,
        several => {
            let means = entry.summary(&spec.stats, StageKind::Means)?;
            let told = means.as_ref().and_then(|means| means.made_from.get("model"));
            let told = told.and_then(|model| Some(model.rsplit_once('@')?.0));
            let mut wanted = told.into_iter().chain([name.as_str()]);
            let of_name = |wanted| several.iter().find(|folder| files::name(folder) == wanted);
            wanted.find_map(of_name).ok_or_else(|| {
                let names: Vec<_> = several.iter().map(|folder| files::name(folder)).collect();
                Error::input(format!(
                    "{}: {} may each be the model of {name}, and its statistics do not tell which; move all but one \
                     elsewhere",
                    models.display(),
                    names.join(" and ")
                ))
            })?
        }
    };
    checkpoint::find(folder, Some(index))
}

/// An open checkpoint.
pub(super) struct Checkpoint {
    weights: Weights,
    tied: bool,
}

/// The rows of a linear head, `[classes, width]`.
pub(super) struct Head {
    pub(super) weights: Vec<f32>,
    pub(super) classes: usize,
    pub(super) width: usize,
}

/// What is read of a `config.json`: with the library's default where it is missing or null.
#[derive(Deserialize)]
struct Config {
    tie_word_embeddings: Option<bool>,
}

impl Checkpoint {
    /// Opens a Hugging Face checkpoint folder, once its files have the hashes that it lists, if it lists any.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        checkpoint::check(folder)?;
        let config: Config = files::read_json(&folder.join(CONFIG))?;
        Ok(Self { weights: Weights::open(folder)?, tied: config.tie_word_embeddings.unwrap_or(true) })
    }

    /// Parameters, a tied head counted once. Causal masks, which older checkpoints hold, are none.
    pub(super) fn n_params(&self) -> u64 {
        let is_embedding =
            |name: &str| EMBEDDING.strip_suffix(name).is_some_and(|it| it.is_empty() || it == "transformer.");
        let tied_head = self.tied && self.weights.shapes().any(|(name, _)| is_embedding(name));
        let is_parameter = |name: &str| {
            let mask =
                name.ends_with(".attn.attention.bias") || name.ends_with(".attn.attention.masked_bias");
            !mask && (!tied_head || name != HEAD)
        };
        let parameters = self.weights.shapes().filter(|(name, _)| is_parameter(name));
        parameters.map(|(_, shape)| shape.iter().product::<usize>() as u64).sum()
    }

    /// The linear head: its own weights, or the embedding that it is tied to.
    pub(super) fn head(&self) -> Result<Head> {
        let found = [HEAD, EMBEDDING].into_iter().find_map(|name| Some((name, self.weights.shape(name)?)));
        let Some((name, shape)) = found else {
            return Err(self.weights.refuse(format!("no linear head: neither `{HEAD}` nor `{EMBEDDING}`")));
        };
        let &[classes, width] = shape else {
            return Err(self.weights.refuse(format!("`{name}` has shape {shape:?}; expected two axes")));
        };
        Ok(Head { weights: self.weights.floats(name, shape)?, classes, width })
    }
}
