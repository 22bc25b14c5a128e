//! What a worker is told to do: the input of each stage, as written in an attempt file and as
//! parsed from the command line.

use crate::{keep::KeepCheckpoints, stage::StageKind};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The input of one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum StageSpec {
    /// Tokenize and chunk texts.
    Prepare(PrepareSpec),
    /// Train a model.
    Train(TrainSpec),
    /// Loss, accuracy and perplexity of a checkpoint.
    Evaluate(EvaluateSpec),
    /// Class means of a checkpoint.
    Means(CollectSpec),
    /// Class variances of a checkpoint.
    Vars(CollectSpec),
    /// Decisions of a checkpoint.
    Decs(CollectSpec),
    /// Measures from collected statistics.
    Analyze(AnalyzeSpec),
}

impl StageSpec {
    /// The kind of stage.
    #[must_use]
    pub const fn kind(&self) -> StageKind {
        match self {
            Self::Prepare(_) => StageKind::Prepare,
            Self::Train(_) => StageKind::Train,
            Self::Evaluate(_) => StageKind::Evaluate,
            Self::Means(_) => StageKind::Means,
            Self::Vars(_) => StageKind::Vars,
            Self::Decs(_) => StageKind::Decs,
            Self::Analyze(_) => StageKind::Analyze,
        }
    }
}

/// Tokenize the texts of a dataset and cut them into sequences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrepareSpec {
    /// `builtin:stories`, a folder, a file, or `hf:owner/name`.
    pub dataset: String,
    /// `builtin`, a `tokenizer.json`, or `hf:owner/name`.
    pub tokenizer: String,
    /// A file with validation texts, where the dataset has no such split.
    pub validation: Option<PathBuf>,
    /// Tokens per sequence.
    pub block_size: u32,
    /// Contiguous shards that the texts are cut into before chunking.
    pub shards: u32,
    /// Folder that receives `manifest.json`, `tokenizer.json`, `train.bin`, `validation.bin`.
    pub out: PathBuf,
}

/// Train a model from its configuration or from a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainSpec {
    /// A Hugging Face GPT-Neo configuration. Missing fields take the library's defaults, except
    /// `vocab_size`, `bos_token_id` and `eos_token_id` (the tokenizer's) and
    /// `max_position_embeddings` (the block size).
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Folder made by `prepare`.
    pub data: PathBuf,
    /// Model folder to write.
    pub out: PathBuf,
    /// Checkpoint folder to start from instead of random weights.
    pub init: Option<PathBuf>,
    /// Seed of initial weights, data order and dropout.
    pub seed: u32,
    /// Passes over the train split; one checkpoint each.
    pub epochs: u32,
    /// Stop after so many steps; the learning rate then falls to zero over them.
    pub max_steps: Option<u64>,
    /// Sequences per step.
    pub batch_size: u32,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay of all matrices (not of biases and layer norms).
    pub weight_decay: f64,
    /// Gradients are scaled down to this global norm.
    pub max_grad_norm: f64,
    /// `shuffled`, `sequential`, or a file with the row numbers of every batch.
    pub order: String,
    /// `auto`, `cpu`, `cuda`, `cuda:N` or `vulkan`.
    pub device: String,
    /// `f32` or `bf16`.
    pub dtype: String,
    /// Go on from the newest checkpoint in `out`.
    pub resume: bool,
    /// Steps between two checkpoints that only serve to resume; every ten minutes if missing.
    #[serde(default)]
    pub save_every: Option<u64>,
    /// What to keep of the checkpoints.
    #[serde(default)]
    pub keep_checkpoints: KeepCheckpoints,
}

/// Evaluate a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluateSpec {
    /// Model folder or checkpoint folder.
    pub model: PathBuf,
    /// Checkpoint index in a model folder; the last one if missing.
    pub checkpoint: Option<u32>,
    /// Folder made by `prepare`.
    pub data: PathBuf,
    /// `train` or `validation`.
    pub split: String,
    /// Sequences per batch.
    pub batch_size: u32,
    /// `auto`, `cpu`, `cuda`, `cuda:N` or `vulkan`.
    pub device: String,
}

/// Collect means, variances or decisions of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectSpec {
    /// Model folder or checkpoint folder.
    pub model: PathBuf,
    /// Checkpoint index in a model folder; the last one if missing.
    pub checkpoint: Option<u32>,
    /// Folder made by `prepare`.
    pub data: PathBuf,
    /// Statistics folder; files go to `<stage>@<C>/<name>-<stage>.safetensors` in it, with `<name>`
    /// the model folder's name without a prefix that ends in `TinyStories-`.
    pub stats: PathBuf,
    /// Sequences per batch.
    pub batch_size: u32,
    /// Batches between two saves of unfinished statistics.
    pub save_every: u32,
    /// Take variances from the sums that come with the means, without reading the data again (`vars` only).
    #[serde(default)]
    pub one_pass: bool,
    /// Collect the covariance around the class means, too (`vars` only).
    #[serde(default)]
    pub covariance: bool,
    /// Let a GPU round the factors of products to TF32.
    #[serde(default)]
    pub tf32: bool,
    /// Replace finished statistics of the same name that were made from something else.
    #[serde(default)]
    pub replace: bool,
    /// `auto`, `cpu`, `cuda`, `cuda:N` or `vulkan`.
    pub device: String,
}

/// Compute measures from statistics and checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalyzeSpec {
    /// Statistics folder.
    pub stats: PathBuf,
    /// Folder of model folders.
    pub models: PathBuf,
    /// Only this model folder (by name) and checkpoint; all that `stats` holds if missing.
    pub only: Option<(String, u32)>,
    /// Names of measure groups, or `all`.
    pub measures: Vec<String>,
    /// Keep classes with at least so many train samples.
    pub min_per_class: u32,
    /// Keep classes with fewer train samples than this.
    pub max_per_class: Option<u32>,
    /// Statistics folder with the means of the same checkpoints over other texts; fills the columns that
    /// compare with these.
    #[serde(default)]
    pub foreign_stats: Option<PathBuf>,
    /// Round as the published tool does.
    #[serde(default)]
    pub compat: bool,
    /// `cpu`, `auto`, `cuda` or `cuda:N`: where the pass over all pairs of classes is done.
    #[serde(default = "on_the_processor")]
    pub device: String,
    /// CSV file to write; none if missing.
    pub out: Option<PathBuf>,
    /// File for the values of single classes, `.csv` or `.parquet`; none if missing.
    #[serde(default)]
    pub per_class: Option<PathBuf>,
}

fn on_the_processor() -> String {
    "cpu".to_owned()
}
