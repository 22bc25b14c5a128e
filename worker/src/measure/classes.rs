//! The classes that are measured: which ones, and their centred means.

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
pub(super) struct Kept<'a> {
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) compat: bool,
    /// Positions among all classes.
    pub(super) classes: Vec<usize>,
    /// `c_i`, means less the centre, `[kept, width]`.
    pub(super) centred: Vec<f64>,
    /// `q_i = |c_i|^2`.
    pub(super) squares: Vec<f64>,
    /// `n_i = |c_i|`.
    pub(super) norms: Vec<f64>,
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
        let weight = |class: usize| match centre {
            Centre::Plain => 1.0,
            Centre::Weighted => f64::from(inputs.counts[class]),
        };
        let mut global = vec![0.0; dim];
        for &class in &classes {
            let weight = weight(class);
            global
                .iter_mut()
                .zip(&inputs.means[class * dim..][..dim])
                .for_each(|(sum, x)| *sum += weight * x);
        }
        let weights: f64 = classes.iter().map(|&class| weight(class)).sum();
        global.iter_mut().for_each(|sum| *sum /= weights);
        let mut centred = Vec::with_capacity(classes.len() * dim);
        for &class in &classes {
            centred.extend(inputs.means[class * dim..][..dim].iter().zip(&global).map(|(x, mean)| x - mean));
        }
        let squares: Vec<f64> = (0..classes.len())
            .map(|i| {
                let row = &centred[i * dim..][..dim];
                dot(row, row)
            })
            .collect();
        let norms = squares.iter().map(|q| q.sqrt()).collect();
        Self { inputs, compat: options.compat, classes, centred, squares, norms }
    }

    /// Number of classes kept.
    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    /// Number of pairs of kept classes.
    pub(super) fn pairs(&self) -> f64 {
        let k = self.len() as f64;
        k * (k - 1.0) / 2.0
    }

    /// Width.
    pub(super) fn dim(&self) -> usize {
        self.inputs.dim
    }

    /// `c_i`.
    pub(super) fn centred(&self, i: usize) -> &[f64] {
        &self.centred[i * self.dim()..][..self.dim()]
    }

    /// `M_i`, not centred.
    pub(super) fn mean(&self, i: usize) -> &'a [f64] {
        &self.inputs.means[self.classes[i] * self.dim()..][..self.dim()]
    }

    /// `w_i`.
    ///
    /// # Panics
    /// Without weights.
    pub(super) fn weight(&self, i: usize) -> impl Iterator<Item = f64> + Clone {
        let weights = self.inputs.weights.expect("measures that need weights are only computed with them");
        weights[self.classes[i] * self.dim()..][..self.dim()].iter().map(|&w| f64::from(w))
    }

    /// All `w_i`, `[kept, width]`: a copy as large as the means.
    pub(super) fn weights(&self) -> Vec<f64> {
        (0..self.len()).flat_map(|i| self.weight(i)).collect()
    }

    /// Train samples of the kept classes.
    pub(super) fn counts(&self) -> impl Iterator<Item = i32> {
        self.classes.iter().map(|&class| self.inputs.counts[class])
    }

    /// `v_i = E|x - M_i|^2`, divided by the count (not by the count less one).
    pub(super) fn variances(&self) -> Option<Vec<f64>> {
        let vars = self.inputs.vars?;
        Some(self.classes.iter().map(|&class| vars[class] / f64::from(self.inputs.counts[class])).collect())
    }

    /// `sum c_i`: zero but for rounding.
    pub(super) fn residue(&self) -> Vec<f64> {
        sum_rows(self.dim(), (0..self.len()).map(|i| self.centred(i).iter().copied()))
    }
}

/// Sum of rows.
pub(super) fn sum_rows(dim: usize, rows: impl Iterator<Item = impl Iterator<Item = f64>>) -> Vec<f64> {
    let mut sums = vec![0.0; dim];
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    sums
}

/// Inner product.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
