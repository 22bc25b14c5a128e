//! `lc-worker collect`

use super::values;
use crate::{Error, Result};
use protocol::spec::{CollectSpec, StageSpec};
use std::path::PathBuf;

/// Collect statistics of the embeddings per class, that is per next token.
///
/// means: class means over the train split. vars: squared distances to them over the train split. decs: how
/// often the nearest class mean and the model's own head decide alike, over the validation split. vars
/// and decs need the means of the same checkpoint. An interrupted collection goes on where it was saved.
#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:\n  lc-worker collect --stage means --model models/02x0064_01d00 --checkpoint 0 \\\n    \
                        --data data --stats stats\n  \
                        lc-worker collect --stage vars --one-pass --model models/02x0064_01d00 --checkpoint 0 \\\n    \
                        --data data --stats stats"
)]
pub(super) struct Args {
    /// What to collect.
    #[arg(long, value_name = "STAGE")]
    stage: Stage,

    /// Model folder, or a checkpoint folder itself.
    #[arg(long, value_name = "MODEL_DIR", value_parser = values::folder)]
    model: PathBuf,

    /// Index of the checkpoint in the model folder, from 0; the last one if not given.
    #[arg(long, value_name = "C", value_parser = values::at_least_zero::<u32>)]
    checkpoint: Option<u32>,

    /// Folder made by "lc-worker prepare".
    #[arg(long, value_name = "DATA_DIR", value_parser = values::folder)]
    data: PathBuf,

    /// Statistics folder; the file is <stage>@<C>/<identifier>-<stage>.safetensors in it.
    #[arg(long, value_name = "STATS_DIR")]
    stats: PathBuf,

    /// Sequences per batch.
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::at_least_one::<u32>)]
    batch_size: u32,

    /// Batches between two saves of unfinished statistics.
    #[arg(long, value_name = "BATCHES", default_value = "1024", value_parser = values::at_least_one::<u32>)]
    save_every: u32,

    /// Take the variances from what the means' file holds, without reading the data again (vars only).
    #[arg(long, conflicts_with = "covariance")]
    one_pass: bool,

    /// Collect the covariance around the class means, too, which the covariance ratios need (vars only).
    #[arg(long)]
    covariance: bool,

    /// Let a GPU round the factors of matrix products to ten bits (TF32): faster, but not the same numbers.
    #[arg(long)]
    tf32: bool,

    /// Replace finished statistics of the same name that were made from other weights, data or means, or in another way.
    #[arg(long)]
    replace: bool,

    /// Where to compute: auto (an NVIDIA GPU if there is one), cpu, cuda, cuda:N or vulkan.
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = values::device)]
    device: String,
}

/// The collection stages.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Stage {
    Means,
    Vars,
    Decs,
}

impl Args {
    pub(super) fn into_spec(self) -> Result<StageSpec> {
        let Self { stage, model, checkpoint, data, stats, .. } = self;
        let Self { batch_size, save_every, one_pass, covariance, tf32, replace, device, .. } = self;
        for (flag, given) in [("--one-pass", one_pass), ("--covariance", covariance)] {
            if given && !matches!(stage, Stage::Vars) {
                return Err(Error::input(format!("{flag} goes with --stage vars only; leave it out")));
            }
        }
        let spec = CollectSpec {
            model,
            checkpoint,
            data,
            stats,
            batch_size,
            save_every,
            one_pass,
            covariance,
            tf32,
            replace,
            device,
        };
        Ok(match stage {
            Stage::Means => StageSpec::Means(spec),
            Stage::Vars => StageSpec::Vars(spec),
            Stage::Decs => StageSpec::Decs(spec),
        })
    }
}
