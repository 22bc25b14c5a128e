//! How often the linear head and the nearest class mean decide alike.
//!
//! Both decisions are taken over all classes, those without samples included (their mean is zero), in
//! `f32`, block by block of classes with a running best: the table of all distances is never in memory.
//! Ties go to the lower class.

use super::pass::{Accumulator, Job};
use crate::{
    Result,
    kernels::Kernels,
    model::head::{host_floats, host_ints},
    stats::{Decs, Means, Meta},
};
use burn::tensor::{Tensor, TensorData};
use protocol::output::CollectOutput;
use std::path::Path;

/// Classes compared at once, per row of embeddings.
const BLOCK: usize = 4096;

struct Decisions<B: Kernels> {
    /// Class means, `[classes, width]`.
    means: Tensor<B, 2>,
    /// Half their squared norms, `[1, classes]`.
    half_squares: Tensor<B, 2>,
    head: Tensor<B, 2>,
    decs: Decs,
}

impl<B: Kernels> Decisions<B> {
    /// For each row of `embeddings` the class with the largest score: `x . m - |m|^2 / 2` (the nearest
    /// mean), or `x . w` (the linear decision).
    fn decide(
        &self,
        embeddings: &Tensor<B, 2>,
        rows: &Tensor<B, 2>,
        offset: Option<&Tensor<B, 2>>,
    ) -> Result<Vec<i32>> {
        let [classes, _] = rows.dims();
        let mut best: Vec<(f32, i32)> = vec![(f32::NEG_INFINITY, 0); embeddings.dims()[0]];
        for start in (0..classes).step_by(BLOCK) {
            let length = BLOCK.min(classes - start);
            let block = rows.clone().narrow(0, start, length);
            let mut scores = embeddings.clone().matmul(block.transpose());
            if let Some(offset) = offset {
                scores = scores - offset.clone().narrow(1, start, length);
            }
            let (score, class) = scores.max_dim_with_indices(1);
            let found = host_floats(score)?.into_iter().zip(host_ints(class)?);
            for (best, (score, class)) in best.iter_mut().zip(found) {
                if score > best.0 {
                    *best = (score, start as i32 + class);
                }
            }
        }
        Ok(best.into_iter().map(|(_, class)| class).collect())
    }
}

impl<B: Kernels> Accumulator<B> for Decisions<B> {
    fn add(&mut self, embeddings: Tensor<B, 2>, targets: &[i32]) -> Result<()> {
        let nearest = self.decide(&embeddings, &self.means, Some(&self.half_squares))?;
        let linear = self.decide(&embeddings, &self.head, None)?;
        for ((nearest, linear), &class) in nearest.iter().zip(&linear).zip(targets) {
            self.decs.counts[class as usize] += 1;
            self.decs.totals[class as usize] += i32::from(nearest == linear);
        }
        Ok(())
    }

    fn write(&self, file: &Path, meta: Meta) -> Result<()> {
        Decs { meta, ..self.decs.clone() }.write(file)
    }
}

pub(super) fn collect<B: Kernels>(job: &Job<'_>, device: &B::Device) -> Result<CollectOutput> {
    let pass = job.open::<B>("validation", device)?;
    let means: Means = job.read_means(&pass)?;
    let hash = means.meta.hash.clone();
    let read = |path: &Path| {
        let found = path.exists().then(|| Decs::read(path)).transpose()?;
        Ok(found.filter(|decs| job.belongs(&pass, &decs.meta, Some(&hash))))
    };
    if let Some(decs) = read(&job.file)? {
        return Ok(output(job, &decs));
    }
    let classes = means.counts.len();
    let empty = || Decs { counts: vec![0; classes], totals: vec![0; classes], meta: Meta::default() };
    let decs = read(&job.partial())?.unwrap_or_else(empty);
    let done = decs.meta.n_seqs;
    let all = means.means();
    let half_squares: Vec<f32> = all
        .chunks_exact(means.dim)
        .map(|mean| (mean.iter().map(|&x| f64::from(x as f32).powi(2)).sum::<f64>() / 2.0) as f32)
        .collect();
    let single: Vec<f32> = all.iter().map(|&x| x as f32).collect();
    let mut decisions = Decisions {
        means: Tensor::from_data(TensorData::new(single, [classes, means.dim]), device),
        half_squares: Tensor::from_data(TensorData::new(half_squares, [1, classes]), device),
        head: pass.model.token_embedding().clone(),
        decs,
    };
    pass.run(job, &hash, done, &mut decisions)?;
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
