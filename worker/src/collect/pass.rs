//! The forward pass over a split, from where unfinished statistics end.

use super::partial;
use crate::{
    Error, Result,
    data::{Manifest, Sequences},
    device::{Device, lost},
    kernels::{Kernels, Precision},
    model::{
        Batch, GptNeo,
        checkpoint::{self, CONFIG, Located},
    },
    report::Report,
    stats::{Means, Meta},
};
use burn::tensor::Tensor;
use protocol::spec::CollectSpec;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Batches that a GPU is given before it is waited for: it is never idle, and what progress tells is not far from true.
const AHEAD: u32 = 16;

/// Key of the tokens per sequence.
const BLOCK_SIZE: &str = "block_size";
/// Key of what the model computes with its weights.
const FUNCTION: &str = "function_sha256";
/// Key of how products were rounded; none where they were not.
pub(super) const PRODUCTS: &str = "products";
/// Key of the same of the means that variances and decisions refer to.
const MEANS_PRODUCTS: &str = "means_products";
/// Keys that statistics of earlier versions do not have: what they do not tell is unknown, not different.
const MAY_LACK: [&str; 3] = [BLOCK_SIZE, FUNCTION, MEANS_PRODUCTS];

/// Key of the kind of device that unfinished statistics come from.
const DEVICE: &str = "device";

/// One collection stage.
pub(super) struct Job<'a> {
    pub(super) spec: &'a CollectSpec,
    pub(super) report: &'a Report,
    /// The checkpoint.
    pub(super) located: Located,
    /// The statistics file to write.
    pub(super) file: PathBuf,
    /// The file with the class means.
    pub(super) means: PathBuf,
    /// Where to compute.
    pub(super) device: Device,
}

/// A model and a split, ready to run.
pub(super) struct Pass<B: Kernels> {
    pub(super) model: GptNeo<B>,
    sequences: Sequences,
    /// Hash of the train split beside it, of which the means are.
    train: Option<String>,
    /// What statistics of this pass are made from.
    pub(super) made_from: BTreeMap<String, String>,
}

/// Statistics that grow batch by batch.
pub(super) trait Accumulator<B: Kernels>: Sized {
    /// Takes the embeddings `[targets, width]` and the next token of each; need not wait for the device.
    fn add(self, embeddings: &Tensor<B, 2>, targets: &[i32]) -> Result<Self>;
    /// Writes everything so far to a file, unless embeddings were not finite.
    fn write(&self, job: &Job<'_>, file: &Path, meta: Meta) -> Result<()>;
}

impl Job<'_> {
    /// Loads the model and opens the split.
    pub(super) fn open<B: Kernels>(&self, split: &str, device: &B::Device) -> Result<Pass<B>> {
        let sequences = Sequences::open(&self.spec.data, split)?;
        let mut model = checkpoint::load::<B>(&self.located.folder, device)?;
        model.config.check_fits(&self.spec.data, &sequences)?;
        let splits = Manifest::read(&self.spec.data)?.splits;
        let data = splits[split].sha256.clone();
        let mut made_from = BTreeMap::from([
            ("model".to_owned(), format!("{}@{}", self.located.name, self.located.index)),
            ("checkpoint_sha256".to_owned(), checkpoint::weights::hash(&self.located.folder)?),
            ("data_sha256".to_owned(), data),
            (FUNCTION.to_owned(), model.config.function_sha256()),
            // The hash is of the tokens one after the other, however they are cut into sequences.
            (BLOCK_SIZE.to_owned(), sequences.block_size().to_string()),
            ("split".to_owned(), split.to_owned()),
        ]);
        if self.spec.tf32 {
            model = model.in_precision(Precision::Tf32);
            // Not the same numbers.
            made_from.insert(PRODUCTS.to_owned(), "tf32".to_owned());
        }
        if !model.precision().exists_on::<B>(device) {
            return Err(Error::input("this device has no tensor cores that take TF32; leave --tf32 out"));
        }
        let train = splits.get("train").map(|train| train.sha256.clone());
        Ok(Pass { model, sequences, train, made_from })
    }

    /// Whether statistics were made from what this pass reads; `hash` is that of the means, where they
    /// are known beforehand. A line tells where unfinished ones come from another kind of device.
    pub(super) fn belongs<B: Kernels>(&self, pass: &Pass<B>, meta: &Meta, hash: Option<&str>) -> bool {
        let belongs = Self::difference(pass, meta, hash).is_none();
        if belongs {
            self.device.compare(meta.made_from.get(DEVICE).map(String::as_str), self.report);
        }
        belongs
    }

    /// Refuses to replace finished statistics that were made from anything else, unless that was asked for.
    pub(super) fn may_replace<B: Kernels>(
        &self,
        pass: &Pass<B>,
        meta: &Meta,
        hash: Option<&str>,
    ) -> Result<()> {
        match Self::difference(pass, meta, hash).filter(|_| !self.spec.replace) {
            None => Ok(()),
            Some((key, then, now)) => Err(Error::input(format!(
                "{}: was made with {key} {then}, not {now}; use --replace or another --stats",
                self.file.display()
            ))),
        }
    }

    /// The first of what statistics were made from that differs from what this pass reads, as it was and as it is.
    fn difference<B: Kernels>(
        pass: &Pass<B>,
        meta: &Meta,
        hash: Option<&str>,
    ) -> Option<(String, String, String)> {
        let (then, now) = (&meta.made_from, &pass.made_from);
        let keys: BTreeSet<_> = then.keys().chain(now.keys()).collect();
        let mut keys = keys
            .into_iter()
            .filter(|key| *key != DEVICE && (!MAY_LACK.contains(&key.as_str()) || then.contains_key(*key)));
        let text = |value: Option<&String>| value.map_or("none", String::as_str).to_owned();
        let differs = keys.find(|key| then.get(*key) != now.get(*key));
        let differs = differs.map(|key| (key.clone(), text(then.get(key)), text(now.get(key))));
        let hash = hash.filter(|hash| meta.hash != **hash);
        differs.or_else(|| hash.map(|hash| ("means of hash".to_owned(), meta.hash.clone(), hash.to_owned())))
    }

