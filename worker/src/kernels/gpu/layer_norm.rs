//! Layer norm: a plane per row, whose lanes share its columns.

use super::{
    PLANES, column_sums, cube_index,
    memory::{arg, array, cubes, empty, floats, matrix},
    plane_dim,
};
use crate::kernels::{LayerNormGradients, gpu::Matrix};
use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use cubecl::prelude::*;
use half::bf16;

/// Cubes of the backward pass that fill a card.
const ENOUGH: usize = 1024;
/// Most rows of such a cube.
const MOST_ROWS: usize = 128;

/// Mean of a row and the inverse of its standard deviation. The second pass finds the row in the cache.
#[cube]
fn moments(x: &Array<f32>, start: usize, width: usize, epsilon: f32) -> (f32, f32) {
    let lane = UNIT_POS_X as usize;
    let step = CUBE_DIM_X as usize;
    let mut sum = f32::new(0.0);
    let mut at = lane;
    while at < width {
        sum += x[start + at];
        at += step;
    }
    let mean = plane_sum(sum) / width as f32;
    let mut squares = f32::new(0.0);
    let mut at = lane;
    while at < width {
        let apart = x[start + at] - mean;
        squares += apart * apart;
        at += step;
    }
    let variance = plane_sum(squares) / width as f32;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

#[cube(launch_unchecked)]
fn forward_kernel<E: Float>(
    x: &Array<f32>,
    weight: &Array<f32>,
    bias: &Array<f32>,
    y: &mut Array<E>,
    rows: usize,
    width: usize,
    epsilon: f32,
) {
    let row = cube_index() * CUBE_DIM_Y as usize + UNIT_POS_Y as usize;
    if row >= rows {
        terminate!();
    }
    let start = row * width;
    let (mean, scale) = moments(x, start, width, epsilon);
    let mut at = UNIT_POS_X as usize;
    while at < width {
        y[start + at] = E::cast_from((x[start + at] - mean) * scale * weight[at] + bias[at]);
        at += CUBE_DIM_X as usize;
    }
}

/// Gradient of the input, and the sums of a cube's rows for the other two. A plane per row finds what the whole row shares; then a
/// unit per column goes down the rows, which are still in the cache. Where columns are few, units share one.
#[cube(launch_unchecked)]
fn backward_kernel(
    x: &Array<f32>,
    weight: &Array<f32>,
    gradient: &Array<f32>,
    onto: &Array<f32>,
    input: &mut Array<f32>,
    sums: &mut Array<f32>,
    rows: usize,
    width: usize,
    size: usize,
    cubes: usize,
    epsilon: f32,
    #[comptime] units: usize,
    #[comptime] with_onto: bool,
) {
    let mut shared = SharedMemory::<f32>::new(comptime!(4 * MOST_ROWS));
    let cube = cube_index();
    let first = min(cube * size, rows);
    let end = min(first + size, rows);
    let lane = UNIT_POS_X as usize;
    let step = CUBE_DIM_X as usize;
    let mut row = first + UNIT_POS_Y as usize;
    while row < end {
        let start = row * width;
        let (mean, scale) = moments(x, start, width, epsilon);
        let mut sum = f32::new(0.0);
        let mut along = f32::new(0.0);
        let mut at = lane;
        while at < width {
            let weighted = gradient[start + at] * weight[at];
            sum += weighted;
            along += weighted * (x[start + at] - mean) * scale;
            at += step;
        }
        let sum = plane_sum(sum) / width as f32;
        let along = plane_sum(along) / width as f32;
        if lane == 0 {
            let at = (row - first) * 4;
            shared[at] = mean;
            shared[at + 1] = scale;
            shared[at + 2] = sum;
            shared[at + 3] = along;
        }
        row += CUBE_DIM_Y as usize;
    }
    sync_cube();

    // Units that share a column, and columns that are taken at a time.
    let unit = UNIT_POS as usize;
    let sharing = max(units / width, 1);
    let columns = min(units, width);
    let mut of_units = SharedMemory::<f32>::new(comptime!(2 * units));
    let mut across = 0usize;
    while across < width {
        let at = across + unit % columns;
        let works = at < width && unit < columns * sharing;
        let mut of_weight = f32::new(0.0);
        let mut of_bias = f32::new(0.0);
        if works {
            let weight = weight[at];
            let mut row = first + unit / columns;
            while row < end {
                let place = (row - first) * 4;
                let index = row * width + at;
                let normed = (x[index] - shared[place]) * shared[place + 1];
                let slope = gradient[index];
                let mut found =
                    (slope * weight - shared[place + 2] - normed * shared[place + 3]) * shared[place + 1];
                if with_onto {
                    found += onto[index];
                }
                input[index] = found;
                of_weight += slope * normed;
                of_bias += slope;
                row += sharing;
            }
        }
        of_units[unit] = of_weight;
        of_units[units + unit] = of_bias;
        sync_cube();
        if works && unit < columns && cube < cubes {
            let mut of_weight = f32::new(0.0);
            let mut of_bias = f32::new(0.0);
            let mut one = unit;
            while one < columns * sharing {
                of_weight += of_units[one];
                of_bias += of_units[units + one];
                one += columns;
            }
            sums[cube * width + at] = of_weight;
            sums[(cubes + cube) * width + at] = of_bias;
        }
        sync_cube();
        across += columns;
    }
}

#[expect(unsafe_code, reason = "indices stay below rows * width, the length of every array")]
pub(super) fn forward<R: CubeRuntime>(
    x: &Matrix<R>,
    weight: &Matrix<R>,
    bias: &Matrix<R>,
    epsilon: f64,
    dtype: DType,
) -> Matrix<R> {
    let [rows, width] = x.dims();
    let [x, weight, bias] = [x, weight, bias].map(array);
    let y = empty(&x, [rows, width], dtype);
    let dim = CubeDim::new_2d(plane_dim(&x.client), PLANES);
    let launch = match dtype {
        DType::BF16 => forward_kernel::launch_unchecked::<bf16, R>,
        _ => forward_kernel::launch_unchecked::<f32, R>,
    };
    // SAFETY: see above.
    unsafe {
        launch(
            &x.client,
            cubes(rows.div_ceil(PLANES as usize)),
            dim,
            arg(&x),
            arg(&weight),
            arg(&bias),
            arg(&y),
            rows,
            width,
            epsilon as f32,
        );
    }
    matrix(y)
}

#[expect(unsafe_code, reason = "rows and columns are compared with their numbers")]
pub(super) fn backward<R: CubeRuntime>(
    x: &Matrix<R>,
    weight: &Matrix<R>,
    gradient: &Matrix<R>,
    onto: Option<Matrix<R>>,
    epsilon: f64,
) -> LayerNormGradients<super::Cube<R>> {
    let [rows, width] = x.dims();
    let [x, weight, gradient] = [x, weight, gradient].map(array);
    let with_onto = onto.is_some();
    // Without one, the kernel is compiled to read none of this.
    let onto = onto.map_or_else(|| gradient.clone(), |onto| array(&onto));
    let size = rows.div_ceil(ENOUGH).next_multiple_of(PLANES as usize).clamp(PLANES as usize, MOST_ROWS);
    let count = rows.div_ceil(size).max(1);
    let (input, sums) = (floats(&x, [rows, width]), floats(&x, [2 * count, width]));
    let dim = CubeDim::new_2d(plane_dim(&x.client), PLANES);
    // SAFETY: see above.
    unsafe {
        backward_kernel::launch_unchecked::<R>(
            &x.client,
            cubes(count),
            dim,
            arg(&x),
            arg(&weight),
            arg(&gradient),
            arg(&onto),
            arg(&input),
            arg(&sums),
            rows,
            width,
            size,
            count,
            epsilon as f32,
            dim.num_elems() as usize,
            with_onto,
        );
    }
    let [weight, bias] = column_sums::last(&sums, count);
    LayerNormGradients { input: matrix(input), weight, bias }
}
