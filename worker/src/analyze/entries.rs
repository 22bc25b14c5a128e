//! The runs and checkpoints that a statistics folder holds.

use super::columns::Columns;
use crate::{
    Error, Result, files,
    measure::Need,
    report::Report,
    stats::{self, Summary},
};
use protocol::{spec::AnalyzeSpec, stage::StageKind};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// The stages that write statistics.
pub(super) const STAGES: [StageKind; 3] = [StageKind::Means, StageKind::Vars, StageKind::Decs];

/// One row of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// Width of the embeddings: rows are sorted by it, then by name.
    width: Option<usize>,
    /// Run name.
    pub(super) name: String,
    /// Checkpoint index.
    pub(super) checkpoint: u32,
}

impl Entry {
    /// The name of the row.
    pub(super) fn row_name(&self) -> String {
        format!("{}@{}", self.name, self.checkpoint)
    }

    /// Where its statistics of one stage lie.
    pub(super) fn path(&self, stats: &Path, stage: StageKind) -> PathBuf {
        stats::path(stats, stage, self.checkpoint, &self.name)
    }

    /// What the statistics of one stage say about themselves; none if there are none.
    pub(super) fn summary(&self, stats: &Path, stage: StageKind) -> Result<Option<Summary>> {
        let path = self.path(stats, stage);
        if files::exists(&path)? { Summary::read(&path).map(Some) } else { Ok(None) }
    }

    /// The same, of unfinished statistics where there are no finished ones.
    pub(super) fn so_far(&self, stats: &Path, stage: StageKind) -> Result<Option<Summary>> {
        if let Some(finished) = self.summary(stats, stage)? {
            return Ok(Some(finished));
        }
        match Summary::read(&stats::partial(&self.path(stats, stage))) {
            // Not begun, or finished meanwhile.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.summary(stats, stage)
            }
            // A damaged one is begun anew by whoever goes on with it.
            Err(Error::Input(_)) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Refuses variances and decisions that were made with other means, where they are needed.
    pub(super) fn check_hashes(&self, stats: &Path, columns: &Columns) -> Result<()> {
        let Some(means) = self.summary(stats, StageKind::Means)? else { return Ok(()) };
        let vars = columns.need(Need::Vars) || columns.need(Need::Covariance);
        for (stage, needed) in [(StageKind::Vars, vars), (StageKind::Decs, columns.need(Need::Decisions))] {
            let other = if needed { self.summary(stats, stage)? } else { None };
            if other.is_some_and(|other| other.hash != means.hash) {
                return Err(Error::input(format!(
                    "{}: made with other means than {}; collect {stage} again with --replace",
                    self.path(stats, stage).display(),
                    self.path(stats, StageKind::Means).display(),
                )));
            }
        }
        Ok(())
    }
}

/// The rows to compute: those that have means. Warns of the others.
pub(super) fn with_means(spec: &AnalyzeSpec, report: &Report) -> Result<Vec<Entry>> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for entry in find(spec, false)? {
        if files::exists(&entry.path(&spec.stats, StageKind::Means))? {
            with.push(entry);
        } else {
            report.warn(format!("{} left out: no means", entry.row_name()));
            without.push(entry);
        }
    }
    match (with.is_empty(), without.first()) {
        (true, Some(entry)) => Err(Error::input(format!(
            "{}: no such file; collect the means first",
            entry.path(&spec.stats, StageKind::Means).display()
        ))),
        _ => Ok(with),
    }
}

/// All rows, in the order of the published tables; also those that have only unfinished statistics, if they count.
pub(super) fn find(spec: &AnalyzeSpec, unfinished: bool) -> Result<Vec<Entry>> {
    let names = match &spec.only {
        Some((folder, checkpoint)) => BTreeSet::from([(stats::run_name(folder).to_owned(), *checkpoint)]),
        None => names(&spec.stats, unfinished)?,
    };
    let mut entries = Vec::with_capacity(names.len());
    for (name, checkpoint) in names {
        let mut entry = Entry { width: None, name, checkpoint };
        let summary = if unfinished { Entry::so_far } else { Entry::summary };
        entry.width = summary(&entry, &spec.stats, StageKind::Means)?.and_then(|means| means.width);
        entries.push(entry);
    }
    entries.sort();
    Ok(entries)
}

fn names(stats: &Path, unfinished: bool) -> Result<BTreeSet<(String, u32)>> {
    let mut names = BTreeSet::new();
    for folder in files_in(stats)? {
        let name = files::name(&folder);
        let Some((stage, checkpoint)) = name.split_once('@') else { continue };
        let (Ok(stage), Ok(checkpoint)) = (stage.parse::<StageKind>(), checkpoint.parse()) else { continue };
        if !STAGES.contains(&stage) {
            continue;
        }
        let endings = [format!("-{stage}.safetensors"), format!("-{stage}.{}", stats::PARTIAL)];
        let endings = &endings[..if unfinished { 2 } else { 1 }];
        for file in files_in(&folder)? {
            let file = files::name(&file);
            // A hidden file is one that is being written.
            let name = endings.iter().find_map(|ending| file.strip_suffix(ending.as_str()));
            if let Some(name) = name.filter(|name| !name.starts_with('.')) {
                names.insert((name.to_owned(), checkpoint));
            }
        }
    }
    if names.is_empty() {
        return Err(Error::input(format!(
            "{}: no statistics (expected means@0/<name>-means.safetensors and so on)",
            stats.display()
        )));
    }
    Ok(names)
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed =
        fs::read_dir(folder).and_then(|files| files.map(|file| Ok(file?.path())).collect::<io::Result<_>>());
    listed.map_err(Error::io(folder))
}
