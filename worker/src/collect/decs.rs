//! How often the linear head and the nearest class mean decide alike.
//!
//! Both decisions are taken over all classes, those without samples included (their mean is zero), in
//! `f32`, block by block of classes with a running best: the table of all distances is never in memory.
//! Ties go to the lower class.

use super::pass::{Accumulator, Job};
use crate::{
    Result,
    kernels::{Kernels, Precision, Scalar},
    stats::{Decs, Means, Meta},
};
use burn::tensor::{Tensor, TensorData};
use protocol::output::CollectOutput;
use std::path::Path;

struct Decisions<B: Kernels> {
    /// Class means, `[classes, width]`.
    means: Tensor<B, 2>,
    /// Half their squared norms, negative, `[1, classes]`: the nearest mean has the largest
    /// `x . m - |m|^2 / 2`.
    offsets: Tensor<B, 2>,
    head: Tensor<B, 2>,
    precision: Precision,
    decs: Decs,
    /// The norms of the head and of the embeddings of all batches, added up: a number only if these all are.
    norms: Scalar<B>,
}

/// The norm of a matrix; need not wait for the device.
fn norm<B: Kernels>(matrix: &Tensor<B, 2>) -> Result<Scalar<B>> {
    Ok(B::clipping(std::slice::from_ref(matrix), 1.0)?.norm)
}

impl<B: Kernels> Accumulator<B> for Decisions<B> {
    fn add(mut self, embeddings: &Tensor<B, 2>, targets: &[i32]) -> Result<Self> {
        let nearest = B::decide(embeddings, &self.means, Some(&self.offsets), self.precision)?;
        let linear = B::decide(embeddings, &self.head, None, self.precision)?;
        for ((nearest, linear), &class) in nearest.iter().zip(&linear).zip(targets) {
            self.decs.counts[class as usize] += 1;
            self.decs.totals[class as usize] += i32::from(nearest == linear);
        }
        self.norms = self.norms.plus(norm(embeddings)?);
        Ok(self)
    }

    fn write(&self, job: &Job<'_>, file: &Path, meta: Meta) -> Result<()> {
        if !self.norms.read()?.is_finite() {
            return Err(job.not_finite());
        }
        Decs { meta, ..self.decs.clone() }.write(file)
    }
}

pub(super) fn collect<B: Kernels>(job: &Job<'_>, device: &B::Device) -> Result<CollectOutput> {
    let mut pass = job.open::<B>("validation", device)?;
    let means: Means = job.read_means(&mut pass)?;
    let hash = means.meta.hash.clone();
    let read = |path: &Path| path.exists().then(|| Decs::read(path)).transpose();
    let belongs = |decs: &Decs| job.belongs(&pass, &decs.meta, Some(&hash));
    if let Some(decs) = read(&job.file)? {
        if belongs(&decs) {
            return Ok(output(job, &decs));
        }
        job.may_replace(&pass, &decs.meta, Some(&hash))?;
    }
    let classes = means.counts.len();
    let empty = || Decs { counts: vec![0; classes], totals: vec![0; classes], meta: Meta::default() };
    let decs = job.unfinished(read(&job.partial()))?.filter(belongs).unwrap_or_else(empty);
    let done = decs.meta.n_seqs;
    let all = means.means();
    let offsets: Vec<f32> = all
        .chunks_exact(means.dim)
        .map(|mean| (mean.iter().map(|&x| f64::from(x as f32).powi(2)).sum::<f64>() / -2.0) as f32)
        .collect();
    let single: Vec<f32> = all.iter().map(|&x| x as f32).collect();
    let decisions = Decisions {
        means: Tensor::from_data(TensorData::new(single, [classes, means.dim]), device),
        offsets: Tensor::from_data(TensorData::new(offsets, [1, classes]), device),
        head: pass.model.token_embedding().clone(),
        precision: pass.model.precision(),
        decs,
        norms: norm(pass.model.token_embedding())?,
    };
    let mut decisions = pass.run(job, &hash, done, decisions)?;
    decisions.decs.meta = Meta { hash, n_seqs: pass.total(), ..Meta::default() };
    Ok(output(job, &decisions.decs))
}

fn output(job: &Job<'_>, decs: &Decs) -> CollectOutput {
    CollectOutput {
        file: job.file.clone(),
        hash: decs.meta.hash.clone(),
        sequences: decs.meta.n_seqs,
        tokens: decs.counts.iter().map(|&n| n.max(0) as u64).sum(),
        classes: decs.counts.iter().filter(|&&n| n > 0).count() as u64,
        hits: Some(decs.totals.iter().map(|&n| n.max(0) as u64).sum()),
    }
}
