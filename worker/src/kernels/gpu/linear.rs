//! Products of matrices, by the library's kernels.

use super::{
    Cube, Matrix, exact,
    memory::{array, matrix},
};
use crate::model::Precision;
use burn::tensor::{DType, Tensor, TensorPrimitive};
use burn_cubecl::{
    CubeRuntime,
    kernel::{
        cast,
        matmul::{MatmulStrategy, matmul},
    },
    tensor::CubeTensor,
};
use cubecl::{
    client::ComputeClient,
    ir::{ElemType, FloatKind},
};

/// A matrix as a factor: in the numbers that products take.
pub(super) fn factor<R: CubeRuntime>(x: &Matrix<R>, precision: Precision) -> CubeTensor<R> {
    rounded(array(x), precision)
}

fn rounded<R: CubeRuntime>(x: CubeTensor<R>, precision: Precision) -> CubeTensor<R> {
    match precision {
        Precision::F32 | Precision::Tf32 => x,
        Precision::Bf16 => cast(x, DType::BF16),
    }
}

/// Rows as columns, without touching memory.
pub(super) fn transposed<R: CubeRuntime>(mut x: CubeTensor<R>) -> CubeTensor<R> {
    x.meta.swap(0, 1);
    x
}

/// Whether a device has units for matrices. Where it has none, trying out kernels costs more than it brings: software
/// takes minutes to compile them.
fn has_matrix_units<R: CubeRuntime>(client: &ComputeClient<R>) -> bool {
    client.properties().hardware.min_tensor_cores_dim.is_some()
}

/// Whether these units take `f32` numbers of which they read ten bits.
pub(super) fn has_tf32<R: CubeRuntime>(client: &ComputeClient<R>) -> bool {
    let units = &client.properties().features.matmul;
    units.cmma.iter().chain(&units.mma).any(|unit| unit.a_type == ElemType::Float(FloatKind::TF32).into())
}

/// The product of two factors, or of as many pairs as their first dimensions tell, summed and given in `f32`.
pub(super) fn product<R: CubeRuntime>(
    a: CubeTensor<R>,
    b: CubeTensor<R>,
    precision: Precision,
) -> CubeTensor<R> {
    let units = has_matrix_units(&a.client);
    let strategy = match precision {
        Precision::F32 if units => return exact::tuned(a, b),
        Precision::F32 => return exact::simple(a, b),
        Precision::Tf32 | Precision::Bf16 if units => MatmulStrategy::Autotune,
        Precision::Tf32 | Precision::Bf16 => MatmulStrategy::Cube,
    };
    #[expect(clippy::expect_used, reason = "one of the library's kernels takes every shape")]
    matmul(a, b, None, strategy, DType::F32).expect("a kernel for this product")
}

/// The products of pairs of matrices.
pub(super) fn products<R: CubeRuntime, const D: usize>(
    a: Tensor<Cube<R>, D>,
    b: Tensor<Cube<R>, D>,
    precision: Precision,
) -> Tensor<Cube<R>, D> {
    let [a, b] = [a, b].map(|factor| rounded(factor.into_primitive().tensor(), precision));
    Tensor::from_primitive(TensorPrimitive::Float(product(a, b, precision)))
}

pub(super) fn forward<R: CubeRuntime>(
    x: &Matrix<R>,
    weight: &Matrix<R>,
    bias: Option<&Matrix<R>>,
    precision: Precision,
) -> Matrix<R> {
    let y = matrix(product(factor(x, precision), transposed(factor(weight, precision)), precision));
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
    matrix(product(factor(gradient, precision), factor(weight, precision), precision))
}

pub(super) fn weight_gradient<R: CubeRuntime>(
    gradient: &Matrix<R>,
    x: &Matrix<R>,
    precision: Precision,
) -> Matrix<R> {
    matrix(product(transposed(factor(gradient, precision)), factor(x, precision), precision))
}
