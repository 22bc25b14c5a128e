//! The best class of each row, for a block of classes at a time: all scores are never in memory.

use super::{
    gemm::{product, view},
    lanes::{max, vectorised},
};
use faer::Accum;
use rayon::prelude::*;

/// Classes of a block, and rows whose scores with it are taken at once: many rows, since a product packs the
/// classes each time; few classes, so that the scores are still near when they are read.
const CLASSES: usize = 256;
const ROWS: usize = 512;

/// The best class of a row among some.
#[derive(Clone, Copy)]
struct Best {
    score: f32,
    class: i32,
}

/// For each row of `x` the class `c` with the largest `x . c + offset`, the first of equals.
pub(super) fn decide(x: &[f32], classes: &[f32], offsets: Option<&[f32]>, width: usize) -> Vec<i32> {
    let blocks: Vec<Vec<Best>> = classes
        .par_chunks(CLASSES * width)
        .enumerate()
        .map(|(block, classes)| {
            let first = block * CLASSES;
            let count = classes.len() / width;
            let offsets = offsets.map(|offsets| &offsets[first..first + count]);
            let columns = view(classes, count, width).transpose();
            let mut found = Vec::with_capacity(x.len() / width);
            let mut scores = vec![0.0; ROWS.min(x.len() / width) * count];
            for x in x.chunks(ROWS * width) {
                let rows = x.len() / width;
                let scores = &mut scores[..rows * count];
                product(scores, Accum::Replace, view(x, rows, width), columns);
                best(scores, count, offsets, first as i32, &mut found);
            }
            found
        })
        .collect();
    let over_blocks = |row: usize| {
        let start = Best { score: f32::NEG_INFINITY, class: 0 };
        let better = |a: Best, b: Best| if b.score > a.score { b } else { a };
        blocks.iter().map(|found| found[row]).fold(start, better).class
    };
    (0..x.len() / width).map(over_blocks).collect()
}

vectorised! {
    /// The best of a block of classes, from `first` on, for each row of its scores.
    fn best<'a>(
        scores: &'a mut [f32],
        classes: usize,
        offsets: Option<&'a [f32]>,
        first: i32,
        found: &'a mut Vec<Best>,
    ) -> () {
        for scores in scores.chunks_exact_mut(classes) {
            if let Some(offsets) = offsets {
                for (score, offset) in scores.iter_mut().zip(offsets) {
                    *score += offset;
                }
            }
            let score = max(scores);
            let at = scores.iter().position(|&x| x == score).unwrap_or(0);
            found.push(Best { score, class: first + at as i32 });
        }
    }
}
