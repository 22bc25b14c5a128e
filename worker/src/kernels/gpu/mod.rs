//! The operations on a GPU: kernels in CubeCL, which become CUDA or Vulkan programs at run time.
//!
//! Every sum is taken in an order that depends on the shapes alone, so that the same input gives the same bytes:
//! no atomic operations.

mod adamw;
mod attention;
mod classes;
mod column_sums;
mod cross_entropy;
#[cfg(feature = "cuda")]
mod cublas;
mod decide;
mod gelu;
mod layer_norm;
mod linear;
mod memory;
#[cfg(all(test, feature = "cuda"))]
mod on_cuda;
#[cfg(all(test, feature = "vulkan"))]
mod on_vulkan;
mod outer_products;
mod over_cube;
#[cfg(feature = "cuda")]
pub(crate) mod pairs;
mod products;
mod rows;
mod runtime;
mod tensor_cores;

pub use runtime::configure;

use super::{
    AdamWStep, Attended, ClassSums, Clipping, Heads, Kernels, LayerNormGradients, LossGradients, Moments,
    OfLinear, Precision, Scalar, dropout::Mask, plain,
};
use crate::Result;
use burn::tensor::{DType, Tensor};
use burn_cubecl::{CubeBackend, CubeRuntime};
use cubecl::{client::ComputeClient, prelude::*};

/// The backend of a runtime.
type Cube<R> = CubeBackend<R, f32, i32, u8>;
type Matrix<R> = Tensor<Cube<R>, 2>;

/// Planes of a cube, where a plane takes a row.
const PLANES: u32 = 8;

/// Units that step in time.
fn plane_dim<R: Runtime>(client: &ComputeClient<R>) -> u32 {
    client.properties().hardware.plane_size_max
}

/// Entries of a row that a unit takes at once.
fn several(width: usize) -> usize {
    if width.is_multiple_of(4) { 4 } else { 1 }
}

/// Cubes and their size for one unit per entry.
fn units(entries: usize) -> (CubeCount, CubeDim) {
    (memory::cubes(entries.div_ceil(256)), CubeDim::new_1d(256))
}

/// The number of a cube among those of [`memory::cubes`].
#[cube]
fn cube_index() -> usize {
    CUBE_POS_Y as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize
}

impl<R: CubeRuntime> Kernels for Cube<R> {
    fn has_tf32(device: &R::Device) -> bool {
        linear::has_tf32(&R::client(device))
    }

    fn product<const D: usize>(
        a: Tensor<Self, D>,
        b: Tensor<Self, D>,
        precision: Precision,
    ) -> Tensor<Self, D> {
        linear::products(a, b, precision)
    }

    fn linear_forward(
        x: &Matrix<R>,
        weight: &Matrix<R>,
        bias: Option<&Matrix<R>>,
        precision: Precision,
    ) -> Matrix<R> {
        linear::forward(x, weight, bias, precision)
    }

    fn factor(x: Matrix<R>, precision: Precision) -> Matrix<R> {
        memory::matrix(linear::factor(&x, precision))
    }

    fn linear_as_factor(x: &Matrix<R>, weight: &Matrix<R>, precision: Precision) -> Matrix<R> {
        linear::forward_as_factor(x, weight, precision)
    }

    fn linear_onto(
        residual: Matrix<R>,
        x: &Matrix<R>,
        weight: &Matrix<R>,
        bias: &Matrix<R>,
        precision: Precision,
    ) -> Matrix<R> {
        linear::forward_onto(&residual, x, weight, bias, precision)
    }

    fn linear_input_gradient(gradient: &Matrix<R>, weight: &Matrix<R>, precision: Precision) -> Matrix<R> {
        linear::input_gradient(gradient, weight, precision, DType::F32)
    }

    fn linear_input_gradient_as_factor(
        gradient: &Matrix<R>,
        weight: &Matrix<R>,
        precision: Precision,
    ) -> Matrix<R> {
        linear::input_gradient(gradient, weight, precision, linear::of_factors(precision))
    }

    fn linear_weight_gradient(gradient: &Matrix<R>, x: &Matrix<R>, precision: Precision) -> Matrix<R> {
        linear::weight_gradient(gradient, x, precision)
    }

    fn sum_rows(x: &Matrix<R>) -> Matrix<R> {
        column_sums::sum(x)
    }

