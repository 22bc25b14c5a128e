//! `lc-worker evaluate`

use super::values;
use protocol::spec::{EvaluateSpec, StageSpec};
use std::path::PathBuf;

/// Compute loss, accuracy and perplexity of a checkpoint.
///
/// The loss is in nats per token. That of the validation split is also written to eval_results.json in the checkpoint
/// folder; that of the train split is only printed.
/// Nothing is saved on the way: what was interrupted starts anew.
#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Example:\n  lc-worker evaluate --model models/02x0064_01d00 --checkpoint 0 --data data"
)]
pub(super) struct Args {
    /// Model folder, or a checkpoint folder itself.
    #[arg(long, value_name = "MODEL_DIR", value_parser = values::folder)]
    model: PathBuf,

    /// Index of the checkpoint in the model folder, from 0; the last one if not given.
    #[arg(long, value_name = "C", value_parser = values::at_least_zero::<u32>)]
    checkpoint: Option<u32>,

    /// Folder made by "lc-worker prepare".
    #[arg(long, value_name = "DATA_DIR", value_parser = values::folder)]
    data: PathBuf,

    /// Split to evaluate on.
    #[arg(long, value_name = "SPLIT", default_value = "validation", value_parser = ["train", "validation"])]
    split: String,

    /// Sequences per batch.
    #[arg(long, value_name = "N", default_value = "8", value_parser = values::at_least_one::<u32>)]
    batch_size: u32,

    /// Where to compute: auto (an NVIDIA GPU if there is one), cpu, cuda, cuda:N or vulkan.
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = values::device)]
    device: String,
}

impl Args {
    pub(super) fn into_spec(self) -> StageSpec {
        let Self { model, checkpoint, data, split, batch_size, device } = self;
        StageSpec::Evaluate(EvaluateSpec { model, checkpoint, data, split, batch_size, device })
    }
}
