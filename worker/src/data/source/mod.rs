//! Where texts come from.
//!
//! | dataset | read by |
//! |---|---|
//! | `builtin:stories` | [`super::builtin`] |
//! | a folder | [`folder`] decides which files belong to which split |
//! | `.parquet`, column `text` | [`parquet`] |
//! | `.jsonl`, key `text` | [`jsonl`] |
//! | `.txt` | [`text`] |
//! | `.safetensors`, tensor `input_ids` | [`tokenized`]: sequences that were tokenized and cut already |
//! | `hf:owner/name` | [`hub`] downloads a folder |
//!
//! Texts are streamed: a reader holds a page of Parquet or one document at a time.

pub mod folder;
pub mod hub;
pub mod jsonl;
mod lines;
pub mod parquet;
pub mod text;
pub mod tokenized;

use super::builtin;
use crate::{Error, Result, report::Report};
use folder::Splits;
use hub::Hub;
use std::path::{Path, PathBuf};

/// What `--dataset` takes.
const ACCEPTED: &str = "accepted: builtin:stories, a folder with .parquet, .jsonl or .txt files, \
                        a .parquet, .jsonl, .txt or .safetensors file, or hf:owner/name";

/// The largest document, in bytes. A tokenizer needs a document whole and many times its memory.
const LARGEST_DOCUMENT: u64 = 256 << 20;

/// A dataset with its two splits.
#[derive(Debug)]
pub enum Dataset {
    /// Texts, to be tokenized and cut.
    Texts {
        /// What is trained on.
        train: Texts,
        /// What is evaluated on.
        validation: Texts,
    },
    /// Sequences, to be taken as they are.
    Tokenized {
        /// What is trained on.
        train: PathBuf,
        /// What is evaluated on.
        validation: PathBuf,
    },
}

impl Dataset {
    /// The files of train and validation.
    #[must_use]
    pub fn files(&self) -> [&[PathBuf]; 2] {
        match self {
            Self::Texts { train, validation } => [train.files(), validation.files()],
            Self::Tokenized { train, validation } => {
                [std::slice::from_ref(train), std::slice::from_ref(validation)]
            }
        }
    }
}

/// The texts of one split.
#[derive(Debug)]
pub enum Texts {
    /// Of `builtin:stories`.
    Builtin(builtin::Split),
    /// Of files of one kind, in this order.
    Files(Kind, Vec<PathBuf>),
}

/// A kind of file with texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `.parquet`
    Parquet,
    /// `.jsonl`
    Jsonl,
    /// `.txt`
    Text,
}

impl Kind {
    /// In the order in which a folder is searched for them.
    pub const ALL: [Self; 3] = [Self::Parquet, Self::Jsonl, Self::Text];

    /// The kind of a file by its name.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| has_extension(path, kind.extension()))
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Jsonl => "jsonl",
            Self::Text => "txt",
        }
    }

    /// Number of texts in a file, without reading more than is needed to count.
    fn count(self, path: &Path) -> Result<u64> {
        match self {
            Self::Parquet => parquet::count(path),
            Self::Jsonl => jsonl::count(path),
            Self::Text => text::count(path),
        }
    }

    fn read(self, path: &Path) -> Result<Box<dyn Iterator<Item = Result<String>>>> {
        Ok(match self {
            Self::Parquet => Box::new(parquet::read(path)?),
            Self::Jsonl => Box::new(jsonl::read(path)?),
            Self::Text => Box::new(text::read(path)?),
        })
    }
}

impl Texts {
    /// The files that are read.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        match self {
            Self::Builtin(_) => &[],
            Self::Files(_, paths) => paths,
        }
    }

    /// A name for messages: the file, or the first one and how many others there are.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.files() {
            [] => "builtin:stories".to_owned(),
            [path] => path.display().to_string(),
            [first, others @ ..] => format!("{} and {} other files", first.display(), others.len()),
        }
    }

    /// Number of texts.
    ///
    /// # Errors
    /// When a file can't be read, or when asked to stop.
    pub fn count(&self, report: &Report) -> Result<u64> {
        match self {
            Self::Builtin(split) => Ok(split.stories()),
            Self::Files(kind, paths) => paths.iter().try_fold(0, |sum, path| {
                if report.stop_requested() {
                    return Err(report.stopped("stopped, nothing was written"));
                }
                Ok(sum + kind.count(path)?)
            }),
        }
    }

    /// All texts in order.
    ///
    /// # Errors
    /// When the first file can't be opened; later failures are items.
    pub fn read(&self) -> Result<Box<dyn Iterator<Item = Result<String>> + '_>> {
        Ok(match self {
            Self::Builtin(split) => Box::new(builtin::stories(*split).map(Ok)),
            Self::Files(kind, paths) => Box::new(paths.iter().flat_map(|path| match kind.read(path) {
                Ok(texts) => texts,
                Err(error) => Box::new(std::iter::once(Err(error))),
            })),
        })
    }
}

