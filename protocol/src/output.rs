//! What a stage returns: the content of its `--json` output and of the result that the daemon records.

use crate::{real::Real, stage::StageKind};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// The output of one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum StageOutput {
    /// Of `prepare`.
    Prepare(PrepareOutput),
    /// Of `train`.
    Train(TrainOutput),
    /// Of `evaluate`.
    Evaluate(EvaluateOutput),
    /// Of `collect --stage means`.
    Means(CollectOutput),
    /// Of `collect --stage vars`.
    Vars(CollectOutput),
    /// Of `collect --stage decs`.
    Decs(CollectOutput),
    /// Of `analyze`.
    Analyze(AnalyzeOutput),
}

impl StageOutput {
    /// The kind of stage that gave this output.
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

/// What `prepare` made, by split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PrepareOutput {
    /// Tokens per sequence.
    pub block_size: u32,
    /// Entries of the tokenizer.
    pub vocab_size: u32,
    /// `train` and `validation`.
    pub splits: BTreeMap<String, SplitOutput>,
}

/// One split of prepared data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SplitOutput {
    /// Documents read.
    pub texts: u64,
    /// Tokens of all documents.
    pub tokens: u64,
    /// Sequences kept.
    pub sequences: u64,
    /// Next-token targets: `sequences * (block_size - 1)`.
    pub targets: u64,
    /// Tokens dropped as remainders.
    pub dropped_tokens: u64,
    /// SHA-256 of all sequences, concatenated, as little-endian int32.
    pub sha256: String,
}

/// What `train` did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TrainOutput {
    /// Optimizer steps in all.
    pub steps: u64,
    /// Loss of the last step, nats per token.
    pub final_loss: Real,
    /// Tokens seen by this attempt.
    pub tokens: u64,
    /// Seconds spent training by this attempt.
    pub seconds: f64,
    /// Parameters, tied ones counted once.
    pub n_params: u64,
    /// Checkpoint folders, oldest first.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub checkpoints: Vec<PathBuf>,
}

/// What `evaluate` found; also the content of a checkpoint's `eval_results.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EvaluateOutput {
    /// Cross-entropy, nats per token.
    pub eval_loss: Real,
    /// Share of targets predicted right.
    pub eval_accuracy: Real,
    /// `exp(eval_loss)`.
    pub perplexity: Real,
    /// Sequences evaluated.
    pub eval_samples: u64,
}

/// What one collection stage wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CollectOutput {
    /// The statistics file.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub file: PathBuf,
    /// SHA-256 of the class means that these statistics belong to.
    pub hash: String,
    /// Sequences read.
    pub sequences: u64,
    /// Target tokens read.
    pub tokens: u64,
    /// Classes with at least one sample.
    pub classes: u64,
    /// Decisions that agree (`decs` only).
    pub hits: Option<u64>,
}

/// What `analyze` computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AnalyzeOutput {
    /// Columns of the table, in order, without the row name.
    pub columns: Vec<String>,
    /// One row per model and checkpoint.
    pub rows: Vec<MeasureRow>,
}

/// The measures of one checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MeasureRow {
    /// Row name: `02x0768_01d07@0`.
    pub model: String,
    /// Value per column; a missing entry is an empty cell.
    pub values: BTreeMap<String, Real>,
}
