//! One pass over all pairs of classes: what is no polynomial of inner products and has no closed form.
//!
//! The grid of `K x K` inner products is made tile by tile (upper triangle only) and consumed at once;
//! no more than one tile per thread is ever in memory. Distances come from inner products of *centred*
//! means, `|c_i - c_j|^2 = q_i + q_j - 2 c_i.c_j`. Where that cancels, for near-duplicates, the pair is
//! taken again by direct difference; an exact duplicate has distance zero and is counted.
//! Tiles are added in a fixed order, so the result does not depend on the number of threads.

use super::{classes::Kept, moments::Moments};
use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;

/// Rows and columns of a tile.
const TILE: usize = 256;
/// Squared distances below this share of the squared norms are taken by direct difference: above it
/// cancellation costs at most four of sixteen digits.
const CANCELS: f64 = 1e-4;

/// What the pass adds up; what is not wanted stays zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) cdnv: bool,
    pub(super) distance: bool,
    pub(super) log: bool,
    pub(super) riesz: bool,
}

impl Wanted {
    pub(super) fn anything(self) -> bool {
        self != Self::default()
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            cdnv: self.cdnv || other.cdnv,
            distance: self.distance || other.distance,
            log: self.log || other.log,
            riesz: self.riesz || other.riesz,
        }
    }

    fn kernels(self) -> bool {
        self.distance || self.log || self.riesz
    }
}

/// Sums over all pairs `i < j`. `d` is the distance of the unit vectors `c_i/n_i` and `c_j/n_j`.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairSums {
    /// Of `(v_i + v_j)/2 / |M_i - M_j|^2`.
    pub(super) cdnv: f64,
    /// Of `(v_i + v_j)/2 / |M_i - M_j|^4`.
    pub(super) cdnv_squared: f64,
    /// Of `d`.
    pub(super) distance: Moments,
    /// Of `-ln d`.
    pub(super) log: Moments,
    /// Of `sign(s) d^-s`, `s = width - 2`.
    pub(super) riesz: Moments,
    /// Pairs with equal means.
    pub(super) duplicates: u64,
}

impl PairSums {
    /// The shifts are the values at `d = sqrt(2)`, where random directions lie.
    fn empty(dim: usize) -> Self {
        Self {
            cdnv: 0.0,
            cdnv_squared: 0.0,
            distance: Moments::around(std::f64::consts::SQRT_2),
            log: Moments::around(-0.5 * std::f64::consts::LN_2),
            riesz: Moments::around(riesz(2.0, dim)),
            duplicates: 0,
        }
    }

    fn merge(mut self, other: &Self) -> Self {
        self.cdnv += other.cdnv;
        self.cdnv_squared += other.cdnv_squared;
        self.distance.merge(&other.distance);
        self.log.merge(&other.log);
        self.riesz.merge(&other.riesz);
        self.duplicates += other.duplicates;
        self
    }
}

/// `sign(s) d^-s` with `s = dim - 2`, from `d^2`.
fn riesz(squared: f64, dim: usize) -> f64 {
    let s = dim as f64 - 2.0;
    if s == 0.0 { 0.0 } else { s.signum() * squared.powf(-s / 2.0) }
}

/// Adds up what is wanted over all pairs.
pub(super) fn pass(kept: &Kept<'_>, wanted: Wanted) -> PairSums {
    let empty = PairSums::empty(kept.dim());
    if !wanted.anything() {
        return empty;
    }
    let variances = kept.variances().unwrap_or_else(|| vec![f64::NAN; kept.len()]);
    let tiles = kept.len().div_ceil(TILE);
    let corners: Vec<(usize, usize)> =
        (0..tiles).flat_map(|i| (i..tiles).map(move |j| (i * TILE, j * TILE))).collect();
    let sums: Vec<PairSums> = corners
        .into_par_iter()
        .map_init(
            || vec![0.0; TILE * TILE],
            |products, (top, left)| Tile::new(kept, top, left, products).sums(kept, &variances, wanted),
        )
        .collect();
    sums.iter().fold(empty, PairSums::merge)
}

/// Inner products of two runs of classes.
struct Tile<'a> {
    top: usize,
    left: usize,
    width: usize,
    products: &'a [f64],
}

impl<'a> Tile<'a> {
    fn new(kept: &Kept<'_>, top: usize, left: usize, products: &'a mut [f64]) -> Self {
        let dim = kept.dim();
        let height = TILE.min(kept.len() - top);
        let width = TILE.min(kept.len() - left);
        let rows = |from: usize, n: usize| {
            MatRef::from_row_major_slice(&kept.centred[from * dim..][..n * dim], n, dim)
        };
        let products = &mut products[..height * width];
        matmul(
            MatMut::from_row_major_slice_mut(&mut *products, height, width),
            Accum::Replace,
            rows(top, height),
            rows(left, width).transpose(),
            1.0,
            Par::Seq,
        );
        Self { top, left, width, products }
    }

    fn sums(&self, kept: &Kept<'_>, variances: &[f64], wanted: Wanted) -> PairSums {
        let mut sums = PairSums::empty(kept.dim());
        for (i, products) in (self.top..).zip(self.products.chunks_exact(self.width)) {
            // On the diagonal only what lies above it.
            let skipped = (i + 1).saturating_sub(self.left).min(self.width);
            for (j, &product) in (self.left + skipped..).zip(&products[skipped..]) {
                let norms = kept.squares[i] + kept.squares[j];
                let rough = 2.0f64.mul_add(-product, norms);
                if wanted.cdnv {
                    let squared =
                        if rough < CANCELS * norms { apart(kept.mean(i), kept.mean(j)) } else { rough };
                    let term = 0.5 * (variances[i] + variances[j]) / squared;
                    sums.cdnv += term;
                    sums.cdnv_squared += term / squared;
                }
                if wanted.kernels() {
                    let norms = [kept.norms[i], kept.norms[j]];
                    let rough = 2.0 - 2.0 * product / (norms[0] * norms[1]);
                    let squared = if rough < 2.0 * CANCELS {
                        apart_on_sphere(kept.centred(i), kept.centred(j), norms)
                    } else {
                        rough
                    };
                    push_kernels(&mut sums, squared, kept.dim(), wanted);
                }
                if rough < CANCELS * norms && kept.mean(i) == kept.mean(j) {
                    sums.duplicates += 1;
                }
            }
        }
        sums
    }
}

fn push_kernels(sums: &mut PairSums, squared: f64, dim: usize, wanted: Wanted) {
    if wanted.distance {
        sums.distance.push(squared.sqrt());
    }
    if wanted.log {
        sums.log.push(-0.5 * squared.ln());
    }
    if wanted.riesz {
        sums.riesz.push(riesz(squared, dim));
    }
}

/// `|a - b|^2` by direct difference; the means themselves, as centring has rounded the difference.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum()
}

/// `|a/n_a - b/n_b|^2` by direct difference.
fn apart_on_sphere(a: &[f64], b: &[f64], norms: [f64; 2]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x / norms[0] - y / norms[1]).powi(2)).sum()
}
