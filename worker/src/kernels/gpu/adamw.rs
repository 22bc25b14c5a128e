//! AdamW in one pass: four numbers of a parameter are read, three written, and its factor; many parameters in one launch.

use super::{
    Cube, Matrix, cube_index,
    memory::{arg, array, cubes, floats, matrix, owned},
    over_cube::{self, UNITS},
};
use crate::kernels::{AdamWStep, Clipping, Moments, Scalar};
use burn::tensor::{Tensor, TensorData};
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::{client::ComputeClient, prelude::*};
use half::bf16;

/// Entries that a cube takes.
const BLOCK: usize = 4096;
/// Most parameters of a launch.
const MOST: usize = 32;

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

/// The entries of a cube in the array whose blocks start at `before`: the first, and the end, which is before the first in
/// the cubes of other arrays.
#[cube]
fn block(count: usize, before: usize) -> (usize, usize) {
    let cube = cube_index();
    let first = (cube - min(cube, before)) * BLOCK;
    let end = select(cube >= before, min(first + BLOCK, count), 0);
    (first + UNIT_POS as usize, end)
}

#[cube(launch_unchecked)]
fn update_kernel(
    parameters: &mut Sequence<Array<f32>>,
    firsts: &mut Sequence<Array<f32>>,
    seconds: &mut Sequence<Array<f32>>,
    gradients: &Sequence<Array<f32>>,
    factors: &mut Sequence<Array<bf16>>,
    scale: &Array<f32>,
    numbers: &Numbers,
    #[comptime] with_factors: bool,
) {
    let scale = scale[0];
    if scale < 0.0 {
        terminate!();
    }
    let mut before = 0usize;
    #[unroll]
    for one in 0..gradients.len() {
        let gradient = gradients.index(one);
        let parameter = parameters.index_mut(one);
        let first = firsts.index_mut(one);
        let second = seconds.index_mut(one);
        let count = gradient.len();
        let (start, end) = block(count, before);
        let mut at = start;
        while at < end {
            let slope = gradient[at] * scale;
            let mean = first[at] * numbers.beta_1 + slope * numbers.rest_1;
            let square = second[at] * numbers.beta_2 + slope * slope * numbers.rest_2;
            first[at] = mean;
            second[at] = square;
            let change = mean / (square.sqrt() * numbers.correction + numbers.epsilon) * numbers.rate;
            let updated = parameter[at] * numbers.keep - change;
            parameter[at] = updated;
            if with_factors {
                let factor = factors.index_mut(one);
                factor[at] = bf16::cast_from(updated);
            }
            at += UNITS;
        }
        before += count.div_ceil(BLOCK);
    }
}

