//! Tensors as arrays of a kernel and back.
//!
//! Kernels index arrays without holes: what they get is made contiguous first, what they fill is allocated so.

use super::{Cube, Matrix};
use crate::kernels::device_ints;
use burn::tensor::{DType, Shape, Tensor, TensorPrimitive};
use burn_cubecl::{
    CubeRuntime, kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor,
};
use cubecl::prelude::{ArrayArg, CubeCount};

/// The memory of a matrix, row by row without holes.
pub(super) fn array<R: CubeRuntime>(tensor: &Matrix<R>) -> CubeTensor<R> {
    into_contiguous(tensor.clone().into_primitive().tensor())
}

/// The memory of a matrix that is to be changed: in place, if nobody else holds it.
pub(super) fn owned<R: CubeRuntime>(tensor: Matrix<R>) -> CubeTensor<R> {
    let tensor = into_contiguous(tensor.into_primitive().tensor());
    if tensor.can_mut() { tensor } else { tensor.copy() }
}

/// A matrix of what a kernel filled.
pub(super) fn matrix<R: CubeRuntime>(tensor: CubeTensor<R>) -> Matrix<R> {
    Tensor::from_primitive(TensorPrimitive::Float(tensor))
}

/// Memory for numbers beside another tensor, without holes; its content is anything.
pub(super) fn empty<R: CubeRuntime>(
    beside: &CubeTensor<R>,
    shape: impl Into<Shape>,
    dtype: DType,
) -> CubeTensor<R> {
    empty_device_contiguous_dtype(beside.client.clone(), beside.device.clone(), shape.into(), dtype)
}

/// As [`empty`], for what is large and has the same size in every step: taken from the device as it is needed and kept for
/// what has the same size. From the library's pools it would get a page that is four times as large and more; but what
/// comes in ever new sizes would fill the device this way.
pub(super) fn large<R: CubeRuntime>(
    beside: &CubeTensor<R>,
    shape: [usize; 2],
    dtype: DType,
) -> CubeTensor<R> {
    let make = |shape| empty(beside, shape, dtype);
    beside.client.memory_persistent_allocation(shape, make).unwrap_or_else(|_| make(shape))
}

/// As [`empty`], for `f32`.
pub(super) fn floats<R: CubeRuntime>(beside: &CubeTensor<R>, shape: [usize; 2]) -> CubeTensor<R> {
    empty(beside, shape, DType::F32)
}

/// Whole numbers for a kernel.
pub(super) fn integers<R: CubeRuntime>(beside: &CubeTensor<R>, values: &[i32]) -> CubeTensor<R> {
    device_ints::<Cube<R>>(values, &beside.device).into_primitive()
}

/// A tensor as an argument of a launch.
pub(super) fn arg<R: CubeRuntime>(tensor: &CubeTensor<R>) -> ArrayArg<R> {
    tensor.clone().into_array_arg()
}

/// So many cubes: in rows of at most 65,535 of which the last may be incomplete. Kernels leave at once
/// where [`super::cube_index`] is beyond the end.
pub(super) fn cubes(count: usize) -> CubeCount {
    let count = count.max(1) as u32;
    let across = count.min(65_535);
    CubeCount::Static(across, count.div_ceil(across), 1)
}
