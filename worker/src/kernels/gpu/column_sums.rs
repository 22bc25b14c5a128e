//! Sums of all rows, always in the same order: blocks of rows first, then the sums of the blocks. Kernels that have the
//! rows at hand anyway, like [`super::gelu`], take the first step themselves.

use super::{
    Cube, Matrix, cube_index,
    memory::{arg, array, cubes, empty, floats, matrix},
};
use crate::kernels::OfLinear;
use burn::tensor::DType;
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;
use half::bf16;

/// Columns of a cube.
const ACROSS: usize = 32;
/// Rows that a cube takes at a time, where there are many cubes.
pub(super) const DOWN: usize = 8;
/// Most rows that a cube takes at a time where few cubes take what is left.
const LAST_DOWN: usize = 32;
/// Most blocks: so many rows are added up by one cube.
const MOST: usize = 1024;
/// Cubes that fill a card.
const CUBES: usize = 2048;
/// Sums start at a multiple of so many entries, so that each can stand for itself.
const APART: usize = 128;

/// The blocks that rows are cut into.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    /// Rows of each.
    pub(super) size: usize,
    pub(super) count: usize,
}

impl Blocks {
    /// As few as fill a card, for the columns of a matrix are shared by cubes, too.
    pub(super) fn of(rows: usize, width: usize) -> Self {
        let enough = rows * width.div_ceil(ACROSS) / CUBES;
        let size = enough.max(rows.div_ceil(MOST)).next_multiple_of(DOWN).max(DOWN);
        Self { size, count: rows.div_ceil(size).max(1) }
    }

    /// Cubes that take them all, and the units of each.
    pub(super) fn cubes(self, width: usize) -> (CubeCount, CubeDim) {
        (cubes(width.div_ceil(ACROSS) * self.count), CubeDim::new_2d(ACROSS as u32, DOWN as u32))
    }
}

/// The column and the rows of a unit: from `row` to `end` in steps of [`DOWN`].
#[derive(CubeType, Clone, Copy)]
pub(super) struct Place {
    pub(super) column: usize,
    pub(super) row: usize,
    pub(super) end: usize,
    pub(super) block: usize,
}

/// Where a unit of [`Blocks::cubes`] works; columns may be beyond the last.
#[cube]
pub(super) fn place(rows: usize, blocks: usize, size: usize) -> Place {
    let index = cube_index();
    let block = index % blocks;
    let first = block * size;
    Place {
        column: index / blocks * ACROSS + UNIT_POS_X as usize,
        row: first + UNIT_POS_Y as usize,
        end: min(first + size, rows),
        block,
    }
}

/// Rows whose entries a unit asks for before it needs the first: one at a time would not keep a card's memory busy.
pub(super) const AHEAD: usize = 4;

/// Entries of a unit's column: of its next [`AHEAD`] rows from `row` on, beyond the last one that one again.
#[cube]
pub(super) fn ahead<E: Float>(x: &Array<E>, row: usize, place: &Place, width: usize) -> Array<f32> {
    let mut entries = Array::<f32>::new(AHEAD);
    #[unroll]
    for one in 0..AHEAD {
        let row = min(row + one * DOWN, place.end - 1);
        entries[one] = f32::cast_from(x[row * width + place.column]);
    }
    entries
}

/// Adds up what the units of each column found, and writes it to entry `at` of the first unit's choice.
#[cube]
pub(super) fn finish(sum: f32, sums: &mut Array<f32>, at: usize, inside: bool, #[comptime] down: usize) {
    let mut partial = SharedMemory::<f32>::new(comptime!(ACROSS * down));
    partial[UNIT_POS as usize] = sum;
    sync_cube();
    if UNIT_POS_Y == 0 && inside {
        let mut total = f32::new(0.0);
        for y in 0..down {
            total += partial[y * ACROSS + UNIT_POS_X as usize];
        }
        sums[at] = total;
    }
}

/// Sums the rows of each block, and writes them as a factor where that is asked for.
#[cube(launch_unchecked)]
fn kernel<E: Float, F: Float>(
    x: &Array<E>,
    sums: &mut Array<f32>,
    factor: &mut Array<F>,
    rows: usize,
    width: usize,
    blocks: usize,
    size: usize,
    #[comptime] with_factor: bool,
) {
    let place = place(rows, blocks, size);
    let inside = place.column < width;
    let mut sum = f32::new(0.0);
    if inside {
        let mut row = place.row;
        while row < place.end {
            let entries = ahead(x, row, &place, width);
            #[unroll]
            for one in 0..AHEAD {
                let row = row + one * DOWN;
                if row < place.end {
                    sum += entries[one];
                    if with_factor {
                        factor[row * width + place.column] = F::cast_from(entries[one]);
                    }
                }
            }
            row += AHEAD * DOWN;
        }
    }
    finish(sum, sums, place.block * width + place.column, inside, DOWN);
}

