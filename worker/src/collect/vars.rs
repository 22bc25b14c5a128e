//! Sums of squared distances to the class means.

use super::pass::{Accumulator, Job};
use crate::{
    Result,
    kernels::Kernels,
    model::head::host_floats,
    stats::{Means, Meta, Vars},
};
use burn::tensor::Tensor;
use protocol::output::CollectOutput;
use std::path::Path;

/// The second of two passes: distances in `f64` to means that are known.
struct Distances {
    means: Vec<f64>,
    dim: usize,
    vars: Vars,
}

impl<B: Kernels> Accumulator<B> for Distances {
    fn add(&mut self, embeddings: Tensor<B, 2>, targets: &[i32]) -> Result<()> {
        let embeddings = host_floats(embeddings)?;
        for (embedding, &class) in embeddings.chunks_exact(self.dim).zip(targets) {
            let class = class as usize;
            let mean = &self.means[class * self.dim..][..self.dim];
            let distance: f64 = embedding.iter().zip(mean).map(|(&x, m)| (f64::from(x) - m).powi(2)).sum();
            self.vars.counts[class] += 1;
            self.vars.totals[class] += distance;
        }
        Ok(())
    }

    fn write(&self, file: &Path, meta: Meta) -> Result<()> {
        Vars { meta, ..self.vars.clone() }.write(file)
    }
}

pub(super) fn collect<B: Kernels>(job: &Job<'_>, device: &B::Device) -> Result<CollectOutput> {
    let pass = job.open::<B>("train", device)?;
    let means: Means = job.read_means(&pass)?;
    let hash = means.meta.hash.clone();
    let read = |path: &Path| {
        let found = path.exists().then(|| Vars::read(path)).transpose()?;
        Ok(found.filter(|vars| job.belongs(&pass, &vars.meta, Some(&hash))))
    };
    if let Some(vars) = read(&job.file)? {
        return Ok(output(job, &vars));
    }
    let classes = means.counts.len();
    let empty = || Vars {
        counts: vec![0; classes],
        totals: vec![0.0; classes],
        covariance: None,
        meta: Meta::default(),
    };
    let vars = read(&job.partial())?.unwrap_or_else(empty);
    let done = vars.meta.n_seqs;
    let mut distances = Distances { means: means.means(), dim: means.dim, vars };
    pass.run(job, &hash, done, &mut distances)?;
    distances.vars.meta = Meta { hash, n_seqs: pass.total(), ..Meta::default() };
    Ok(output(job, &distances.vars))
}

fn output(job: &Job<'_>, vars: &Vars) -> CollectOutput {
    CollectOutput {
        file: job.file.clone(),
        hash: vars.meta.hash.clone(),
        sequences: vars.meta.n_seqs,
        tokens: vars.counts.iter().map(|&n| n.max(0) as u64).sum(),
        classes: vars.counts.iter().filter(|&&n| n > 0).count() as u64,
        hits: None,
    }
}
