//! Weights out.

use super::{CONFIG, OPTIMIZER, Sums, TRAINER_STATE, WEIGHTS};
use crate::{
    Error, Result, files,
    model::{
        GptNeo, GptNeoConfig,
        gpt_neo::{self, TensorShape, shapes},
    },
};
use burn::tensor::{Tensor, TensorData, backend::Backend};
use safetensors::{Dtype, View};
use std::{
    borrow::Cow,
    collections::HashMap,
    fs::{self, File},
    path::Path,
};

/// What a checkpoint to go on from has besides the weights.
pub struct Extra<'a, B: Backend> {
    /// Names and values of the optimizer's tensors, each list in the order of the parameters.
    pub optimizer: Vec<(&'static str, &'a [Tensor<B, 2>])>,
    /// Content of `trainer_state.json`.
    pub trainer_state: serde_json::Value,
}

/// Prefix of a folder that is being written.
const UNFINISHED: &str = ".unfinished-";

/// Writes a checkpoint folder under a temporary name, syncs it and renames it to `folder`. An existing
/// folder of that name is replaced; a kill in that instant leaves neither under the name, never a half.
///
/// # Errors
/// When there is too little space for it, anything can't be written, or an entry is not finite; then there is no new
/// folder.
pub fn save<B: Backend>(folder: &Path, model: &GptNeo<B>, extra: Option<&Extra<'_, B>>) -> Result<()> {
    let parent = folder.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(Error::io(parent))?;
    files::require_space(
        folder,
        bytes(&shapes(&model.config), 1 + extra.map_or(0, |extra| extra.optimizer.len())),
    )?;
    let temporary =
        tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(parent).map_err(Error::io(parent))?;
    let inside = temporary.path();
    // Nobody knows the temporary name.
    let named = |error| match error {
        Error::Io { source, .. } => Error::Io { path: folder.to_owned(), source },
        other => other,
    };
    files::write_json(&inside.join(CONFIG), &model.config.to_fields()).map_err(named)?;
    write_tensors(&inside.join(WEIGHTS), folder, &model.config, &[("", model.parameters())])?;
    let mut written = vec![CONFIG, WEIGHTS];
    if let Some(extra) = extra {
        write_tensors(&inside.join(OPTIMIZER), folder, &model.config, &extra.optimizer)?;
        files::write_json(&inside.join(TRAINER_STATE), &extra.trainer_state).map_err(named)?;
        written.extend([OPTIMIZER, TRAINER_STATE]);
    }
    Sums::of(inside, &written).and_then(|sums| sums.write()).map_err(named)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(inside, fs::Permissions::from_mode(0o755)).map_err(Error::io(inside))?;
    }
    File::open(inside).and_then(|dir| dir.sync_all()).map_err(Error::io(folder))?;
    // An old folder steps aside whole: deleting it in place would show half of it to readers, and to
    // whoever comes after a kill. What steps aside is deleted when `aside` goes out of scope.
    let aside = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(parent).map_err(Error::io(parent))?;
    if folder.exists() {
        fs::rename(folder, aside.path().join("replaced")).map_err(Error::io(folder))?;
    }
    fs::rename(temporary.keep(), folder).map_err(Error::io(folder))?;
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(Error::io(parent))
}

/// The bytes of a folder with so many lists of tensors, on the safe side.
fn bytes(tensors: &[TensorShape], lists: usize) -> u64 {
    /// Configuration, state and hashes.
    const REST: usize = 64 << 10;
    /// Name, type and place of a tensor in its file's header.
    const ENTRY: usize = 256;
    let values: usize = tensors.iter().map(|one| one.stored().iter().product::<usize>() * 4 + ENTRY).sum();
    (values * lists + REST) as u64
}

/// Removes a checkpoint folder. It steps aside first: a kill leaves no half of it under its name. Nothing new
/// is made for that, so that it also works on a full disk.
///
/// # Errors
/// When it can't be removed.
pub fn remove(folder: &Path) -> Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let aside = folder.with_file_name(format!("{UNFINISHED}{name}"));
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(Error::io(&aside))?;
    }
    fs::rename(folder, &aside).map_err(Error::io(folder))?;
    fs::remove_dir_all(&aside).map_err(Error::io(&aside))
}

/// Removes the optimizer's state from a checkpoint folder; what is left has all hashes that it needs.
///
/// # Errors
/// When the folder can't be changed.
pub fn drop_optimizer(folder: &Path) -> Result<()> {
    let file = folder.join(OPTIMIZER);
    if !file.exists() {
        return Ok(());
    }
    // The list goes first: a file that it does not name is no damage, one that is missing would be.
    if let Some(sums) = Sums::read(folder)?.filter(|sums| sums.lists(OPTIMIZER)) {
        sums.without(OPTIMIZER).write()?;
    }
    fs::remove_file(&file).map_err(Error::io(&file))
}

