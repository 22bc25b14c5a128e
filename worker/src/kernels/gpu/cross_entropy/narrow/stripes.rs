//! What the stripes of a pass gave, put together in their order.

use super::START;
use crate::kernels::gpu::tensor_cores::{Eight, Pair, Two};
use cubecl::prelude::*;

/// From the stripes of each row to the logarithm of its sum of exponentials, and its loss.
#[cube(launch_unchecked)]
pub(super) fn losses_kernel(
    hidden: &Array<Eight>,
    head: &Array<Eight>,
    targets: &Array<i32>,
    references: &Array<f32>,
    totals: &Array<f32>,
    log_sums: &mut Array<f32>,
    losses: &mut Array<f32>,
    rows: usize,
    stripes: usize,
    #[comptime] eights: usize,
) {
    let row = ABSOLUTE_POS;
    if row >= rows {
        terminate!();
    }
    let mut most = f32::new(START);
    for stripe in 0..stripes {
        most = max(most, references[stripe * rows + row]);
    }
    let mut total = f32::new(0.0);
    for stripe in 0..stripes {
        total += totals[stripe * rows + row] * (references[stripe * rows + row] - most).exp();
    }
    let log_sum = most + total.ln();
    let target = targets[row] as usize;
    let mut logit = f32::new(0.0);
    for at in 0..eights {
        let a = hidden[row * eights + at];
        let b = head[target * eights + at];
        #[unroll]
        for one in 0..8usize {
            logit += f32::cast_from(a[one]) * f32::cast_from(b[one]);
        }
    }
    log_sums[row] = log_sum;
    losses[row] = log_sum - logit;
}

/// The gradient of the rows, from what the stripes gave.
#[cube(launch_unchecked)]
pub(super) fn hidden_kernel(
    weighted: &Array<Pair>,
    references: &Array<f32>,
    log_sums: &Array<f32>,
    head: &Array<Two>,
    targets: &Array<i32>,
    gradient: &mut Array<Pair>,
    rows: usize,
    stripes: usize,
    scale: f32,
    #[comptime] pairs: usize,
) {
    if ABSOLUTE_POS >= rows * pairs {
        terminate!();
    }
    let row = ABSOLUTE_POS / pairs;
    let log_sum = log_sums[row];
    let mut sum = Pair::new(0.0);
    for stripe in 0..stripes {
        let share = (references[stripe * rows + row] - log_sum).exp();
        sum += weighted[stripe * rows * pairs + ABSOLUTE_POS] * Pair::new(share);
    }
    let of_target = head[targets[row] as usize * pairs + ABSOLUTE_POS % pairs];
    gradient[ABSOLUTE_POS] = (sum - Pair::cast_from(of_target)) * Pair::new(scale);
}

/// The gradient of the classes, from what the stripes gave.
#[cube(launch_unchecked)]
pub(super) fn head_kernel(
    weighted: &Array<Pair>,
    gradient: &mut Array<Pair>,
    pairs: usize,
    of_stripe: usize,
    stripes: usize,
    scale: f32,
) {
    if ABSOLUTE_POS >= pairs {
        terminate!();
    }
    let mut sum = Pair::new(0.0);
    for stripe in 0..stripes {
        sum += weighted[stripe * of_stripe + ABSOLUTE_POS];
    }
    gradient[ABSOLUTE_POS] = sum * Pair::new(scale);
}
