//! Causal attention in blocks of queries.
//!
//! A task is one head of one sequence. For each block of queries it takes the scores with those keys only that
//! some query of the block sees, so that blocks before a local window or after the diagonal cost nothing, and no
//! more than a block of scores is ever in memory. The backward pass takes them again and needs of the forward
//! pass only the logarithms of the sums (Dao et al. 2022, arXiv 2205.14135).

use super::{
    gemm::product,
    lanes::{dot, exp, exponentials, max, vectorised},
};
use crate::{kernels::Heads, model::dropout::Mask};
use faer::{Accum, MatRef};
use rayon::prelude::*;
use std::ops::Range;

/// Queries of a block.
const BLOCK: usize = 64;

/// Sizes of the problem.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    heads: usize,
    /// Columns of all heads.
    width: usize,
    /// Positions of a sequence.
    length: usize,
    window: usize,
}

/// What the backward pass reads.
pub(super) struct Given<'a> {
    pub(super) query: &'a [f32],
    pub(super) key: &'a [f32],
    pub(super) value: &'a [f32],
    pub(super) mixed: &'a [f32],
    pub(super) log_sums: &'a [f32],
    pub(super) gradient: &'a [f32],
}

impl Shape {
    pub(super) const fn of(rows: usize, width: usize, heads: Heads) -> Self {
        Self { heads: heads.heads, width, length: rows / heads.batch, window: heads.window }
    }

    const fn size(self) -> usize {
        self.width / self.heads
    }

    /// Entries of one head of one sequence.
    const fn task(self) -> usize {
        self.length * self.size()
    }

    /// The rows of a head of a sequence, `[length, size]`.
    fn head(self, x: &[f32], task: usize) -> MatRef<'_, f32> {
        let (sequence, head) = (task / self.heads, task % self.heads);
        let first = sequence * self.length * self.width + head * self.size();
        let last = first + (self.length - 1) * self.width + self.size();
        MatRef::from_row_major_slice_with_stride(&x[first..last], self.length, self.size(), self.width)
    }

    /// Blocks of queries, each with the keys that some of them see.
    fn blocks(self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        (0..self.length).step_by(BLOCK).map(move |first| {
            let end = (first + BLOCK).min(self.length);
            (first..end, self.visible(first).start..end)
        })
    }

    /// The keys that a query sees.
    const fn visible(self, query: usize) -> Range<usize> {
        (query + 1).saturating_sub(self.window)..query + 1
    }

    /// Heads side by side again: `[batch, heads, length, size]` to `[batch * length, width]`.
    fn merge(self, by_head: &[f32]) -> Vec<f32> {
        let size = self.size();
        let mut merged = vec![0.0; by_head.len()];
        merged.par_chunks_mut(self.length * self.width).enumerate().for_each(|(sequence, rows)| {
            for (position, row) in rows.chunks_exact_mut(self.width).enumerate() {
                for (head, columns) in row.chunks_exact_mut(size).enumerate() {
                    let first = (sequence * self.heads + head) * self.task() + position * size;
                    columns.copy_from_slice(&by_head[first..][..size]);
                }
            }
        });
        merged
    }
}

/// The mixture of values `[rows, width]`, and the logarithms of the sums `[batch * heads, length]`.
pub(super) fn forward(
    query: &[f32],
    key: &[f32],
    value: &[f32],
    shape: Shape,
    dropout: Option<&Mask>,
) -> (Vec<f32>, Vec<f32>) {
    let size = shape.size();
    let mut mixed = vec![0.0; query.len()];
    let mut log_sums = vec![0.0; query.len() / size];
    let tasks = mixed.par_chunks_mut(shape.task()).zip(log_sums.par_chunks_mut(shape.length));
    tasks.enumerate().for_each(|(task, (mixed, log_sums))| {
        let [query, key, value] = [query, key, value].map(|x| shape.head(x, task));
        let mut weights = Vec::new();
        for (queries, keys) in shape.blocks() {
            let count = keys.len();
            weights.resize(queries.len() * count, 0.0);
            product(&mut weights, Accum::Replace, rows(query, &queries), rows(key, &keys).transpose());
            vectorised(|| {
                for (weights, query) in weights.chunks_exact_mut(count).zip(queries.clone()) {
                    log_sums[query] = softmax(weights, shape.visible(query), keys.start);
                }
            });
            if let Some(mask) = dropout {
                mask_weights(&mut weights, mask, &queries, &keys, shape, task);
            }
            let mixed = &mut mixed[queries.start * size..queries.end * size];
            product(
                mixed,
                Accum::Replace,
                MatRef::from_row_major_slice(&weights, queries.len(), count),
                rows(value, &keys),
            );
        }
    });
    (shape.merge(&mixed), log_sums)
}

