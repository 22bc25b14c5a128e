//! `lc-worker logits`

use super::{dispatch, output, panics, values};
use crate::Result;
use std::path::PathBuf;

/// Compute the logits of a checkpoint on given tokens.
///
/// Reads "input_ids" int64 [batch, length] and writes "logits" f32 [batch, length, vocabulary] and
/// "last_hidden" f32 [batch, length, width], for comparing with other programs.
#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Example:\n  lc-worker logits --model models/02x0064_01d00 --input ids.safetensors \\\n    \
                        --out logits.safetensors"
)]
pub(super) struct Args {
    /// Model folder, or a checkpoint folder itself.
    #[arg(long, value_name = "MODEL_DIR", value_parser = values::folder)]
    pub(super) model: PathBuf,

    /// Index of the checkpoint in the model folder, from 0; the last one if not given.
    #[arg(long, value_name = "C", value_parser = values::at_least_zero::<u32>)]
    pub(super) checkpoint: Option<u32>,

    /// File with the tokens.
    #[arg(long, value_name = "IDS.safetensors", value_parser = values::file)]
    pub(super) input: PathBuf,

    /// File to write.
    #[arg(long, value_name = "OUT.safetensors")]
    pub(super) out: PathBuf,

    /// Where to compute: auto (an NVIDIA GPU if there is one), cpu, cuda, cuda:N or vulkan.
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = values::device)]
    pub(super) device: String,
}

impl Args {
    pub(super) fn run(self, json: bool) -> Result<()> {
        let [batch, length] = panics::caught(|| dispatch::logits(&self))?;
        let out = self.out.display();
        if json {
            return output::json(&serde_json::json!({ "out": self.out, "batch": batch, "length": length }));
        }
        output::line(&format!("logits of {batch} sequences of {length} tokens in {out}"))
    }
}
