//! Adding rows to chosen rows: those that go to the same one are found on the host, one cube adds them up in order.

use super::{
    Matrix, cube_index,
    memory::{arg, array, cubes, integers, matrix, owned},
};
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

/// Most units of a cube.
const UNITS: usize = 128;
/// Rows that are fetched before the first of them is added, so that they do not wait for each other: the most frequent
/// tokens have thousands, most have a few.
const MANY: usize = 32;
const FEW: usize = 4;

/// Adds so many rows, the column of a unit alone.
#[cube]
fn fetched<S: Float, V: Float>(
    sum: S,
    values: &Array<V>,
    order: &Array<i32>,
    next: usize,
    width: usize,
    at: usize,
    #[comptime] count: usize,
) -> S {
    let mut fetched = Array::<V>::new(count);
    #[unroll]
    for one in 0..count {
        fetched[one] = values[order[next + one] as usize * width + at];
    }
    let mut sum = sum;
    #[unroll]
    for one in 0..count {
        sum += S::cast_from(fetched[one]);
    }
    sum
}

#[cube(launch_unchecked)]
fn kernel<S: Float, V: Float>(
    sums: &mut Array<S>,
    values: &Array<V>,
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
    let end = starts[segment + 1] as usize;
    let mut at = UNIT_POS as usize;
    while at < width {
        let mut sum = sums[row + at];
        let mut next = starts[segment] as usize;
        while next + MANY <= end {
            sum = fetched::<S, V>(sum, values, order, next, width, at, MANY);
            next += MANY;
        }
        while next + FEW <= end {
            sum = fetched::<S, V>(sum, values, order, next, width, at, FEW);
            next += FEW;
        }
        while next < end {
            sum += S::cast_from(values[order[next] as usize * width + at]);
            next += 1;
        }
        sums[row + at] = sum;
        at += CUBE_DIM as usize;
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
    /// Row `i` goes to `indices[i]`, which is below `targets`.
    fn of(indices: &[i32], targets: usize) -> Self {
        let mut next = vec![0; targets];
        for &target in indices {
            next[target as usize] += 1;
        }
        let mut found = Self { order: vec![0; indices.len()], starts: Vec::new(), targets: Vec::new() };
        let mut start = 0;
        for (target, next) in next.iter_mut().enumerate().filter(|(_, rows)| **rows > 0) {
            found.starts.push(start);
            found.targets.push(target as i32);
            start += std::mem::replace(next, start);
        }
        found.starts.push(start);
        for (row, &target) in indices.iter().enumerate() {
            let next = &mut next[target as usize];
            found.order[*next as usize] = row as i32;
            *next += 1;
        }
        found
    }
}

/// [`Segments`] on a device.
pub(super) struct Sorted<R: CubeRuntime> {
    order: CubeTensor<R>,
    starts: CubeTensor<R>,
    targets: CubeTensor<R>,
    segments: usize,
}

impl<R: CubeRuntime> Sorted<R> {
    /// Row `i` goes to row `indices[i]` of `targets` ones.
    pub(super) fn of(indices: &[i32], targets: usize, beside: &CubeTensor<R>) -> Self {
        let Segments { order, starts, targets } = Segments::of(indices, targets);
        let segments = targets.len();
        let [order, starts, targets] = [order, starts, targets].map(|values| integers(beside, &values));
        Self { order, starts, targets, segments }
    }

    /// Adds rows of numbers `V` to rows of sums `S`, in order.
    #[expect(unsafe_code, reason = "one cube per segment; targets are rows of the sums")]
    pub(super) fn add<S: Float + CubeElement, V: Float + CubeElement>(
        &self,
        sums: &CubeTensor<R>,
        values: &CubeTensor<R>,
    ) {
        let [_, width] = sums.meta.shape().dims();
        // SAFETY: see above.
        unsafe {
            kernel::launch_unchecked::<S, V, R>(
                &sums.client,
                cubes(self.segments),
                CubeDim::new_1d(width.min(UNITS) as u32),
                arg(sums),
                arg(values),
                arg(&self.order),
                arg(&self.starts),
                arg(&self.targets),
                self.segments,
                width,
            );
        }
    }
}

pub(super) fn add<R: CubeRuntime>(sums: Matrix<R>, indices: &[i32], values: &Matrix<R>) -> Matrix<R> {
    if indices.is_empty() {
        return sums;
    }
    let [targets, _] = sums.dims();
    let (sums, values) = (owned(sums), array(values));
    Sorted::of(indices, targets, &sums).add::<f32, f32>(&sums, &values);
    matrix(sums)
}

#[cfg(test)]
mod tests {
    use super::Segments;

    #[test]
    fn rows_of_a_segment_keep_their_order() {
        let found = Segments::of(&[7, 2, 7, 7, 0, 2], 9);
        let expected =
            Segments { order: vec![4, 1, 5, 0, 2, 3], starts: vec![0, 1, 3, 6], targets: vec![0, 2, 7] };
        assert_eq!(found, expected);
        let none = Segments { order: vec![], starts: vec![0], targets: vec![] };
        assert_eq!(Segments::of(&[], 9), none);
    }
}
