//! One split on its way from texts to a token file.

use super::{
    Tokenizer,
    chunk::{Chunker, runs},
    sequences::file_name,
    source::Texts,
    staging::Staging,
};
use crate::{Error, Result, report::Report};
use protocol::output::SplitOutput;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::PathBuf,
};

/// Texts are tokenized in parallel, a window at a time; a window ends at either bound. Together with
/// one document of the largest size they bound the memory.
const WINDOW_TEXTS: usize = 2048;
const WINDOW_BYTES: usize = 4 << 20;

/// Counts texts over all splits.
pub(super) struct Progress<'a> {
    pub(super) report: &'a Report,
    pub(super) done: u64,
    pub(super) total: u64,
}

impl Progress<'_> {
    /// Tells that so many more texts are done; stops the work when asked to.
    pub(super) fn advance(&mut self, texts: u64) -> Result<()> {
        self.done += texts;
        self.report.progress(self.done, self.total, "texts");
        if self.report.stop_requested() {
            return Err(self.report.stopped("stopped, nothing was written"));
        }
        Ok(())
    }
}

/// How a split is cut.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    pub(super) block_size: u32,
    pub(super) shards: u32,
}

/// Tokenizes the `count` texts of a split and writes their sequences.
pub(super) fn write(
    name: &str,
    texts: &Texts,
    count: u64,
    tokenizer: &Tokenizer,
    cut: Cut,
    staging: &Staging,
    progress: &mut Progress<'_>,
) -> Result<SplitOutput> {
    let mut chunker = Chunker::new(cut.block_size as usize, runs(count, cut.shards));
    let mut file = SequenceFile::create(name, staging)?;
    let mut texts = texts.read()?;
    let (mut read, mut tokens) = (0_u64, 0_u64);
    loop {
        let window = next_window(&mut texts)?;
        if window.is_empty() {
            break;
        }
        let encoded: Vec<Vec<u32>> =
            window.par_iter().map(|text| tokenizer.encode(text)).collect::<Result<_>>()?;
        for ids in &encoded {
            tokens += ids.len() as u64;
            chunker.push(ids, |block| file.write(block))?;
        }
        read += window.len() as u64;
        progress.advance(window.len() as u64)?;
    }
    if read != count {
        return Err(Error::failed(format!(
            "{name}: {count} texts were counted, but {read} were read; was the dataset changed meanwhile?"
        )));
    }
    if file.sequences == 0 {
        return Err(Error::input(format!(
            "--block-size {}: no sequence results in split {name}: it has {tokens} tokens in {count} texts; accepted: at most {}",
            cut.block_size,
            chunker.longest_run(),
        )));
    }
    let (sequences, sha256) = file.finish()?;
    Ok(SplitOutput {
        texts: count,
        tokens,
        sequences,
        targets: sequences * u64::from(cut.block_size - 1),
        dropped_tokens: chunker.dropped(),
        sha256,
    })
}

fn next_window(texts: &mut dyn Iterator<Item = Result<String>>) -> Result<Vec<String>> {
    let mut window = Vec::new();
    let mut bytes = 0;
    while window.len() < WINDOW_TEXTS && bytes < WINDOW_BYTES {
        let Some(text) = texts.next().transpose()? else { break };
        bytes += text.len();
        window.push(text);
    }
    Ok(window)
}

/// A token file being written.
pub(super) struct SequenceFile {
    // The place where it will be, for messages.
    path: PathBuf,
    writer: BufWriter<File>,
    hash: Sha256,
    bytes: Vec<u8>,
    sequences: u64,
}

impl SequenceFile {
    pub(super) fn create(split: &str, staging: &Staging) -> Result<Self> {
        let path = staging.out().join(file_name(split));
        let file = File::create(staging.folder().join(file_name(split))).map_err(Error::io(&path))?;
        Ok(Self {
            path,
            writer: BufWriter::with_capacity(1 << 20, file),
            hash: Sha256::new(),
            bytes: Vec::new(),
            sequences: 0,
        })
    }

    /// Appends one sequence.
    pub(super) fn write(&mut self, sequence: &[u32]) -> Result<()> {
        self.bytes.clear();
        self.bytes.extend(sequence.iter().flat_map(|id| id.to_le_bytes()));
        self.hash.update(&self.bytes);
        self.writer.write_all(&self.bytes).map_err(Error::io(&self.path))?;
        self.sequences += 1;
        Ok(())
    }

    /// Syncs the file; gives the number of sequences and their SHA-256.
    pub(super) fn finish(self) -> Result<(u64, String)> {
        let file = self.writer.into_inner().map_err(|error| error.into_error());
        file.and_then(|file| file.sync_all()).map_err(Error::io(&self.path))?;
        Ok((self.sequences, hex::encode(self.hash.finalize())))
    }
}
