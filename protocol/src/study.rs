//! A study: the grid that a researcher asks for. The same structure comes from a TOML file, from
//! flags, or over HTTP.

use crate::{
    axis::{Counted, Doubled},
    keep::KeepCheckpoints,
    resources::{ResourceRule, Span},
    several,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A study as asked for. Every section may be left out; its defaults are those of the published
/// study, scaled to nothing: a study names its grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StudySpec {
    /// Letters, digits, `.`, `_` and `-`; at most 64. Names the results file.
    pub name: String,
    /// What to train on.
    #[serde(default)]
    pub data: DataSpec,
    /// Which models.
    #[serde(default)]
    pub grid: GridSpec,
    /// What they have in common.
    #[serde(default)]
    pub model: ModelSpec,
    /// How they are trained.
    #[serde(default)]
    pub training: TrainingSpec,
    /// How their statistics are collected.
    #[serde(default)]
    pub collection: CollectionSpec,
    /// Which measures are computed.
    #[serde(default)]
    pub analysis: AnalysisSpec,
    /// Where they run.
    #[serde(default)]
    pub resources: ResourceSpec,
}

impl StudySpec {
    /// A study with every setting at its default.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            data: DataSpec::default(),
            grid: GridSpec::default(),
            model: ModelSpec::default(),
            training: TrainingSpec::default(),
            collection: CollectionSpec::default(),
            analysis: AnalysisSpec::default(),
            resources: ResourceSpec::default(),
        }
    }
}

/// `[data]`: the texts and how they become sequences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct DataSpec {
    /// `builtin:stories`, a folder, a file, or `hf:owner/name`.
    pub dataset: String,
    /// `builtin`, a `tokenizer.json`, or `hf:owner/name`.
    pub tokenizer: String,
    /// A file with validation texts, where the dataset has no such split.
    pub validation: Option<String>,
    /// Tokens per sequence.
    pub block_size: u32,
    /// Contiguous shards before chunking (the library's `preprocessing_num_workers`).
    pub shards: u32,
}

impl Default for DataSpec {
    fn default() -> Self {
        Self {
            dataset: "builtin:stories".into(),
            tokenizer: "builtin".into(),
            validation: None,
            block_size: 2048,
            shards: 2,
        }
    }
}

/// `[grid]`: the axes; every combination is one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct GridSpec {
    /// Numbers of layers.
    pub depth: Counted,
    /// Widths.
    pub width: Doubled,
    /// Seeds.
    pub seed: Counted,
    /// Numbers of epochs.
    pub epochs: Counted,
    /// Weight decays: 0 (letter `n`), 0.0005 (`d`), 0.1 (`L`), or values named in `decay_letters`.
    #[serde(deserialize_with = "several::numbers")]
    pub weight_decay: Vec<f64>,
    /// Letters for other weight decays, for example `{ m = 0.01 }`.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, f64>))]
    pub decay_letters: BTreeMap<char, f64>,
}

impl Default for GridSpec {
    fn default() -> Self {
        Self {
            depth: Counted(vec![1]),
            width: Doubled(vec![64]),
            seed: Counted(vec![0]),
            epochs: Counted(vec![1]),
            weight_decay: vec![0.0005],
            decay_letters: BTreeMap::new(),
        }
    }
}

/// `[model]`: what all models of the grid share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ModelSpec {
    /// Attention heads; must divide every width.
    pub heads: u32,
    /// Tokens seen by local attention.
    pub window: u32,
    /// Kinds of attention, repeated over the layers: `global`, `local`.
    pub attention: Vec<String>,
    /// Width of the MLP; four times the width if missing.
    pub intermediate: Option<u32>,
    /// Vocabulary; the tokenizer's if missing.
    pub vocab_size: Option<u32>,
    /// Positions; the block size if missing.
    pub positions: Option<u32>,
    /// Dropout after embeddings, attention weights and residual branches.
    pub dropout: f64,
}

impl Default for ModelSpec {
    fn default() -> Self {
        Self {
            heads: 16,
            window: 256,
            attention: vec!["global".into(), "local".into()],
            intermediate: None,
            vocab_size: None,
            positions: None,
            dropout: 0.0,
        }
    }
}

