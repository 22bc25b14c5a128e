//! The activation, entry by entry, with the bias before it. Numbers of the result are those of the input.

use super::{
    Cube, Matrix,
    column_sums::{AHEAD, Blocks, DOWN, ahead, finish, last, place},
    linear,
    memory::{arg, array, empty, floats, matrix},
    several, units,
};
use crate::kernels::{OfLinear, plain::gelu::CUBIC};
use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use cubecl::prelude::*;
use half::bf16;

const ROOT: f32 = 0.797_884_6;

#[cube]
fn tanh(x: f32) -> f32 {
    // The hyperbolic tangent of a large number is a quotient of infinities in some languages of shaders.
    let u = ROOT * x * (1.0 + CUBIC as f32 * x * x);
    let bounded = clamp(u, -20.0, 20.0);
    f32::tanh(bounded)
}

/// `count` and `width` in vectors.
#[cube(launch_unchecked)]
fn forward_kernel<E: Float, N: Size>(
    x: &Array<Vector<E, N>>,
    bias: &Array<Vector<f32, N>>,
    y: &mut Array<Vector<E, N>>,
    count: usize,
    width: usize,
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let mut all = Vector::<f32, N>::cast_from(x[ABSOLUTE_POS]) + bias[ABSOLUTE_POS % width];
    #[unroll]
    for one in 0..N::value() {
        let x = all[one];
        all[one] = 0.5 * x * (1.0 + tanh(x));
    }
    y[ABSOLUTE_POS] = Vector::cast_from(all);
}

#[cube(launch_unchecked)]
fn backward_kernel<E: Float>(
    x: &Array<E>,
    bias: &Array<f32>,
    gradient: &Array<E>,
    y: &mut Array<E>,
    sums: &mut Array<f32>,
    rows: usize,
    width: usize,
    blocks: usize,
    size: usize,
) {
    let place = place(rows, blocks, size);
    let inside = place.column < width;
    let mut sum = f32::new(0.0);
    if inside {
        let bias = bias[place.column];
        let mut row = place.row;
        while row < place.end {
            let inputs = ahead(x, row, &place, width);
            let gradients = ahead(gradient, row, &place, width);
            #[unroll]
            for one in 0..AHEAD {
                let row = row + one * DOWN;
                if row < place.end {
                    let x = inputs[one] + bias;
                    let tanh = tanh(x);
                    let slope = ROOT * (1.0 + 3.0 * CUBIC as f32 * x * x);
                    let derivative = 0.5 * (1.0 + tanh + x * (1.0 - tanh * tanh) * slope);
                    let found = derivative * gradients[one];
                    sum += found;
                    y[row * width + place.column] = E::cast_from(found);
                }
            }
            row += AHEAD * DOWN;
        }
    }
    finish(sum, sums, place.block * width + place.column, inside, DOWN);
}

#[expect(unsafe_code, reason = "positions are compared with the number of entries")]
pub(super) fn forward<R: CubeRuntime>(x: &Matrix<R>, bias: &Matrix<R>) -> Matrix<R> {
    let [rows, width] = x.dims();
    let [x, bias] = [x, bias].map(array);
    let y = empty(&x, [rows, width], x.dtype);
    let several = several(width);
    let (count, dim) = units(rows * width / several);
    let launch = match x.dtype {
        DType::BF16 => forward_kernel::launch_unchecked::<bf16, R>,
        _ => forward_kernel::launch_unchecked::<f32, R>,
    };
    // SAFETY: see above.
    unsafe {
        launch(
            &x.client,
            count,
            dim,
            several,
            arg(&x),
            arg(&bias),
            arg(&y),
            rows * width / several,
            width / several,
        );
    }
    matrix(y)
}

/// The bias's gradient is taken of what was not rounded yet.
#[expect(unsafe_code, reason = "rows and columns are compared with their numbers")]
pub(super) fn backward<R: CubeRuntime>(
    x: &Matrix<R>,
    bias: &Matrix<R>,
    gradient: &Matrix<R>,
) -> OfLinear<Cube<R>> {
    let [rows, width] = x.dims();
    let [x, bias] = [x, bias].map(array);
    let gradient = linear::in_numbers(array(gradient), x.dtype);
    let y = empty(&x, [rows, width], x.dtype);
    let blocks = Blocks::of(rows, width);
    let sums = floats(&x, [blocks.count, width]);
    let (count, dim) = blocks.cubes(width);
    let launch = match x.dtype {
        DType::BF16 => backward_kernel::launch_unchecked::<bf16, R>,
        _ => backward_kernel::launch_unchecked::<f32, R>,
    };
    // SAFETY: see above.
    unsafe {
        launch(
            &x.client,
            count,
            dim,
            arg(&x),
            arg(&bias),
            arg(&gradient),
            arg(&y),
            arg(&sums),
            rows,
            width,
            blocks.count,
            blocks.size,
        );
    }
    let [bias] = last(&sums, blocks.count);
    OfLinear { factor: matrix(y), bias }
}
