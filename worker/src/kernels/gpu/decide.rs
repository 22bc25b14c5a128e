//! The best class of each row: scores of a chunk of rows by one product of matrices, then a cube per row.

use super::{
    Matrix,
    cross_entropy::{chunks, padded},
    cube_index, linear,
    memory::{arg, array, cubes, empty},
};
use crate::{Result, model::head::host_ints};
use burn::tensor::{DType, Int, Tensor};
use burn_cubecl::CubeRuntime;
use cubecl::prelude::*;

/// Units of a cube.
const UNITS: usize = 256;

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
    let unit = UNIT_POS as usize;
    let start = row * columns;
    let mut largest = f32::min_value();
    let mut found = 0i32;
    let mut at = unit;
    // Units without a class are left out below.
    while at < classes {
        let mut score = scores[start + at];
        if with_offsets {
            score += offsets[at];
        }
        if score > largest || at == unit {
            largest = score;
            found = at as i32;
        }
        at += UNITS;
    }
    let mut all_largest = SharedMemory::<f32>::new(UNITS);
    let mut all_found = SharedMemory::<i32>::new(UNITS);
    all_largest[unit] = largest;
    all_found[unit] = found;
    let mut half = comptime!(UNITS / 2).runtime();
    while half > 0 {
        sync_cube();
        if unit < half && unit + half < classes {
            let a = all_largest[unit];
            let b = all_largest[unit + half];
            let first = min(all_found[unit], all_found[unit + half]);
            let of_larger = select(b > a, all_found[unit + half], all_found[unit]);
            all_found[unit] = select(a == b, first, of_larger);
            all_largest[unit] = max(a, b);
        }
        half /= 2;
    }
    if unit == 0 {
        best[row] = all_found[0];
    }
}

#[expect(unsafe_code, reason = "one cube per row; columns are compared with the number of classes")]
pub(super) fn decide<R: CubeRuntime>(
    x: &Matrix<R>,
    classes: &Matrix<R>,
    offsets: Option<&Matrix<R>>,
) -> Result<Vec<i32>> {
    let (rows, count) = (x.dims()[0], classes.dims()[0]);
    let classes = array(&padded(classes));
    let columns = classes.meta.shape()[0];
    // Without offsets, the kernel is compiled to read none of this.
    let offsets_or_any = offsets.map_or_else(|| classes.clone(), array);
    let mut decided = Vec::with_capacity(rows);
    for (start, length) in chunks(rows, columns) {
        let chunk = array(&x.clone().narrow(0, start, length));
        let scores = linear::product(chunk, linear::transposed(classes.clone()));
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
        decided.extend(host_ints(Tensor::<super::Cube<R>, 2, Int>::from_primitive(best))?);
    }
    Ok(decided)
}
