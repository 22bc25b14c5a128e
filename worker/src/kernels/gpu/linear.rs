//! Products of matrices, by the library's kernels.

use super::{
    Matrix,
    memory::{array, matrix},
};
use crate::model::Precision;
use burn::tensor::DType;
use burn_cubecl::{
    CubeRuntime,
    kernel::{
        cast,
        matmul::{MatmulStrategy, matmul},
    },
    tensor::CubeTensor,
};
use cubecl::client::ComputeClient;

/// A matrix as a factor: in the numbers that products take.
pub(super) fn factor<R: CubeRuntime>(x: &Matrix<R>, precision: Precision) -> CubeTensor<R> {
    let x = array(x);
    match precision {
        Precision::F32 => x,
        Precision::Bf16 => cast(x, DType::BF16),
    }
}

/// Rows as columns, without touching memory.
pub(super) fn transposed<R: CubeRuntime>(mut x: CubeTensor<R>) -> CubeTensor<R> {
    x.meta.swap(0, 1);
    x
}

/// The library's kernels are tried on each shape where there are units for matrices, of which some suit the one shape and
/// some the other. Elsewhere, that would cost more than it brings: software takes minutes to compile them.
fn strategy<R: CubeRuntime>(client: &ComputeClient<R>) -> MatmulStrategy {
    if client.properties().hardware.min_tensor_cores_dim.is_some() {
        MatmulStrategy::Autotune
    } else {
        MatmulStrategy::Cube
    }
}

/// The product, summed and given in `f32`.
pub(super) fn product<R: CubeRuntime>(a: CubeTensor<R>, b: CubeTensor<R>) -> CubeTensor<R> {
    let strategy = strategy(&a.client);
    #[expect(clippy::expect_used, reason = "one of the library's kernels takes every shape")]
    matmul(a, b, None, strategy, DType::F32).expect("a kernel for this product")
}

pub(super) fn forward<R: CubeRuntime>(
    x: &Matrix<R>,
    weight: &Matrix<R>,
    bias: Option<&Matrix<R>>,
    precision: Precision,
) -> Matrix<R> {
    let y = matrix(product(factor(x, precision), transposed(factor(weight, precision))));
    match bias {
        Some(bias) => y + bias.clone(),
        None => y,
    }
}

pub(super) fn input_gradient<R: CubeRuntime>(
    gradient: &Matrix<R>,
    weight: &Matrix<R>,
    precision: Precision,
) -> Matrix<R> {
    matrix(product(factor(gradient, precision), factor(weight, precision)))
}

pub(super) fn weight_gradient<R: CubeRuntime>(
    gradient: &Matrix<R>,
    x: &Matrix<R>,
    precision: Precision,
) -> Matrix<R> {
    matrix(product(transposed(factor(gradient, precision)), factor(x, precision)))
}
