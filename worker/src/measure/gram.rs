//! Inner products of Gram matrices, without the Gram matrices of classes.
//!
//! `|X Y^T|^2 = <X^T X, Y^T Y>`: grids of all pairs of classes (`K x K`) have the same Frobenius norm as
//! products of `D x D` matrices. These are made tile by tile, in parallel over tiles; every tile is
//! computed by one thread and tiles are added in a fixed order.

use faer::{Accum, Mat, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;
use std::ops::Range;

/// Rows and columns of a tile.
const TILE: usize = 128;

/// Rows that are copied at once.
const BLOCK: usize = 1024;

/// A matrix, of which a run of columns of one row can be copied: whole copies would be as large as the class
/// means themselves.
pub(super) type Rows<'a> = dyn Fn(usize, Range<usize>, &mut [f64]) + Sync + 'a;

/// `<X^T X, Y^T Y>` for every pair of the given matrices, each `[rows, dim]`.
pub(super) fn inner_products(matrices: &[&Rows<'_>], rows: usize, dim: usize) -> Vec<Vec<f64>> {
    let n = matrices.len();
    let tiles = dim.div_ceil(TILE);
    let corners: Vec<(usize, usize)> =
        (0..tiles).flat_map(|i| (i..tiles).map(move |j| (i * TILE, j * TILE))).collect();
    let parts: Vec<Vec<f64>> = corners
        .into_par_iter()
        .map(|(top, left)| {
            let grams: Vec<Mat<f64>> = matrices.iter().map(|x| tile(x, rows, dim, top, left)).collect();
            // Tiles off the diagonal stand for their mirror images, too.
            let weight = if top == left { 1.0 } else { 2.0 };
            grams.iter().flat_map(|a| grams.iter().map(move |b| weight * inner_product(a, b))).collect()
        })
        .collect();
    let mut sums = vec![vec![0.0; n]; n];
    for part in &parts {
        sums.iter_mut().flatten().zip(part).for_each(|(sum, x)| *sum += x);
    }
    sums
}

/// `X^T X`, whole.
pub(super) fn gram(x: &[f64], rows: usize, dim: usize) -> Mat<f64> {
    let x = MatRef::from_row_major_slice(x, rows, dim);
    let mut gram = Mat::zeros(dim, dim);
    matmul(gram.as_mut(), Accum::Replace, x.transpose(), x, 1.0, Par::Seq);
    gram
}

fn tile(x: &Rows<'_>, rows: usize, dim: usize, top: usize, left: usize) -> Mat<f64> {
    let columns = |from: usize| from..dim.min(from + TILE);
    let (upper, lower) = (columns(top), columns(left));
    let mut tile = Mat::zeros(upper.len(), lower.len());
    let mut copies = [vec![0.0; BLOCK * upper.len()], vec![0.0; BLOCK * lower.len()]];
    for first in (0..rows).step_by(BLOCK) {
        let n = BLOCK.min(rows - first);
        let mut copy = |which: usize, columns: &Range<usize>| {
            for (row, out) in (first..first + n).zip(copies[which].chunks_exact_mut(columns.len())) {
                x(row, columns.clone(), out);
            }
        };
        copy(0, &upper);
        if left != top {
            copy(1, &lower);
        }
        let block = |which: usize, columns: &Range<usize>| {
            let width = columns.len();
            MatRef::from_row_major_slice(&copies[which][..n * width], n, width)
        };
        let (a, b) = (block(0, &upper), block(usize::from(left != top), &lower));
        matmul(tile.as_mut(), Accum::Add, a.transpose(), b, 1.0, Par::Seq);
    }
    tile
}

fn inner_product(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    (0..a.ncols()).map(|j| a.col(j).iter().zip(b.col(j).iter()).map(|(x, y)| x * y).sum::<f64>()).sum()
}
