//! Sums of all rows: blocks of rows first, then the sums of the blocks, always in the same order.

use super::{
    Matrix, cube_index,
    memory::{arg, array, floats, matrix},
};
use burn::tensor::DType;
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;
use half::bf16;

/// Columns of a cube.
const ACROSS: usize = 32;
/// Rows that a cube takes at a time.
const DOWN: usize = 8;
/// Rows of a block.
const BLOCK: usize = 256;

/// Sums the rows of a block, for some columns.
#[cube(launch_unchecked)]
fn kernel<E: Float>(
    x: &Array<E>,
    sums: &mut Array<f32>,
    rows: usize,
    width: usize,
    blocks: usize,
    block: usize,
) {
    let mut partial = SharedMemory::<f32>::new(ACROSS * DOWN);
    let index = cube_index();
    let at = index / blocks * ACROSS + UNIT_POS_X as usize;
    let first = index % blocks * block;
    let end = min(first + block, rows);
    let mut sum = f32::new(0.0);
    if at < width {
        let mut row = first + UNIT_POS_Y as usize;
        while row < end {
            sum += f32::cast_from(x[row * width + at]);
            row += DOWN;
        }
    }
    partial[UNIT_POS as usize] = sum;
    sync_cube();
    if UNIT_POS_Y == 0 && at < width {
        let mut total = f32::new(0.0);
        for y in 0..DOWN {
            total += partial[y * ACROSS + UNIT_POS_X as usize];
        }
        sums[index % blocks * width + at] = total;
    }
}

/// The sum of all rows, `[1, width]`.
pub(super) fn sum<R: CubeRuntime>(x: &Matrix<R>) -> Matrix<R> {
    let mut x = array(x);
    let [mut rows, width] = x.meta.shape().dims();
    loop {
        let blocks = rows.div_ceil(BLOCK);
        x = blocks_of(&x, rows, width, blocks);
        if blocks == 1 {
            return matrix(x);
        }
        rows = blocks;
    }
}

#[expect(unsafe_code, reason = "rows and columns are compared with their numbers before memory is touched")]
fn blocks_of<R: CubeRuntime>(x: &CubeTensor<R>, rows: usize, width: usize, blocks: usize) -> CubeTensor<R> {
    let sums = floats(x, [blocks, width]);
    let launch = match x.dtype {
        DType::BF16 => kernel::launch_unchecked::<bf16, R>,
        _ => kernel::launch_unchecked::<f32, R>,
    };
    // SAFETY: see above; the cubes are exactly those of all columns and blocks.
    unsafe {
        launch(
            &x.client,
            CubeCount::Static((width.div_ceil(ACROSS) * blocks) as u32, 1, 1),
            CubeDim::new_2d(ACROSS as u32, DOWN as u32),
            arg(x),
            arg(&sums),
            rows,
            width,
            blocks,
            BLOCK,
        );
    }
    sums
}
