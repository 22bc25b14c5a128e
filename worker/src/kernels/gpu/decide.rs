//! The best class of each row: scores of a chunk of rows by one product of matrices, then a cube per row.

use super::{
    Matrix,
    cross_entropy::{chunks, padded},
    cube_index, linear,
    memory::{arg, array, cubes, empty},
    over_cube::{self, UNITS},
};
use crate::{
    Result,
    kernels::{Precision, host_ints},
};
use burn::tensor::{DType, Int, Tensor};
use burn_cubecl::CubeRuntime;
use cubecl::prelude::*;

#[cube(launch_unchecked)]
fn kernel(
    scores: &Array<f32>,
    offsets: &Array<f32>,
    best: &mut Array<i32>,
    rows: usize,
    classes: usize,
    columns: usize,
    #[comptime] with_offsets: bool,
) {
    let row = cube_index();
    if row >= rows {
        terminate!();
    }
    let start = row * columns;
    let mut own = over_cube::nothing();
    let mut at = UNIT_POS as usize;
    while at < classes {
        let mut score = scores[start + at];
        if with_offsets {
            score += offsets[at];
        }
        if score > own.value {
            own.value = score;
            own.at = at as i32;
        }
        at += UNITS;
    }
    let found = over_cube::largest(&own);
    if UNIT_POS == 0 {
        best[row] = found.at;
    }
}

#[expect(unsafe_code, reason = "one cube per row; columns are compared with the number of classes")]
pub(super) fn decide<R: CubeRuntime>(
    x: &Matrix<R>,
    classes: &Matrix<R>,
    offsets: Option<&Matrix<R>>,
    precision: Precision,
) -> Result<Vec<i32>> {
    let (rows, count) = (x.dims()[0], classes.dims()[0]);
    let classes = array(&padded(classes));
    let columns = classes.meta.shape()[0];
    // Without offsets, the kernel is compiled to read none of this.
    let offsets_or_any = offsets.map_or_else(|| classes.clone(), array);
    let mut decided = Vec::new();
    for (start, length) in chunks(rows, columns) {
        let chunk = array(&x.clone().narrow(0, start, length));
        let scores = linear::product(chunk, linear::transposed(classes.clone()), precision);
        let best = empty(&scores, [1, length], DType::I32);
        // SAFETY: see above.
        unsafe {
            kernel::launch_unchecked::<R>(
                &scores.client,
                cubes(length),
                CubeDim::new_1d(UNITS as u32),
                arg(&scores),
                arg(&offsets_or_any),
                arg(&best),
                length,
                count,
                columns,
                offsets.is_some(),
            );
        }
        decided.push(Tensor::<super::Cube<R>, 2, Int>::from_primitive(best));
    }
    // Asked for once: the device never waits between two chunks.
    host_ints(Tensor::cat(decided, 1))
}
