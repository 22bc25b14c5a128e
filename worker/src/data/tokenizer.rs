//! A tokenizer in the form of the Hugging Face `tokenizers` library.

use super::{END_OF_TEXT, builtin, source::hub::Hub};
use crate::{Error, Result, report::Report};
use sha2::{Digest as _, Sha256};
use std::{fs, path::Path};
use tokenizers::ModelWrapper;

const ACCEPTED: &str = "accepted: builtin, a tokenizer.json (or a folder with one), or hf:owner/name";

/// A tokenizer and the file it came from.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    source: String,
    json: Vec<u8>,
}

impl Tokenizer {
    /// Loads `builtin`, a `tokenizer.json`, or `hf:owner/name` (downloaded once).
    ///
    /// # Errors
    /// When there is no such tokenizer, or the file is not one.
    pub fn load(source: &str, report: &Report) -> Result<Self> {
        Self::load_from(source, &Hub::from_env(), report)
    }

    pub(super) fn load_from(source: &str, hub: &Hub, report: &Report) -> Result<Self> {
        if source == "builtin" {
            return Self::parse(source.to_owned(), builtin::TOKENIZER.to_vec());
        }
        if let Some(repository) = source.strip_prefix("hf:") {
            let file = hub.tokenizer(repository, report)?;
            return Self::parse(source.to_owned(), fs::read(&file).map_err(Error::io(&file))?);
        }
        let given = Path::new(source);
        let file = if given.is_dir() { given.join("tokenizer.json") } else { given.to_owned() };
        if !file.is_file() {
            return Err(Error::input(format!("--tokenizer {source}: no such file; {ACCEPTED}")));
        }
        let absolute = std::path::absolute(&file).map_err(Error::io(&file))?;
        Self::parse(absolute.display().to_string(), fs::read(&file).map_err(Error::io(&file))?)
    }

    fn parse(source: String, json: Vec<u8>) -> Result<Self> {
        let mut inner = tokenizers::Tokenizer::from_bytes(&json).map_err(|error| {
            let error = error.to_string().replace('\n', " ");
            Error::input(format!("--tokenizer {source}: not a tokenizer.json: {error}; {ACCEPTED}"))
        })?;
        // Settings for batches of equal length that a tokenizer.json may carry; a text is always taken whole here.
        inner.with_padding(None).with_truncation(None).map_err(|error| Error::failed(error.to_string()))?;
        // Merges left out at random, for which there is no seed: the same texts must give the same data.
        if let ModelWrapper::BPE(bpe) = inner.get_model()
            && bpe.dropout.is_some()
        {
            let mut bpe = bpe.clone();
            bpe.dropout = None;
            inner.with_model(bpe);
        }
        Ok(Self { inner, source, json })
    }

    /// The token ids of a text, with whatever the tokenizer's post-processor adds to a text (GPT-2's adds
    /// nothing).
    ///
    /// # Errors
    /// When the tokenizer can't encode the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match self.inner.encode_fast(text, true) {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(error) => Err(Error::failed(format!("--tokenizer {}: {error}", self.source))),
        }
    }

    /// The text of token ids.
    ///
    /// # Errors
    /// When an id is unknown.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        self.inner
            .decode(tokens, false)
            .map_err(|error| Error::failed(format!("--tokenizer {}: {error}", self.source)))
    }

    /// Number of ids, from 0 to the largest one, that the tokenizer can give.
    #[must_use]
    pub fn vocab_size(&self) -> u32 {
        let largest = self.inner.get_vocab(true).into_values().max();
        largest.map_or(0, |id| id + 1)
    }

    /// Id of [`END_OF_TEXT`].
    #[must_use]
    pub fn end_of_text(&self) -> Option<u32> {
        self.inner.token_to_id(END_OF_TEXT)
    }

    /// Where it came from: `builtin`, an absolute path, or `hf:owner/name`.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The content of its `tokenizer.json`.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// SHA-256 of its `tokenizer.json`, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_merge_is_left_out_at_random_whatever_the_file_says() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokenizer.json");
        let mut json: serde_json::Value = serde_json::from_slice(builtin::TOKENIZER).unwrap();
        // All merges, were it heeded.
        json["model"]["dropout"] = 1.0.into();
        fs::write(&file, json.to_string()).unwrap();
        let load = |source: &str| Tokenizer::load(source, &Report::silent()).unwrap();
        let text = "Once upon a time there was a little story.";
        let tokens = load(file.to_str().unwrap()).encode(text).unwrap();
        assert_eq!(tokens, load("builtin").encode(text).unwrap());
        assert!(tokens.len() < text.len() / 2, "{tokens:?}");
    }
}