    /// The class means that variances and decisions refer to, which are then a part of what the pass's are made from.
    pub(super) fn read_means<B: Kernels>(&self, pass: &mut Pass<B>) -> Result<Means> {
        if !self.means.exists() {
            return Err(Error::input(format!(
                "{}: no such file; collect the means of this checkpoint first (--stage means)",
                self.means.display()
            )));
        }
        let means = Means::read(&self.means)?;
        let differs = |key: &str| {
            let made_from = means.meta.made_from.get(key);
            made_from.is_some_and(|then| Some(then) != pass.made_from.get(key))
        };
        let data = pass.train.as_ref().zip(means.meta.made_from.get("data_sha256"));
        let other = if differs("checkpoint_sha256") {
            Some(("weights", self.located.folder.clone()))
        } else if differs(FUNCTION) {
            Some(("settings", self.located.folder.join(CONFIG)))
        } else if differs(BLOCK_SIZE) || data.is_some_and(|(now, then)| now != then) {
            Some(("data", self.spec.data.clone()))
        } else {
            None
        };
        if let Some((what, now)) = other {
            return Err(Error::input(format!(
                "{}: outdated, made from other {what} than {}; collect the means again with --replace",
                self.means.display(),
                now.display()
            )));
        }
        if means.counts.len() != pass.model.config.vocab_size || means.dim != pass.model.config.hidden_size {
            return Err(Error::input(format!(
                "{}: {} classes of width {}, but the model has {} of width {}",
                self.means.display(),
                means.counts.len(),
                means.dim,
                pass.model.config.vocab_size,
                pass.model.config.hidden_size
            )));
        }
        if !means.is_finite() {
            return Err(self.not_finite());
        }
        if let Some(products) = means.meta.made_from.get(PRODUCTS) {
            pass.made_from.insert(MEANS_PRODUCTS.to_owned(), products.clone());
        }
        Ok(means)
    }

    /// Embeddings that are no numbers have no statistics.
    pub(super) fn not_finite(&self) -> Error {
        Error::input(format!(
            "{}: its last embeddings are not finite, nothing was collected; train it again with a smaller learning rate",
            self.located.folder.display()
        ))
    }

    /// Where unfinished statistics are kept.
    pub(super) fn partial(&self) -> PathBuf {
        partial::path(&self.file)
    }

    /// The unfinished statistics that were read, if they are whole. Damaged ones are not worth keeping: all
    /// that is lost is a part of one pass, while an older copy beside them would cost their space each time.
    pub(super) fn unfinished<T>(&self, read: Result<Option<T>>) -> Result<Option<T>> {
        match read {
            Err(Error::Input(_)) => {
                let path = self.partial();
                self.report
                    .warn(format!("{}: unfinished statistics are damaged, starting over", path.display()));
                Ok(None)
            }
            other => other,
        }
    }
}

impl<B: Kernels> Pass<B> {
    /// Targets of a sequence.
    pub(super) fn targets(&self) -> usize {
        self.sequences.block_size() - 1
    }

    /// Sequences of the split.
    pub(super) fn total(&self) -> u64 {
        self.sequences.len() as u64
    }

    /// Runs the model over the sequences from `done` on, and writes the statistics: every
    /// `save_every` batches and on a stop the unfinished ones, at the end the file itself.
    pub(super) fn run<A: Accumulator<B>>(
        &self,
        job: &Job<'_>,
        hash: &str,
        mut done: u64,
        mut accumulator: A,
    ) -> Result<A> {
        let (length, total) = (self.sequences.block_size(), self.total());
        let meta = |n_seqs| Meta { hash: hash.to_owned(), n_seqs, made_from: self.made_from.clone() };
        let unfinished = |n_seqs| {
            let mut meta = meta(n_seqs);
            meta.made_from.insert(DEVICE.to_owned(), job.device.kind().to_owned());
            meta
        };
        if done > 0 {
            job.report.info(format!("going on from sequence {done}"));
        }
        let mut batches: u32 = 0;
        while done < total {
            job.report.progress(done, total, "sequences");
            let end = (done + u64::from(job.spec.batch_size)).min(total);
            let rows = (done..end).map(|row| self.sequences.get(row as usize));
            let batch = Batch::new(rows, length);
            let hidden = self.model.forward(&batch);
            accumulator = accumulator.add(&batch.with_targets(hidden), &batch.targets())?;
            done = end;
            batches += 1;
            if batches.is_multiple_of(AHEAD) {
                let device = self.model.token_embedding().device();
                B::sync(&device).map_err(|e| Error::failed(format!("computing on the device: {e:?}")))?;
                lost::check()?;
            }
            let stop = job.report.stop_requested();
            job.report.require_hold()?;
            if done < total && (stop || batches.is_multiple_of(job.spec.save_every)) {
                accumulator.write(job, &job.partial(), unfinished(done))?;
            }
            if stop && done < total {
                return Err(Error::Interrupted(format!(
                    "stopped after sequence {done} of {total}; the unfinished statistics were saved, \
                     running it again goes on from them"
                )));
            }
        }
        job.report.progress(total, total, "sequences");
        accumulator.write(job, &job.file, meta(total))?;
        Ok(accumulator)
    }
}
