//! Which checkpoint a command means.

use super::{
    CONFIG, TRAINER_STATE, WEIGHTS,
    weights::{self, TORCH_WEIGHTS},
};
use crate::{Error, Result, files};
use std::{
    fs,
    io::ErrorKind,
    path::{Component, Path, PathBuf},
};

/// How the names of checkpoint folders begin.
const CHECKPOINT: &str = "checkpoint-";

/// What became of the search for a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is there.
    There(Located),
    /// It is not; the line says what is.
    Missing(String),
}

/// A checkpoint on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The folder with `config.json` and the weights.
    pub folder: PathBuf,
    /// Name of the model folder, for example `TinyStories-02x0768_01d07`.
    pub name: String,
    /// Index among the model's checkpoints, see [`indexed`].
    pub index: u32,
}

/// The checkpoint folders of a model folder with their steps, oldest first.
///
/// # Errors
/// When the folder can't be read.
pub fn checkpoints(model: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(model).map_err(Error::io(model))? {
        let path = entry.map_err(Error::io(model))?.path();
        let step =
            path.file_name().and_then(|name| name.to_str()?.strip_prefix(CHECKPOINT)?.parse::<u64>().ok());
        if let Some(step) = step.filter(|_| path.is_dir()) {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The checkpoint folders of a model folder with their indices, oldest first. One checkpoint is written per
/// epoch, and its index is that of its epoch, whether or not older ones were kept. Where the folders do
/// not say their epoch, or several belong to the same, the index is the position.
///
/// # Errors
/// When a folder can't be read, or only some of them say their epoch: then the others are damaged.
pub fn indexed(model: &Path) -> Result<Vec<(u32, PathBuf)>> {
    let folders: Vec<PathBuf> = checkpoints(model)?.into_iter().map(|(_, folder)| folder).collect();
    let epochs = folders.iter().map(|folder| epoch(folder)).collect::<Result<Vec<Option<f64>>>>()?;
    let mut indices: Vec<u32> = (0..folders.len() as u32).collect();
    if epochs.iter().any(Option::is_some) {
        if let Some(unknown) = epochs.iter().position(Option::is_none) {
            return Err(Error::input(format!(
                "{}: missing or damaged, so the index of this checkpoint is not known; restore it from a copy or \
                 move its folder away",
                folders[unknown].join(TRAINER_STATE).display()
            )));
        }
        // The first epoch ends at 1, give or take the rounding of whoever wrote it.
        let by_epoch: Vec<u32> =
            epochs.iter().flatten().map(|epoch| (epoch - 1e-6).ceil().max(1.0) as u32 - 1).collect();
        if by_epoch.windows(2).all(|pair| pair[0] < pair[1]) {
            indices = by_epoch;
        }
    }
    Ok(indices.into_iter().zip(folders).collect())
}

/// Epochs seen at a checkpoint, by the field that Hugging Face's library writes as well; none where it is missing or
/// damaged.
fn epoch(folder: &Path) -> Result<Option<f64>> {
    #[derive(serde::Deserialize)]
    struct State {
        epoch: f64,
    }
    match files::read_json::<State>(&folder.join(TRAINER_STATE)) {
        Ok(state) => Ok(Some(state.epoch)),
        Err(Error::Input(_)) => Ok(None),
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(other) => Err(other),
    }
}

/// Finds checkpoint `index` of a model folder (the last one if missing), or takes a checkpoint folder
/// as it is, unless `index` is not that which it has beside the others of its model.
///
/// # Errors
/// When there is no such folder or checkpoint; the line names what there is.
pub fn locate(model: &Path, index: Option<u32>) -> Result<Located> {
    match find(model, index)? {
        Found::There(located) => Ok(located),
        Found::Missing(line) => Err(Error::input(line)),
    }
}

/// [`locate`], for whom it is no error that there is no such folder or checkpoint.
///
/// # Errors
/// When a folder can't be read, or is damaged so that the index of its checkpoint is not known.
pub fn find(model: &Path, index: Option<u32>) -> Result<Found> {
    if !files::exists(model)? || !model.is_dir() {
        return Ok(Found::Missing(format!(
            "{}: no such folder; expected a model folder with checkpoint-* inside or a checkpoint folder",
            model.display()
        )));
    }
    let model = &named(model)?;
    let mut inside = indexed(model)?;
    if let Some(&(last, _)) = inside.last() {
        let wanted = index.unwrap_or(last);
        let Some(at) = inside.iter().position(|&(index, _)| index == wanted) else {
            return Ok(Found::Missing(absent(model, wanted, &inside)));
        };
        let folder = inside.swap_remove(at).1;
        return Ok(Found::There(Located { folder, name: files::name(model), index: wanted }));
    }
    if !model.join(CONFIG).exists() || !weights::present(model) {
        return Ok(Found::Missing(format!(
            "{}: neither checkpoint-* folders nor {CONFIG} with {WEIGHTS} or {TORCH_WEIGHTS} in it; was the \
             model trained?",
            model.display()
        )));
    }
    // A checkpoint folder itself: its model is the folder around it, if that looks like one.
    let is_checkpoint = |folder: &Path| files::name(folder).starts_with(CHECKPOINT);
    let target = model.canonicalize().map_err(Error::io(model))?;
    // A link of another name to a checkpoint folder says nothing of the model.
    let model = if is_checkpoint(model) || !is_checkpoint(&target) { model } else { &target };
    let parent = model.parent().filter(|_| is_checkpoint(model));
    let siblings = match parent.map(indexed) {
        // Whoever says the index need not have it told by what is damaged.
        Some(Err(_)) if index.is_some() => Vec::new(),
        siblings => siblings.transpose()?.unwrap_or_default(),
    };
    let own = position(model, &target, &siblings);
    // Alone in its folder, and without a word on epochs, it may be any.
    let is_known = siblings.len() > 1 || epoch(model)?.is_some();
    if let (Some(own), Some(wanted)) = (own, index)
        && own != wanted
        && is_known
    {
        return Ok(Found::Missing(format!(
            "{}: is checkpoint {own} of its model, not {wanted}; leave --checkpoint out",
            model.display()
        )));
    }
    Ok(Found::There(Located {
        folder: model.clone(),
        name: parent.map_or_else(|| files::name(model), files::name),
        index: index.or(own).unwrap_or(0),
    }))
}

/// A folder under the name that it was given by: that of a link, not of what it leads to, so that links to the same
/// folder are several models.
fn named(folder: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(folder).map_err(Error::io(folder))?;
    if absolute.components().any(|part| part == Component::ParentDir) {
        return folder.canonicalize().map_err(Error::io(folder));
    }
    Ok(absolute)
}

/// The index of a checkpoint folder, a link or not, among those of its model.
fn position(folder: &Path, target: &Path, siblings: &[(u32, PathBuf)]) -> Option<u32> {
    let is_same = |other: &Path| other.canonicalize().is_ok_and(|other| other == target);
    let mut found = siblings.iter().find(|(_, other)| other == folder);
    found = found.or_else(|| siblings.iter().find(|(_, other)| is_same(other)));
    found.map(|&(index, _)| index)
}

/// Says which checkpoints there are in place of the one that was asked for.
fn absent(model: &Path, wanted: u32, inside: &[(u32, PathBuf)]) -> String {
    let runs = inside.chunk_by(|(one, _), (next, _)| one + 1 == *next);
    let runs: Vec<String> = runs
        .map(|run| match (run.first(), run.last()) {
            (Some((first, _)), Some((last, _))) if first != last => format!("{first} to {last}"),
            (first, _) => first.map(|(first, _)| first.to_string()).unwrap_or_default(),
        })
        .collect();
    let dropped = inside.last().is_some_and(|&(last, _)| wanted < last);
    format!(
        "{}: no checkpoint {wanted}; it has {} ({}){}",
        model.display(),
        inside.len(),
        runs.join(", "),
        if dropped { ", the others were not kept" } else { "" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_count_by_step_not_by_name() {
        let root = tempfile::tempdir().unwrap();
        let model = root.path().canonicalize().unwrap().join("TinyStories-01x0032_03d");
        for step in [1000, 90, 200] {
            let folder = model.join(format!("checkpoint-{step}"));
            fs::create_dir_all(&folder).unwrap();
            for file in [CONFIG, WEIGHTS] {
                fs::write(folder.join(file), "").unwrap();
            }
        }
        fs::create_dir(model.join("checkpoint-latest")).unwrap();
        let at = |index| locate(&model, index).unwrap();
        assert!(at(Some(0)).folder.ends_with("checkpoint-90"));
        assert!(at(None).folder.ends_with("checkpoint-1000"));
        assert_eq!(at(None).index, 2);
        let direct = locate(&model.join("checkpoint-200"), None).unwrap();
        assert_eq!((direct.index, direct.name.as_str()), (1, "TinyStories-01x0032_03d"));
        let again = locate(&model.join("checkpoint-200"), Some(1)).unwrap();
        assert_eq!(again, direct);
        let other = locate(&model.join("checkpoint-200"), Some(2)).unwrap_err().to_string();
        assert!(
            other.ends_with("checkpoint-200: is checkpoint 1 of its model, not 2; leave --checkpoint out"),
            "{other}"
        );
        // A folder without a model around it may be any.
        let alone = root.path().canonicalize().unwrap().join("alone");
        fs::rename(model.join("checkpoint-90"), &alone).unwrap();
        assert_eq!(locate(&alone, Some(7)).unwrap().index, 7);
        fs::rename(&alone, model.join("checkpoint-90")).unwrap();
        assert!(locate(&model, Some(3)).unwrap_err().to_string().contains("0 to 2"));
        assert!(locate(root.path(), None).unwrap_err().to_string().contains("was the model trained"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_model_is_a_model_of_its_own_name() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let store = root.join("store");
        for step in [10, 20] {
            let folder = store.join(format!("checkpoint-{step}"));
            fs::create_dir_all(&folder).unwrap();
            for file in [CONFIG, WEIGHTS] {
                fs::write(folder.join(file), "").unwrap();
            }
        }
        let at = |path: &str| {
            let Located { folder, name, index } = locate(&root.join(path), None).unwrap();
            assert!(folder.canonicalize().unwrap().starts_with(&store), "{}", folder.display());
            (name, index)
        };
        for name in ["first", "second"] {
            symlink(&store, root.join(name)).unwrap();
            for path in [name.to_owned(), format!("{name}/"), format!("{name}/checkpoint-20")] {
                assert_eq!(at(&path), (name.to_owned(), 1), "{path}");
            }
        }
        assert_eq!(at("first/checkpoint-20/.."), ("store".to_owned(), 1));
        // A link to a checkpoint alone.
        symlink(store.join("checkpoint-20"), root.join("newest")).unwrap();
        assert_eq!(at("newest"), ("store".to_owned(), 1));
        fs::create_dir(root.join("third")).unwrap();
        symlink(store.join("checkpoint-20"), root.join("third/checkpoint-7")).unwrap();
        for path in ["third", "third/checkpoint-7"] {
            assert_eq!(at(path), ("third".to_owned(), 0), "{path}");
        }
    }

    #[test]
    fn an_index_is_that_of_the_epoch_also_when_older_checkpoints_are_gone() {
        let root = tempfile::tempdir().unwrap();
        let model = root.path().canonicalize().unwrap();
        let folder = |step: u32| model.join(format!("checkpoint-{step}"));
        let write = |step: u32, state: &str| {
            fs::create_dir_all(folder(step)).unwrap();
            fs::write(folder(step).join(TRAINER_STATE), state).unwrap();
        };
        let indices = || indexed(&model).map(|all| all.iter().map(|&(index, _)| index).collect::<Vec<_>>());
        // The last epoch was cut short, and rounding is not exact.
        for (step, epoch) in [(40, "4.0000000001"), (50, "4.9999"), (55, "5.5")] {
            write(step, &format!(r#"{{"epoch": {epoch}, "log_history": []}}"#));
        }
        assert_eq!(indices().unwrap(), [3, 4, 5]);
        assert!(locate(&model, Some(4)).unwrap().folder.ends_with("checkpoint-50"));
        let absent = locate(&model, Some(1)).unwrap_err().to_string();
        assert!(absent.contains("it has 3 (3 to 5), the others were not kept"), "{absent}");
        let beyond = locate(&model, Some(6)).unwrap_err().to_string();
        assert!(beyond.ends_with("no checkpoint 6; it has 3 (3 to 5)"), "{beyond}");
        fs::remove_dir_all(folder(50)).unwrap();
        let gap = locate(&model, Some(4)).unwrap_err().to_string();
        assert!(gap.contains("it has 2 (3, 5), the others were not kept"), "{gap}");

        write(55, r#"{"epoch": 5."#);
        let damaged = indices().unwrap_err().to_string();
        assert!(damaged.contains("checkpoint-55/trainer_state.json: missing or damaged"), "{damaged}");
        // Several in one epoch, and none that says which.
        write(55, r#"{"epoch": 3.5}"#);
        assert_eq!(indices().unwrap(), [0, 1]);
        [40, 55].iter().for_each(|&step| fs::remove_file(folder(step).join(TRAINER_STATE)).unwrap());
        assert_eq!(indices().unwrap(), [0, 1]);
    }
}
