//! Statistics of the published tool in, ours out.

use super::{
    path as place,
    published::{Named, Statistics},
};
use crate::{Error, Result};
use protocol::stage::StageKind;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is new.
    Written,
    /// It took the place of other statistics.
    Replaced,
    /// The same statistics were there already.
    Unchanged,
}

/// One file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The published tool's file.
    pub from: PathBuf,
    /// Ours.
    pub file: PathBuf,
    /// Run name.
    pub model: String,
    /// Checkpoint index.
    pub checkpoint: u32,
    /// `means`, `vars` or `decs`.
    pub stage: StageKind,
    /// Hash of the class means.
    pub hash: String,
    /// Sequences that were read.
    pub sequences: u64,
    /// Classes with at least one sample.
    pub classes: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What was read, and what was not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Import {
    /// Files of statistics, in the order of their names.
    pub files: Vec<Imported>,
    /// Other `.pt` files in the given folders.
    pub skipped: Vec<PathBuf>,
    /// Files that may be unfinished, a line for each.
    pub warnings: Vec<String>,
}

/// Reads files of the published tool, or all that are in given folders at any depth, and writes them as
/// ours into the statistics folder. All are read and checked before the first is written.
///
/// # Errors
/// When a file is damaged, has another name or content than the published tool gives, or holds means that
/// do not have its hash; when two files are for the same place, when means and variances of a checkpoint are over
/// different numbers of sequences, one of them being unfinished; when other statistics are there already and
/// `replace` is false; when a file can't be written.
pub fn import(from: &[PathBuf], stats: &Path, replace: bool) -> Result<Import> {
    let (sources, skipped) = find(from)?;
    let mut imported = Vec::with_capacity(sources.len());
    for (named, source) in sources {
        let statistics = Statistics::read_published(&source, named.stage)?;
        let file = place(stats, named.stage, named.checkpoint, &named.run);
        let outcome = outcome(&statistics, &file, named.stage)?;
        if outcome == Outcome::Replaced && !replace {
            return Err(Error::input(format!(
                "{}: holds other statistics than {}; use --replace or another --stats",
                file.display(),
                source.display()
            )));
        }
        let record = Imported {
            from: source,
            file,
            model: named.run,
            checkpoint: named.checkpoint,
            stage: named.stage,
            hash: statistics.meta().hash.clone(),
            sequences: statistics.meta().n_seqs,
            classes: statistics.counts().iter().filter(|&&n| n > 0).count() as u64,
            outcome,
        };
        imported.push(record);
    }
    let warnings = unfinished(&imported)?;
    // Read once more rather than kept: the means of a whole study need not fit into memory.
    for record in imported.iter().filter(|record| record.outcome != Outcome::Unchanged) {
        let statistics = Statistics::read_published(&record.from, record.stage)?;
        if (&statistics.meta().hash, statistics.meta().n_seqs) != (&record.hash, record.sequences) {
            return Err(Error::input(format!(
                "{}: was written to since it was checked; import it again once its collection is over",
                record.from.display()
            )));
        }
        statistics.write(&record.file)?;
    }
    Ok(Import { files: imported, skipped, warnings })
}

/// Looks for unfinished statistics, which the published tool writes as it writes finished ones: by the number of
/// sequences alone. A line for each file that has fewer than those of other models.
///
/// # Errors
/// When means and variances of a checkpoint, which are over the same data, have different numbers.
fn unfinished(imported: &[Imported]) -> Result<Vec<String>> {
    let of = |stage| imported.iter().filter(move |record| record.stage == stage);
    for means in of(StageKind::Means) {
        let same = |vars: &&Imported| (&vars.model, vars.checkpoint) == (&means.model, means.checkpoint);
        if let Some(vars) = of(StageKind::Vars).find(same).filter(|vars| vars.sequences != means.sequences) {
            return Err(Error::input(format!(
                "{}: over {} sequences, but {} over {}: one of them is unfinished; finish its collection, or give the \
                 other files only",
                vars.from.display(),
                vars.sequences,
                means.from.display(),
                means.sequences
            )));
        }
    }
    let most = |stage| of(stage).map(|record| record.sequences).max().unwrap_or(0);
    let fewer = imported.iter().filter(|record| record.sequences < most(record.stage));
    Ok(fewer
        .map(|record| {
            format!(
                "{}: over {} sequences, those of another model over {}; unless that was over other data, it is unfinished",
                record.from.display(),
                record.sequences,
                most(record.stage)
            )
        })
        .collect())
}

/// What would become of a file.
fn outcome(statistics: &Statistics, file: &Path, stage: StageKind) -> Result<Outcome> {
    if !file.try_exists().map_err(Error::io(file))? {
        return Ok(Outcome::Written);
    }
    // A file that can't be read is one that is not the same.
    let same = Statistics::read(file, stage).is_ok_and(|found| found.same(statistics));
    Ok(if same { Outcome::Unchanged } else { Outcome::Replaced })
}

type Sources = (BTreeMap<Named, PathBuf>, Vec<PathBuf>);

fn find(from: &[PathBuf]) -> Result<Sources> {
    let (mut sources, mut skipped) = (BTreeMap::new(), Vec::new());
    for given in from {
        let mut found = Vec::new();
        if given.is_dir() {
            walk(given, &mut found)?;
        } else {
            found.push(given.clone());
        }
        let mut any = false;
        for path in found {
            match Named::parse(&path) {
                Some(named) => {
                    any = true;
                    add(&mut sources, named, path)?;
                }
                None if given.is_dir() => skipped.push(path),
                None => {}
            }
        }
        if !any {
            return Err(Error::input(format!(
                "{}: no statistics of the published tool; their names are like TS01x0032_01n@0-means.pt, and end in \
                 -means.pt, -vars.pt or -decs.pt",
                given.display()
            )));
        }
    }
    Ok((sources, skipped))
}

fn add(sources: &mut BTreeMap<Named, PathBuf>, named: Named, path: PathBuf) -> Result<()> {
    match sources.get(&named) {
        Some(other) if *other != path => Err(Error::input(format!(
            "{} and {} are both {} of {}@{}; give one of them",
            other.display(),
            path.display(),
            named.stage,
            named.run,
            named.checkpoint
        ))),
        _ => {
            sources.insert(named, path);
            Ok(())
        }
    }
}

/// The `.pt` files below a folder, in the order of their names. Links to folders are not followed.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let listed = fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut entries = listed.map_err(Error::io(folder))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().map_err(Error::io(&path))?.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "pt") {
            found.push(path);
        }
    }
    Ok(())
}
