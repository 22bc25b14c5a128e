//! `.safetensors` with `input_ids` `[sequences, length]` (int32 or int64): tokenized and cut already.
//!
//! Each row is taken as one text and one sequence; the vocabulary is as large as the ids need.

use crate::{
    Error, Result,
    data::{
        split::{Progress, SequenceFile},
        staging::Staging,
    },
    files::map,
    report::Report,
};
use memmap2::Mmap;
use protocol::output::SplitOutput;
use safetensors::{Dtype, SafeTensors};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

const TENSOR: &str = "input_ids";
const ROWS_AT_A_TIME: usize = 4096;

/// Copies the sequences of both splits; gives their outputs and the size of the vocabulary.
pub(in crate::data) fn write(
    files: [(&str, &PathBuf); 2],
    block_size: u32,
    staging: &Staging,
    report: &Report,
) -> Result<(BTreeMap<String, SplitOutput>, u32)> {
    let mut sources = Vec::new();
    for (split, path) in files {
        sources.push((split, Sequences::open(path, block_size)?));
    }
    let total = sources.iter().map(|(_, source)| source.rows as u64).sum();
    let mut progress = Progress { report, done: 0, total };
    let (mut splits, mut largest) = (BTreeMap::new(), 0);
    for (split, source) in &sources {
        let mut file = SequenceFile::create(split, staging)?;
        let mut sequence = vec![0; block_size as usize];
        let mut row = 0;
        while row < source.rows {
            let window = ROWS_AT_A_TIME.min(source.rows - row);
            for row in row..row + window {
                source.copy(row, &mut sequence)?;
                largest = sequence.iter().copied().fold(largest, u32::max);
                file.write(&sequence)?;
            }
            row += window;
            progress.advance(window as u64)?;
        }
        let (sequences, sha256) = file.finish()?;
        let output = SplitOutput {
            texts: sequences,
            tokens: sequences * u64::from(block_size),
            sequences,
            targets: sequences * u64::from(block_size - 1),
            dropped_tokens: 0,
            sha256,
        };
        splits.insert((*split).to_owned(), output);
    }
    Ok((splits, largest + 1))
}

/// The tensor in its file.
struct Sequences<'a> {
    path: &'a Path,
    map: Mmap,
    offset: usize,
    rows: usize,
    length: usize,
    wide: bool,
}

impl<'a> Sequences<'a> {
    fn open(path: &'a Path, block_size: u32) -> Result<Self> {
        let bad = |why: String| Error::input(format!("{}: {why}", path.display()));
        if std::fs::metadata(path).map_err(Error::io(path))?.len() == 0 {
            return Err(bad("an empty file; accepted: safetensors".into()));
        }
        let map = map(path)?;
        let (offset, rows, length, wide) = {
            let tensors = SafeTensors::deserialize(&map)
                .map_err(|error| bad(format!("corrupt safetensors: {error}")))?;
            let tensor = tensors.tensor(TENSOR).map_err(|_| {
                let mut names = tensors.names();
                names.sort_unstable();
                bad(format!("no tensor `{TENSOR}`; it has {}", names.join(", ")))
            })?;
            let wide = match tensor.dtype() {
                Dtype::I32 => false,
                Dtype::I64 => true,
                other => return Err(bad(format!("`{TENSOR}` is {other:?}; accepted: I32, I64"))),
            };
            let &[rows, length] = tensor.shape() else {
                return Err(bad(format!(
                    "`{TENSOR}` has shape {:?}; accepted: [sequences, length]",
                    tensor.shape()
                )));
            };
            (tensor.data().as_ptr() as usize - map.as_ptr() as usize, rows, length, wide)
        };
        if rows == 0 {
            return Err(bad(format!("`{TENSOR}` is empty: no sequence in it")));
        }
        if length != block_size as usize {
            return Err(bad(format!(
                "`{TENSOR}` has sequences of {length} tokens, but --block-size is {block_size}; accepted: --block-size {length}"
            )));
        }
        Ok(Self { path, map, offset, rows, length, wide })
    }

    fn copy(&self, row: usize, sequence: &mut [u32]) -> Result<()> {
        let width = if self.wide { 8 } else { 4 };
        let bytes = &self.map[self.offset + row * self.length * width..][..self.length * width];
        for (place, (token, bytes)) in sequence.iter_mut().zip(bytes.chunks_exact(width)).enumerate() {
            let id = if self.wide {
                i64::from_le_bytes(bytes.try_into().expect("eight bytes"))
            } else {
                i64::from(i32::from_le_bytes(bytes.try_into().expect("four bytes")))
            };
            // Token files are int32.
            let Some(id) = u32::try_from(id).ok().filter(|&id| id < i32::MAX as u32) else {
                return Err(Error::input(format!(
                    "{}: `{TENSOR}` row {row}, column {place}: {id} is not a token id; accepted: 0 to {}",
                    self.path.display(),
                    i32::MAX - 1
                )));
            };
            *token = id;
        }
        Ok(())
    }
}
