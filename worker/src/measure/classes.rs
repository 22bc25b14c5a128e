//! The classes that are measured: which ones, and their centred means.

use super::{
    lanes,
    rows::{self, Rows},
};
use rayon::prelude::*;
use std::ops::Range;

/// Classes that one thread takes at least.
const MIN_ROWS: usize = 64;

/// Class statistics of one model. Classes are rows; matrices lie row by row.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Width of the embeddings.
    pub dim: usize,
    /// Train samples, `[classes]`.
    pub counts: &'a [i32],
    /// Class means, `[classes, width]`.
    pub means: &'a [f64],
    /// Sums of squared distances to the class mean, `[classes]`; not divided by the counts.
    pub vars: Option<&'a [f64]>,
    /// Rows of the linear head, `[classes, width]`.
    pub weights: Option<&'a [f32]>,
    /// Validation samples and, among them, equal decisions, both `[classes]`.
    pub decisions: Option<Decisions<'a>>,
    /// Covariance of the embeddings around their class means, over all samples, `[width, width]`.
    pub covariance: Option<&'a [f64]>,
    /// Mean embedding of texts from elsewhere, `[width]`.
    pub foreign_mean: Option<&'a [f64]>,
}

/// How often the linear and the nearest-mean decision agree.
#[derive(Clone, Copy, Debug)]
pub struct Decisions<'a> {
    /// Validation samples, `[classes]`.
    pub counts: &'a [i32],
    /// Samples on which both agree, `[classes]`.
    pub hits: &'a [i32],
}

/// Which classes are kept, by their number of *train* samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// At least so many.
    pub min_per_class: u32,
    /// Fewer than this.
    pub max_per_class: Option<u32>,
}

impl Default for Filter {
    /// Every class that was seen.
    fn default() -> Self {
        Self { min_per_class: 1, max_per_class: None }
    }
}

impl Filter {
    /// The classes kept, in order.
    #[must_use]
    pub fn select(&self, counts: &[i32]) -> Vec<usize> {
        let keeps = |count: i32| {
            let count = i64::from(count);
            count >= i64::from(self.min_per_class)
                && self.max_per_class.is_none_or(|max| count < i64::from(max))
        };
        (0..counts.len()).filter(|&class| keeps(counts[class])).collect()
    }
}

/// How measures are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Which classes are kept.
    pub filter: Filter,
    /// Round as the published tool does, which keeps grids of pairs and what it computes with the linear head
    /// in single precision: numbers differ in the seventh digit, and kernels overflow where its do.
    pub compat: bool,
    /// Give values per class, too.
    pub per_class: bool,
}

/// What class means are centred on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Centre {
    /// The plain mean of the kept class means.
    Plain,
    /// Their mean weighted by train samples: the mean over all samples of kept classes.
    Weighted,
}

/// The kept classes, with their means around a centre.
pub(crate) struct Kept<'a> {
    pub(super) inputs: &'a Inputs<'a>,
    pub(crate) compat: bool,
    /// Positions among all classes.
    pub(super) classes: Vec<usize>,
    /// What means are centred on, `[width]`.
    #[cfg(feature = "cuda")]
    pub(crate) centre: Vec<f64>,
    /// `c_i`, means less the centre, `[kept, width]`.
    pub(super) centred: Vec<f64>,
    /// `q_i = |c_i|^2`.
    pub(crate) squares: Vec<f64>,
    /// `n_i = |c_i|`.
    pub(crate) norms: Vec<f64>,
    /// `sum c_i`: zero but for rounding, around the plain mean.
    pub(super) residue: Vec<f64>,
}