/// Removes what a killed process left half written in a model folder.
///
/// # Errors
/// When a leftover can't be removed.
pub fn remove_unfinished(model: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(model) else { return Ok(()) };
    for entry in entries {
        let entry = entry.map_err(Error::io(model))?;
        if !entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            continue;
        }
        let path = entry.path();
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }
            .map_err(Error::io(&path))?;
    }
    Ok(())
}

/// A tensor on its way to a file.
struct Stored {
    shape: Vec<usize>,
    data: TensorData,
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.data.as_bytes())
    }
    fn data_len(&self) -> usize {
        self.data.as_bytes().len()
    }
}

fn write_tensors<B: Backend>(
    file: &Path,
    shown: &Path,
    config: &GptNeoConfig,
    lists: &[(&str, &[Tensor<B, 2>])],
) -> Result<()> {
    let mut tensors = Vec::new();
    for (prefix, list) in lists {
        for (of, tensor) in shapes(config).into_iter().zip(gpt_neo::tensors(config, list)) {
            let data = tensor
                .try_into_data()
                .map_err(|e| Error::failed(format!("reading from the device: {e:?}")))?
                .convert::<f32>();
            let name = format!("{prefix}{}", of.name);
            let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
            if !data.as_slice().is_ok_and(finite) {
                let shown = shown.display();
                return Err(Error::failed(format!(
                    "{shown}: {name} is not finite; try a smaller learning rate"
                )));
            }
            tensors.push((name, Stored { shape: of.stored(), data }));
        }
    }
    // What the library writes, and insists on when reading.
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(tensors, Some(format), file).map_err(|error| match error {
        safetensors::SafeTensorError::IoError(source) => Error::Io { path: shown.to_owned(), source },
        other => Error::failed(format!("{}: {other}", shown.display())),
    })?;
    let opened = File::open(file).and_then(|file| {
        // The library makes it as a temporary one.
        files::open_to_readers(&file)?;
        file.sync_all()
    });
    opened.map_err(Error::io(shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::backend::Cpu,
        model::{checkpoint::load, init},
    };
    use burn_flex::FlexDevice;

    /// Embeddings; attention with its bias; two layer norms; the MLP with its biases; the last layer norm.
    const PARAMETERS: usize = 8 * (5 + 4) + (4 * 64 + 8) + 32 + (2 * 8 * 32 + 32 + 8) + 16;

    #[cfg(unix)]
    #[test]
    fn every_file_of_a_checkpoint_can_be_read_by_others() {
        use std::os::unix::fs::PermissionsExt as _;
        let fields = serde_json::json!({"hidden_size": 8, "num_heads": 2, "num_layers": 1, "vocab_size": 5,
            "max_position_embeddings": 4});
        let config = crate::model::GptNeoConfig::from_fields(fields.as_object().unwrap().clone()).unwrap();
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("checkpoint-1");
        let model = init::random::<Cpu>(&config, 0, &FlexDevice);
        let extra =
            Extra { optimizer: vec![("exp_avg.", model.parameters())], trainer_state: serde_json::json!({}) };
        save::<Cpu>(&folder, &model, Some(&extra)).unwrap();
        let modes: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name(), entry.metadata().unwrap().permissions().mode() & 0o777)
            })
            .collect();
        assert_eq!(modes.len(), 5, "{modes:?}");
        assert!(modes.iter().all(|(_, mode)| *mode == 0o644), "{modes:?}");
    }

    #[test]
    fn a_checkpoint_replaces_the_old_one_whole_and_leaves_nothing_beside_it() {
        let fields = serde_json::json!({"hidden_size": 8, "num_heads": 2, "num_layers": 1, "vocab_size": 5,
            "max_position_embeddings": 4});
        let config = crate::model::GptNeoConfig::from_fields(fields.as_object().unwrap().clone()).unwrap();
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("checkpoint-1");
        let bytes = |folder: &Path| fs::read(folder.join(WEIGHTS)).unwrap();
        save::<Cpu>(&folder, &init::random(&config, 0, &FlexDevice), None).unwrap();
        let first = bytes(&folder);
        fs::write(folder.join("eval_results.json"), "of the old weights").unwrap();
        save::<Cpu>(&folder, &init::random(&config, 1, &FlexDevice), None).unwrap();
        assert_ne!(bytes(&folder), first);
        assert!(!folder.join("eval_results.json").exists());
        assert_eq!(load::<Cpu>(&folder, &FlexDevice).unwrap().parameter_count(), PARAMETERS);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
