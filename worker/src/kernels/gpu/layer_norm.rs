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

/// Gradient of the input, and for the other two the normalised row in `normed`.
#[cube(launch_unchecked)]
fn backward_kernel(
    x: &Array<f32>,
    weight: &Array<f32>,
    gradient: &Array<f32>,
    input: &mut Array<f32>,
    of_weight: &mut Array<f32>,
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
    let lane = UNIT_POS_X as usize;
    let step = CUBE_DIM_X as usize;
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
    let mut at = lane;
    while at < width {
        let normed = (x[start + at] - mean) * scale;
        let slope = gradient[start + at];
        input[start + at] = (slope * weight[at] - sum - normed * along) * scale;
        of_weight[start + at] = slope * normed;
        at += step;
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

#[expect(unsafe_code, reason = "indices stay below rows * width, the length of every array")]
pub(super) fn backward<R: CubeRuntime>(
    x: &Matrix<R>,
    weight: &Matrix<R>,
    gradient: &Matrix<R>,
    epsilon: f64,
) -> LayerNormGradients<super::Cube<R>> {
    let [rows, width] = x.dims();
    let [x, weight, of_y] = [x, weight, gradient].map(array);
    let (input, of_weight) = (floats(&x, [rows, width]), floats(&x, [rows, width]));
    let dim = CubeDim::new_2d(plane_dim(&x.client), PLANES);
    // SAFETY: see above.
    unsafe {
        backward_kernel::launch_unchecked::<R>(
            &x.client,
            cubes(rows.div_ceil(PLANES as usize)),
            dim,
            arg(&x),
            arg(&weight),
            arg(&of_y),
            arg(&input),
            arg(&of_weight),
            rows,
            width,
            epsilon as f32,
        );
    }
    LayerNormGradients {
        input: matrix(input),
        weight: column_sums::sum(&matrix(of_weight)),
        bias: column_sums::sum(gradient),
    }
}
