//! Statistics files: what `collect` writes and `analyze` reads.
//!
//! One file per stage, checkpoint and run: `<stage>@<C>/<run name>-<stage>.safetensors`. Tensors:
//! `Ns_toks` int32 `[classes]`, the samples of each class, and `totals` (means f64
//! `[classes, width]`, vars f64 `[classes]`, decs int32 `[classes]`), the sums over them. Means have
//! `squares` f64 `[classes]` as well, the sums of squared norms, and variances may have `covariance` f64
//! `[width, width]`, summed over the samples of all classes. String metadata: `hash` of the class means that
//! the statistics belong to, `N_seqs`, `content_sha256`, and what they were made from. A class is the *next* token; totals are
//! not divided by anything.

mod content;
mod decs;
mod file;
mod hash;
mod import;
mod means;
mod published;
mod summary;
mod vars;

pub use decs::Decs;
pub use hash::means_hash;
pub use import::{Import, Imported, Outcome as ImportOutcome, import};
pub use means::Means;
pub use summary::Summary;
pub use vars::Vars;

use protocol::stage::StageKind;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The string metadata of a statistics file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Hash of the class means that the statistics belong to, see [`means_hash`].
    pub hash: String,
    /// Sequences that were read.
    pub n_seqs: u64,
    /// What the statistics were made from: any further keys and values.
    pub made_from: BTreeMap<String, String>,
}

/// Where the statistics of a stage (`means`, `vars`, `decs`) of one checkpoint lie.
#[must_use]
pub fn path(stats: &Path, stage: StageKind, checkpoint: u32, run_name: &str) -> PathBuf {
    stats.join(format!("{stage}@{checkpoint}")).join(format!("{run_name}-{stage}.safetensors"))
}

/// Where the unfinished statistics of a file lie.
#[must_use]
pub fn partial(file: &Path) -> PathBuf {
    file.with_extension(PARTIAL)
}

/// Ending of unfinished statistics.
pub const PARTIAL: &str = "partial";

/// The name of a run in statistics files and tables: its model folder's name, without a prefix that
/// ends in `TinyStories-`.
#[must_use]
pub fn run_name(model_folder: &str) -> &str {
    const PREFIX: &str = "TinyStories-";
    match model_folder.rfind(PREFIX) {
        Some(at) if at + PREFIX.len() < model_folder.len() => &model_folder[at + PREFIX.len()..],
        _ => model_folder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_as_its_folder_without_the_dataset() {
        assert_eq!(run_name("TinyStories-02x0768_01d07"), "02x0768_01d07");
        assert_eq!(run_name("old-TinyStories-02x0768_01d07"), "02x0768_01d07");
        assert_eq!(run_name("first-01x0032_01d00"), "first-01x0032_01d00");
        assert_eq!(run_name("TinyStories-"), "TinyStories-");
        assert_eq!(
            path(Path::new("s"), StageKind::Decs, 2, "01x0032_01d00"),
            Path::new("s/decs@2/01x0032_01d00-decs.safetensors")
        );
    }
}
