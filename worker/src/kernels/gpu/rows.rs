//! Adding rows to chosen rows: those that go to the same one are found on the host, one cube adds them up in order.

use super::{
    Matrix, cube_index,
    memory::{arg, array, cubes, integers, matrix, owned},
};
use burn_cubecl::CubeRuntime;
use cubecl::prelude::*;

/// Units of a cube.
const UNITS: usize = 128;

#[cube(launch_unchecked)]
fn kernel(
    sums: &mut Array<f32>,
    values: &Array<f32>,
    order: &Array<i32>,
    starts: &Array<i32>,
    targets: &Array<i32>,
    segments: usize,
    width: usize,
) {
    let segment = cube_index();
    if segment >= segments {
        terminate!();
    }
    let row = targets[segment] as usize * width;
    let first = starts[segment] as usize;
    let end = starts[segment + 1] as usize;
    let mut at = UNIT_POS as usize;
    while at < width {
        let mut sum = f32::new(0.0);
        let mut next = first;
        while next < end {
            sum += values[order[next] as usize * width + at];
            next += 1;
        }
        sums[row + at] += sum;
        at += UNITS;
    }
}

/// Which rows go where.
#[derive(Debug, PartialEq, Eq)]
struct Segments {
    /// Rows, those with the same target beside each other, in their order.
    order: Vec<i32>,
    /// Where each segment starts in `order`, and where the last one ends.
    starts: Vec<i32>,
    /// Where each segment goes.
    targets: Vec<i32>,
}

impl Segments {
    fn of(indices: &[i32]) -> Self {
        let mut order: Vec<i32> = (0..indices.len() as i32).collect();
        order.sort_by_key(|&row| indices[row as usize]);
        let (mut starts, mut targets) = (Vec::new(), Vec::new());
        for (at, &row) in order.iter().enumerate() {
            let target = indices[row as usize];
            if targets.last() != Some(&target) {
                starts.push(at as i32);
                targets.push(target);
            }
        }
        starts.push(order.len() as i32);
        Self { order, starts, targets }
    }
}

#[expect(unsafe_code, reason = "one cube per segment; targets are rows of the sums")]
pub(super) fn add<R: CubeRuntime>(sums: Matrix<R>, indices: &[i32], values: &Matrix<R>) -> Matrix<R> {
    if indices.is_empty() {
        return sums;
    }
    let width = sums.dims()[1];
    let (sums, values) = (owned(sums), array(values));
    let Segments { order, starts, targets } = Segments::of(indices);
    let segments = targets.len();
    let [order, starts, targets] = [order, starts, targets].map(|values| integers(&sums, values));
    // SAFETY: see above.
    unsafe {
        kernel::launch_unchecked::<R>(
            &sums.client,
            cubes(segments),
            CubeDim::new_1d(UNITS as u32),
            arg(&sums),
            arg(&values),
            arg(&order),
            arg(&starts),
            arg(&targets),
            segments,
            width,
        );
    }
    matrix(sums)
}

#[cfg(test)]
mod tests {
    use super::Segments;

    #[test]
    fn rows_of_a_segment_keep_their_order() {
        let found = Segments::of(&[7, 2, 7, 7, 0, 2]);
        let expected =
            Segments { order: vec![4, 1, 5, 0, 2, 3], starts: vec![0, 1, 3, 6], targets: vec![0, 2, 7] };
        assert_eq!(found, expected);
    }
}
