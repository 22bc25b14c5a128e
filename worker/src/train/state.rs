//! What a checkpoint holds besides the weights, and the choice of the one to go on from.

use super::adamw::AdamW;
use crate::{
    Error, Result, files,
    kernels::Kernels,
    model::{
        GptNeo,
        checkpoint::{self, Extra, OPTIMIZER, TRAINER_STATE, checkpoints},
    },
};
use protocol::spec::TrainSpec;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Name of the folder of a checkpoint that only serves to resume, before its step.
const RESUME: &str = "resume-";

/// Everything that decides how training goes on; a run is only resumed with the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Seed of the data order and of dropout.
    pub seed: u32,
    /// Sequences per step.
    pub batch_size: u32,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Clipping norm.
    pub max_grad_norm: f64,
    /// `shuffled`, `sequential` or a file.
    pub order: String,
    /// `f32` or `bf16`.
    pub dtype: String,
    /// Steps in all.
    pub total_steps: u64,
    /// Hash of the train split.
    pub data: String,
}

impl Settings {
    /// The settings of a specification.
    #[must_use]
    pub fn of(spec: &TrainSpec, total_steps: u64, data: &str) -> Self {
        Self {
            seed: spec.seed,
            batch_size: spec.batch_size,
            learning_rate: spec.learning_rate,
            weight_decay: spec.weight_decay,
            max_grad_norm: spec.max_grad_norm,
            order: spec.order.clone(),
            dtype: spec.dtype.clone(),
            total_steps,
            data: data.to_owned(),
        }
    }
}

/// The content of `trainer_state.json`. `global_step`, `max_steps` and `epoch` are the library's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainerState {
    /// Steps taken.
    pub global_step: u64,
    /// Steps in all.
    pub max_steps: u64,
    /// Epochs seen, with fraction.
    pub epoch: f64,
    /// How the run goes on.
    pub settings: Settings,
}

/// Writes a checkpoint of a training run: `checkpoint-<step>`, or `resume-<step>` where it only serves
/// to resume. Older ones that only served to resume are removed afterwards.
///
/// # Errors
/// When it can't be written.
pub fn save<B: Kernels>(
    out: &Path,
    model: &GptNeo<B>,
    optimizer: &AdamW<B>,
    state: &TrainerState,
    to_keep: bool,
) -> Result<()> {
    let prefix = if to_keep { "checkpoint-" } else { RESUME };
    let folder = out.join(format!("{prefix}{}", state.global_step));
    let trainer_state = serde_json::to_value(state).map_err(|e| Error::failed(e.to_string()))?;
    let extra = Extra {
        optimizer: vec![("exp_avg.", &optimizer.first[..]), ("exp_avg_sq.", &optimizer.second[..])],
        trainer_state,
    };
    checkpoint::save(&folder, model, Some(&extra))?;
    for (_, old) in resumes(out)?.into_iter().filter(|(_, old)| *old != folder) {
        fs::remove_dir_all(&old).map_err(Error::io(&old))?;
    }
    Ok(())
}

/// A training run as it was at a checkpoint.
pub struct Resumed<B: Kernels> {
    /// Weights.
    pub model: GptNeo<B>,
    /// Moments.
    pub optimizer: AdamW<B>,
    /// Position.
    pub state: TrainerState,
}

/// The newest checkpoint in `out` to go on from; none if there is none.
///
/// # Errors
/// When it was made with other settings (the line names the first that differs), or is damaged.
pub fn newest<B: Kernels>(out: &Path, settings: &Settings, device: &B::Device) -> Result<Option<Resumed<B>>> {
    let mut all = if out.is_dir() { checkpoints(out)? } else { Vec::new() };
    all.extend(resumes(out)?);
    all.sort();
    let Some((_, folder)) = all.pop() else { return Ok(None) };
    let path = folder.join(TRAINER_STATE);
    let state: TrainerState = files::read_json(&path)?;
    if let Some((field, then, now)) = difference(&state.settings, settings) {
        return Err(Error::input(format!(
            "{}: made with {field} {then}, asked to resume with {now}; use the same or another --out",
            path.display()
        )));
    }
    let model = checkpoint::load::<B>(&folder, device)?;
    let moments =
        |prefix| checkpoint::load_tensors::<B>(&folder.join(OPTIMIZER), prefix, &model.config, device);
    let list = |moments: GptNeo<B>| moments.parameters().to_vec();
    let (first, second) = (list(moments("exp_avg.")?), list(moments("exp_avg_sq.")?));
    let optimizer = AdamW::with_moments(&model, settings.weight_decay, first, second);
    Ok(Some(Resumed { model, optimizer, state }))
}

/// The checkpoints that only serve to resume, with their steps.
fn resumes(out: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let Ok(entries) = fs::read_dir(out) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io(out))?.path();
        let step = path.file_name().and_then(|name| name.to_str()?.strip_prefix(RESUME)?.parse::<u64>().ok());
        found.extend(step.map(|step| (step, path)));
    }
    Ok(found)
}

/// Removes what only served to resume, once training is over.
///
/// # Errors
/// When a folder can't be removed.
pub fn remove_resumes(out: &Path) -> Result<()> {
    for (_, folder) in resumes(out)? {
        fs::remove_dir_all(&folder).map_err(Error::io(&folder))?;
    }
    Ok(())
}

fn difference(then: &Settings, now: &Settings) -> Option<(String, String, String)> {
    let fields = |settings| match serde_json::to_value(settings) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let now = fields(now);
    fields(then)
        .into_iter()
        .find(|(field, value)| now[field] != *value)
        .map(|(field, value)| (field.clone(), value.to_string(), now[&field].to_string()))
}
