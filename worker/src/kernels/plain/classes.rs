//! Sums over the rows of each class, in `f64`.

use super::rows;
use crate::kernels::ClassSums;
use burn::tensor::{FloatDType, Int, Tensor, TensorData, backend::Backend};

pub(in crate::kernels) fn add<B: Backend>(
    sums: ClassSums<B>,
    classes: &[i32],
    x: &Tensor<B, 2>,
) -> ClassSums<B> {
    let x = x.clone().cast(FloatDType::F64);
    let norms = x.clone().square().sum_dim(1);
    ClassSums { totals: rows::add(sums.totals, classes, x), squares: rows::add(sums.squares, classes, norms) }
}

pub(in crate::kernels) fn add_distances<B: Backend>(
    totals: Tensor<B, 2>,
    means: &Tensor<B, 2>,
    classes: &[i32],
    x: &Tensor<B, 2>,
) -> Tensor<B, 2> {
    rows::add(totals, classes, centred(means, classes, x).square().sum_dim(1))
}

pub(in crate::kernels) fn add_outer_products<B: Backend>(
    sums: Tensor<B, 2>,
    means: &Tensor<B, 2>,
    classes: &[i32],
    x: &Tensor<B, 2>,
    piece: usize,
) -> Tensor<B, 2> {
    let pieces = centred(means, classes, x).split(piece, 0);
    pieces.into_iter().fold(sums, |sums, piece| sums + piece.clone().transpose().matmul(piece))
}

/// Rows less the mean of their class.
fn centred<B: Backend>(means: &Tensor<B, 2>, classes: &[i32], x: &Tensor<B, 2>) -> Tensor<B, 2> {
    let indices = TensorData::new(classes.to_vec(), [classes.len()]);
    let means = means.clone().select(0, Tensor::<B, 1, Int>::from_data(indices, &x.device()));
    x.clone().cast(FloatDType::F64) - means
}
