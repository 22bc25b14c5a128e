//! One pass over all pairs of classes: what is no polynomial of inner products and has no closed form.
//!
//! The grid of `K x K` inner products is made tile by tile (upper triangle only) and consumed at once
//! ([`super::tile`]); no more than one tile per thread is ever in memory. Tiles are added in a fixed order, so
//! the result does not depend on the number of threads.

use super::{
    classes::Kept,
    moments::Moments,
    tile::{Grid, Scratch, TILE},
};
use rayon::prelude::*;

/// Tiles that are computed before they are added: bounds what waits for it.
const WAVE: usize = 512;

/// What the pass adds up; what is not wanted stays zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub(crate) cdnv: bool,
    pub(crate) distance: bool,
    pub(crate) log: bool,
    pub(crate) riesz: bool,
    /// `cdnv` of each class, too.
    pub(crate) cdnv_by_class: bool,
    /// `log` of each class, too.
    pub(crate) log_by_class: bool,
}

impl Wanted {
    pub(crate) const NONE: Self = Self {
        cdnv: false,
        distance: false,
        log: false,
        riesz: false,
        cdnv_by_class: false,
        log_by_class: false,
    };

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            cdnv: self.cdnv || other.cdnv,
            distance: self.distance || other.distance,
            log: self.log || other.log,
            riesz: self.riesz || other.riesz,
            cdnv_by_class: self.cdnv_by_class || other.cdnv_by_class,
            log_by_class: self.log_by_class || other.log_by_class,
        }
    }

    pub(crate) fn kernels(self) -> bool {
        self.distance || self.log || self.riesz
    }
}

/// Sums over all pairs `i < j`. `d` is the distance of the unit vectors `c_i/n_i` and `c_j/n_j`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairSums {
    /// Of `(v_i + v_j)/2 / |M_i - M_j|^2`.
    pub(super) cdnv: f64,
    /// Of `(v_i + v_j)/2 / |M_i - M_j|^4`.
    pub(super) cdnv_squared: f64,
    /// Of `d`.
    pub(crate) distance: Moments,
    /// Of `-ln d`.
    pub(crate) log: Moments,
    /// Of `sign(s) d^-s`, `s = width - 2`.
    pub(crate) riesz: Moments,
    /// Pairs with equal means.
    pub(super) duplicates: u64,
}

impl PairSums {
    /// The shifts are the values at `d = sqrt(2)`, where random directions lie.
    pub(super) fn empty(dim: usize) -> Self {
        let s = dim as f64 - 2.0;
        let riesz = if s == 0.0 { 0.0 } else { s.signum() * 2f64.powf(-s / 2.0) };
        Self {
            cdnv: 0.0,
            cdnv_squared: 0.0,
            distance: Moments::around(std::f64::consts::SQRT_2),
            log: Moments::around(-0.5 * std::f64::consts::LN_2),
            riesz: Moments::around(riesz),
            duplicates: 0,
        }
    }

    /// Adds what a device found in a tile: sums of `cdnv` with either power, of the kernels, each with that of its squares
    /// around the shift, and the duplicates.
    #[cfg(feature = "cuda")]
    pub(crate) fn add(&mut self, found: [f64; 9]) {
        let [cdnv, cdnv_squared, distance, distances, log, logs, riesz, rieszes, duplicates] = found;
        self.cdnv += cdnv;
        self.cdnv_squared += cdnv_squared;
        self.distance.add(distance, distances);
        self.log.add(log, logs);
        self.riesz.add(riesz, rieszes);
        self.duplicates += duplicates as u64;
    }

    fn merge(&mut self, other: &Self) {
        self.cdnv += other.cdnv;
        self.cdnv_squared += other.cdnv_squared;
        self.distance.merge(&other.distance);
        self.log.merge(&other.log);
        self.riesz.merge(&other.riesz);
        self.duplicates += other.duplicates;
    }
}

/// What the pass gives.
pub(crate) struct Pairs {
    /// Over all pairs.
    pub(crate) sums: PairSums,
    /// Sums over the pairs of each class of `(v_i + v_j)/2 / |M_i - M_j|^4`; empty if not wanted.
    pub(crate) cdnv_squared: Vec<f64>,
    /// Sums over the pairs of each class of `-ln d`; empty if not wanted.
    pub(crate) log: Vec<f64>,
}

impl Pairs {
    /// Of no pairs yet.
    pub(crate) fn empty(kept: &Kept<'_>, wanted: Wanted) -> Self {
        let by_class = |wanted: bool| vec![0.0; if wanted { kept.len() } else { 0 }];
        Self {
            sums: PairSums::empty(kept.dim()),
            cdnv_squared: by_class(wanted.cdnv_by_class),
            log: by_class(wanted.log_by_class),
        }
    }
}

/// Adds up what is wanted over all pairs, on the processor.
pub(crate) fn pass(kept: &Kept<'_>, wanted: Wanted) -> Pairs {
    let mut pairs = Pairs::empty(kept, wanted);
    if wanted == Wanted::NONE {
        return pairs;
    }
    let grid = Grid::new(kept, wanted);
    let tiles = kept.len().div_ceil(TILE);
    let corners: Vec<(usize, usize)> =
        (0..tiles).flat_map(|i| (i..tiles).map(move |j| (i * TILE, j * TILE))).collect();
    for wave in corners.chunks(WAVE) {
        let sums: Vec<_> = wave
            .par_iter()
            .map_init(Scratch::new, |scratch, &(top, left)| grid.tile(top, left, scratch))
            .collect();
        for (&(top, left), sums) in wave.iter().zip(&sums) {
            pairs.sums.merge(&sums.sums);
            for (total, of) in [(&mut pairs.cdnv_squared, &sums.cdnv_squared), (&mut pairs.log, &sums.log)] {
                for (first, of) in [(top, &of[0]), (left, &of[1])] {
                    total.iter_mut().skip(first).zip(of).for_each(|(total, x)| *total += x);
                }
            }
        }
    }
    pairs
}
