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
use crate::kernels::{Heads, dropout::Mask};
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

/// Some queries, with the keys that at least one of them sees.
struct Block {
    queries: Range<usize>,
    keys: Range<usize>,
    window: usize,
}

impl Block {
    /// Scores of the block.
    fn size(&self) -> usize {
        self.queries.len() * self.keys.len()
    }

    /// Scores of the block as a matrix, `[queries, keys]`.
    fn scores<'a>(&self, x: &'a [f32]) -> MatRef<'a, f32> {
        MatRef::from_row_major_slice(x, self.queries.len(), self.keys.len())
    }

    /// Which of the block's keys each of its queries sees.
    fn seen(&self) -> impl Iterator<Item = Range<usize>> {
        let Self { queries, keys, window } = self;
        let (first, window) = (keys.start, *window);
        queries.clone().map(move |query| (query + 1).saturating_sub(window) - first..query + 1 - first)
    }
}

/// What the backward pass reads.
pub(super) struct Given<'a> {
    pub(super) projected: &'a [f32],
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

    /// The entries of a head of a sequence, with those of the other heads between its rows.
    fn entries(self, x: &[f32], task: usize) -> &[f32] {
        let (sequence, head) = (task / self.heads, task % self.heads);
        let first = sequence * self.length * self.width + head * self.size();
        let last = first + (self.length - 1) * self.width + self.size();
        &x[first..last]
    }

    /// The rows of a head of a sequence, `[length, size]`.
    fn head(self, x: &[f32], task: usize) -> MatRef<'_, f32> {
        let entries = self.entries(x, task);
        MatRef::from_row_major_slice_with_stride(entries, self.length, self.size(), self.width)
    }

    /// Keys, values and queries of a head of a sequence, each `[length, size]`.
    fn projected(self, x: &[f32], task: usize) -> [MatRef<'_, f32>; 3] {
        let (sequence, head) = (task / self.heads, task % self.heads);
        [0, 1, 2].map(|part| {
            let first = (3 * sequence * self.length + part) * self.width + head * self.size();
            let last = first + 3 * (self.length - 1) * self.width + self.size();
            let entries = &x[first..last];
            MatRef::from_row_major_slice_with_stride(entries, self.length, self.size(), 3 * self.width)
        })
    }

    /// Blocks of queries.
    fn blocks(self) -> impl Iterator<Item = Block> {
        (0..self.length).step_by(BLOCK).map(move |first| {
            let end = (first + BLOCK).min(self.length);
            let keys = (first + 1).saturating_sub(self.window)..end;
            Block { queries: first..end, keys, window: self.window }
        })
    }

    /// Heads side by side again, and such matrices side by side: of `[batch, heads, length, size]` each to
    /// `[batch * length, N * width]`.
    fn merge<const N: usize>(self, by_head: [&[f32]; N]) -> Vec<f32> {
        let size = self.size();
        let mut merged = vec![0.0; by_head.iter().map(|x| x.len()).sum()];
        merged.par_chunks_mut(self.length * N * self.width).enumerate().for_each(|(sequence, rows)| {
            for (position, row) in rows.chunks_exact_mut(N * self.width).enumerate() {
                for (row, by_head) in row.chunks_exact_mut(self.width).zip(by_head) {
                    for (head, columns) in row.chunks_exact_mut(size).enumerate() {
                        let first = (sequence * self.heads + head) * self.task() + position * size;
                        columns.copy_from_slice(&by_head[first..][..size]);
                    }
                }
            }
        });
        merged
    }
}

/// The mixture of values `[rows, width]`, and the logarithms of the sums `[batch * heads, length]`.
pub(super) fn forward(projected: &[f32], shape: Shape, dropout: Option<&Mask>) -> (Vec<f32>, Vec<f32>) {
    let size = shape.size();
    let mut mixed = vec![0.0; projected.len() / 3];
    let mut log_sums = vec![0.0; mixed.len() / size];
    let tasks = mixed.par_chunks_mut(shape.task()).zip(log_sums.par_chunks_mut(shape.length));
    tasks.enumerate().for_each(|(task, (mixed, log_sums))| {
        let [key, value, query] = shape.projected(projected, task);
        let mut weights = Vec::new();
        for block in shape.blocks() {
            let (queries, keys) = (&block.queries, &block.keys);
            weights.resize(block.size(), 0.0);
            product(&mut weights, Accum::Replace, rows(query, queries), rows(key, keys).transpose());
            softmax(&mut weights, &mut log_sums[queries.clone()], &block);
            if let Some(mask) = dropout {
                mask_weights(&mut weights, mask, &block, shape, task);
            }
            let mixed = &mut mixed[queries.start * size..queries.end * size];
            product(mixed, Accum::Replace, block.scores(&weights), rows(value, keys));
        }
    });
    (shape.merge([&mixed]), log_sums)
}

