//! `lc-worker train`

use super::values;
use crate::{Error, Result, files, model::GptNeoConfig};
use clap::builder::PossibleValuesParser;
use protocol::{
    keep::KeepCheckpoints,
    settings::Dtype,
    spec::{StageSpec, TrainSpec},
};
use std::path::{Path, PathBuf};

/// Train a GPT-Neo model, one checkpoint per epoch.
///
/// AdamW with decoupled weight decay on matrices, and a learning rate that falls linearly to zero. Every
/// step appends a line to train_log.jsonl in the model folder. On SIGTERM, SIGINT, SIGUSR1 or SIGHUP a
/// checkpoint is written and the exit code is 75.
#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Example:\n  lc-worker train --config config.json --data data --out models/02x0064_01d00 \\\n    \
                        --epochs 1 --seed 0 --weight-decay 0.0005"
)]
pub(super) struct Args {
    /// Hugging Face GPT-Neo configuration; vocabulary and positions are the data's where it names none.
    #[arg(long, value_name = "CONFIG.json", value_parser = values::file, required_unless_present = "init")]
    config: Option<PathBuf>,

    /// Folder made by "lc-worker prepare".
    #[arg(long, value_name = "DATA_DIR", value_parser = values::folder)]
    data: PathBuf,

    /// Model folder to write; its name is the model's identifier, for example 02x0768_01d07.
    #[arg(long, value_name = "MODEL_DIR")]
    out: PathBuf,

    /// Checkpoint folder to start from, in place of random weights. The model keeps its configuration: --config may be
    /// left out then, and what it says otherwise is refused.
    #[arg(long, value_name = "CHECKPOINT_DIR", value_parser = values::folder)]
    init: Option<PathBuf>,

    /// Seed of initial weights, data order and dropout.
    #[arg(long, value_name = "N", default_value = "42", value_parser = values::at_least_zero::<u32>)]
    seed: u32,

    /// Passes over the train split.
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::at_least_one::<u32>)]
    epochs: u32,

    /// Stop after so many steps; the learning rate then falls to zero over them.
    #[arg(long, value_name = "N", value_parser = values::at_least_one::<u64>)]
    max_steps: Option<u64>,

    /// Sequences per step.
    #[arg(long, value_name = "N", default_value = "16", value_parser = values::at_least_one::<u32>)]
    batch_size: u32,

    /// Learning rate of the first step.
    #[arg(long, value_name = "RATE", default_value = "5e-5", value_parser = values::not_negative)]
    learning_rate: f64,

    /// Decoupled weight decay of matrices; biases and layer norms have none.
    #[arg(long, value_name = "DECAY", default_value = "0", value_parser = values::not_negative)]
    weight_decay: f64,

    /// Gradients with a larger global norm are scaled down to it.
    #[arg(long, value_name = "NORM", default_value = "1", value_parser = values::positive)]
    max_grad_norm: f64,

    /// Order of sequences: shuffled (per epoch, from the seed), sequential (as in the file), or a JSON
    /// file with the row numbers of every batch over all epochs.
    #[arg(long, value_name = "shuffled|sequential|BATCHES.json", default_value = "shuffled",
          value_parser = values::order)]
    order: String,

    /// Where to compute: auto (an NVIDIA GPU if there is one), cpu, cuda, cuda:N or vulkan.
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = values::device)]
    device: String,

    /// Number format of activations and matrix products; weights are kept in f32.
    #[arg(long, value_name = "DTYPE", default_value = "f32", value_parser = PossibleValuesParser::new(Dtype::words()))]
    dtype: String,

    /// Go on from the newest checkpoint in the model folder; damaged ones are set aside.
    #[arg(long)]
    resume: bool,

    /// Steps between two checkpoints that only serve to resume after a crash; every ten minutes if not given.
    #[arg(long, value_name = "STEPS", value_parser = values::at_least_one::<u64>)]
    save_every: Option<u64>,

    /// What is kept of the checkpoints: all, weights (the optimizer's state only of the newest, a third of
    /// the space) or a number (the newest so many, which keep their indices).
    #[arg(long, value_name = "all|weights|N", default_value = "all")]
    keep_checkpoints: KeepCheckpoints,
}

impl Args {
    pub(super) fn into_spec(self) -> Result<StageSpec> {
        let config = self.config.as_deref().map(configuration).transpose()?.unwrap_or_default();
        if let (Some(file), None) = (&self.config, &self.init) {
            // What is wrong with it whatever the data is, is told with its name.
            GptNeoConfig::from_fields(config.clone())
                .map_err(|error| Error::input(format!("{}: {error}", file.display())))?;
        }
        Ok(StageSpec::Train(TrainSpec {
            config,
            data: self.data,
            out: self.out,
            init: self.init,
            seed: self.seed,
            epochs: self.epochs,
            max_steps: self.max_steps,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            weight_decay: self.weight_decay,
            max_grad_norm: self.max_grad_norm,
            order: self.order,
            device: self.device,
            dtype: self.dtype,
            resume: self.resume,
            save_every: self.save_every,
            keep_checkpoints: self.keep_checkpoints,
        }))
    }
}

fn configuration(file: &Path) -> Result<serde_json::Map<String, serde_json::Value>> {
    match files::read_json(file)? {
        serde_json::Value::Object(config) => Ok(config),
        _ => Err(Error::input(format!(
            "{}: expected a JSON object with a GPT-Neo configuration",
            file.display()
        ))),
    }
}
