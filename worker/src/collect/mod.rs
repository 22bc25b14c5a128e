//! Per-class statistics of the last embeddings: what the head reads at every position that has a next
//! token, filed under that next token.
//!
//! * [`means`]: sums of embeddings over the train split;
//! * [`vars`]: sums of squared distances to the class means over the train split;
//! * [`decs`]: agreement of the linear and the nearest-mean decision over the validation split;
//! * [`partial`]: unfinished statistics, for going on after an interruption;
//! * [`pass`]: the forward pass over a split that they share.
//!
//! Sums are taken in `f64`, on the device where the embeddings are, token by token in the order of the data, so that they
//! do not depend on batch size, threads or interruptions.

mod decs;
mod means;
mod partial;
mod pass;
mod vars;

use crate::{Result, device, files, model::checkpoint, on_device, report::Report, stats};
use pass::Job;
use protocol::{output::CollectOutput, spec::CollectSpec, stage::StageKind};

/// Collects one kind of statistics (`means`, `vars` or `decs`) of a checkpoint. If the file is there
/// already, made from the same checkpoint and data, nothing is done; made from something else, it is replaced if
/// `spec.replace` says so.
///
/// # Errors
/// On bad input, when there is such a file that is not to be replaced, when the means that `vars` and `decs` need are
/// missing or belong to another checkpoint, when a file can't be written, and [`crate::Error::Interrupted`] after a stop was asked for and the
/// unfinished statistics were saved.
///
/// # Panics
/// When `stage` is none of the three.
pub fn collect(stage: StageKind, spec: &CollectSpec, report: &Report) -> Result<CollectOutput> {
    let device = device::resolve(&spec.device, report)?;
    let located = checkpoint::locate(&spec.model, spec.checkpoint)?;
    let name = stats::run_name(&located.name).to_owned();
    let job = Job {
        spec,
        report,
        file: stats::path(&spec.stats, stage, located.index, &name),
        means: stats::path(&spec.stats, StageKind::Means, located.index, &name),
        located,
        device,
    };
    files::require_writable("--stats", &spec.stats, &spec.stats)?;
    // A stage of a run is collected by one process at a time.
    files::remove_leftovers(&job.file)?;
    files::remove_leftovers(&job.partial())?;
    let output = on_device!(device, |B, place| match stage {
        StageKind::Means => means::collect::<B>(&job, &place),
        StageKind::Vars => vars::collect::<B>(&job, &place),
        StageKind::Decs => decs::collect::<B>(&job, &place),
        other => panic!("{other} is no kind of statistics"),
    })?;
    partial::remove(&job.file)?;
    Ok(output)
}
