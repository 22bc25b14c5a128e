//! The activation, entry by entry.

use super::{
    Matrix,
    memory::{arg, array, floats, matrix},
    units,
};
use crate::kernels::plain::gelu::CUBIC;
use burn_cubecl::CubeRuntime;
use cubecl::prelude::*;

const ROOT: f32 = 0.797_884_6;

#[cube]
fn inner(x: f32) -> f32 {
    // The hyperbolic tangent of a large number is a quotient of infinities in some languages of shaders.
    let u = ROOT * x * (1.0 + CUBIC as f32 * x * x);
    let bounded = clamp(u, -20.0, 20.0);
    f32::tanh(bounded)
}

#[cube(launch_unchecked)]
fn forward_kernel(x: &Array<f32>, y: &mut Array<f32>, count: usize) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let x = x[ABSOLUTE_POS];
    y[ABSOLUTE_POS] = 0.5 * x * (1.0 + inner(x));
}

#[cube(launch_unchecked)]
fn backward_kernel(x: &Array<f32>, gradient: &Array<f32>, y: &mut Array<f32>, count: usize) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let x = x[ABSOLUTE_POS];
    let tanh = inner(x);
    let slope = ROOT * (1.0 + 3.0 * CUBIC as f32 * x * x);
    let derivative = 0.5 * (1.0 + tanh + x * (1.0 - tanh * tanh) * slope);
    y[ABSOLUTE_POS] = derivative * gradient[ABSOLUTE_POS];
}

#[expect(unsafe_code, reason = "positions are compared with the number of entries")]
pub(super) fn forward<R: CubeRuntime>(x: &Matrix<R>) -> Matrix<R> {
    let shape = x.dims();
    let x = array(x);
    let y = floats(&x, shape);
    let (count, dim) = units(shape[0] * shape[1]);
    // SAFETY: see above.
    unsafe {
        forward_kernel::launch_unchecked::<R>(&x.client, count, dim, arg(&x), arg(&y), shape[0] * shape[1]);
    }
    matrix(y)
}

#[expect(unsafe_code, reason = "positions are compared with the number of entries")]
pub(super) fn backward<R: CubeRuntime>(x: &Matrix<R>, gradient: &Matrix<R>) -> Matrix<R> {
    let shape = x.dims();
    let [x, gradient] = [x, gradient].map(array);
    let y = floats(&x, shape);
    let (count, dim) = units(shape[0] * shape[1]);
    // SAFETY: see above.
    unsafe {
        backward_kernel::launch_unchecked::<R>(
            &x.client,
            count,
            dim,
            arg(&x),
            arg(&gradient),
            arg(&y),
            shape[0] * shape[1],
        );
    }
    matrix(y)
}
