//! Where the command line meets the stages.

use super::{logits, output};
use crate::{Result, analyze, collect, data, device, evaluate, model, report::Report, train};
use protocol::{
    output::StageOutput,
    spec::{AnalyzeSpec, StageSpec},
};

/// Runs the stage that `spec` describes.
pub(super) fn stage(spec: &StageSpec, report: &Report) -> Result<StageOutput> {
    let kind = spec.kind();
    Ok(match spec {
        StageSpec::Prepare(spec) => StageOutput::Prepare(data::prepare(spec, report)?),
        StageSpec::Train(spec) => StageOutput::Train(train::train(spec, report)?),
        StageSpec::Evaluate(spec) => StageOutput::Evaluate(evaluate::evaluate(spec, report)?),
        StageSpec::Means(spec) => StageOutput::Means(collect::collect(kind, spec, report)?),
        StageSpec::Vars(spec) => StageOutput::Vars(collect::collect(kind, spec, report)?),
        StageSpec::Decs(spec) => StageOutput::Decs(collect::collect(kind, spec, report)?),
        StageSpec::Analyze(spec) => StageOutput::Analyze(analyze::analyze(spec, report)?),
    })
}

/// The forward pass; gives `[batch, length]`.
pub(super) fn logits(args: &logits::Args) -> Result<[usize; 2]> {
    let device = device::resolve(&args.device, &Report::silent())?;
    model::logits::logits(&args.model, args.checkpoint, &args.input, &args.out, device)
}

/// Shows how far the collection of each model is.
pub(super) fn progress(spec: &AnalyzeSpec, json: bool) -> Result<()> {
    if json {
        return output::json(&analyze::collected(spec)?);
    }
    output::line(analyze::progress(spec)?.trim_end())
}
