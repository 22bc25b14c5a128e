//! What a command leaves on standard output: one JSON value, or a few lines for a person.

use crate::{Error, Result};
use protocol::{
    output::{AnalyzeOutput, CollectOutput, EvaluateOutput, PrepareOutput, StageOutput, TrainOutput},
    real::Real,
};
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// Prints a stage's output.
pub(super) fn print(output: &StageOutput, as_json: bool) -> Result<()> {
    if as_json {
        return match output {
            StageOutput::Prepare(output) => json(output),
            StageOutput::Train(output) => json(output),
            StageOutput::Evaluate(output) => json(output),
            StageOutput::Means(output) | StageOutput::Vars(output) | StageOutput::Decs(output) => {
                json(output)
            }
            StageOutput::Analyze(output) => json(output),
        };
    }
    line(&match output {
        StageOutput::Prepare(output) => prepared(output),
        StageOutput::Train(output) => trained(output),
        StageOutput::Evaluate(output) => evaluated(output),
        StageOutput::Means(output) | StageOutput::Vars(output) | StageOutput::Decs(output) => {
            collected(output)
        }
        StageOutput::Analyze(output) => analyzed(output),
    })
}

/// Prints one JSON value.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value).map_err(|error| Error::failed(error.to_string()))?;
    line(&text)
}

/// Prints text and ends the line.
pub(super) fn line(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        // The reader has seen enough (`| head`).
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Error::io("standard output")),
    }
}

fn prepared(output: &PrepareOutput) -> String {
    let mut lines: Vec<String> = output
        .splits
        .iter()
        .map(|(name, split)| {
            format!(
                "{name}: {} texts, {} tokens, {} sequences of {} tokens, {} targets, {} tokens dropped, sha256 {}",
                split.texts,
                split.tokens,
                split.sequences,
                output.block_size,
                split.targets,
                split.dropped_tokens,
                split.sha256
            )
        })
        .collect();
    lines.push(format!("vocabulary: {} tokens", output.vocab_size));
    lines.join("\n")
}

fn trained(output: &TrainOutput) -> String {
    let checkpoints = output.checkpoints.len();
    let last = output.checkpoints.last().map(|path| format!(", the last in {}", path.display()));
    format!(
        "{} steps, final loss {}; {} parameters; {} tokens in {:.1} s; {checkpoints} checkpoints{}",
        output.steps,
        rounded(output.final_loss),
        output.n_params,
        output.tokens,
        output.seconds,
        last.unwrap_or_default()
    )
}

fn evaluated(output: &EvaluateOutput) -> String {
    format!(
        "loss {} nats per token, accuracy {}, perplexity {}, over {} sequences",
        rounded(output.eval_loss),
        rounded(output.eval_accuracy),
        rounded(output.perplexity),
        output.eval_samples
    )
}

fn collected(output: &CollectOutput) -> String {
    let hits = output.hits.map(|hits| format!(", {hits} decisions agree")).unwrap_or_default();
    format!(
        "{}: {} sequences, {} tokens, {} classes{hits}",
        output.file.display(),
        output.sequences,
        output.tokens,
        output.classes
    )
}

fn analyzed(output: &AnalyzeOutput) -> String {
    let models: Vec<_> = output.rows.iter().map(|row| row.model.as_str()).collect();
    format!("{} models, {} measures each: {}", models.len(), output.columns.len(), models.join(", "))
}

fn rounded(value: Real) -> String {
    format!("{:.4}", value.0)
}
