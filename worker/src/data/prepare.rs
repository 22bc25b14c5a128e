//! The `prepare` stage.

use super::{
    Inputs, Manifest, SourceFile, Tokenizer, TokenizerInput,
    source::{self, Dataset, hub::Hub, tokenized},
    split::{self, Cut, Progress},
    staging::{self, Staging},
};
use crate::{Error, Result, report::Report};
use protocol::{output::PrepareOutput, spec::PrepareSpec};
use std::{
    collections::BTreeMap,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

const TRAIN: &str = "train";
const VALIDATION: &str = "validation";

/// Makes a data folder from a dataset.
///
/// The folder appears whole or not at all. When it is there already, made from the same inputs, nothing
/// is done; made from other inputs, it is replaced.
///
/// # Errors
/// When the input can't be used (one line names the file, row or flag), when writing fails, or when
/// asked to stop; then nothing is left behind.
pub fn prepare(spec: &PrepareSpec, report: &Report) -> Result<PrepareOutput> {
    prepare_from(spec, &Hub::from_env(), report)
}

/// [`prepare`], with the hub to download from.
pub(super) fn prepare_from(spec: &PrepareSpec, hub: &Hub, report: &Report) -> Result<PrepareOutput> {
    if spec.block_size < 2 {
        return Err(Error::input(format!("--block-size {}: accepted: 2 or more", spec.block_size)));
    }
    if spec.shards == 0 {
        return Err(Error::input("--shards 0: accepted: 1 or more"));
    }
    let dataset = source::open(&spec.dataset, spec.validation.as_deref(), hub, report)?;
    let tokenizer = match &dataset {
        Dataset::Texts { .. } => Some(Tokenizer::load_from(&spec.tokenizer, hub, report)?),
        Dataset::Tokenized { .. } => None,
    };
    let inputs = inputs(spec, &dataset, tokenizer.as_ref())?;
    if let Some(manifest) = already_made(&spec.out, &inputs) {
        staging::remove_leftovers(&spec.out);
        return Ok(manifest.output());
    }
    let staging = Staging::begin(&spec.out, report)?;
    // Another process may have made it while this one waited.
    if let Some(manifest) = already_made(&spec.out, &inputs) {
        return Ok(manifest.output());
    }
    let manifest = match (&dataset, &tokenizer) {
        (Dataset::Texts { train, validation }, Some(tokenizer)) => {
            let made = write_texts(
                &inputs,
                [(TRAIN, train), (VALIDATION, validation)],
                tokenizer,
                &staging,
                report,
            )?;
            write_tokenizer(tokenizer, &staging)?;
            made
        }
        (Dataset::Tokenized { train, validation }, _) => {
            let (splits, vocab_size) = tokenized::write(
                [(TRAIN, train), (VALIDATION, validation)],
                spec.block_size,
                &staging,
                report,
            )?;
            Manifest {
                format: Manifest::FORMAT,
                inputs,
                vocab_size,
                eos_token_id: None,
                bos_token_id: None,
                splits,
            }
        }
        (Dataset::Texts { .. }, None) => unreachable!("texts come with a tokenizer"),
    };
    manifest.write(staging.folder()).map_err(|error| match error {
        Error::Io { source, .. } => Error::Io { path: staging.out().to_owned(), source },
        other => other,
    })?;
    staging.finish()?;
    Ok(manifest.output())
}

fn inputs(spec: &PrepareSpec, dataset: &Dataset, tokenizer: Option<&Tokenizer>) -> Result<Inputs> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(Error::io(path));
    let looked_at = |paths: &[PathBuf]| {
        paths.iter().map(|path| SourceFile::of(path)).collect::<Result<Vec<SourceFile>>>()
    };
    let [train, validation] = dataset.files();
    Ok(Inputs {
        dataset: match spec.dataset.contains(':') && !Path::new(&spec.dataset).exists() {
            true => spec.dataset.clone(),
            false => absolute(Path::new(&spec.dataset))?.display().to_string(),
        },
        validation: spec.validation.as_deref().map(absolute).transpose()?,
        tokenizer: tokenizer.map(|t| TokenizerInput { source: t.source().to_owned(), sha256: t.sha256() }),
        block_size: spec.block_size,
        shards: spec.shards,
        files: BTreeMap::from([
            (TRAIN.to_owned(), looked_at(train)?),
            (VALIDATION.to_owned(), looked_at(validation)?),
        ]),
    })
}

/// The manifest in `out`, if it is complete and was made from the same inputs.
fn already_made(out: &Path, inputs: &Inputs) -> Option<Manifest> {
    Manifest::read(out).ok().filter(|manifest| manifest.inputs == *inputs && manifest.is_complete(out))
}

fn write_texts(
    inputs: &Inputs,
    texts: [(&str, &source::Texts); 2],
    tokenizer: &Tokenizer,
    staging: &Staging,
    report: &Report,
) -> Result<Manifest> {
    // Shards are contiguous parts of the whole, so all texts are counted before the first is cut.
    let mut counted = Vec::new();
    for (split, texts) in texts {
        let count = texts.count(report)?;
        if count == 0 {
            return Err(Error::input(format!("{}: split {split} is empty: no text in it", texts.describe())));
        }
        counted.push((split, texts, count));
    }
    let total = counted.iter().map(|(.., count)| count).sum();
    let mut progress = Progress { report, done: 0, total };
    progress.advance(0)?;
    let cut = Cut { block_size: inputs.block_size, shards: inputs.shards };
    let mut splits = BTreeMap::new();
    for (split, texts, count) in counted {
        let output = split::write(split, texts, count, tokenizer, cut, staging, &mut progress)?;
        splits.insert(split.to_owned(), output);
    }
    Ok(Manifest {
        format: Manifest::FORMAT,
        inputs: inputs.clone(),
        vocab_size: tokenizer.vocab_size(),
        eos_token_id: tokenizer.end_of_text(),
        bos_token_id: tokenizer.end_of_text(),
        splits,
    })
}

fn write_tokenizer(tokenizer: &Tokenizer, staging: &Staging) -> Result<()> {
    let name = "tokenizer.json";
    let written = File::create(staging.folder().join(name)).and_then(|mut file| {
        file.write_all(tokenizer.json())?;
        file.sync_all()
    });
    written.map_err(Error::io(staging.out().join(name)))
}