/// Scores to weights: the softmax of those a query sees, zero for the others. Gives the logarithm of the
/// sum.
#[inline(always)]
fn softmax(scores: &mut [f32], visible: Range<usize>, first: usize) -> f32 {
    let (start, end) = (visible.start - first, visible.end - first);
    scores[..start].fill(0.0);
    scores[end..].fill(0.0);
    let scores = &mut scores[start..end];
    let largest = max(scores);
    let sum = exponentials(scores, largest);
    let factor = 1.0 / sum;
    scores.iter_mut().for_each(|x| *x *= factor);
    largest + sum.ln()
}

/// Gradients of queries, keys and values, each `[rows, width]`.
pub(super) fn backward(given: &Given<'_>, shape: Shape, dropout: Option<&Mask>) -> [Vec<f32>; 3] {
    let size = shape.size();
    let [mut of_query, mut of_key, mut of_value] = [(); 3].map(|()| vec![0.0; given.query.len()]);
    let tasks = of_query
        .par_chunks_mut(shape.task())
        .zip(of_key.par_chunks_mut(shape.task()))
        .zip(of_value.par_chunks_mut(shape.task()));
    tasks.enumerate().for_each(|(task, ((of_query, of_key), of_value))| {
        let Given { query, key, value, mixed, gradient, log_sums } = *given;
        let [query, key, value, mixed, gradient] =
            [query, key, value, mixed, gradient].map(|x| shape.head(x, task));
        let log_sums = &log_sums[task * shape.length..][..shape.length];
        let along: Vec<f32> = (0..shape.length).map(|row| inner(gradient, mixed, row)).collect();
        let (mut weights, mut slopes) = (Vec::new(), Vec::new());
        for (queries, keys) in shape.blocks() {
            let count = keys.len();
            let [query, gradient] = [query, gradient].map(|x| rows(x, &queries));
            let [key, value] = [key, value].map(|x| rows(x, &keys));
            let block = |x| MatRef::from_row_major_slice(x, queries.len(), count);
            let columns = |x: Range<usize>| x.start * size..x.end * size;
            weights.resize(queries.len() * count, 0.0);
            slopes.resize(queries.len() * count, 0.0);

            product(&mut weights, Accum::Replace, query, key.transpose());
            product(&mut slopes, Accum::Replace, gradient, value.transpose());
            let mut dropped = Vec::new();
            if let Some(mask) = dropout {
                dropped.resize(weights.len(), 1.0);
                mask_weights(&mut dropped, mask, &queries, &keys, shape, task);
                slopes.iter_mut().zip(&dropped).for_each(|(x, keep)| *x *= keep);
            }
            vectorised(|| {
                let pairs = weights.chunks_exact_mut(count).zip(slopes.chunks_exact_mut(count));
                for ((weights, slopes), query) in pairs.zip(queries.clone()) {
                    let visible = shape.visible(query);
                    let seen = visible.start - keys.start..visible.end - keys.start;
                    score_gradients(weights, slopes, seen, log_sums[query], along[query]);
                }
            });
            product(&mut of_query[columns(queries.clone())], Accum::Replace, block(&slopes), key);
            product(&mut of_key[columns(keys.clone())], Accum::Add, block(&slopes).transpose(), query);
            weights.iter_mut().zip(&dropped).for_each(|(x, keep)| *x *= keep);
            product(&mut of_value[columns(keys.clone())], Accum::Add, block(&weights).transpose(), gradient);
        }
    });
    [of_query, of_key, of_value].map(|by_head| shape.merge(&by_head))
}

/// Scores to weights, and gradients of weights to gradients of scores; zero where nothing is seen.
#[inline(always)]
fn score_gradients(weights: &mut [f32], slopes: &mut [f32], seen: Range<usize>, log_sum: f32, along: f32) {
    weights[..seen.start].fill(0.0);
    slopes[..seen.start].fill(0.0);
    weights[seen.end..].fill(0.0);
    slopes[seen.end..].fill(0.0);
    for (weight, slope) in weights[seen.clone()].iter_mut().zip(&mut slopes[seen]) {
        *weight = exp(*weight - log_sum);
        *slope = *weight * (*slope - along);
    }
}

fn rows<'a>(x: MatRef<'a, f32>, of: &Range<usize>) -> MatRef<'a, f32> {
    x.subrows(of.start, of.len())
}

/// Inner product of row `row` of two matrices.
fn inner(a: MatRef<'_, f32>, b: MatRef<'_, f32>, row: usize) -> f32 {
    match (a.row(row).try_as_row_major(), b.row(row).try_as_row_major()) {
        (Some(a), Some(b)) => dot(a.as_slice(), b.as_slice()),
        _ => a.row(row).iter().zip(b.row(row).iter()).map(|(a, b)| a * b).sum(),
    }
}

/// Multiplies weights of queries and keys by their factors of the mask, whose shape is that of all scores.
fn mask_weights(
    weights: &mut [f32],
    mask: &Mask,
    queries: &Range<usize>,
    keys: &Range<usize>,
    shape: Shape,
    task: usize,
) {
    for (weights, query) in weights.chunks_exact_mut(keys.len()).zip(queries.clone()) {
        mask.multiply((task * shape.length + query) * shape.length + keys.start, weights);
    }
}
