//! One tile of the grid of all pairs: inner products of two runs of classes, and what is made of them.
//!
//! Distances come from inner products of *centred* means, `|c_i - c_j|^2 = q_i + q_j - 2 c_i.c_j`. Where that
//! cancels, for near-duplicates, the pair is taken again by direct difference; an exact duplicate has distance
//! zero and is counted. Everything else is a chain of vectorised loops over the rows of the tile.

use super::{
    classes::Kept,
    lanes,
    pairs::{PairSums, Wanted},
};
use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};

/// Rows and columns of a tile.
pub(super) const TILE: usize = 256;
/// Squared distances below this share of the squared norms are taken by direct difference: above it
/// cancellation costs at most four of sixteen digits.
pub(crate) const CANCELS: f64 = 1e-4;

/// What tiles are made from.
pub(super) struct Grid<'a> {
    kept: &'a Kept<'a>,
    wanted: Wanted,
    /// `v_i`; NaN where they are not known.
    variances: Vec<f64>,
    /// `1/n_i`.
    inverse_norms: Vec<f64>,
}

/// Room for one tile.
pub(super) struct Scratch {
    products: Vec<f64>,
    row: Row,
}

/// Room for one row of a tile.
struct Row {
    /// `|c_i - c_j|^2`.
    apart: [f64; TILE],
    /// `|c_i/n_i - c_j/n_j|^2`.
    on_sphere: [f64; TILE],
    logs: [f64; TILE],
    values: [f64; TILE],
}

/// What one tile adds.
pub(super) struct TileSums {
    pub(super) sums: PairSums,
    /// Of the classes of its rows, and of its columns; empty if not wanted.
    pub(super) cdnv_squared: [Vec<f64>; 2],
    /// The same of `-ln d`.
    pub(super) log: [Vec<f64>; 2],
}

impl Scratch {
    pub(super) fn new() -> Self {
        let row = [0.0; TILE];
        Self {
            products: vec![0.0; TILE * TILE],
            row: Row { apart: row, on_sphere: row, logs: row, values: row },
        }
    }
}

impl<'a> Grid<'a> {
    pub(super) fn new(kept: &'a Kept<'a>, wanted: Wanted) -> Self {
        Self {
            kept,
            wanted,
            variances: kept.variances().unwrap_or_else(|| vec![f64::NAN; kept.len()]),
            inverse_norms: kept.norms.iter().map(|norm| 1.0 / norm).collect(),
        }
    }

    /// Adds up the pairs `i < j` of the tile with this corner.
    pub(super) fn tile(&self, top: usize, left: usize, scratch: &mut Scratch) -> TileSums {
        let (all, dim) = (self.kept.len(), self.kept.dim());
        let (height, width) = (TILE.min(all - top), TILE.min(all - left));
        let rows = |from: usize, n: usize| {
            MatRef::from_row_major_slice(&self.kept.centred[from * dim..][..n * dim], n, dim)
        };
        let products = &mut scratch.products[..height * width];
        matmul(
            MatMut::from_row_major_slice_mut(&mut *products, height, width),
            Accum::Replace,
            rows(top, height),
            rows(left, width).transpose(),
            1.0,
            Par::Seq,
        );

        let by_class = |wanted: bool| {
            let room = |n: usize| vec![0.0; if wanted { n } else { 0 }];
            [room(height), room(width)]
        };
        let mut sums = TileSums {
            sums: PairSums::empty(dim),
            cdnv_squared: by_class(self.wanted.cdnv_by_class),
            log: by_class(self.wanted.log_by_class),
        };
        let row = &mut scratch.row;
        lanes::vectorised(
            #[inline(always)]
            || {
                for (i, products) in (top..).zip(products.chunks_exact(width)) {
                    // On the diagonal only what lies above it.
                    let skipped = (i + 1).saturating_sub(left).min(width);
                    self.row([top, left], [i, left + skipped], &products[skipped..], row, &mut sums);
                }
            },
        );
        sums
    }

