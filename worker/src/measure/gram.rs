//! Inner products of Gram matrices, without the Gram matrices of classes.
//!
//! `|X Y^T|^2 = <X^T X, Y^T Y>`: grids of all pairs of classes (`K x K`) have the same Frobenius norm as
//! products of `D x D` matrices. These are made tile by tile, in parallel over tiles; every tile is
//! computed by one thread and tiles are added in a fixed order.

use faer::{Accum, Mat, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;

/// Rows and columns of a tile.
const TILE: usize = 128;

/// `<X^T X, Y^T Y>` for every pair of the given matrices, each `[rows, dim]`, row by row.
pub(super) fn inner_products(matrices: &[&[f64]], rows: usize, dim: usize) -> Vec<Vec<f64>> {
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

fn tile(x: &[f64], rows: usize, dim: usize, top: usize, left: usize) -> Mat<f64> {
    let x = MatRef::from_row_major_slice(x, rows, dim);
    let columns = |from: usize| x.subcols(from, TILE.min(dim - from));
    let (upper, lower) = (columns(top), columns(left));
    let mut tile = Mat::zeros(upper.ncols(), lower.ncols());
    matmul(tile.as_mut(), Accum::Replace, upper.transpose(), lower, 1.0, Par::Seq);
    tile
}

fn inner_product(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    (0..a.ncols()).map(|j| a.col(j).iter().zip(b.col(j).iter()).map(|(x, y)| x * y).sum::<f64>()).sum()
}