vectorised! {
    /// Scores to weights: the softmax of those a query sees, zero for the others; and the logarithms of the sums.
    fn softmax<'a>(scores: &'a mut [f32], log_sums: &'a mut [f32], block: &'a Block) -> () {
        let rows = scores.chunks_exact_mut(block.keys.len()).zip(log_sums);
        for ((scores, log_sum), seen) in rows.zip(block.seen()) {
            scores[..seen.start].fill(0.0);
            scores[seen.end..].fill(0.0);
            let scores = &mut scores[seen];
            let largest = max(scores);
            let sum = exponentials(scores, largest);
            let factor = 1.0 / sum;
            for score in scores {
                *score *= factor;
            }
            *log_sum = largest + sum.ln();
        }
    }
}

/// Gradients of keys, values and queries, `[rows, 3 * width]`.
pub(super) fn backward(given: &Given<'_>, shape: Shape, dropout: Option<&Mask>) -> Vec<f32> {
    let size = shape.size();
    let [mut of_query, mut of_key, mut of_value] = [(); 3].map(|()| vec![0.0; given.gradient.len()]);
    let tasks = of_query
        .par_chunks_mut(shape.task())
        .zip(of_key.par_chunks_mut(shape.task()))
        .zip(of_value.par_chunks_mut(shape.task()));
    tasks.enumerate().for_each(|(task, ((of_query, of_key), of_value))| {
        let Given { projected, mixed, gradient, log_sums } = *given;
        let [mixed, entries] = [mixed, gradient].map(|x| shape.entries(x, task));
        let along = inner_products(entries, mixed, shape.width, size);
        let [key, value, query] = shape.projected(projected, task);
        let gradient = shape.head(gradient, task);
        let log_sums = &log_sums[task * shape.length..][..shape.length];
        let (mut weights, mut slopes) = (Vec::new(), Vec::new());
        for block in shape.blocks() {
            let (queries, keys) = (&block.queries, &block.keys);
            let [query, gradient] = [query, gradient].map(|x| rows(x, queries));
            let [key, value] = [key, value].map(|x| rows(x, keys));
            let columns = |x: &Range<usize>| x.start * size..x.end * size;
            weights.resize(block.size(), 0.0);
            slopes.resize(block.size(), 0.0);

            product(&mut weights, Accum::Replace, query, key.transpose());
            product(&mut slopes, Accum::Replace, gradient, value.transpose());
            let mut dropped = Vec::new();
            if let Some(mask) = dropout {
                dropped.resize(block.size(), 1.0);
                mask_weights(&mut dropped, mask, &block, shape, task);
                slopes.iter_mut().zip(&dropped).for_each(|(x, keep)| *x *= keep);
            }
            let [log_sums, along] = [log_sums, &along].map(|x| &x[queries.clone()]);
            score_gradients(&mut weights, &mut slopes, log_sums, along, &block);
            product(&mut of_query[columns(queries)], Accum::Replace, block.scores(&slopes), key);
            product(&mut of_key[columns(keys)], Accum::Add, block.scores(&slopes).transpose(), query);
            weights.iter_mut().zip(&dropped).for_each(|(x, keep)| *x *= keep);
            product(&mut of_value[columns(keys)], Accum::Add, block.scores(&weights).transpose(), gradient);
        }
    });
    shape.merge([&of_key, &of_value, &of_query])
}

vectorised! {
    /// Scores to weights, and gradients of weights to gradients of scores; zero where nothing is seen.
    fn score_gradients<'a>(weights: &'a mut [f32], slopes: &'a mut [f32], log_sums: &'a [f32], along: &'a [f32], block: &'a Block) -> () {
        let count = block.keys.len();
        let rows = weights.chunks_exact_mut(count).zip(slopes.chunks_exact_mut(count));
        for (((weights, slopes), seen), (&log_sum, &along)) in
            rows.zip(block.seen()).zip(log_sums.iter().zip(along))
        {
            weights[..seen.start].fill(0.0);
            slopes[..seen.start].fill(0.0);
            weights[seen.end..].fill(0.0);
            slopes[seen.end..].fill(0.0);
            for (weight, slope) in weights[seen.clone()].iter_mut().zip(&mut slopes[seen]) {
                *weight = exp(*weight - log_sum);
                *slope = *weight * (*slope - along);
            }
        }
    }
}

fn rows<'a>(x: MatRef<'a, f32>, of: &Range<usize>) -> MatRef<'a, f32> {
    x.subrows(of.start, of.len())
}

vectorised! {
    /// The inner products of the first `size` entries of the rows of two matrices of `width` columns.
    fn inner_products<'a>(a: &'a [f32], b: &'a [f32], width: usize, size: usize) -> Vec<f32> {
        let mut products = Vec::with_capacity(a.len().div_ceil(width));
        for (a, b) in a.chunks(width).zip(b.chunks(width)) {
            products.push(dot(&a[..size], &b[..size]));
        }
        products
    }
}

/// Multiplies a block's weights by their factors of the mask, whose shape is that of all scores.
fn mask_weights(weights: &mut [f32], mask: &Mask, block: &Block, shape: Shape, task: usize) {
    for (weights, query) in weights.chunks_exact_mut(block.keys.len()).zip(block.queries.clone()) {
        mask.multiply((task * shape.length + query) * shape.length + block.keys.start, weights);
    }
}
