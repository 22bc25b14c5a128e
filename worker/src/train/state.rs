//! What a checkpoint holds besides the weights.

use super::{adamw::AdamW, keep::RESUME};
use crate::{
    Error, Result,
    kernels::Kernels,
    model::{
        GptNeo,
        checkpoint::{self, Extra},
    },
};
use protocol::spec::TrainSpec;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What [`Settings::init`] says of a run that began with random weights.
pub const RANDOM: &str = "random";

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
    /// Hash of that file; checkpoints of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_sha256: Option<String>,
    /// `f32` or `bf16`.
    pub dtype: String,
    /// Steps in all.
    pub total_steps: u64,
    /// What training began with: [`RANDOM`] weights, or the hash of those of a checkpoint. Checkpoints of earlier versions
    /// do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// Hash of the train split.
    pub data: String,
    /// Tokens per sequence of the data; checkpoints of earlier versions do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_size: Option<usize>,
}

impl Settings {
    /// The settings of a specification; with the hash of the train split, its tokens per sequence, the hash of the
    /// file with the order, and what training begins with as [`Self::init`] has it.
    #[must_use]
    pub fn of(
        spec: &TrainSpec,
        total_steps: u64,
        (data, block_size): (&str, usize),
        order_sha256: Option<&str>,
        init: Option<&str>,
    ) -> Self {
        Self {
            seed: spec.seed,
            batch_size: spec.batch_size,
            learning_rate: spec.learning_rate,
            weight_decay: spec.weight_decay,
            max_grad_norm: spec.max_grad_norm,
            order: spec.order.clone(),
            order_sha256: order_sha256.map(str::to_owned),
            dtype: spec.dtype.clone(),
            total_steps,
            init: init.map(str::to_owned),
            data: data.to_owned(),
            block_size: Some(block_size),
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
    /// The kind of device that computed it; checkpoints of earlier versions do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// How the run goes on.
    pub settings: Settings,
}

/// Writes a checkpoint of a training run: `checkpoint-<step>`, or `resume-<step>` where it only serves
/// to resume.
///
/// # Errors
/// When it can't be written; then those that are there stay.
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
    checkpoint::save(&folder, model, Some(&extra))
}

/// The first setting that differs, as it was and as it is, of those that were recorded.
pub(super) fn difference(then: &Settings, now: &Settings) -> Option<(String, String, String)> {
    let fields = |settings| match serde_json::to_value(settings) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    // The same batches, wherever the file with them lies now.
    let by_hash = then.order_sha256.is_some() && now.order_sha256.is_some();
    let now = fields(now);
    fields(then)
        .into_iter()
        .filter(|(field, _)| !(by_hash && field == "order"))
        .map(|(field, then)| {
            let now = now.get(&field).cloned().unwrap_or_default();
            (field, then, now)
        })
        .find(|(_, then, now)| then != now)
        .map(|(field, then, now)| (field, then.to_string(), now.to_string()))
}
