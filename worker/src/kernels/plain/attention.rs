//! Causal attention, all scores of a layer at once.

use crate::kernels::{Attended, Heads, Kernels, dropout::Mask};
use burn::tensor::{Bool, Int, Tensor};

pub(in crate::kernels) fn forward<B: Kernels>(
    projected: &Tensor<B, 2>,
    heads: Heads,
    dropout: Option<&Mask>,
) -> Attended<B> {
    let [key, value, query] = parts(projected);
    let [rows, width] = query.dims();
    let scores = scores(&query, &key, heads);
    let largest = scores.clone().max_dim(3);
    let weights = (scores - largest.clone()).exp();
    let sums = weights.clone().sum_dim(3);
    let log_sums = sums.clone().log() + largest;
    let weights = dropped(weights / sums, dropout);
    let mixed = B::product(weights, split(&value, heads), heads.precision);
    Attended {
        mixed: mixed.swap_dims(1, 2).reshape([rows, width]),
        log_sums: log_sums.reshape([heads.batch * heads.heads, rows / heads.batch]),
    }
}

pub(in crate::kernels) fn backward<B: Kernels>(
    projected: &Tensor<B, 2>,
    attended: &Attended<B>,
    gradient: &Tensor<B, 2>,
    heads: Heads,
    dropout: Option<&Mask>,
) -> Tensor<B, 2> {
    let [key, value, query] = parts(projected);
    let [rows, width] = query.dims();
    let length = rows / heads.batch;
    let product = |a, b| B::product(a, b, heads.precision);
    let log_sums = attended.log_sums.clone().reshape([heads.batch, heads.heads, length, 1]);
    let weights = (scores(&query, &key, heads) - log_sums).exp();
    let (gradient, value) = (split(gradient, heads), split(&value, heads));
    let mixed = split(&attended.mixed, heads);
    let merge = |x: Tensor<B, 4>| x.swap_dims(1, 2).reshape([rows, width]);

    let of_value = product(dropped(weights.clone(), dropout).transpose(), gradient.clone());
    let of_weights = dropped(product(gradient.clone(), value.transpose()), dropout);
    let along = (gradient * mixed).sum_dim(3);
    let of_scores = weights * (of_weights - along);
    let of_key = product(of_scores.clone().transpose(), split(&query, heads));
    let of_query = product(of_scores, split(&key, heads));
    Tensor::cat([of_key, of_value, of_query].map(merge).to_vec(), 1)
}

/// Keys, values and queries.
fn parts<B: Kernels>(projected: &Tensor<B, 2>) -> [Tensor<B, 2>; 3] {
    let width = projected.dims()[1] / 3;
    [0, 1, 2].map(|part| projected.clone().narrow(1, part * width, width))
}

/// `[batch * length, width]` to `[batch, heads, length, width / heads]`.
fn split<B: Kernels>(x: &Tensor<B, 2>, Heads { batch, heads, .. }: Heads) -> Tensor<B, 4> {
    let [rows, width] = x.dims();
    x.clone().reshape([batch, rows / batch, heads, width / heads]).swap_dims(1, 2)
}

/// Products of queries and keys, `[batch, heads, length, length]`; the smallest number where a query (row)
/// must not see a key (column).
fn scores<B: Kernels>(query: &Tensor<B, 2>, key: &Tensor<B, 2>, heads: Heads) -> Tensor<B, 4> {
    let length = query.dims()[0] / heads.batch;
    let scores = B::product(split(query, heads), split(key, heads).transpose(), heads.precision);
    let hidden = hidden::<B>(length, heads.window, &query.device());
    scores.mask_fill(hidden.expand([heads.batch, heads.heads, length, length]), f32::MIN)
}

fn hidden<B: Kernels>(length: usize, window: usize, device: &B::Device) -> Tensor<B, 4, Bool> {
    let positions = Tensor::<B, 1, Int>::arange(0..length as i64, device);
    let query = positions.clone().reshape([1, 1, length, 1]).expand([1, 1, length, length]);
    let key = positions.reshape([1, 1, 1, length]).expand([1, 1, length, length]);
    let later = key.clone().greater(query.clone());
    let distant = (key + window.min(length) as i64).lower_equal(query);
    later.bool_or(distant)
}

fn dropped<B: Kernels>(weights: Tensor<B, 4>, dropout: Option<&Mask>) -> Tensor<B, 4> {
    match dropout {
        Some(mask) => mask.apply(weights),
        None => weights,
    }
}
