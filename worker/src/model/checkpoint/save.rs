//! Weights out.

use super::{CONFIG, OPTIMIZER, Sums, TRAINER_STATE, WEIGHTS};
use crate::{
    Error, Result, files,
    kernels::host_floats,
    model::{
        GptNeo, GptNeoConfig,
        gpt_neo::{self, TensorShape, shapes},
    },
    tensors,
};
use burn::tensor::{Tensor, backend::Backend};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::{
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
    let sums = fill(inside, folder, model, extra).map_err(named)?;
    // Before anything older goes: what the disk lost would be missed when there is nothing else to go on from.
    sums.check_all().map_err(|error| match error {
        Error::Input(_) => {
            let folder = folder.display();
            Error::failed(format!("{folder}: the disk does not give back what was written to it; check it"))
        }
        other => named(other),
    })?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(inside, fs::Permissions::from_mode(0o755)).map_err(Error::io(inside))?;
    }
    File::open(inside).and_then(|dir| dir.sync_all()).map_err(Error::io(folder))?;
    put_in_place(inside, folder)?;
    // It is not there any more.
    let _ = temporary.keep();
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(Error::io(parent))
}

/// Writes the files of a checkpoint folder that is called `inside` for now. Their hashes are those of what was to be
/// written.
fn fill<B: Backend>(
    inside: &Path,
    folder: &Path,
    model: &GptNeo<B>,
    extra: Option<&Extra<'_, B>>,
) -> Result<Sums> {
    let tensors = |name, lists: &[_]| write_tensors(&inside.join(name), folder, &model.config, lists);
    let config =
        files::write_hashed(&inside.join(CONFIG), |out| files::json(out, &model.config.to_fields()))?;
    let weights = tensors(WEIGHTS, &[("", model.parameters())])?;
    let mut sums = Sums::new(inside, [(CONFIG, config), (WEIGHTS, weights)]);
    if let Some(extra) = extra {
        let optimizer = tensors(OPTIMIZER, &extra.optimizer)?;
        let path = inside.join(TRAINER_STATE);
        let state = files::write_hashed(&path, |out| files::json(out, &extra.trainer_state))?;
        sums = sums.with(OPTIMIZER, optimizer).with(TRAINER_STATE, state);
    }
    sums.write()?;
    Ok(sums)
}

/// Renames a folder to `folder`. An old one of that name steps aside whole: deleting it in place would show half of it to
/// readers, and to whoever comes after a kill. It comes back where the new one can't take its place.
fn put_in_place(new: &Path, folder: &Path) -> Result<()> {
    let rename = |from: &Path, to: &Path| fs::rename(from, to).map_err(Error::io(folder));
    if !folder.exists() {
        return rename(new, folder);
    }
    let parent = folder.parent().unwrap_or(Path::new("."));
    // Deleted with what is in it at the end.
    let aside = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(parent).map_err(Error::io(parent))?;
    let old = aside.path().join("replaced");
    rename(folder, &old)?;
    rename(new, folder).inspect_err(|_| {
        if rename(&old, folder).is_err() {
            let _ = aside.keep();
        }
    })
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

/// Writes tensors, each list with its prefix, to a safetensors file, and gives its hash.
fn write_tensors<B: Backend>(
    file: &Path,
    shown: &Path,
    config: &GptNeoConfig,
    lists: &[(&str, &[Tensor<B, 2>])],
) -> Result<String> {
    let mut all = Vec::new();
    for (prefix, list) in lists {
        for (of, tensor) in shapes(config).into_iter().zip(gpt_neo::tensors(config, list)) {
            let name = format!("{prefix}{}", of.name);
            let values = host_floats(tensor)?;
            if !values.iter().all(|value| value.is_finite()) {
                let shown = shown.display();
                return Err(Error::failed(format!(
                    "{shown}: {name} is not finite; try a smaller learning rate"
                )));
            }
            all.push((name, of.stored(), values));
        }
    }
    // As the format's own writer has them.
    all.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let mut end = 0;
    let infos = all.iter().map(|(name, shape, values)| {
        let start = end;
        end += size_of_val(&values[..]);
        (name.clone(), TensorInfo { dtype: Dtype::F32, shape: shape.clone(), data_offsets: (start, end) })
    });
    // What the library writes, and insists on when reading.
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let header = Metadata::new(Some(format), infos.collect()).expect("contiguous tensors");
    let header = serde_json::to_string(&header).expect("strings and numbers");
    files::write_hashed(file, |out| {
        out.write_all(&tensors::beginning(header))?;
        let mut bytes = Vec::new();
        for part in all.iter().flat_map(|(.., values)| values.chunks(1 << 16)) {
            bytes.clear();
            bytes.extend(part.iter().flat_map(|value| value.to_le_bytes()));
            out.write_all(&bytes)?;
        }
        Ok(())
    })
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

    #[test]
    fn a_checkpoint_that_can_not_be_replaced_stays() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("checkpoint-1");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(WEIGHTS), "old").unwrap();
        let gone = root.path().join("gone");
        put_in_place(&gone, &folder).unwrap_err();
        assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), b"old");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
