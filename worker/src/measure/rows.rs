//! Matrices that are never made: rows of the classes, copied or computed a few columns at a time.

use rayon::prelude::*;
use std::ops::Range;

/// A matrix, of which a run of columns of one row can be copied: whole copies would be as large as the class
/// means themselves.
pub(super) type Rows<'a> = dyn Fn(usize, Range<usize>, &mut [f64]) + Sync + 'a;

/// Columns that are added up by one thread.
const COLUMNS: usize = 64;

/// The sum of the rows, each column in their order.
pub(super) fn sum(x: &Rows<'_>, rows: usize, dim: usize) -> Vec<f64> {
    let mut sums = vec![0.0; dim];
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(at, sums)| {
        let columns = at * COLUMNS..at * COLUMNS + sums.len();
        let mut row = [0.0; COLUMNS];
        let row = &mut row[..sums.len()];
        for i in 0..rows {
            x(i, columns.clone(), row);
            sums.iter_mut().zip(&*row).for_each(|(sum, x)| *sum += x);
        }
    });
    sums
}
