//! A checkpoint's `eval_results.json`, ours or the Python tools'.

use crate::{
    Error, Result, files,
    model::checkpoint::{EVAL_RESULTS, NOT_FINITE},
};
use protocol::real::Real;
use serde::Deserialize;
use std::{fs, path::Path};

/// Validation scores of a checkpoint.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Scores {
    #[serde(rename = "eval_accuracy")]
    pub(super) accuracy: Option<Real>,
    #[serde(rename = "eval_loss")]
    pub(super) loss: Option<Real>,
    perplexity: Option<Real>,
    /// Sequences, where it tells.
    #[serde(rename = "eval_samples")]
    pub(super) sequences: Option<u64>,
    /// Hash of the validation split, where it tells.
    pub(super) data_sha256: Option<String>,
    /// Hash of the weights, where it tells.
    pub(super) checkpoint_sha256: Option<String>,
    /// Hash of what the model computes with them, where it tells.
    pub(super) function_sha256: Option<String>,
    /// Tokens per sequence, where it tells.
    pub(super) block_size: Option<u64>,
}

impl Scores {
    /// Reads the scores of a checkpoint folder; none if it was not evaluated.
    pub(super) fn read(checkpoint: &Path) -> Result<Option<Self>> {
        let path = checkpoint.join(EVAL_RESULTS);
        if !files::exists(&path)? {
            return Ok(None);
        }
        let mut text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        for (python, name) in NOT_FINITE {
            text = text.replace(&format!(": {python}"), &format!(": \"{name}\""));
        }
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| Error::input(format!("{}: not evaluation results: {error}", path.display())))
    }

    /// `exp(loss)`, where it is not given.
    pub(super) fn perplexity(&self) -> Option<Real> {
        self.perplexity.or_else(|| self.loss.map(|loss| Real(loss.0.exp())))
    }
}
