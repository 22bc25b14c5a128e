//! Products of matrices, in panels of rows.
//!
//! A panel is one task. Its height depends on the shape alone, and within a task the product is taken by
//! one thread, so the result does not depend on their number.

use faer::{Accum, Mat, MatMut, MatRef, Par, linalg::matmul};
use rayon::prelude::*;

/// Fewest rows of a panel: below this, packing the other factor costs more than another thread gains.
const LEAST_ROWS: usize = 64;
/// Panels of a tall matrix.
const PANELS: usize = 16;

/// A row-major matrix.
#[must_use]
pub fn view(entries: &[f32], rows: usize, columns: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice(entries, rows, columns)
}

/// `c = a b`, `c` row-major.
pub fn multiply(c: &mut [f32], a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    panels(c, a, b, |panel, a| product(panel, Accum::Replace, a, b));
}

/// `c = a b + row`, the row added to every row.
pub fn multiply_add_row(c: &mut [f32], row: &[f32], a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    panels(c, a, b, |panel, a| {
        panel.chunks_exact_mut(row.len()).for_each(|into| into.copy_from_slice(row));
        product(panel, Accum::Add, a, b);
    });
}

/// One task's product, by the calling thread: `c = a b`, or `c += a b`. Of several columns, a row of it
/// does not depend on the others.
pub fn product(c: &mut [f32], accumulate: Accum, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    if a.nrows() == 1 {
        // The library takes another way for a single row, on which it is rounded otherwise.
        let (twice, mut both) = (Mat::from_fn(2, a.ncols(), |_, column| a[(0, column)]), c.repeat(2));
        product(&mut both, accumulate, twice.as_ref(), b);
        return c.copy_from_slice(&both[..c.len()]);
    }
    let c = MatMut::from_row_major_slice_mut(c, a.nrows(), b.ncols());
    matmul::matmul(c, accumulate, a, b, 1.0, Par::Seq);
}

fn panels(
    c: &mut [f32],
    a: MatRef<'_, f32>,
    b: MatRef<'_, f32>,
    task: impl Fn(&mut [f32], MatRef<'_, f32>) + Sync,
) {
    if c.is_empty() {
        return;
    }
    let rows = a.nrows().div_ceil(PANELS).next_multiple_of(16).max(LEAST_ROWS);
    c.par_chunks_mut(rows * b.ncols()).enumerate().for_each(|(index, panel)| {
        let first = index * rows;
        task(panel, a.subrows(first, rows.min(a.nrows() - first)));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_a_product_does_not_depend_on_the_others() {
        let entries =
            |count: usize, step: f32| (0..count).map(|at| (at as f32 * step).sin()).collect::<Vec<_>>();
        for (inner, columns) in [(5, 7), (48, 130), (64, 64), (200, 33), (256, 2), (700, 20)] {
            let (a, b) = (entries(200 * inner, 0.37), entries(inner * columns, 0.73));
            let b = view(&b, inner, columns);
            let of = |rows: usize| {
                let mut c = vec![0.0; rows * columns];
                product(&mut c, Accum::Replace, view(&a[..rows * inner], rows, inner), b);
                c
            };
            let all = of(200);
            for rows in 1..200 {
                assert!(of(rows) == all[..rows * columns], "{rows} rows, {inner} by {columns}");
            }
        }
    }
}