/// `[training]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TrainingSpec {
    /// Sequences per step.
    pub batch_size: u32,
    /// Peak learning rate; falls linearly to zero.
    pub learning_rate: f64,
    /// Gradients are scaled down to this global norm.
    pub max_grad_norm: f64,
    /// Stop after so many steps.
    pub max_steps: Option<u64>,
    /// `shuffled` or `sequential`.
    pub order: String,
    /// `f32` or `bf16`.
    pub dtype: String,
    /// What is kept of the checkpoints, one per epoch: `all`, `weights` (the optimizer's state only of the
    /// newest) or a number (the newest so many; only they are evaluated, collected and analysed).
    #[serde(skip_serializing_if = "KeepCheckpoints::is_all")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::keep::KeepWritten))]
    pub keep_checkpoints: KeepCheckpoints,
    /// What some architectures train with instead; later rules go over earlier ones, field by field. Empty in the
    /// configuration of a run, which holds what came of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<TrainingRule>,
}

/// One of `[[training.rules]]`, for the architectures that it is meant for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TrainingRule {
    /// Numbers of layers that it is meant for: `4`, `2..8`, `8..` or `..4`, ends included; all if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub depth: Option<Span>,
    /// Widths that it is meant for; all if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub width: Option<Span>,
    /// Sequences per step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u32>,
    /// Peak learning rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
}

impl TrainingRule {
    /// Whether it is meant for this architecture.
    #[must_use]
    pub fn is_for(&self, depth: u32, width: u32) -> bool {
        self.depth.is_none_or(|span| span.holds(depth)) && self.width.is_none_or(|span| span.holds(width))
    }
}

impl Default for TrainingSpec {
    fn default() -> Self {
        Self {
            batch_size: 16,
            learning_rate: 5e-5,
            max_grad_norm: 1.0,
            max_steps: None,
            order: "shuffled".into(),
            dtype: "f32".into(),
            keep_checkpoints: KeepCheckpoints::All,
            rules: Vec::new(),
        }
    }
}

/// Which checkpoints are evaluated, collected and analysed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Checkpoints {
    /// One per epoch, all of them.
    All,
    /// Only the last.
    Last,
}

/// `[collection]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CollectionSpec {
    /// Which checkpoints.
    pub checkpoints: Checkpoints,
    /// Sequences per batch, for collection and evaluation.
    pub batch_size: u32,
    /// Batches between two saves of unfinished statistics.
    pub save_every: u32,
    /// Take variances from the sums that come with the means, without reading the data again.
    pub one_pass: bool,
    /// Collect the covariance around the class means, too, which the covariance ratios need.
    pub covariance: bool,
}

impl Default for CollectionSpec {
    fn default() -> Self {
        Self {
            checkpoints: Checkpoints::All,
            batch_size: 8,
            save_every: 1024,
            one_pass: false,
            covariance: false,
        }
    }
}

/// `[analysis]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AnalysisSpec {
    /// Measure groups, or `all`.
    #[serde(deserialize_with = "several::words")]
    pub measures: Vec<String>,
    /// Keep classes with at least so many train samples.
    pub min_per_class: u32,
    /// Keep classes with fewer train samples than this.
    pub max_per_class: Option<u32>,
}

impl Default for AnalysisSpec {
    fn default() -> Self {
        Self { measures: vec!["all".into()], min_per_class: 1, max_per_class: None }
    }
}

/// `[resources]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ResourceSpec {
    /// `auto`, `cpu`, `cuda`, `cuda:N` or `vulkan`.
    pub device: String,
    /// Tries per stage without progress; what is marked permanent is not tried again.
    pub attempts: u32,
    /// What jobs ask a cluster for, over the rules of its profile; later rules go over earlier ones, field by field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<ResourceRule>,
}

impl Default for ResourceSpec {
    fn default() -> Self {
        Self { device: "auto".into(), attempts: 3, rules: Vec::new() }
    }
}