    fn of_linear(gradient: Matrix<R>, precision: Precision) -> OfLinear<Self> {
        column_sums::of_linear(&gradient, linear::of_factors(precision))
    }

    fn layer_norm_forward(x: &Matrix<R>, weight: &Matrix<R>, bias: &Matrix<R>, epsilon: f64) -> Matrix<R> {
        layer_norm::forward(x, weight, bias, epsilon, DType::F32)
    }

    fn layer_norm_as_factor(
        x: &Matrix<R>,
        weight: &Matrix<R>,
        bias: &Matrix<R>,
        epsilon: f64,
        precision: Precision,
    ) -> Matrix<R> {
        layer_norm::forward(x, weight, bias, epsilon, linear::of_factors(precision))
    }

    fn layer_norm_backward(
        x: &Matrix<R>,
        weight: &Matrix<R>,
        gradient: &Matrix<R>,
        onto: Option<Matrix<R>>,
        epsilon: f64,
    ) -> LayerNormGradients<Self> {
        layer_norm::backward(x, weight, gradient, onto, epsilon)
    }

    fn gelu_new(x: &Matrix<R>, bias: &Matrix<R>) -> Matrix<R> {
        gelu::forward(x, bias)
    }

    fn gelu_new_backward(x: &Matrix<R>, bias: &Matrix<R>, gradient: &Matrix<R>) -> OfLinear<Self> {
        gelu::backward(x, bias, gradient)
    }

    fn attention_forward(projected: &Matrix<R>, heads: Heads, dropout: Option<&Mask>) -> Attended<Self> {
        match attention::Grid::of(projected, heads) {
            Some(grid) if dropout.is_none() => attention::forward(projected, &grid),
            _ => plain::attention::forward(&linear::single(projected), heads, dropout),
        }
    }

    fn attention_backward(
        projected: &Matrix<R>,
        attended: &Attended<Self>,
        gradient: &Matrix<R>,
        heads: Heads,
        dropout: Option<&Mask>,
    ) -> Matrix<R> {
        match attention::Grid::of(projected, heads) {
            Some(grid) if dropout.is_none() => attention::backward(projected, attended, gradient, &grid),
            _ => {
                let gradient = linear::single(gradient);
                plain::attention::backward(&linear::single(projected), attended, &gradient, heads, dropout)
            }
        }
    }

    fn cross_entropy(
        hidden: &Matrix<R>,
        head: &Matrix<R>,
        targets: &[i32],
        precision: Precision,
    ) -> Result<LossGradients<Self>> {
        cross_entropy::gradients(hidden, head, targets, precision)
    }

    fn loss_and_hits(hidden: &Matrix<R>, head: &Matrix<R>, targets: &[i32]) -> Result<(f64, u64)> {
        cross_entropy::loss_and_hits(hidden, head, targets)
    }

    fn decide(
        x: &Matrix<R>,
        classes: &Matrix<R>,
        offsets: Option<&Matrix<R>>,
        precision: Precision,
    ) -> Result<Vec<i32>> {
        decide::decide(x, classes, offsets, precision)
    }

    fn add_rows(sums: Matrix<R>, indices: &[i32], values: Matrix<R>) -> Matrix<R> {
        rows::add(sums, indices, &values)
    }

    fn add_to_classes(sums: ClassSums<Self>, classes: &[i32], x: &Matrix<R>) -> ClassSums<Self> {
        classes::add(sums, classes, x)
    }

    fn add_distances(totals: Matrix<R>, means: &Matrix<R>, classes: &[i32], x: &Matrix<R>) -> Matrix<R> {
        classes::add_distances(totals, means, classes, x)
    }

    fn add_outer_products(
        sums: Matrix<R>,
        means: &Matrix<R>,
        classes: &[i32],
        x: &Matrix<R>,
        _piece: usize,
    ) -> Matrix<R> {
        outer_products::add(sums, means, classes, x)
    }

    fn clipping(gradients: &[Matrix<R>], most: f64) -> Result<Clipping<Self>> {
        Ok(adamw::clipping(gradients, most))
    }

    fn adamw(
        all: Vec<(Moments<Self>, Matrix<R>)>,
        scale: &Scalar<Self>,
        step: AdamWStep,
    ) -> Result<Vec<Moments<Self>>> {
        Ok(adamw::update(all, scale, step))
    }
}
