//! Which checkpoints stay in a model folder, and which go once a newer one is on disk.

use crate::{
    Error, Result,
    model::checkpoint::{self, OPTIMIZER, checkpoints},
};
use protocol::keep::KeepCheckpoints;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Name of the folder of a checkpoint that only serves to resume, before its step.
pub(super) const RESUME: &str = "resume-";

/// Training that goes on keeps so many checkpoints to go on from, should the newest turn out damaged.
const SPARED: usize = 2;

/// All folders of a model folder that training could go on from if they are whole, with their steps,
/// oldest first.
///
/// # Errors
/// When the folder can't be read.
pub(super) fn all(out: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut all = if out.is_dir() { checkpoints(out)? } else { Vec::new() };
    all.extend(resumes(out)?);
    all.sort();
    Ok(all)
}

/// Removes what is not to be kept, after the newest checkpoint is on disk: what only served to resume, and
/// of the checkpoints what `keep` says. While training goes on (`over` is false) the two newest stay whole
/// in any case.
///
/// # Errors
/// When a folder can't be removed.
pub(super) fn prune(out: &Path, keep: KeepCheckpoints, over: bool) -> Result<()> {
    let mut spared = all(out)?;
    spared.retain(|(_, folder)| folder.join(OPTIMIZER).exists());
    spared.drain(..spared.len().saturating_sub(if over { 0 } else { SPARED }));
    let is_spared = |folder: &Path| spared.iter().any(|(_, spared)| spared == folder);
    for (_, folder) in resumes(out)?.iter().filter(|(_, folder)| !is_spared(folder)) {
        checkpoint::remove(folder)?;
    }
    let kept = checkpoints(out)?;
    let (newest, change): (usize, fn(&Path) -> Result<()>) = match keep {
        KeepCheckpoints::All => return Ok(()),
        KeepCheckpoints::Weights => (1, checkpoint::drop_optimizer),
        KeepCheckpoints::Newest(count) => (count.get() as usize, checkpoint::remove),
    };
    let older = &kept[..kept.len().saturating_sub(newest)];
    older.iter().filter(|(_, folder)| !is_spared(folder)).try_for_each(|(_, folder)| change(folder))
}

/// The checkpoints that only serve to resume, with their steps.
fn resumes(out: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let Ok(entries) = fs::read_dir(out) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io(out))?.path();
        let step = path.file_name().and_then(|name| name.to_str()?.strip_prefix(RESUME)?.parse::<u64>().ok());
        found.extend(step.map(|step| (step, path)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model folder with these checkpoint folders, each with an optimizer's state.
    fn model(names: &[&str]) -> tempfile::TempDir {
        let out = tempfile::tempdir().unwrap();
        for name in names {
            fs::create_dir(out.path().join(name)).unwrap();
            fs::write(out.path().join(name).join(OPTIMIZER), "moments").unwrap();
        }
        out
    }

    /// The folders that are left; a star marks an optimizer's state.
    fn left(out: &Path) -> Vec<String> {
        let entries = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> = entries
            .map(|path| {
                let star = if path.join(OPTIMIZER).exists() { "*" } else { "" };
                format!("{}{star}", path.file_name().unwrap().to_str().unwrap())
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_two_newest_stay_whole_until_training_is_over() {
        let names = ["checkpoint-3", "checkpoint-6", "checkpoint-9", "resume-7", "resume-10"];
        let after = |keep: &str, over: bool| {
            let out = model(&names);
            prune(out.path(), keep.parse().unwrap(), over).unwrap();
            left(out.path())
        };
        assert_eq!(after("all", false), ["checkpoint-3*", "checkpoint-6*", "checkpoint-9*", "resume-10*"]);
        assert_eq!(after("all", true), ["checkpoint-3*", "checkpoint-6*", "checkpoint-9*"]);
        assert_eq!(after("weights", false), ["checkpoint-3", "checkpoint-6", "checkpoint-9*", "resume-10*"]);
        assert_eq!(after("weights", true), ["checkpoint-3", "checkpoint-6", "checkpoint-9*"]);
        assert_eq!(after("2", true), ["checkpoint-6*", "checkpoint-9*"]);
        assert_eq!(after("1", false), ["checkpoint-9*", "resume-10*"]);

        let out = model(&["checkpoint-3", "checkpoint-6", "resume-4"]);
        prune(out.path(), "1".parse().unwrap(), false).unwrap();
        assert_eq!(left(out.path()), ["checkpoint-6*", "resume-4*"]);
        prune(out.path(), "1".parse().unwrap(), true).unwrap();
        assert_eq!(left(out.path()), ["checkpoint-6*"]);
    }
}