#[cube(launch_unchecked)]
fn squares_kernel(all: &Sequence<Array<f32>>, sums: &mut Array<f32>, first_sum: usize, blocks: usize) {
    let mut sum = f32::new(0.0);
    let mut before = 0usize;
    #[unroll]
    for one in 0..all.len() {
        let x = all.index(one);
        let count = x.len();
        let (start, end) = block(count, before);
        let mut at = start;
        while at < end {
            sum += x[at] * x[at];
            at += UNITS;
        }
        before += count.div_ceil(BLOCK);
    }
    let sum = over_cube::sum(sum);
    if UNIT_POS == 0 && cube_index() < blocks {
        sums[first_sum + cube_index()] = sum;
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

fn blocks<R: CubeRuntime>(x: &CubeTensor<R>) -> usize {
    x.meta.num_elements().div_ceil(BLOCK)
}

/// How many parameters a launch takes, each in so many arrays, with some arrays beside them.
fn at_once<R: CubeRuntime>(client: &ComputeClient<R>, arrays: usize) -> usize {
    let bindings = client.properties().hardware.max_bindings as usize;
    (bindings.saturating_sub(4) / arrays).clamp(1, MOST)
}

/// Arrays as an argument of a launch.
fn args<'a, R: CubeRuntime>(all: impl Iterator<Item = &'a CubeTensor<R>>) -> SequenceArg<R, Array<f32>> {
    all.map(arg).collect()
}

/// A parameter in memory.
struct Held<R: CubeRuntime> {
    parameter: CubeTensor<R>,
    first: CubeTensor<R>,
    second: CubeTensor<R>,
    gradient: CubeTensor<R>,
    factor: Option<CubeTensor<R>>,
}

#[expect(unsafe_code, reason = "positions are compared with the number of entries")]
pub(super) fn update<R: CubeRuntime>(
    all: Vec<(Moments<Cube<R>>, Matrix<R>)>,
    scale: &Scalar<Cube<R>>,
    step: AdamWStep,
) -> Vec<Moments<Cube<R>>> {
    let held: Vec<Held<R>> = all
        .into_iter()
        .map(|(Moments { parameter, first, second, factor }, gradient)| {
            let [parameter, first, second] = [parameter, first, second].map(owned);
            Held { parameter, first, second, gradient: array(&gradient), factor: factor.map(owned) }
        })
        .collect();
    let Some(Held { parameter: CubeTensor { client, device, .. }, .. }) = held.first() else {
        return Vec::new();
    };
    let scale = match scale {
        Scalar::OnDevice(scale) => array(scale),
        Scalar::Known(scale) => {
            let data = TensorData::new(vec![*scale as f32], [1, 1]);
            array(&Tensor::<Cube<R>, 2>::from_data(data, device))
        }
    };
    let single = |x: f64| x as f32;
    let numbers = || {
        NumbersLaunch::new(
            single(step.beta_1),
            single(1.0 - step.beta_1),
            single(step.beta_2),
            single(1.0 - step.beta_2),
            single(step.epsilon),
            single(step.keep),
            single(step.rate),
            single(1.0 / step.correction),
        )
    };
    let alike = held.chunk_by(|one, next| one.factor.is_some() == next.factor.is_some());
    for some in alike.flat_map(|alike| alike.chunks(at_once(client, 5))) {
        let factors = || some.iter().filter_map(|one| one.factor.as_ref());
        // SAFETY: see above; a factor has the size of its parameter.
        unsafe {
            update_kernel::launch_unchecked::<R>(
                client,
                cubes(some.iter().map(|one| blocks(&one.gradient)).sum()),
                CubeDim::new_1d(UNITS as u32),
                args(some.iter().map(|one| &one.parameter)),
                args(some.iter().map(|one| &one.first)),
                args(some.iter().map(|one| &one.second)),
                args(some.iter().map(|one| &one.gradient)),
                factors().map(arg).collect(),
                arg(&scale),
                numbers(),
                factors().next().is_some(),
            );
        }
    }
    held.into_iter()
        .map(|Held { parameter, first, second, factor, .. }| Moments {
            parameter: matrix(parameter),
            first: matrix(first),
            second: matrix(second),
            factor: factor.map(matrix),
        })
        .collect()
}

#[expect(unsafe_code, reason = "positions are compared with the number of entries, blocks with theirs")]
pub(super) fn clipping<R: CubeRuntime>(gradients: &[Matrix<R>], most: f64) -> Clipping<Cube<R>> {
    let gradients: Vec<CubeTensor<R>> = gradients.iter().map(array).collect();
    let Some(one) = gradients.first() else {
        return Clipping { norm: Scalar::Known(0.0), scale: Scalar::Known(1.0) };
    };
    let all = gradients.iter().map(blocks).sum();
    let sums = floats(one, [1, all]);
    let (norm, scale) = (floats(one, [1, 1]), floats(one, [1, 1]));
    let mut first = 0;
    for some in gradients.chunks(at_once(&one.client, 1)) {
        let blocks = some.iter().map(blocks).sum();
        // SAFETY: see above.
        unsafe {
            squares_kernel::launch_unchecked::<R>(
                &one.client,
                cubes(blocks),
                CubeDim::new_1d(UNITS as u32),
                args(some.iter()),
                arg(&sums),
                first,
                blocks,
            );
        }
        first += blocks;
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
