//! Sums of embeddings and of their squared norms per class.

use super::pass::{Accumulator, Job};
use crate::{
    Result,
    kernels::{ClassSums, Kernels, doubles},
    stats::{Means, Meta, means_hash},
};
use burn::tensor::Tensor;
use protocol::output::CollectOutput;
use std::path::Path;

/// Sums that stay on the device.
struct Sums<B: Kernels> {
    counts: Vec<i32>,
    sums: ClassSums<B>,
}

impl<B: Kernels> Sums<B> {
    fn of(means: Means, device: &B::Device) -> Self {
        let Means { counts, totals, dim, squares, .. } = means;
        let classes = counts.len();
        let squares = squares.unwrap_or_else(|| vec![0.0; classes]);
        let sums = ClassSums {
            totals: doubles::matrix(totals, [classes, dim], device),
            squares: doubles::matrix(squares, [classes, 1], device),
        };
        Self { counts, sums }
    }

    fn read(&self, meta: Meta) -> Result<Means> {
        let ClassSums { totals, squares } = &self.sums;
        Ok(Means {
            counts: self.counts.clone(),
            totals: doubles::read(totals)?,
            dim: totals.dims()[1],
            squares: Some(doubles::read(squares)?),
            meta,
        })
    }
}

impl<B: Kernels> Accumulator<B> for Sums<B> {
    fn add(self, embeddings: &Tensor<B, 2>, targets: &[i32]) -> Result<Self> {
        let Self { mut counts, sums } = self;
        for &class in targets {
            counts[class as usize] += 1;
        }
        Ok(Self { counts, sums: B::add_to_classes(sums, targets, embeddings) })
    }

    fn write(&self, job: &Job<'_>, file: &Path, meta: Meta) -> Result<()> {
        let means = self.read(meta)?;
        if means.is_finite() { means.write(file) } else { Err(job.not_finite()) }
    }
}

pub(super) fn collect<B: Kernels>(job: &Job<'_>, device: &B::Device) -> Result<CollectOutput> {
    doubles::check::<B>(device)?;
    let pass = job.open::<B>("train", device)?;
    let read = |path: &Path| path.exists().then(|| Means::read(path)).transpose();
    let belongs = |means: &Means| job.belongs(&pass, &means.meta, None) && means.is_finite();
    if let Some(means) = read(&job.file)? {
        // Those of the published code have no sums of squares.
        if belongs(&means) && !(job.spec.replace && means.squares.is_none()) {
            return Ok(output(job, &means));
        }
        job.may_replace(&pass, &means.meta, None)?;
    }
    let config = &pass.model.config;
    let empty = || Means {
        counts: vec![0; config.vocab_size],
        totals: vec![0.0; config.vocab_size * config.hidden_size],
        dim: config.hidden_size,
        squares: None,
        meta: Meta::default(),
    };
    let unfinished = job.unfinished(read(&job.partial()))?;
    let means = unfinished.filter(|means| belongs(means) && means.squares.is_some()).unwrap_or_else(empty);
    let done = means.meta.n_seqs;
    let sums = pass.run(job, "", done, Sums::<B>::of(means, device))?;
    Ok(output(job, &sums.read(Meta { n_seqs: pass.total(), ..Meta::default() })?))
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
