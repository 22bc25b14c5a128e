//! What a worker is told to do for a stage.

use super::layout::Layout;
use protocol::{
    keep::KeepCheckpoints,
    run::RunConfig,
    spec::{AnalyzeSpec, CollectSpec, EvaluateSpec, PrepareSpec, StageSpec, TrainSpec},
    stage::StageKind,
    study::{CollectionSpec, DataSpec, ModelSpec, ResourceSpec},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// How a run's stages are carried out: what can't change its results and so is not part of its identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Batches of collection and evaluation.
    pub collection: CollectionSpec,
    /// Device and number of tries.
    pub resources: ResourceSpec,
    /// What training keeps. Never less than the run's stages need: they are planned over no more.
    #[serde(default)]
    pub keep_checkpoints: KeepCheckpoints,
}

/// A stage, with all that its work depends on.
#[derive(Clone, Debug)]
pub enum Work {
    /// Data that runs share.
    Prepare {
        /// The texts.
        data: DataSpec,
        /// Their hash.
        data_hash: String,
    },
    /// A stage of one run.
    Run {
        /// Kind.
        kind: StageKind,
        /// Checkpoint index, where the kind has one.
        checkpoint: Option<u32>,
        /// Name of the run's folders.
        name: String,
        /// Canonical configuration.
        config: Box<RunConfig>,
        /// Hash of its data.
        data_hash: String,
        /// How to carry it out.
        settings: Settings,
    },
}

impl Work {
    /// The kind of stage.
    #[must_use]
    pub const fn kind(&self) -> StageKind {
        match self {
            Self::Prepare { .. } => StageKind::Prepare,
            Self::Run { kind, .. } => *kind,
        }
    }
}

/// The input of a stage's worker.
#[must_use]
pub fn stage_spec(layout: &Layout, work: &Work) -> StageSpec {
    match work {
        Work::Prepare { data, data_hash } => prepare(layout, data, data_hash),
        Work::Run { kind, checkpoint, name, config, data_hash, settings } => {
            let (model, data) = (layout.model(name), layout.dataset(data_hash));
            let device = settings.resources.device.clone();
            let collect = |model: PathBuf, data: PathBuf, device: String| CollectSpec {
                model,
                checkpoint: *checkpoint,
                data,
                stats: layout.stats(),
                batch_size: settings.collection.batch_size,
                save_every: settings.collection.save_every,
                one_pass: settings.collection.one_pass,
                covariance: settings.collection.covariance,
                // Other numbers, which the identity of a run does not tell.
                tf32: false,
                // A root's statistics are made again whenever what they are made from was.
                replace: true,
                device,
            };
            match kind {
                StageKind::Prepare => prepare(layout, &config.data, data_hash),
                StageKind::Train => StageSpec::Train(train(config, settings, data, model)),
                StageKind::Evaluate => StageSpec::Evaluate(EvaluateSpec {
                    model,
                    checkpoint: *checkpoint,
                    data,
                    split: "validation".to_owned(),
                    batch_size: settings.collection.batch_size,
                    device,
                }),
                StageKind::Means => StageSpec::Means(collect(model, data, device)),
                StageKind::Vars => StageSpec::Vars(collect(model, data, device)),
                StageKind::Decs => StageSpec::Decs(collect(model, data, device)),
                StageKind::Analyze => StageSpec::Analyze(AnalyzeSpec {
                    stats: layout.stats(),
                    models: layout.models(),
                    only: Some((name.clone(), checkpoint.unwrap_or_default())),
                    measures: config.analysis.measures.clone(),
                    min_per_class: config.analysis.min_per_class,
                    max_per_class: config.analysis.max_per_class,
                    foreign_stats: None,
                    compat: false,
                    // Seconds, which no job need wait for a GPU for.
                    device: "cpu".to_owned(),
                    out: None,
                    per_class: Some(layout.classes(name, checkpoint.unwrap_or_default())),
                }),
            }
        }
    }
}

fn prepare(layout: &Layout, data: &DataSpec, data_hash: &str) -> StageSpec {
    StageSpec::Prepare(PrepareSpec {
        dataset: data.dataset.clone(),
        tokenizer: data.tokenizer.clone(),
        validation: data.validation.as_ref().map(PathBuf::from),
        block_size: data.block_size,
        shards: data.shards,
        out: layout.dataset(data_hash),
    })
}

fn train(config: &RunConfig, settings: &Settings, data: PathBuf, out: PathBuf) -> TrainSpec {
    let training = &config.training;
    TrainSpec {
        config: gpt_neo_config(config),
        data,
        out,
        init: None,
        seed: config.seed,
        epochs: config.epochs,
        max_steps: training.max_steps,
        batch_size: training.batch_size,
        learning_rate: training.learning_rate,
        weight_decay: config.weight_decay,
        max_grad_norm: training.max_grad_norm,
        order: training.order.clone(),
        device: settings.resources.device.clone(),
        dtype: training.dtype.clone(),
        // The folder belongs to this run alone: what is there was left by an earlier attempt.
        resume: true,
        save_every: None,
        keep_checkpoints: settings.keep_checkpoints,
    }
}

/// The Hugging Face configuration of a run's GPT-Neo.
#[must_use]
pub fn gpt_neo_config(config: &RunConfig) -> Map<String, Value> {
    let ModelSpec { heads, window, attention, intermediate, vocab_size, positions, dropout } = &config.model;
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    set("hidden_size", json!(config.width));
    set("num_layers", json!(config.layers));
    set("num_heads", json!(heads));
    set("attention_types", attention_types(attention, config.layers));
    set("window_size", json!(window));
    set("intermediate_size", json!(intermediate.unwrap_or(config.width.saturating_mul(4))));
    set("max_position_embeddings", json!(positions.unwrap_or(config.data.block_size)));
    for name in ["embed_dropout", "attention_dropout", "resid_dropout"] {
        set(name, json!(dropout));
    }
    if let Some(vocab_size) = vocab_size {
        set("vocab_size", json!(vocab_size));
    }
    fields
}

/// `[[kinds, times], ...]` that give exactly `layers` layers: whole rounds of the pattern, then its
/// beginning once.
fn attention_types(pattern: &[String], layers: u32) -> Value {
    let length = u32::try_from(pattern.len()).unwrap_or(u32::MAX).max(1);
    let (rounds, rest) = (layers / length, layers % length);
    let mut types = Vec::new();
    if rounds > 0 {
        types.push(json!([pattern, rounds]));
    }
    if rest > 0 {
        types.push(json!([pattern[..rest as usize], 1]));
    }
    Value::Array(types)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_is_expanded_over_the_layers() {
        let pattern = ["global".to_owned(), "local".to_owned()];
        assert_eq!(attention_types(&pattern, 1), json!([[["global"], 1]]));
        assert_eq!(attention_types(&pattern, 2), json!([[["global", "local"], 1]]));
        assert_eq!(attention_types(&pattern, 5), json!([[["global", "local"], 2], [["global"], 1]]));
    }
}
