//! `manifest.json`: what a data folder was made from and what it holds.

use super::Sequences;
use crate::{Error, Result, files};
use protocol::output::{PrepareOutput, SplitOutput};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

const FILE: &str = "manifest.json";
/// Every file that a data folder may have.
pub(super) const FILES: [&str; 4] = [FILE, "tokenizer.json", "train.bin", "validation.bin"];

/// The content of `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this form.
    pub format: u32,
    /// What the data was made from; equal inputs give equal data.
    pub inputs: Inputs,
    /// Token ids are below this.
    pub vocab_size: u32,
    /// Id of `<|endoftext|>`, where the tokenizer has it.
    pub eos_token_id: Option<u32>,
    /// The same id: GPT-2's conventions have one token for both ends of a text.
    pub bos_token_id: Option<u32>,
    /// `train` and `validation`.
    pub splits: BTreeMap<String, SplitOutput>,
}

/// Everything that the content of a data folder depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// `builtin:stories`, an absolute path, or `hf:owner/name`.
    pub dataset: String,
    /// Absolute path of the file with validation texts, where one was given.
    pub validation: Option<PathBuf>,
    /// The tokenizer; none when the dataset was tokenized already.
    pub tokenizer: Option<TokenizerInput>,
    /// Tokens per sequence.
    pub block_size: u32,
    /// Contiguous shards before chunking.
    pub shards: u32,
    /// The files that were read, by split, in the order of reading.
    pub files: BTreeMap<String, Vec<SourceFile>>,
}

/// Which tokenizer made the tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerInput {
    /// `builtin`, an absolute path, or `hf:owner/name`.
    pub source: String,
    /// SHA-256 of `tokenizer.json`.
    pub sha256: String,
}

/// A file that was read, as it was then: enough to see that it was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Absolute path.
    pub path: PathBuf,
    /// Length in bytes.
    pub bytes: u64,
    /// When it was last modified, in milliseconds since 1970.
    pub modified_ms: u64,
}

impl SourceFile {
    /// Looks at a file.
    ///
    /// # Errors
    /// When it is missing or can't be looked at.
    pub fn of(path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(Error::io(path))?;
        let modified =
            metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        Ok(Self {
            path: std::path::absolute(path).map_err(Error::io(path))?,
            bytes: metadata.len(),
            modified_ms: modified.map_or(0, |since| since.as_millis() as u64),
        })
    }
}

impl Manifest {
    /// The version of the form that this program writes and reads.
    pub const FORMAT: u32 = 1;

    /// Reads the manifest of a data folder.
    ///
    /// # Errors
    /// When the folder was not made by `prepare`, or by a version with another form.
    pub fn read(data: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let path = data.join(FILE);
        if !path.exists() {
            return Err(Error::input(format!(
                "{}: no {FILE}; accepted: a data folder made by `lc-worker prepare`",
                data.display()
            )));
        }
        let Form { format } = files::read_json(&path)?;
        if format != Self::FORMAT {
            return Err(Error::input(format!(
                "{}: format {format}, but this program reads format {}; prepare the data again",
                path.display(),
                Self::FORMAT
            )));
        }
        files::read_json(&path)
    }

    /// Writes the manifest into a data folder.
    pub(super) fn write(&self, data: &Path) -> Result<()> {
        files::write_json(&data.join(FILE), self)
    }

    /// Whether a folder has a manifest, of whatever version.
    pub(super) fn is_in(data: &Path) -> bool {
        #[derive(Deserialize)]
        struct Form {
            #[serde(rename = "format")]
            _format: u32,
            #[serde(rename = "inputs")]
            _inputs: serde_json::Map<String, serde_json::Value>,
        }
        files::read_json::<Form>(&data.join(FILE)).is_ok()
    }

    /// Whether every file that belongs to this manifest is in the folder and whole.
    pub(super) fn is_complete(&self, data: &Path) -> bool {
        let tokenizer = |input: &TokenizerInput| {
            tokenizer_file(data).and_then(|file| files::sha256(&file).ok()).as_ref() == Some(&input.sha256)
        };
        self.inputs.tokenizer.as_ref().is_none_or(tokenizer)
            && self.splits.keys().all(|split| Sequences::open(data, split).is_ok())
    }

    /// What `prepare` returns.
    #[must_use]
    pub fn output(&self) -> PrepareOutput {
        PrepareOutput {
            block_size: self.inputs.block_size,
            vocab_size: self.vocab_size,
            splits: self.splits.clone(),
        }
    }
}

/// The `tokenizer.json` of a data folder; none when its dataset was tokenized already.
#[must_use]
pub fn tokenizer_file(data: &Path) -> Option<PathBuf> {
    Some(data.join("tokenizer.json")).filter(|path| path.is_file())
}
