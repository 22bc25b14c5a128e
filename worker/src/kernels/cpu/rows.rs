//! Sums of rows.

use super::lanes::vectorised;
use rayon::prelude::*;

/// Rows summed by one task.
const ROWS: usize = 256;

/// The sum of all rows.
pub(super) fn sum(x: &[f32], width: usize) -> Vec<f32> {
    let parts: Vec<Vec<f32>> = x.par_chunks(ROWS * width).map(|rows| sum_part(rows, width)).collect();
    in_order(&parts, width)
}

vectorised! {
    fn sum_part<'a>(rows: &'a [f32], width: usize) -> Vec<f32> {
        let mut sums = vec![0.0; width];
        for row in rows.chunks_exact(width) {
            add_to(&mut sums, row);
        }
        sums
    }
}

/// The sum of some rows, one after the other.
pub(super) fn in_order(parts: &[Vec<f32>], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; width];
    parts.iter().for_each(|part| add_to(&mut sums, part));
    sums
}

/// Adds each row of `values` to the row of `sums` that its index names, one after the other.
pub(super) fn add(sums: &mut [f32], indices: &[i32], values: &[f32], width: usize) {
    add_all(sums, indices, values, width);
}

vectorised! {
    fn add_all<'a>(sums: &'a mut [f32], indices: &'a [i32], values: &'a [f32], width: usize) -> () {
        for (&index, row) in indices.iter().zip(values.chunks_exact(width)) {
            add_to(&mut sums[index as usize * width..][..width], row);
        }
    }
}

#[inline(always)]
fn add_to(sums: &mut [f32], row: &[f32]) {
    for (sum, &x) in sums.iter_mut().zip(row) {
        *sum += x;
    }
}