impl<'a> Kept<'a> {
    /// # Panics
    /// When the inputs' lengths do not fit together.
    pub(super) fn new(inputs: &'a Inputs<'a>, options: &Options, centre: Centre) -> Self {
        let (all, dim) = (inputs.counts.len(), inputs.dim);
        assert_eq!(inputs.means.len(), all * dim, "means");
        assert!(inputs.vars.is_none_or(|vars| vars.len() == all), "vars");
        assert!(inputs.weights.is_none_or(|weights| weights.len() == all * dim), "weights");
        assert!(inputs.decisions.is_none_or(|d| d.counts.len() == all && d.hits.len() == all), "decisions");
        assert!(inputs.covariance.is_none_or(|covariance| covariance.len() == dim * dim), "covariance");
        assert!(inputs.foreign_mean.is_none_or(|mean| mean.len() == dim), "foreign mean");

        let classes = options.filter.select(inputs.counts);
        let mean = |i: usize| &inputs.means[classes[i] * dim..][..dim];
        let weight = |i: usize| match centre {
            Centre::Plain => 1.0,
            Centre::Weighted => f64::from(inputs.counts[classes[i]]),
        };
        let weighted: &Rows<'_> = &|i, columns, out| {
            out.iter_mut().zip(&mean(i)[columns]).for_each(|(out, x)| *out = weight(i) * x);
        };
        let mut global = rows::sum(weighted, classes.len(), dim);
        let weights: f64 = (0..classes.len()).map(weight).sum();
        global.iter_mut().for_each(|sum| *sum /= weights);
        let mut centred = vec![0.0; classes.len() * dim];
        let squares = centred
            .par_chunks_exact_mut(dim)
            .with_min_len(MIN_ROWS)
            .enumerate()
            .map(|(i, centred)| {
                for ((out, x), mean) in centred.iter_mut().zip(mean(i)).zip(&global) {
                    *out = x - mean;
                }
                dot(centred, centred)
            })
            .collect();
        let mut kept = Self {
            inputs,
            compat: options.compat,
            classes,
            #[cfg(feature = "cuda")]
            centre: global,
            centred,
            squares,
            norms: Vec::new(),
            residue: Vec::new(),
        };
        kept.norms = kept.squares.iter().map(|q| q.sqrt()).collect();
        kept.residue =
            rows::sum(&|i, columns, out| out.copy_from_slice(&kept.centred(i)[columns]), kept.len(), dim);
        kept
    }

    /// Number of classes kept.
    pub(crate) fn len(&self) -> usize {
        self.classes.len()
    }

    /// Number of pairs of kept classes.
    pub(super) fn pairs(&self) -> f64 {
        let k = self.len() as f64;
        k * (k - 1.0) / 2.0
    }

    /// Width.
    pub(crate) fn dim(&self) -> usize {
        self.inputs.dim
    }

    /// `c_i`.
    pub(super) fn centred(&self, i: usize) -> &[f64] {
        &self.centred[i * self.dim()..][..self.dim()]
    }

    /// `M_i`, not centred.
    pub(crate) fn mean(&self, i: usize) -> &'a [f64] {
        &self.inputs.means[self.classes[i] * self.dim()..][..self.dim()]
    }

    /// `w_i`.
    ///
    /// # Panics
    /// Without weights.
    pub(super) fn weight(&self, i: usize) -> &'a [f32] {
        let weights = self.inputs.weights.expect("measures that need weights are only computed with them");
        &weights[self.classes[i] * self.dim()..][..self.dim()]
    }

    /// Copies some columns of `w_i`.
    pub(super) fn copy_weight(&self, i: usize, columns: Range<usize>, out: &mut [f64]) {
        out.iter_mut().zip(&self.weight(i)[columns]).for_each(|(out, &w)| *out = f64::from(w));
    }

    /// Computes some columns of `c_i/n_i`.
    pub(super) fn copy_direction(&self, i: usize, columns: Range<usize>, out: &mut [f64]) {
        out.iter_mut().zip(&self.centred(i)[columns]).for_each(|(out, c)| *out = c / self.norms[i]);
    }

    /// A value of each class.
    pub(super) fn of_each(&self, value: impl Fn(usize) -> f64 + Send + Sync) -> Vec<f64> {
        (0..self.len()).into_par_iter().with_min_len(MIN_ROWS).map(value).collect()
    }

    /// Train samples of the kept classes.
    pub(super) fn counts(&self) -> impl Iterator<Item = i32> {
        self.classes.iter().map(|&class| self.inputs.counts[class])
    }

    /// `v_i = E|x - M_i|^2`, divided by the count (not by the count less one).
    pub(crate) fn variances(&self) -> Option<Vec<f64>> {
        let vars = self.inputs.vars?;
        Some(self.classes.iter().map(|&class| vars[class] / f64::from(self.inputs.counts[class])).collect())
    }
}

/// Inner product, of both as `f64`.
pub(super) fn dot<A: Copy + Into<f64>>(a: &[A], b: &[f64]) -> f64 {
    sum_of(a, b, |a, b| a * b)
}

/// The sum of what is made of each pair of entries.
pub(super) fn sum_of<A: Copy + Into<f64>>(a: &[A], b: &[f64], of: impl Fn(f64, f64) -> f64) -> f64 {
    lanes::vectorised(
        #[inline(always)]
        || lanes::sum_of(a, b, of),
    )
}
