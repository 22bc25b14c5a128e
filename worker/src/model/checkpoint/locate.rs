//! Which checkpoint a command means.

use super::{
    CONFIG, WEIGHTS,
    weights::{self, TORCH_WEIGHTS},
};
use crate::{Error, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A checkpoint on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The folder with `config.json` and the weights.
    pub folder: PathBuf,
    /// Name of the model folder, for example `TinyStories-02x0768_01d07`.
    pub name: String,
    /// Position among the model's checkpoints.
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
            path.file_name().and_then(|name| name.to_str()?.strip_prefix("checkpoint-")?.parse::<u64>().ok());
        if let Some(step) = step.filter(|_| path.is_dir()) {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Finds checkpoint `index` of a model folder (the last one if missing), or takes a checkpoint folder
/// as it is.
///
/// # Errors
/// When there is no such folder or checkpoint; the line names what there is.
pub fn locate(model: &Path, index: Option<u32>) -> Result<Located> {
    if !model.is_dir() {
        return Err(Error::input(format!(
            "{}: no such folder; expected a model folder with checkpoint-* inside or a checkpoint folder",
            model.display()
        )));
    }
    let model = &model.canonicalize().map_err(Error::io(model))?;
    let inside = checkpoints(model)?;
    if !inside.is_empty() {
        let wanted = index.map_or(inside.len() - 1, |index| index as usize);
        let Some((_, folder)) = inside.get(wanted) else {
            return Err(Error::input(format!(
                "{}: no checkpoint {wanted}; it has {} (0 to {})",
                model.display(),
                inside.len(),
                inside.len() - 1
            )));
        };
        return Ok(Located { folder: folder.clone(), name: name(model), index: wanted as u32 });
    }
    if !model.join(CONFIG).exists() || !weights::present(model) {
        return Err(Error::input(format!(
            "{}: neither checkpoint-* folders nor {CONFIG} with {WEIGHTS} or {TORCH_WEIGHTS} in it; was the \
             model trained?",
            model.display()
        )));
    }
    // A checkpoint folder itself: its model is the folder around it, if that looks like one.
    let parent = model.parent().filter(|_| name(model).starts_with("checkpoint-"));
    let siblings = parent.map(checkpoints).transpose()?.unwrap_or_default();
    let position = siblings.iter().position(|(_, folder)| folder == model).unwrap_or(0) as u32;
    Ok(Located {
        folder: model.clone(),
        name: parent.map_or_else(|| name(model), name),
        index: index.unwrap_or(position),
    })
}

fn name(folder: &Path) -> String {
    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
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
        assert!(locate(&model, Some(3)).unwrap_err().to_string().contains("0 to 2"));
        assert!(locate(root.path(), None).unwrap_err().to_string().contains("was the model trained"));
    }
}
