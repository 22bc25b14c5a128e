//! Sums of squared distances to the class means, and on request the covariance around them.
//!
//! Either in a second pass over the data, with distances to means that are known, which is the published way;
//! or from the sums of squared norms that come with the means, without reading the data again.

use super::pass::{Accumulator, Job, Pass};
use crate::{
    Error, Result,
    kernels::{
        Kernels,
        cpu::classes::{add_outer_products, squared_distances},
    },
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
    /// Targets of a sequence: the covariance is added up sequence by sequence, whatever a batch is.
    rows: usize,
    vars: Vars,
}

impl<B: Kernels> Accumulator<B> for Distances {
    fn add(&mut self, embeddings: Tensor<B, 2>, targets: &[i32]) -> Result<()> {
        let embeddings = host_floats(embeddings)?;
        let distances = squared_distances(&self.means, self.dim, targets, &embeddings);
        for (&class, distance) in targets.iter().zip(distances) {
            self.vars.counts[class as usize] += 1;
            self.vars.totals[class as usize] += distance;
        }
        if let Some(covariance) = &mut self.vars.covariance {
            let sequences = targets.chunks(self.rows).zip(embeddings.chunks(self.rows * self.dim));
            for (targets, embeddings) in sequences {
                add_outer_products(covariance, &self.means, targets, embeddings);
            }
        }
        Ok(())
    }

    fn write(&self, file: &Path, meta: Meta) -> Result<()> {
        Vars { meta, ..self.vars.clone() }.write(file)
    }
}

pub(super) fn collect<B: Kernels>(job: &Job<'_>, device: &B::Device) -> Result<CollectOutput> {
    let mut pass = job.open::<B>("train", device)?;
    let means: Means = job.read_means(&pass)?;
    let hash = means.meta.hash.clone();
    if job.spec.one_pass {
        // Another way to the same numbers, but not to the same bytes.
        pass.made_from.insert("passes".to_owned(), "1".to_owned());
    }
    let read = |path: &Path| {
        let found = path.exists().then(|| Vars::read(path)).transpose()?;
        let complete = |vars: &Vars| vars.covariance.is_some() || !job.spec.covariance;
        Ok(found.filter(|vars| job.belongs(&pass, &vars.meta, Some(&hash)) && complete(vars)))
    };
    if let Some(vars) = read(&job.file)? {
        return Ok(output(job, &vars));
    }
    if job.spec.one_pass {
        return from_squares(job, &pass, means);
    }
    let (classes, dim) = (means.counts.len(), means.dim);
    let empty = || Vars {
        counts: vec![0; classes],
        totals: vec![0.0; classes],
        covariance: job.spec.covariance.then(|| vec![0.0; dim * dim]),
        meta: Meta::default(),
    };
    let vars = job.unfinished(read(&job.partial()))?.unwrap_or_else(empty);
    let done = vars.meta.n_seqs;
    let mut distances = Distances { means: means.means(), dim, rows: pass.targets(), vars };
    pass.run(job, &hash, done, &mut distances)?;
    distances.vars.meta = Meta { hash, n_seqs: pass.total(), ..Meta::default() };
    Ok(output(job, &distances.vars))
}

/// The variances that the means' file tells.
fn from_squares<B: Kernels>(job: &Job<'_>, pass: &Pass<B>, means: Means) -> Result<CollectOutput> {
    let totals = means.within().ok_or_else(|| {
        Error::input(format!(
            "{}: has no sums of squares, which --one-pass needs; collect the means again, or leave --one-pass out",
            job.means.display()
        ))
    })?;
    let Means { counts, meta, .. } = means;
    let vars =
        Vars { counts, totals, covariance: None, meta: Meta { made_from: pass.made_from.clone(), ..meta } };
    vars.write(&job.file)?;
    Ok(output(job, &vars))
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
