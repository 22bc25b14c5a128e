//! Sums of embeddings per class.

use super::pass::{Accumulator, Job};
use crate::{
    Result,
    kernels::Kernels,
    model::head::host_floats,
    stats::{Means, Meta, means_hash},
};
use burn::tensor::Tensor;
use protocol::output::CollectOutput;
use std::path::Path;

/// Sums in `f64` of `f32` embeddings.
struct Sums(Means);

impl<B: Kernels> Accumulator<B> for Sums {
    fn add(&mut self, embeddings: Tensor<B, 2>, targets: &[i32]) -> Result<()> {
        let embeddings = host_floats(embeddings)?;
        let Means { counts, totals, dim, .. } = &mut self.0;
        for (embedding, &class) in embeddings.chunks_exact(*dim).zip(targets) {
            let class = class as usize;
            counts[class] += 1;
            let sums = &mut totals[class * *dim..][..*dim];
            for (sum, &x) in sums.iter_mut().zip(embedding) {
                *sum += f64::from(x);
            }
        }
        Ok(())
    }

    fn write(&self, file: &Path, meta: Meta) -> Result<()> {
        Means { meta, ..self.0.clone() }.write(file)
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
        meta: Meta::default(),
    };
    let mut sums = Sums(read(&job.partial())?.unwrap_or_else(empty));
    let done = sums.0.meta.n_seqs;
    pass.run(job, "", done, &mut sums)?;
    sums.0.meta.n_seqs = pass.total();
    Ok(output(job, &sums.0))
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
