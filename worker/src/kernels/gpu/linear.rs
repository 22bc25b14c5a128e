//! Linear layers. Factors in `bf16` are rounded where they are made, if whoever makes them is told so, and else here.

use super::{
    Cube, Matrix, column_sums,
    memory::{arg, array, matrix},
    products, several, units,
};
use crate::kernels::Precision;
use burn::tensor::{DType, Tensor, TensorPrimitive};
use burn_cubecl::{
    CubeRuntime,
    kernel::{cast, into_contiguous},
    tensor::CubeTensor,
};
use cubecl::{
    client::ComputeClient,
    ir::{ElemType, FloatKind},
    prelude::*,
};

/// The numbers that products take.
pub(super) const fn of_factors(precision: Precision) -> DType {
    match precision {
        Precision::F32 | Precision::Tf32 => DType::F32,
        Precision::Bf16 => DType::BF16,
    }
}

/// A tensor without holes, in these numbers.
pub(super) fn in_numbers<R: CubeRuntime>(x: CubeTensor<R>, dtype: DType) -> CubeTensor<R> {
    // Casting leaves holes in rows of some widths.
    if x.dtype == dtype { x } else { into_contiguous(cast(x, dtype)) }
}

/// A matrix as a factor.
pub(super) fn factor<R: CubeRuntime>(x: &Matrix<R>, precision: Precision) -> CubeTensor<R> {
    in_numbers(array(x), of_factors(precision))
}

/// A matrix in `f32`, for operations that know nothing of factors.
pub(super) fn single<R: CubeRuntime>(x: &Matrix<R>) -> Matrix<R> {
    matrix(in_numbers(array(x), DType::F32))
}

/// Rows as columns, without touching memory.
pub(super) fn transposed<R: CubeRuntime>(mut x: CubeTensor<R>) -> CubeTensor<R> {
    x.meta.swap(0, 1);
    x
}

/// Whether a device has tensor cores. Where it has none, trying out kernels costs more than it brings: software
/// takes minutes to compile them.
fn has_tensor_cores<R: CubeRuntime>(client: &ComputeClient<R>) -> bool {
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
    product_in(a, b, precision, DType::F32)
}

/// As [`product`], given in other numbers.
fn product_in<R: CubeRuntime>(
    a: CubeTensor<R>,
    b: CubeTensor<R>,
    precision: Precision,
    dtype: DType,
) -> CubeTensor<R> {
    match precision {
        _ if !has_tensor_cores(&a.client) => products::simple(a, b, dtype),
        Precision::F32 => products::on_units(a, b, dtype),
        Precision::Tf32 | Precision::Bf16 => products::on_tensor_cores(a, b, dtype),
    }
}

/// The products of pairs of matrices.
pub(super) fn products<R: CubeRuntime, const D: usize>(
    a: Tensor<Cube<R>, D>,
    b: Tensor<Cube<R>, D>,
    precision: Precision,
) -> Tensor<Cube<R>, D> {
    let [a, b] = [a, b].map(|factor| {
        let factor = factor.into_primitive().tensor();
        let dtype = of_factors(precision);
        if factor.dtype == dtype { factor } else { cast(factor, dtype) }
    });
    Tensor::from_primitive(TensorPrimitive::Float(product(a, b, precision)))
}

/// `y += b`, and `+ r` where there is a residual; `count` and `width` in vectors.
#[cube(launch_unchecked)]
fn onto_kernel<N: Size>(
    y: &mut Array<Vector<f32, N>>,
    bias: &Array<Vector<f32, N>>,
    residual: &Array<Vector<f32, N>>,
    count: usize,
    width: usize,
    #[comptime] with_residual: bool,
) {
    let at = ABSOLUTE_POS;
    if at >= count {
        terminate!();
    }
    let mut sum = y[at] + bias[at % width];
    if with_residual {
        sum += residual[at];
    }
    y[at] = sum;
}

#[expect(unsafe_code, reason = "positions are compared with the number of entries")]
fn add_onto<R: CubeRuntime>(y: CubeTensor<R>, bias: &Matrix<R>, residual: Option<&Matrix<R>>) -> Matrix<R> {
    let [rows, width] = y.meta.shape().dims();
    let bias = array(bias);
    let with_residual = residual.is_some();
    // Without a residual, the kernel is compiled to read none of this.
    let residual = residual.map_or_else(|| bias.clone(), array);
    let several = several(width);
    let (count, dim) = units(rows * width / several);
    // SAFETY: see above.
    unsafe {
        onto_kernel::launch_unchecked::<R>(
            &y.client,
            count,
            dim,
            several,
            arg(&y),
            arg(&bias),
            arg(&residual),
            rows * width / several,
            width / several,
            with_residual,
        );
    }
    matrix(y)
}

