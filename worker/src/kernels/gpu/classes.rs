//! Sums over the rows of each class, in `f64`, as the processor takes them: a class takes its rows one after the other,
//! however they are cut into batches, and squares are added up in eight running sums, which are added last.

use super::{
    Cube, Matrix, cube_index,
    memory::{arg, array, cubes, empty, integers, matrix, owned},
    rows::Sorted,
};
use crate::kernels::ClassSums;
use burn::tensor::DType;
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

/// Running sums of a row, each of one unit.
const LANES: usize = 8;
/// Rows of a cube.
const ROWS: usize = 32;

/// The squared distance of each row to the mean of its class; without means, the squared norm.
#[cube(launch_unchecked)]
fn kernel(
    x: &Array<f32>,
    means: &Array<f64>,
    classes: &Array<i32>,
    distances: &mut Array<f64>,
    rows: usize,
    width: usize,
    #[comptime] with_means: bool,
) {
    let mut lanes = SharedMemory::<f64>::new(LANES * ROWS);
    let row = cube_index() * ROWS + UNIT_POS_Y as usize;
    let mut sum = f64::new(0.0);
    if row < rows {
        let mut at = UNIT_POS_X as usize;
        while at < width {
            let mut difference = f64::cast_from(x[row * width + at]);
            if with_means {
                difference -= means[classes[row] as usize * width + at];
            }
            sum = fma(difference, difference, sum);
            at += LANES;
        }
    }
    lanes[UNIT_POS as usize] = sum;
    sync_cube();
    if UNIT_POS_X == 0 && row < rows {
        let mut total = f64::new(0.0);
        for lane in 0..LANES {
            total += lanes[UNIT_POS as usize + lane];
        }
        distances[row] = total;
    }
}

#[expect(unsafe_code, reason = "rows are compared with their number; classes are rows of the means")]
fn distances<R: CubeRuntime>(
    x: &CubeTensor<R>,
    means: Option<&CubeTensor<R>>,
    classes: &[i32],
) -> CubeTensor<R> {
    let [rows, width] = x.meta.shape().dims();
    let classes = integers(x, classes);
    let distances = empty(x, [rows, 1], DType::F64);
    // SAFETY: see above.
    unsafe {
        kernel::launch_unchecked::<R>(
            &x.client,
            cubes(rows.div_ceil(ROWS)),
            CubeDim::new_2d(LANES as u32, ROWS as u32),
            arg(x),
            // Without means, the kernel is compiled to read none of this.
            arg(means.unwrap_or(&distances)),
            arg(&classes),
            arg(&distances),
            rows,
            width,
            means.is_some(),
        );
    }
    distances
}

pub(super) fn add<R: CubeRuntime>(
    sums: ClassSums<Cube<R>>,
    classes: &[i32],
    x: &Matrix<R>,
) -> ClassSums<Cube<R>> {
    let [targets, _] = sums.totals.dims();
    let [totals, squares] = [sums.totals, sums.squares].map(owned);
    let x = array(x);
    let sorted = Sorted::of(classes, targets, &x);
    sorted.add::<f64, f32>(&totals, &x);
    sorted.add::<f64, f64>(&squares, &distances(&x, None, classes));
    ClassSums { totals: matrix(totals), squares: matrix(squares) }
}

pub(super) fn add_distances<R: CubeRuntime>(
    totals: Matrix<R>,
    means: &Matrix<R>,
    classes: &[i32],
    x: &Matrix<R>,
) -> Matrix<R> {
    let [targets, _] = means.dims();
    let (totals, means, x) = (owned(totals), array(means), array(x));
    let distances = distances(&x, Some(&means), classes);
    Sorted::of(classes, targets, &x).add::<f64, f64>(&totals, &distances);
    matrix(totals)
}