/// Finds the splits of `--dataset`; `--validation`, where given, is the validation split whatever the
/// dataset has.
///
/// # Errors
/// When there is no such dataset, or it has no split of either name: nothing is held out silently.
pub fn open(dataset: &str, validation: Option<&Path>, hub: &Hub, report: &Report) -> Result<Dataset> {
    let path = Path::new(dataset);
    let validation = validation.map(file_with_validation).transpose()?;
    let splits = if dataset == "builtin:stories" {
        let own = validation.is_none().then_some(Texts::Builtin(builtin::Split::Validation));
        Splits { train: Some(Texts::Builtin(builtin::Split::Train)), validation: own, others: Vec::new() }
    } else if let Some(repository) = dataset.strip_prefix("hf:") {
        folder::splits(&hub.dataset(repository, report)?)?
    } else if path.is_dir() {
        folder::splits(path)?
    } else if !path.is_file() {
        return Err(Error::input(format!("--dataset {dataset}: no such file or folder; {ACCEPTED}")));
    } else if has_extension(path, "safetensors") {
        return match validation {
            Some(FileWithValidation::Tokenized(validation)) => {
                Ok(Dataset::Tokenized { train: path.to_owned(), validation })
            }
            Some(FileWithValidation::Texts(_)) => Err(Error::input(format!(
                "--validation: {dataset} is tokenized already; accepted with it: a .safetensors file"
            ))),
            None => Err(no_validation(dataset, &[])),
        };
    } else if let Some(kind) = Kind::of(path) {
        Splits {
            train: Some(Texts::Files(kind, vec![path.to_owned()])),
            validation: None,
            others: Vec::new(),
        }
    } else {
        return Err(Error::input(format!("--dataset {dataset}: unknown kind of file; {ACCEPTED}")));
    };
    let Splits { train, validation: own, others } = splits;
    let Some(train) = train else {
        return Err(Error::input(format!(
            "--dataset {dataset}: no train split{}; accepted: files named train*, or in a folder named train*",
            listed(&others)
        )));
    };
    match (validation, own) {
        (Some(FileWithValidation::Texts(validation)), _) | (None, Some(validation)) => {
            Ok(Dataset::Texts { train, validation })
        }
        (Some(FileWithValidation::Tokenized(_)), _) => Err(Error::input(
            "--validation: a .safetensors file holds tokens, but the dataset is texts; accepted: a .parquet, .jsonl or .txt file",
        )),
        (None, None) => Err(no_validation(dataset, &others)),
    }
}

enum FileWithValidation {
    Texts(Texts),
    Tokenized(PathBuf),
}

fn file_with_validation(path: &Path) -> Result<FileWithValidation> {
    let accepted = "accepted: a .parquet, .jsonl or .txt file, or .safetensors where the dataset is one";
    if !path.is_file() {
        return Err(Error::input(format!("--validation {}: no such file; {accepted}", path.display())));
    }
    match Kind::of(path) {
        Some(kind) => Ok(FileWithValidation::Texts(Texts::Files(kind, vec![path.to_owned()]))),
        None if has_extension(path, "safetensors") => Ok(FileWithValidation::Tokenized(path.to_owned())),
        None => {
            Err(Error::input(format!("--validation {}: unknown kind of file; {accepted}", path.display())))
        }
    }
}

fn no_validation(dataset: &str, others: &[String]) -> Error {
    Error::input(format!(
        "--dataset {dataset}: no validation split{}; give its file with --validation FILE",
        listed(others)
    ))
}

fn listed(others: &[String]) -> String {
    match others {
        [] => String::new(),
        others => format!(" (it has {})", others.join(", ")),
    }
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}
