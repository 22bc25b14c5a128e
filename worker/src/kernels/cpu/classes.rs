//! Sums over the rows of each class, and around the means of the classes, in `f64`.
//!
//! A class takes its rows one after the other, in the order of the data: neither the number of threads nor how
//! the data is cut into batches changes a sum.

use super::lanes::vectorised;
use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;

/// Classes of one task.
const CLASSES: usize = 512;
/// Rows of one task.
const ROWS: usize = 64;
/// Rows and columns of a block of outer products.
const BLOCK: usize = 128;
/// Running sums of a reduction.
const LANES: usize = 8;

/// Adds each row of `rows` to the row of its class in `totals` `[classes, width]`, and the sum of its squares to
/// its class's entry of `squares`.
pub fn add_rows(totals: &mut [f64], squares: &mut [f64], classes: &[i32], rows: &[f32]) {
    let width = totals.len() / squares.len();
    // By class, and within a class in order.
    let mut order: Vec<(i32, u32)> = classes.iter().copied().zip(0..).collect();
    order.sort_unstable();
    let parts = totals.par_chunks_mut(CLASSES * width).zip(squares.par_chunks_mut(CLASSES));
    parts.enumerate().for_each(|(part, (totals, squares))| {
        let first = (part * CLASSES) as i32;
        let from = order.partition_point(|&(class, _)| class < first);
        let to = order.partition_point(|&(class, _)| class < first + CLASSES as i32);
        for &(class, row) in &order[from..to] {
            let (class, row) = ((class - first) as usize, row as usize);
            let total = &mut totals[class * width..][..width];
            squares[class] += add_row(total, &rows[row * width..][..width]);
        }
    });
}

vectorised! {
    /// Adds a row to a total, and gives the sum of its squares.
    fn add_row<'a>(total: &'a mut [f64], row: &'a [f32]) -> f64 {
        let mut lanes = [0.0; LANES];
        let ((totals, total_rest), (rows, rest)) = (total.as_chunks_mut::<LANES>(), row.as_chunks::<LANES>());
        for (total, row) in totals.iter_mut().zip(rows) {
            for ((total, lane), &x) in total.iter_mut().zip(&mut lanes).zip(row) {
                let x = f64::from(x);
                *total += x;
                *lane = x.mul_add(x, *lane);
            }
        }
        for ((total, lane), &x) in total_rest.iter_mut().zip(&mut lanes).zip(rest) {
            let x = f64::from(x);
            *total += x;
            *lane = x.mul_add(x, *lane);
        }
        lanes.iter().sum()
    }
}

/// The squared distance of each row to the row of its class in `means` `[classes, width]`.
#[must_use]
pub fn squared_distances(means: &[f64], width: usize, classes: &[i32], rows: &[f32]) -> Vec<f64> {
    let mut distances = vec![0.0; classes.len()];
    let parts = distances.par_chunks_mut(ROWS).zip(classes.par_chunks(ROWS));
    parts.zip(rows.par_chunks(ROWS * width)).for_each(|((distances, classes), rows)| {
        for ((distance, &class), row) in distances.iter_mut().zip(classes).zip(rows.chunks_exact(width)) {
            *distance = squared_distance(&means[class as usize * width..][..width], row);
        }
    });
    distances
}

vectorised! {
    fn squared_distance<'a>(mean: &'a [f64], row: &'a [f32]) -> f64 {
        let mut lanes = [0.0; LANES];
        let ((means, mean_rest), (rows, rest)) = (mean.as_chunks::<LANES>(), row.as_chunks::<LANES>());
        for (mean, row) in means.iter().zip(rows) {
            for ((lane, &mean), &x) in lanes.iter_mut().zip(mean).zip(row) {
                let difference = f64::from(x) - mean;
                *lane = difference.mul_add(difference, *lane);
            }
        }
        for ((lane, &mean), &x) in lanes.iter_mut().zip(mean_rest).zip(rest) {
            let difference = f64::from(x) - mean;
            *lane = difference.mul_add(difference, *lane);
        }
        lanes.iter().sum()
    }
}

/// Adds `(x - M_y)(x - M_y)^T` of every row to `sums` `[width, width]`, `means` being `[classes, width]`.
pub fn add_outer_products(sums: &mut [f64], means: &[f64], classes: &[i32], rows: &[f32]) {
    let width = sums.len().isqrt();
    let mut centred = vec![0.0; rows.len()];
    let parts = centred.par_chunks_mut(ROWS * width).zip(classes.par_chunks(ROWS));
    parts.zip(rows.par_chunks(ROWS * width)).for_each(|((centred, classes), rows)| {
        let rows = centred.chunks_exact_mut(width).zip(rows.chunks_exact(width));
        for ((centred, row), &class) in rows.zip(classes) {
            let mean = &means[class as usize * width..][..width];
            for ((centred, &x), mean) in centred.iter_mut().zip(row).zip(mean) {
                *centred = f64::from(x) - mean;
            }
        }
    });
    let centred = MatRef::from_row_major_slice(&centred, classes.len(), width);
    sums.par_chunks_mut(BLOCK * width).enumerate().for_each(|(block, sums)| {
        let count = sums.len() / width;
        let left = centred.subcols(block * BLOCK, count).transpose();
        matmul(
            MatMut::from_row_major_slice_mut(sums, count, width),
            Accum::Add,
            left,
            centred,
            1.0,
            Par::Seq,
        );
    });
}