fn of_weight<R: CubeRuntime>(
    x: &Matrix<R>,
    weight: &Matrix<R>,
    precision: Precision,
    dtype: DType,
) -> CubeTensor<R> {
    product_in(factor(x, precision), transposed(factor(weight, precision)), precision, dtype)
}

pub(super) fn forward<R: CubeRuntime>(
    x: &Matrix<R>,
    weight: &Matrix<R>,
    bias: Option<&Matrix<R>>,
    precision: Precision,
) -> Matrix<R> {
    let y = of_weight(x, weight, precision, DType::F32);
    match bias {
        Some(bias) => add_onto(y, bias, None),
        None => matrix(y),
    }
}

pub(super) fn forward_as_factor<R: CubeRuntime>(
    x: &Matrix<R>,
    weight: &Matrix<R>,
    precision: Precision,
) -> Matrix<R> {
    matrix(of_weight(x, weight, precision, of_factors(precision)))
}

pub(super) fn forward_onto<R: CubeRuntime>(
    residual: &Matrix<R>,
    x: &Matrix<R>,
    weight: &Matrix<R>,
    bias: &Matrix<R>,
    precision: Precision,
) -> Matrix<R> {
    add_onto(of_weight(x, weight, precision, DType::F32), bias, Some(residual))
}

/// The gradient of the input, in these numbers.
pub(super) fn input_gradient<R: CubeRuntime>(
    gradient: &Matrix<R>,
    weight: &Matrix<R>,
    precision: Precision,
    dtype: DType,
) -> Matrix<R> {
    matrix(product_in(factor(gradient, precision), factor(weight, precision), precision, dtype))
}

/// What a cube of a product of matrices makes of the result, about.
const TILE: [usize; 2] = [128, 64];
/// Cubes that fill a card: two for each of the 132 multiprocessors of an H200.
const CUBES: usize = 264;
/// Least rows of a part.
const LEAST: usize = 256;

/// In how many parts the rows of a weight's gradient are summed: it has few entries but sums many rows, and kernels for
/// products give each entry to one cube, so that a narrow layer would leave most of a card idle.
fn parts(rows: usize, [out, width]: [usize; 2]) -> usize {
    let tiles = out.div_ceil(TILE[0]) * width.div_ceil(TILE[1]);
    let mut parts = 1;
    while tiles * parts < CUBES && rows > 0 && rows.is_multiple_of(2 * parts * LEAST) {
        parts *= 2;
    }
    parts
}

pub(super) fn weight_gradient<R: CubeRuntime>(
    gradient: &Matrix<R>,
    x: &Matrix<R>,
    precision: Precision,
) -> Matrix<R> {
    let [gradient, x] = [gradient, x].map(|of_rows| factor(of_rows, precision));
    let ([rows, out], [_, width]) = (gradient.meta.shape().dims(), x.meta.shape().dims());
    let parts = parts(rows, [out, width]);
    if parts == 1 {
        return matrix(product(transposed(gradient), x, precision));
    }
    let in_parts = |x: CubeTensor<R>, columns| matrix(x).reshape([parts, rows / parts, columns]);
    let gradient = in_parts(gradient, out).swap_dims(1, 2);
    let [gradient, x] = [gradient, in_parts(x, width)].map(|factor| factor.into_primitive().tensor());
    let sums = product(gradient, x, precision);
    let sums = Tensor::<Cube<R>, 3>::from_primitive(TensorPrimitive::Float(sums));
    let [sum] = column_sums::last(&array(&sums.reshape([parts, out * width])), parts);
    sum.reshape([out, width])
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn few_entries_of_many_rows_are_summed_in_parts() {
        assert_eq!(parts(32_768, [64, 64]), 128);
        assert_eq!(parts(32_768, [768, 768]), 4);
        assert_eq!(parts(32_768, [3072, 768]), 1);
        assert_eq!(parts(8_192, [1024, 1024]), 4);
        // Parts have the same rows, and not too few.
        assert_eq!(parts(1_000, [64, 64]), 1);
        assert_eq!(parts(512, [64, 64]), 2);
        assert_eq!(parts(0, [64, 64]), 1);
    }
}
