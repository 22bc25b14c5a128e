//! Adding rows to chosen rows.

use burn::tensor::{IndexingUpdateOp, Tensor, TensorData, backend::Backend};

pub(in crate::kernels) fn add<B: Backend>(
    sums: Tensor<B, 2>,
    indices: &[i32],
    values: Tensor<B, 2>,
) -> Tensor<B, 2> {
    let indices = Tensor::from_data(TensorData::new(indices.to_vec(), [indices.len()]), &sums.device());
    sums.select_assign(0, indices, values, IndexingUpdateOp::Add)
}
