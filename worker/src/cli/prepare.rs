//! `lc-worker prepare`

use super::values;
use crate::{Error, Result};
use protocol::spec::{PrepareSpec, StageSpec};
use std::path::{Path, PathBuf};

/// Tokenize texts and cut them into sequences.
///
/// Texts are cut into contiguous shards. In a shard, each run of 1,000 texts is tokenized, concatenated without
/// a separator and cut into sequences of equal length; what remains of a run is dropped. Already tokenized
/// sequences are taken as they are. Prints texts, tokens, sequences and SHA-256 of each split.
#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Example:\n  lc-worker prepare --dataset stories.jsonl --tokenizer tokenizer.json \\\n    \
                        --block-size 512 --out data"
)]
pub(super) struct Args {
    /// Texts: builtin:stories (synthetic stories), a folder in Hugging Face layout, a .parquet, .jsonl
    /// (column or key "text"), .txt or .safetensors ("input_ids") file, or hf:owner/name, downloaded once.
    #[arg(long, value_name = "DATASET")]
    dataset: String,

    /// Tokenizer: builtin, a tokenizer.json or a folder with one, or hf:owner/name, downloaded once. A
    /// .safetensors file needs none.
    #[arg(long, value_name = "TOKENIZER")]
    tokenizer: Option<String>,

    /// File with the validation texts, where the dataset has no such split.
    #[arg(long, value_name = "FILE", value_parser = values::file)]
    validation: Option<PathBuf>,

    /// Tokens per sequence, from 2 up.
    #[arg(long, value_name = "TOKENS", default_value = "2048", value_parser = values::at_least_two::<u32>)]
    block_size: u32,

    /// Contiguous shards that the texts are cut into first; they decide which remainders are dropped.
    #[arg(long, value_name = "N", default_value = "2", value_parser = values::at_least_one::<u32>)]
    shards: u32,

    /// Folder to write manifest.json, tokenizer.json, train.bin and validation.bin to.
    #[arg(long, value_name = "DATA_DIR")]
    out: PathBuf,
}

impl Args {
    pub(super) fn into_spec(self) -> Result<StageSpec> {
        let Self { dataset, tokenizer, validation, block_size, shards, out } = self;
        let is_tokenized =
            Path::new(&dataset).extension().is_some_and(|found| found.eq_ignore_ascii_case("safetensors"));
        let tokenizer = tokenizer.or_else(|| is_tokenized.then(|| "builtin".to_owned())).ok_or_else(|| {
            Error::input(
                "missing --tokenizer <TOKENIZER>, which texts need; accepted: builtin, a tokenizer.json or a folder \
                 with one, hf:owner/name",
            )
        })?;
        Ok(StageSpec::Prepare(PrepareSpec { dataset, tokenizer, validation, block_size, shards, out }))
    }
}
