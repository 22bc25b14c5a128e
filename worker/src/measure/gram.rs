//! Gram matrices of the width, instead of those of the classes.
//!
//! `|X Y^T|^2 = <X^T X, Y^T Y>`: grids of all pairs of classes (`K x K`) have the same Frobenius norm as
//! products of `D x D` matrices. These are made in parallel, tile by tile and some rows at a time; what belongs to one
//! tile is added in the order of the rows, so that the number of threads changes nothing.

use super::rows::Rows;
use faer::{Accum, Mat, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;
use std::ops::Range;

/// Rows and columns of a tile.
const TILE: usize = 128;

/// Rows that one thread takes: a narrow matrix, of one tile, still gives work to many.
const SLICE: usize = 2048;

/// Tiles that are made at once: bounds what waits to be added.
const WAVE: usize = 16;

/// Rows that are copied at once.
const BLOCK: usize = 1024;

/// `X^T X` of a matrix `[rows, dim]`.
pub(super) fn gram(x: &Rows<'_>, rows: usize, dim: usize) -> Mat<f64> {
    let (tiles, slices) = (dim.div_ceil(TILE), rows.div_ceil(SLICE));
    let corners: Vec<(usize, usize)> =
        (0..tiles).flat_map(|i| (i..tiles).map(move |j| (i * TILE, j * TILE))).collect();
    let mut gram = Mat::zeros(dim, dim);
    for corners in corners.chunks(WAVE) {
        let parts: Vec<Mat<f64>> = (0..corners.len() * slices)
            .into_par_iter()
            .map(|at| {
                let first = at % slices * SLICE;
                tile(x, first..rows.min(first + SLICE), dim, corners[at / slices])
            })
            .collect();
        for (&(top, left), parts) in corners.iter().zip(parts.chunks(slices)) {
            let (height, width) = (parts[0].nrows(), parts[0].ncols());
            let mut block = gram.as_mut().submatrix_mut(top, left, height, width);
            parts.iter().for_each(|part| block += part);
        }
    }
    for j in 0..dim {
        for i in j + 1..dim {
            gram[(i, j)] = gram[(j, i)];
        }
    }
    gram
}

fn tile(x: &Rows<'_>, rows: Range<usize>, dim: usize, (top, left): (usize, usize)) -> Mat<f64> {
    let columns = |from: usize| from..dim.min(from + TILE);
    let (upper, lower) = (columns(top), columns(left));
    let mut tile = Mat::zeros(upper.len(), lower.len());
    let mut copies = [vec![0.0; BLOCK * upper.len()], vec![0.0; BLOCK * lower.len()]];
    for first in rows.clone().step_by(BLOCK) {
        let n = BLOCK.min(rows.end - first);
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

/// `<A, B>`: the sum of the products of their entries.
pub(super) fn inner_product(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    (0..a.ncols()).map(|j| a.col(j).iter().zip(b.col(j).iter()).map(|(x, y)| x * y).sum::<f64>()).sum()
}
