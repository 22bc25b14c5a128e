//! `lc-worker import-stats`

use super::{output, panics, values, warn};
use crate::{
    Result,
    stats::{self, Import, ImportOutcome, Imported},
};
use std::path::PathBuf;

/// Take over statistics that the published tool collected.
///
/// Reads its files (TS<identifier>@<C>-means.pt, -vars.pt and -decs.pt), checks the hash of the means, and
/// writes the files that "lc-worker analyze" reads. Nothing that such a file might ask Python for is run.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  lc-worker import-stats --from published/stats --stats stats\n\n\
                  Identical statistics that are there already are left alone. If any differ, nothing is \
                  written and the exit code is 2; --replace overwrites them.")]
pub(super) struct Args {
    /// Files, or folders with such files in them at any depth.
    #[arg(
        long,
        value_name = "FILE_OR_FOLDER",
        required = true,
        num_args = 1..,
        value_parser = values::file_or_folder
    )]
    from: Vec<PathBuf>,

    /// Statistics folder to write to; the files are <stage>@<C>/<identifier>-<stage>.safetensors in it.
    #[arg(long, value_name = "STATS_DIR")]
    stats: PathBuf,

    /// Replace statistics of the same name that differ.
    #[arg(long)]
    replace: bool,
}

impl Args {
    pub(super) fn run(self, json: bool) -> Result<()> {
        let import = panics::caught(|| stats::import(&self.from, &self.stats, self.replace))?;
        import.warnings.iter().for_each(|line| warn(line));
        if json {
            return output::json(&import);
        }
        output::line(&lines(&import).join("\n"))
    }
}

fn lines(import: &Import) -> Vec<String> {
    let skipped =
        import.skipped.iter().map(|path| format!("skipped {}: no statistics by its name", path.display()));
    import.files.iter().map(line).chain(skipped).collect()
}

fn line(file: &Imported) -> String {
    let outcome = match file.outcome {
        ImportOutcome::Written => "written",
        ImportOutcome::Replaced => "replaced",
        ImportOutcome::Unchanged => "the same already",
    };
    format!("{}: {} sequences, {} classes; {outcome}", file.file.display(), file.sequences, file.classes)
}
