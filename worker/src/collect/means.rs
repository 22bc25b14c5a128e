//! Sums of embeddings and of their squared norms per class.

use super::pass::{Accumulator, Job};
use crate::{
    Result,
    kernels::{Kernels, cpu::classes::add_rows},
    model::head::host_floats,
    stats::{Means, Meta, means_hash},
};
use burn::tensor::Tensor;
use protocol::output::CollectOutput;
use std::path::Path;

/// Sums in `f64` of `f32` embeddings.
struct Sums {
    means: Means,
    /// Of squared norms, `[classes]`.
    squares: Vec<f64>,
}

impl<B: Kernels> Accumulator<B> for Sums {
    fn add(&mut self, embeddings: Tensor<B, 2>, targets: &[i32]) -> Result<()> {
        for &class in targets {
            self.means.counts[class as usize] += 1;
        }
        add_rows(&mut self.means.totals, &mut self.squares, targets, &host_floats(embeddings)?);
        Ok(())
    }

    fn write(&self, file: &Path, meta: Meta) -> Result<()> {
        Means { meta, squares: Some(self.squares.clone()), ..self.means.clone() }.write(file)
    }
}

pub(super) fn collect<B: Kernels>(job: &Job<'_>, device: &B::Device) -> Result<CollectOutput> {
    let pass = job.open::<B>("train", device)?;
    let read = |path: &Path| {
        let found = path.exists().then(|| Means::read(path)).transpose()?;
        Ok(found.filter(|means| job.belongs(&pass, &means.meta, None)))
    };
    if let Some(means) = read(&job.file)? {
        return Ok(output(job, &means));
    }
    let config = &pass.model.config;
    let empty = || Means {
        counts: vec![0; config.vocab_size],
        totals: vec![0.0; config.vocab_size * config.hidden_size],
        dim: config.hidden_size,
        squares: None,
        meta: Meta::default(),
    };
    let mut means =
        job.unfinished(read(&job.partial()))?.filter(|means| means.squares.is_some()).unwrap_or_else(empty);
    let done = means.meta.n_seqs;
    let squares = means.squares.take().unwrap_or_else(|| vec![0.0; means.counts.len()]);
    let mut sums = Sums { means, squares };
    pass.run(job, "", done, &mut sums)?;
    sums.means.meta.n_seqs = pass.total();
    Ok(output(job, &sums.means))
}

fn output(job: &Job<'_>, means: &Means) -> CollectOutput {
    CollectOutput {
        file: job.file.clone(),
        hash: means_hash(means),
        sequences: means.meta.n_seqs,
        tokens: means.tokens(),
        classes: means.classes_seen() as u64,
        hits: None,
    }
}
