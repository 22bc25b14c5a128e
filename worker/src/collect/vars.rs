//! Sums of squared distances to the class means, and on request the covariance around them.
//!
//! Either in a second pass over the data, with distances to means that are known, which is the published way;
//! or from the sums of squared norms that come with the means, without reading the data again.

use super::pass::{Accumulator, Job, PRODUCTS, Pass};
use crate::{
    Error, Result,
    kernels::{Kernels, doubles},
    stats::{Means, Meta, Vars},
};
use burn::tensor::Tensor;
use protocol::output::CollectOutput;
use std::path::Path;

/// The second of two passes: distances in `f64` to means that are known, added up on the device.
struct Distances<B: Kernels> {
    means: Tensor<B, 2>,
    counts: Vec<i32>,
    totals: Tensor<B, 2>,
    /// Outer products, on request.
    covariance: Option<Tensor<B, 2>>,
    /// Targets of a sequence: outer products are added up sequence by sequence, whatever a batch is.
    piece: usize,
}

impl<B: Kernels> Distances<B> {
    fn read(&self, meta: Meta) -> Result<Vars> {
        Ok(Vars {
            counts: self.counts.clone(),
            totals: doubles::read(&self.totals)?,
            covariance: self.covariance.as_ref().map(doubles::read).transpose()?,
            meta,
        })
    }
}

impl<B: Kernels> Accumulator<B> for Distances<B> {
    fn add(mut self, embeddings: &Tensor<B, 2>, targets: &[i32]) -> Result<Self> {
        for &class in targets {
            self.counts[class as usize] += 1;
        }
        let add = |sums| B::add_outer_products(sums, &self.means, targets, embeddings, self.piece);
        let covariance = self.covariance.map(add);
        let totals = B::add_distances(self.totals, &self.means, targets, embeddings);
        Ok(Self { totals, covariance, ..self })
    }

    fn write(&self, job: &Job<'_>, file: &Path, meta: Meta) -> Result<()> {
        let vars = self.read(meta)?;
        if vars.totals.iter().all(|total| total.is_finite()) {
            vars.write(file)
        } else {
            Err(job.not_finite())
        }
    }
}

pub(super) fn collect<B: Kernels>(job: &Job<'_>, device: &B::Device) -> Result<CollectOutput> {
    doubles::check::<B>(device)?;
    let mut pass = job.open::<B>("train", device)?;
    let means: Means = job.read_means(&mut pass)?;
    let hash = means.meta.hash.clone();
    if job.spec.one_pass {
        // Another way to the same numbers, but not to the same bytes.
        pass.made_from.insert("passes".to_owned(), "1".to_owned());
        // All products are those of the means.
        pass.made_from.remove(PRODUCTS);
        if let Some(products) = means.meta.made_from.get(PRODUCTS) {
            pass.made_from.insert(PRODUCTS.to_owned(), products.clone());
        }
    }
    let read = |path: &Path| path.exists().then(|| Vars::read(path)).transpose();
    let belongs = |vars: &Vars| {
        let complete = vars.covariance.is_some() || !job.spec.covariance;
        job.belongs(&pass, &vars.meta, Some(&hash)) && complete
    };
    if let Some(vars) = read(&job.file)? {
        if belongs(&vars) {
            return Ok(output(job, &vars));
        }
        job.may_replace(&pass, &vars.meta, Some(&hash))?;
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
    let Vars { counts, totals, covariance, meta } =
        job.unfinished(read(&job.partial()))?.filter(belongs).unwrap_or_else(empty);
    let distances = Distances::<B> {
        means: doubles::matrix(means.into_means().0, [classes, dim], device),
        counts,
        totals: doubles::matrix(totals, [classes, 1], device),
        covariance: covariance.map(|sums| doubles::matrix(sums, [dim, dim], device)),
        piece: pass.targets(),
    };
    let distances = pass.run(job, &hash, meta.n_seqs, distances)?;
    Ok(output(job, &distances.read(Meta { hash, n_seqs: pass.total(), ..Meta::default() })?))
}

/// The variances that the means' file tells.
fn from_squares<B: Kernels>(job: &Job<'_>, pass: &Pass<B>, means: Means) -> Result<CollectOutput> {
    let totals = means.within().ok_or_else(|| {
        Error::input(format!(
            "{}: has no sums of squares, which --one-pass needs; collect the means again with --replace, or \
             leave --one-pass out",
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
