//! `lc-worker analyze`

use super::{by_hand, dispatch, measures, panics, values};
use crate::Result;
use protocol::spec::{AnalyzeSpec, StageSpec};
use std::path::PathBuf;

/// Compute measures of neural collapse from collected statistics.
///
/// Writes one row per model and checkpoint that has statistics, with a column per measure.
#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:\n  lc-worker analyze --stats stats --models models --out results.csv\n  \
                        lc-worker analyze --stats stats --models models --measures loss,nor,etf --out results.csv\n  \
                        lc-worker analyze --stats stats --models models --progress"
)]
pub(super) struct Args {
    /// Statistics folder, as written by "lc-worker collect".
    #[arg(long, value_name = "STATS_DIR", value_parser = values::folder, required_unless_present = "list")]
    stats: Option<PathBuf>,

    /// Folder of model folders.
    #[arg(long, value_name = "MODELS_DIR", value_parser = values::folder, required_unless_present = "list")]
    models: Option<PathBuf>,

    /// Groups of measures, separated by commas; "all" or names that --list shows.
    #[arg(long, value_name = "GROUPS", default_value = "all", value_delimiter = ',')]
    measures: Vec<String>,

    /// Keep classes with at least so many samples in the train split.
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::at_least_one::<u32>)]
    min_per_class: u32,

    /// Keep classes with fewer samples in the train split than this.
    #[arg(long, value_name = "N", value_parser = values::at_least_one::<u32>)]
    max_per_class: Option<u32>,

    /// Statistics folder with the means of the same checkpoints over other texts, to compare with.
    #[arg(long, value_name = "STATS_DIR", value_parser = values::folder)]
    foreign_stats: Option<PathBuf>,

    /// Round as the published tool does, so that numbers agree with its tables in more digits.
    #[arg(long)]
    compat: bool,

    /// Where the pass over all pairs of classes, the most of the work, is done: "cpu", "auto", "cuda" or "cuda:N".
    #[arg(long, value_name = "DEVICE", default_value = "cpu", value_parser = values::device)]
    device: String,

    /// CSV file to write.
    #[arg(long, value_name = "RESULTS.csv", value_parser = values::csv, required_unless_present_any = ["list", "progress", "json", "per_class"])]
    out: Option<PathBuf>,

    /// CSV or Parquet file to write with a row per model and class: count, norm, cdnv and others.
    #[arg(long, value_name = "FILE.parquet", conflicts_with_all = ["list", "progress"])]
    per_class: Option<PathBuf>,

    /// Only show how far the collection of each model is, in the published tool's table: its last line, "total", is of
    /// the published runs, whatever the data is.
    #[arg(long, conflicts_with_all = ["out", "list"])]
    progress: bool,

    /// Only list the groups of measures.
    #[arg(long, conflicts_with = "out")]
    list: bool,
}

impl Args {
    pub(super) fn run(self, json: bool) -> Result<()> {
        if self.list {
            return measures::list(json);
        }
        let spec = AnalyzeSpec {
            stats: self.stats.unwrap_or_default(),
            models: self.models.unwrap_or_default(),
            only: None,
            measures: self.measures,
            min_per_class: self.min_per_class,
            max_per_class: self.max_per_class,
            foreign_stats: self.foreign_stats,
            compat: self.compat,
            device: self.device,
            out: self.out,
            per_class: self.per_class,
        };
        if self.progress {
            return panics::caught(|| dispatch::progress(&spec, json));
        }
        by_hand(&StageSpec::Analyze(spec), json)
    }
}
