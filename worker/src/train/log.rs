//! `train_log.jsonl`: one line per step.

use crate::{Error, Result, files};
use chrono::{DateTime, Utc};
use protocol::{attempt::MetricPoint, real::Real};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
};

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Optimizer step, from 1.
    pub step: u64,
    /// Epochs seen after the step, with fraction.
    pub epoch: f64,
    /// Mean loss of the batch before the update, nats per token.
    pub loss: Real,
    /// Learning rate used.
    pub learning_rate: f64,
    /// Global gradient norm before clipping.
    pub grad_norm: Real,
    /// Tokens seen since the first step.
    pub tokens: u64,
    /// Tokens per second of this step.
    pub tokens_per_s: f64,
    /// When the step ended.
    pub time: DateTime<Utc>,
}

impl Line {
    /// The point of the training curve that this line is.
    #[must_use]
    pub const fn point(&self) -> MetricPoint {
        MetricPoint {
            step: self.step,
            epoch: self.epoch,
            loss: self.loss,
            learning_rate: self.learning_rate,
            grad_norm: self.grad_norm,
            tokens_per_s: self.tokens_per_s,
        }
    }
}

/// The log of a model folder, open for appending.
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens the log and drops lines after step `through`, which belong to steps that are taken again, and
    /// damaged ones. Gives the last line kept, and how many steps up to `through` have none.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn open(model: &Path, through: u64) -> Result<(Self, Option<Line>, u64)> {
        let path = model.join("train_log.jsonl");
        let mut next = 1;
        let mut in_order = |line: &Line| {
            let accepted = (next..=through).contains(&line.step);
            next = if accepted { line.step + 1 } else { next };
            accepted
        };
        let kept: Vec<Line> = match File::open(&path) {
            Ok(file) => BufReader::new(file)
                .split(b'\n')
                .map_while(|line| line.ok())
                .filter_map(|line| serde_json::from_slice::<Line>(&line).ok())
                .filter(|line| in_order(line))
                .collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::Io { path, source: error }),
        };
        if path.exists() {
            files::write_atomically(&path, |out| {
                kept.iter().try_for_each(|line| {
                    serde_json::to_writer(&mut *out, line)?;
                    out.write_all(b"\n")
                })
            })?;
        }
        fs::create_dir_all(model).map_err(Error::io(model))?;
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::io(&path))?;
        Ok((Self { path, file }, kept.last().cloned(), through - kept.len() as u64))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn append(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_vec(line).map_err(|e| Error::failed(e.to_string()))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(Error::io(&self.path))
    }

    /// Makes sure that the lines are on disk, before a checkpoint that relies on them.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io(&self.path))
    }
}
