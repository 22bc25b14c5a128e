//! Distance of a grid of inner products to the one of an ideal simplex.
//!
//! For rows `x_i`, `y_i` and `S = X Y^T`, all `K x K` entries: `|S/|S| - T|` with
//! `T = (I - J/K)/sqrt(K-1)`. As `|T| = 1`, the square is `2 - 2 <S,T>/|S|`, and
//! `<S,T> = (tr S - 1^T S 1/K)/sqrt(K-1)`. That cancels where `S` nears the ideal, which `K > D + 1`
//! excludes: the rank of `S` is at most `D`. For fewer classes the grid is no larger than a Gram matrix of
//! the width, and is taken as it stands.

use faer::{Accum, Mat, MatRef, Par, linalg::matmul::matmul};

/// Whether the grid is small enough, and may be near enough to the ideal, to be taken as it stands.
pub(super) const fn is_small(rows: usize, dim: usize) -> bool {
    rows <= dim + 1
}

/// From the trace of `S`, the sum of all its entries and its squared norm.
pub(super) fn closed(rows: usize, trace: f64, sum: f64, squared_norm: f64) -> f64 {
    let k = rows as f64;
    let aligned = (trace - sum / k) / (k - 1.0).sqrt() / squared_norm.sqrt();
    (2.0 - 2.0 * aligned).sqrt()
}

/// From the rows, `[rows, dim]` each.
pub(super) fn direct(x: &[f64], y: &[f64], rows: usize, dim: usize) -> f64 {
    let matrix = |of| MatRef::from_row_major_slice(of, rows, dim);
    let mut grid = Mat::<f64>::zeros(rows, rows);
    matmul(grid.as_mut(), Accum::Replace, matrix(x), matrix(y).transpose(), 1.0, Par::Seq);
    let norm = grid.norm_l2();
    let k = rows as f64;
    let ideal = |same: bool| (f64::from(u8::from(same)) - 1.0 / k) / (k - 1.0).sqrt();
    let column =
        |j: usize| grid.col(j).iter().enumerate().map(move |(i, s)| (s / norm - ideal(i == j)).powi(2));
    (0..rows).flat_map(column).sum::<f64>().sqrt()
}
