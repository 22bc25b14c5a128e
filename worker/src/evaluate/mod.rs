//! Loss, accuracy and perplexity of a checkpoint on a split.

use crate::{
    Error, Result,
    data::{Manifest, Sequences, lock::Lock},
    device, files,
    kernels::Kernels,
    model::{
        Batch,
        checkpoint::{self, EVAL_RESULTS, Located, NOT_FINITE},
    },
    on_device,
    report::Report,
};
use protocol::{output::EvaluateOutput, real::Real, spec::EvaluateSpec};
use serde::Serialize;
use std::{io::Write as _, path::Path};

/// Evaluates a checkpoint. Results on the validation split are written to the checkpoint's
/// `eval_results.json`.
///
/// The loss is the mean over all targets, summed in `f64`, sequence by sequence in the order of the data: on the
/// processor the result does not depend on the batch size (a GPU's products of matrices may differ with their shapes).
///
/// # Errors
/// On bad input, when the results can't be written, and [`crate::Error::Stopped`] after a stop was asked for
/// (nothing is kept then).
pub fn evaluate(spec: &EvaluateSpec, report: &Report) -> Result<EvaluateOutput> {
    let device = device::resolve(&spec.device, report)?;
    let located = checkpoint::locate(&spec.model, spec.checkpoint)?;
    let is_kept = spec.split == "validation";
    if is_kept {
        files::require_writable("--model", &spec.model, &located.folder)?;
    }
    let results = on_device!(device, |B, place| run::<B>(spec, &located, report, &place))?;
    if is_kept {
        results.write(&located.folder)?;
    }
    Ok(results.output)
}

/// The content of `eval_results.json`: what the library writes, and what that was made from, as statistics tell it.
#[derive(Serialize)]
struct Results {
    #[serde(flatten)]
    output: EvaluateOutput,
    data_sha256: String,
    checkpoint_sha256: String,
    function_sha256: String,
    block_size: usize,
}

impl Results {
    /// Writes the file as Python does, whose programs read it: numbers that are not finite are no strings there.
    fn write(&self, folder: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).map_err(|e| Error::failed(e.to_string()))?;
        for (python, name) in NOT_FINITE {
            text = text.replace(&format!(": \"{name}\""), &format!(": {python}"));
        }
        let path = folder.join(EVAL_RESULTS);
        // So that what is found half written was left by a killed process. Others hold it for a moment: no stop is needed.
        let lock = folder.join(format!(".{EVAL_RESULTS}.lock"));
        let _lock = Lock::take(&lock, &path.display().to_string(), "writing", &Report::silent())?;
        files::remove_leftovers(&path)?;
        files::write_atomically(&path, |out| writeln!(out, "{text}"))
    }
}

fn run<B: Kernels>(
    spec: &EvaluateSpec,
    located: &Located,
    report: &Report,
    device: &B::Device,
) -> Result<Results> {
    let sequences = Sequences::open(&spec.data, &spec.split)?;
    let model = checkpoint::load::<B>(&located.folder, device)?;
    model.config.check_fits(&spec.data, &sequences)?;
    let checkpoint_sha256 = checkpoint::weights::hash(&located.folder)?;
    let data_sha256 = Manifest::read(&spec.data)?.splits[&spec.split].sha256.clone();
    let length = sequences.block_size();
    let total = sequences.len();
    let (mut loss, mut hits) = (0.0, 0);
    for start in (0..total).step_by(spec.batch_size as usize) {
        if report.stop_requested() {
            return Err(report.stopped("stopped, nothing was written; evaluation starts anew next time"));
        }
        report.progress(start as u64, total as u64, "sequences");
        let end = (start + spec.batch_size as usize).min(total);
        let batch = Batch::new((start..end).map(|row| sequences.get(row)), length);
        let hidden = batch.with_targets(model.forward(&batch));
        // A sum must not depend on what else is in the batch.
        for (row, targets) in batch.targets().chunks(length - 1).enumerate() {
            let hidden = hidden.clone().narrow(0, row * (length - 1), length - 1);
            let (of_sequence, right) = B::loss_and_hits(&hidden, model.token_embedding(), targets)?;
            loss += of_sequence;
            hits += right;
        }
    }
    report.progress(total as u64, total as u64, "sequences");
    let targets = (total * (length - 1)) as f64;
    let eval_loss = loss / targets;
    let output = EvaluateOutput {
        eval_loss: Real(eval_loss),
        eval_accuracy: Real(hits as f64 / targets),
        perplexity: Real(eval_loss.exp()),
        eval_samples: total as u64,
    };
    let function_sha256 = model.config.function_sha256();
    Ok(Results { output, data_sha256, checkpoint_sha256, function_sha256, block_size: length })
}
