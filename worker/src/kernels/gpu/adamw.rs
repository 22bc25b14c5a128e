//! AdamW in one pass: four numbers of a parameter are read, three written.

use super::{
    Cube, Matrix, cube_index,
    memory::{arg, array, cubes, floats, matrix, owned},
    over_cube::{self, UNITS},
    units,
};
use crate::kernels::{AdamWStep, Clipping, Moments, Scalar};
use burn::tensor::{Tensor, TensorData};
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;

/// The numbers of a step, in `f32`.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Numbers {
    beta_1: f32,
    rest_1: f32,
    beta_2: f32,
    rest_2: f32,
    epsilon: f32,
    keep: f32,
    rate: f32,
    /// One by the square root of the bias correction of the second moment.
    correction: f32,
}

#[cube(launch_unchecked)]
fn update_kernel(
    parameter: &mut Array<f32>,
    first: &mut Array<f32>,
    second: &mut Array<f32>,
    gradient: &Array<f32>,
    scale: &Array<f32>,
    numbers: &Numbers,
    count: usize,
) {
    let at = ABSOLUTE_POS;
    if at >= count {
        terminate!();
    }
    let scale = scale[0];
    if scale < 0.0 {
        terminate!();
    }
    let slope = gradient[at] * scale;
    let mean = first[at] * numbers.beta_1 + slope * numbers.rest_1;
    let square = second[at] * numbers.beta_2 + slope * slope * numbers.rest_2;
    first[at] = mean;
    second[at] = square;
    let change = mean / (square.sqrt() * numbers.correction + numbers.epsilon) * numbers.rate;
    parameter[at] = parameter[at] * numbers.keep - change;
}

/// Entries that a cube squares and sums.
const BLOCK: usize = 4096;

#[cube(launch_unchecked)]
fn squares_kernel(x: &Array<f32>, sums: &mut Array<f32>, count: usize, first_sum: usize) {
    let cube = cube_index();
    let first = cube * BLOCK;
    let end = min(first + BLOCK, count);
    let mut sum = f32::new(0.0);
    let mut at = first + UNIT_POS as usize;
    while at < end {
        sum += x[at] * x[at];
        at += UNITS;
    }
    let sum = over_cube::sum(sum);
    if UNIT_POS == 0 && first < count {
        sums[first_sum + cube] = sum;
    }
}

/// From the sums of squares to norm and scale.
#[cube(launch_unchecked)]
fn clipping_kernel(
    sums: &Array<f32>,
    norm: &mut Array<f32>,
    scale: &mut Array<f32>,
    count: usize,
    most: f32,
) {
    let mut sum = f32::new(0.0);
    let mut at = UNIT_POS as usize;
    while at < count {
        sum += sums[at];
        at += UNITS;
    }
    let sum = over_cube::sum(sum).sqrt();
    if UNIT_POS == 0 {
        norm[0] = sum;
        // Not so where it is not a number.
        let finite = sum < f32::new(3e38);
        scale[0] = select(finite, min(most / (sum + 1e-6), f32::new(1.0)), f32::new(-1.0));
    }
}

#[expect(unsafe_code, reason = "positions are compared with the number of entries")]
pub(super) fn update<R: CubeRuntime>(
    moments: Moments<Cube<R>>,
    gradient: &Matrix<R>,
    scale: &Scalar<Cube<R>>,
    step: AdamWStep,
) -> Moments<Cube<R>> {
    let gradient = array(gradient);
    let scale = match scale {
        Scalar::OnDevice(scale) => array(scale),
        Scalar::Known(scale) => {
            let data = TensorData::new(vec![*scale as f32], [1, 1]);
            array(&Tensor::<Cube<R>, 2>::from_data(data, &gradient.device))
        }
    };
    let [parameter, first, second] = [moments.parameter, moments.first, moments.second].map(owned);
    let entries = gradient.meta.num_elements();
    let (count, dim) = units(entries);
    let single = |x: f64| x as f32;
    let numbers = NumbersLaunch::new(
        single(step.beta_1),
        single(1.0 - step.beta_1),
        single(step.beta_2),
        single(1.0 - step.beta_2),
        single(step.epsilon),
        single(step.keep),
        single(step.rate),
        single(1.0 / step.correction),
    );
    // SAFETY: see above.
    unsafe {
        update_kernel::launch_unchecked::<R>(
            &gradient.client,
            count,
            dim,
            arg(&parameter),
            arg(&first),
            arg(&second),
            arg(&gradient),
            arg(&scale),
            numbers,
            entries,
        );
    }
    Moments { parameter: matrix(parameter), first: matrix(first), second: matrix(second) }
}

#[expect(unsafe_code, reason = "positions are compared with the number of entries, blocks with theirs")]
pub(super) fn clipping<R: CubeRuntime>(gradients: &[Matrix<R>], most: f64) -> Clipping<Cube<R>> {
    let gradients: Vec<CubeTensor<R>> = gradients.iter().map(array).collect();
    let Some(one) = gradients.first() else {
        return Clipping { norm: Scalar::Known(0.0), scale: Scalar::Known(1.0) };
    };
    let blocks = |x: &CubeTensor<R>| x.meta.num_elements().div_ceil(BLOCK);
    let all = gradients.iter().map(blocks).sum();
    let sums = floats(one, [1, all]);
    let (norm, scale) = (floats(one, [1, 1]), floats(one, [1, 1]));
    let mut first = 0;
    for x in &gradients {
        // SAFETY: see above.
        unsafe {
            squares_kernel::launch_unchecked::<R>(
                &x.client,
                cubes(blocks(x)),
                CubeDim::new_1d(UNITS as u32),
                arg(x),
                arg(&sums),
                x.meta.num_elements(),
                first,
            );
        }
        first += blocks(x);
    }
    // SAFETY: see above.
    unsafe {
        clipping_kernel::launch_unchecked::<R>(
            &one.client,
            cubes(1),
            CubeDim::new_1d(UNITS as u32),
            arg(&sums),
            arg(&norm),
            arg(&scale),
            all,
            most as f32,
        );
    }
    Clipping { norm: Scalar::OnDevice(matrix(norm)), scale: Scalar::OnDevice(matrix(scale)) }
}