    /// Adds up the pairs of class `i` with those from `j` on.
    #[inline(always)]
    fn row(
        &self,
        corner: [usize; 2],
        [i, j]: [usize; 2],
        products: &[f64],
        row: &mut Row,
        sums: &mut TileSums,
    ) {
        let n = products.len();
        let [at_row, at_column] = [i - corner[0], j - corner[1]];
        self.distances(i, j, products, row, &mut sums.sums);
        if self.wanted.cdnv {
            let (half, variances) = (0.5 * self.variances[i], &self.variances[j..][..n]);
            let (apart, terms, squared) = (&mut row.apart[..n], &mut row.values[..n], &mut row.logs[..n]);
            for (((term, squared), apart), variance) in
                terms.iter_mut().zip(&mut *squared).zip(&*apart).zip(variances)
            {
                let inverse = 1.0 / apart;
                *term = 0.5f64.mul_add(*variance, half) * inverse;
                *squared = *term * inverse;
            }
            self.round(terms);
            self.round(squared);
            sums.sums.cdnv += lanes::sum(terms);
            let total = lanes::sum(squared);
            sums.sums.cdnv_squared += total;
            add(&mut sums.cdnv_squared, at_row, at_column, squared, total);
        }
        if self.wanted.log || self.wanted.riesz {
            for (ln, squared) in row.logs[..n].iter_mut().zip(&row.on_sphere[..n]) {
                *ln = lanes::ln(*squared);
            }
        }
        let values = &mut row.values[..n];
        if self.wanted.log {
            for (value, ln) in values.iter_mut().zip(&row.logs[..n]) {
                *value = -0.5 * ln;
            }
            self.round(values);
            sums.sums.log.push_all(values);
            let total = lanes::sum(values);
            add(&mut sums.log, at_row, at_column, values, total);
        }
        if self.wanted.distance {
            for (value, squared) in values.iter_mut().zip(&row.on_sphere[..n]) {
                *value = squared.sqrt();
            }
            self.round(values);
            sums.sums.distance.push_all(values);
        }
        if self.wanted.riesz {
            let s = self.kept.dim() as f64 - 2.0;
            for (value, ln) in values.iter_mut().zip(&row.logs[..n]) {
                // The square of a root, whose range is twice that of the exponential.
                let root = lanes::exp(-0.25 * s * ln);
                *value = s.signum() * (root * root);
            }
            if s == 0.0 {
                values.fill(0.0);
            }
            self.round(values);
            sums.sums.riesz.push_all(values);
        }
    }

    /// Squared distances of class `i` from those from `j` on.
    #[inline(always)]
    fn distances(&self, i: usize, j: usize, products: &[f64], row: &mut Row, sums: &mut PairSums) {
        let n = products.len();
        let (square, squares) = (self.kept.squares[i], &self.kept.squares[j..][..n]);
        let (apart, excess) = (&mut row.apart[..n], &mut row.values[..n]);
        for (((apart, excess), product), other) in
            apart.iter_mut().zip(&mut *excess).zip(products).zip(squares)
        {
            *apart = (-2.0f64).mul_add(*product, square + other);
            *excess = *apart - CANCELS * (square + other);
        }
        // Two means in the centre have no excess at all.
        const SOME: f64 = f64::MIN_POSITIVE;
        if lanes::any_below(SOME, excess) {
            for (at, apart) in apart.iter_mut().enumerate().filter(|(at, _)| excess[*at] < SOME) {
                let [a, b] = [self.kept.mean(i), self.kept.mean(j + at)];
                *apart = difference(a, b, [1.0, 1.0]);
                sums.duplicates += u64::from(a == b);
            }
        }
        if self.wanted.kernels() {
            let (inverse, inverses) = (self.inverse_norms[i], &self.inverse_norms[j..][..n]);
            let on_sphere = &mut row.on_sphere[..n];
            for ((squared, product), other) in on_sphere.iter_mut().zip(products).zip(inverses) {
                *squared = (-2.0f64).mul_add(product * inverse * other, 2.0);
            }
            if lanes::any_below(2.0 * CANCELS, on_sphere) {
                let norms = &self.kept.norms;
                for (at, squared) in on_sphere.iter_mut().enumerate().filter(|(_, x)| **x < 2.0 * CANCELS) {
                    let other = j + at;
                    let [a, b] = [self.kept.centred(i), self.kept.centred(other)];
                    *squared = difference(a, b, [norms[i], norms[other]]);
                }
            }
        }
    }

    /// Rounds a grid's entries as the published tool keeps them, if that is asked for.
    #[inline(always)]
    fn round(&self, values: &mut [f64]) {
        if self.kept.compat {
            for x in values {
                *x = f64::from(*x as f32);
            }
        }
    }
}

/// Adds a row of pairs to the sums per class, if there are any: `total` to that of the row.
#[inline(always)]
fn add([rows, columns]: &mut [Vec<f64>; 2], row: usize, column: usize, values: &[f64], total: f64) {
    if let Some(of_row) = rows.get_mut(row) {
        *of_row += total;
        for (sum, x) in columns[column..].iter_mut().zip(values) {
            *sum += x;
        }
    }
}

/// `|a/n_a - b/n_b|^2` by direct difference. Whole means are given where they are not divided, as centring
/// has rounded their difference.
fn difference(a: &[f64], b: &[f64], norms: [f64; 2]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x / norms[0] - y / norms[1]).powi(2)).sum()
}
