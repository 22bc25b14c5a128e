//! Datasets in a folder, as on the Hugging Face hub: the split is in the name of a file or of a folder
//! around it.

use super::{Kind, Texts};
use crate::{Error, Result};
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// The splits that were found.
#[derive(Debug)]
pub struct Splits {
    /// What is trained on.
    pub train: Option<Texts>,
    /// What is evaluated on.
    pub validation: Option<Texts>,
    /// Names of other splits, which are not used.
    pub others: Vec<String>,
}

/// A split by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Split {
    Train,
    Validation,
    Test,
}

/// Finds the files of each split in a folder and the folders below it, in the order of their names.
///
/// Files of one kind are used: Parquet if there are any, else JSONL, else text. A split's name is a
/// word of the file's name (`train-00000-of-00002.parquet`, `TinyStories-valid.txt`) or begins the name of a folder
/// around it. Where no file names a split, all are train.
///
/// # Errors
/// When there is no such file, or they are of several datasets.
pub fn splits(root: &Path) -> Result<Splits> {
    let mut paths = Vec::new();
    find(root, root, &mut paths)?;
    paths.sort();
    let relative: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let Some(kind) = kind_of(&relative) else {
        return Err(Error::input(format!(
            "{}: no .parquet, .jsonl or .txt file in this folder or below it",
            root.display()
        )));
    };
    let found: Vec<(&Path, Option<(Split, &Path)>)> = relative
        .into_iter()
        .filter(|path| Kind::of(path) == Some(kind))
        .map(|path| (path, split_of(path)))
        .collect();
    if found.iter().all(|(_, split)| split.is_none()) {
        let all = found.iter().map(|(path, _)| root.join(path)).collect();
        return Ok(Splits { train: Some(Texts::Files(kind, all)), validation: None, others: Vec::new() });
    }
    let bases: BTreeSet<&Path> = found.iter().filter_map(|(_, split)| split.map(|(_, base)| base)).collect();
    if bases.len() > 1 {
        let bases: Vec<_> = bases.iter().map(|base| root.join(base).display().to_string()).collect();
        return Err(Error::input(format!(
            "{}: holds several datasets; give one of {}",
            root.display(),
            bases.join(", ")
        )));
    }
    let of = |wanted: Split| -> Option<Texts> {
        let paths: Vec<_> = found
            .iter()
            .filter(|(_, split)| split.is_some_and(|(split, _)| split == wanted))
            .map(|(path, _)| root.join(path))
            .collect();
        (!paths.is_empty()).then_some(Texts::Files(kind, paths))
    };
    let others = if of(Split::Test).is_some() { vec!["test".to_owned()] } else { Vec::new() };
    Ok(Splits { train: of(Split::Train), validation: of(Split::Validation), others })
}

/// Which of the files of a dataset on the hub are needed: those of the kind that is used, with train or
/// validation for a split, or all if none names a split.
pub(super) fn needed(files: &[String]) -> Vec<&str> {
    let paths: Vec<&Path> = files.iter().map(Path::new).collect();
    let kind = kind_of(&paths);
    let of_kind: Vec<&str> = files
        .iter()
        .map(String::as_str)
        .filter(|file| kind.is_some() && Kind::of(Path::new(file)) == kind)
        .collect();
    let split = |file: &str| split_of(Path::new(file)).map(|(split, _)| split);
    if of_kind.iter().all(|file| split(file).is_none()) {
        return of_kind;
    }
    of_kind.into_iter().filter(|file| matches!(split(file), Some(Split::Train | Split::Validation))).collect()
}

fn kind_of(paths: &[&Path]) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| paths.iter().any(|path| Kind::of(path) == Some(*kind)))
}

/// The split that a path names, and the folder that its dataset lies in.
fn split_of(path: &Path) -> Option<(Split, &Path)> {
    let folder = path.parent().unwrap_or(Path::new(""));
    if let Some(split) = path.file_stem().and_then(OsStr::to_str).and_then(named) {
        // `train/train-0.parquet` names it twice.
        let twice = folder.file_name().and_then(OsStr::to_str).and_then(named) == Some(split);
        return Some((split, if twice { folder.parent().unwrap_or(folder) } else { folder }));
    }
    folder.ancestors().find_map(|ancestor| {
        let split = ancestor.file_name().and_then(OsStr::to_str).and_then(named)?;
        Some((split, ancestor.parent().unwrap_or(Path::new(""))))
    })
}

/// The split that a word of a name stands for.
fn named(name: &str) -> Option<Split> {
    name.split(|c: char| !c.is_ascii_alphanumeric()).find_map(|word| {
        let word = word.to_ascii_lowercase();
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        match word {
            "train" | "training" => Some(Split::Train),
            "validation" | "valid" | "val" | "dev" => Some(Split::Validation),
            "test" | "testing" | "eval" | "evaluation" => Some(Split::Test),
            _ => None,
        }
    })
}

/// All files below a folder, relative to the root; hidden ones are not data.
fn find(root: &Path, folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // A link to a file is followed (the hub's own cache is made of them), one to a folder is not.
        if entry.file_type().map_err(Error::io(&path))?.is_dir() {
            find(root, &path, paths)?;
        } else if path.is_file() {
            paths.push(path.strip_prefix(root).unwrap_or(&path).to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_a_word_of_a_name() {
        let split = |path: &'static str| {
            split_of(Path::new(path)).map(|(split, base)| (split, base.to_str().unwrap()))
        };
        assert_eq!(split("data/train-00000-of-00002-a3.parquet"), Some((Split::Train, "data")));
        assert_eq!(split("TinyStoriesV2-GPT4-valid.txt"), Some((Split::Validation, "")));
        assert_eq!(split("en/validation/0001.jsonl"), Some((Split::Validation, "en")));
        assert_eq!(split("en/train/train_2.jsonl"), Some((Split::Train, "en")));
        assert_eq!(split("train/part-1/0.parquet"), Some((Split::Train, "")));
        assert_eq!(split("constraint.txt"), None);
        assert_eq!(split("latest.txt"), None);
    }

    #[test]
    fn only_the_files_of_both_splits_are_needed() {
        let files: Vec<String> = [
            "README.md",
            "data/test-0.parquet",
            "data/train-0.parquet",
            "data/validation-0.parquet",
            "train.txt",
        ]
        .map(String::from)
        .to_vec();
        assert_eq!(needed(&files), ["data/train-0.parquet", "data/validation-0.parquet"]);
        assert!(needed(&["README.md".to_owned()]).is_empty());
    }
}