/// Sums the rows of each of some matrices that follow each other.
#[cube(launch_unchecked)]
fn last_kernel<E: Float>(
    x: &Array<E>,
    sums: &mut Array<f32>,
    rows: usize,
    width: usize,
    matrices: usize,
    apart: usize,
    #[comptime] down: usize,
) {
    let index = cube_index();
    let matrix = index % matrices;
    let column = index / matrices * ACROSS + UNIT_POS_X as usize;
    let inside = column < width;
    let mut sum = f32::new(0.0);
    if inside {
        let mut row = UNIT_POS_Y as usize;
        while row < rows {
            sum += f32::cast_from(x[(matrix * rows + row) * width + column]);
            row += down;
        }
    }
    finish(sum, sums, matrix * apart + column, inside, down);
}

/// The sum of all rows, `[1, width]`.
pub(super) fn sum<R: CubeRuntime>(x: &Matrix<R>) -> Matrix<R> {
    let x = array(x);
    let [rows, width] = x.meta.shape().dims();
    let [sum] =
        if rows <= MOST { last(&x, rows) } else { last(&of_blocks(&x, None), Blocks::of(rows, width).count) };
    sum
}

/// What the backward pass of a linear layer takes of its result's gradient, read once.
pub(super) fn of_linear<R: CubeRuntime>(gradient: &Matrix<R>, dtype: DType) -> OfLinear<Cube<R>> {
    let x = array(gradient);
    if x.dtype == dtype {
        return OfLinear { factor: matrix(x), bias: sum(gradient) };
    }
    let [rows, width] = x.meta.shape().dims();
    let factor = empty(&x, [rows, width], dtype);
    let sums = of_blocks(&x, Some(&factor));
    let [bias] = last(&sums, Blocks::of(rows, width).count);
    OfLinear { factor: matrix(factor), bias }
}

/// The sums of blocks, and what is summed as a factor.
#[expect(unsafe_code, reason = "rows and columns are compared with their numbers before memory is touched")]
fn of_blocks<R: CubeRuntime>(x: &CubeTensor<R>, factor: Option<&CubeTensor<R>>) -> CubeTensor<R> {
    let [rows, width] = x.meta.shape().dims();
    let blocks = Blocks::of(rows, width);
    let sums = floats(x, [blocks.count, width]);
    let (count, dim) = blocks.cubes(width);
    let launch = match (x.dtype, factor) {
        (DType::BF16, _) => kernel::launch_unchecked::<bf16, f32, R>,
        (_, Some(_)) => kernel::launch_unchecked::<f32, bf16, R>,
        (_, None) => kernel::launch_unchecked::<f32, f32, R>,
    };
    // SAFETY: see above.
    unsafe {
        launch(
            &x.client,
            count,
            dim,
            arg(x),
            arg(&sums),
            // Without a factor, the kernel is compiled to write none of this.
            arg(factor.unwrap_or(&sums)),
            rows,
            width,
            blocks.count,
            blocks.size,
            factor.is_some(),
        );
    }
    sums
}

/// The sums of the rows of `N` matrices of so many rows each, which follow each other in `x`; each stands for itself.
#[expect(unsafe_code, reason = "rows and columns are compared with their numbers before memory is touched")]
pub(super) fn last<R: CubeRuntime, const N: usize>(x: &CubeTensor<R>, rows: usize) -> [Matrix<R>; N] {
    let width = x.meta.shape()[1];
    let apart = if N == 1 { width } else { width.next_multiple_of(APART) };
    let sums = floats(x, [N, apart]);
    let down = rows.next_power_of_two().min(LAST_DOWN);
    let launch = match x.dtype {
        DType::BF16 => last_kernel::launch_unchecked::<bf16, R>,
        _ => last_kernel::launch_unchecked::<f32, R>,
    };
    // SAFETY: see above.
    unsafe {
        launch(
            &x.client,
            cubes(width.div_ceil(ACROSS) * N),
            CubeDim::new_2d(ACROSS as u32, down as u32),
            arg(x),
            arg(&sums),
            rows,
            width,
            N,
            apart,
            down,
        );
    }
    std::array::from_fn(|at| {
        let mut one = sums.clone();
        let bytes = |entries: usize| (entries * size_of::<f32>()) as u64;
        one.handle = one.handle.offset_start(bytes(at * apart)).offset_end(bytes((N - at) * apart - width));
        *one.meta.shape_mut() = [1, width].into();
        one.meta.strides_mut()[0] = width;
        matrix(one)
    })
}
