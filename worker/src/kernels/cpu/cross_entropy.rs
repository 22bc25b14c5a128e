//! Cross-entropy behind the head, for a chunk of tokens and a block of the vocabulary at a time.
//!
//! A task is a block of the vocabulary. It takes its logits, and their exponentials while they are in the
//! cache, relative to the block's own largest logit of each token. Once the sums of all blocks are known, each
//! task multiplies its exponentials by its rows of the head and by the hidden states: the two gradients. The
//! factors that make probabilities of the exponentials go to the small sides of these products, and the target's
//! own part is a row subtracted from a row.

use super::{
    gemm::{product, view},
    lanes::{exponentials, max, vectorised},
};
use faer::Accum;
use rayon::prelude::*;

/// Tokens of a chunk; the exponentials of a chunk are all in memory.
const TOKENS: usize = 256;
/// Classes of a block.
const CLASSES: usize = 1024;
/// Tokens whose logits are taken at once, to be still in the cache when they are read.
const ROWS: usize = 64;

pub(super) struct Found {
    /// Mean cross-entropy.
    pub(super) loss: f64,
    /// Gradient of the hidden states, `[rows, width]`.
    pub(super) hidden: Vec<f32>,
    /// Gradient of the head, `[vocabulary, width]`.
    pub(super) head: Vec<f32>,
}

/// What a block found for one token.
#[derive(Clone, Copy)]
struct Peak {
    largest: f32,
    /// Sum of the exponentials relative to `largest`.
    sum: f32,
    /// The logit of the target, if it is in the block.
    right: f32,
    /// Whether `largest` is the target's and the first of its size.
    hit: bool,
}

pub(super) fn gradients(hidden: &[f32], head: &[f32], targets: &[i32], width: usize) -> Found {
    let scale = 1.0 / targets.len() as f32;
    let vocabulary = head.len() / width;
    let mut of_head = vec![0.0; head.len()];
    let mut of_hidden = vec![0.0; hidden.len()];
    let mut exponentials = vec![0.0; TOKENS.min(targets.len()) * vocabulary];
    let mut loss = 0.0;
    let chunks = hidden.chunks(TOKENS * width).zip(targets.chunks(TOKENS));
    for ((hidden, targets), of_hidden) in chunks.zip(of_hidden.chunks_mut(TOKENS * width)) {
        let tokens = targets.len();
        let chunk = Chunk { hidden, targets, width };
        let peaks: Vec<Vec<Peak>> = exponentials
            .par_chunks_mut(tokens * CLASSES)
            .zip(head.par_chunks(CLASSES * width))
            .enumerate()
            .map(|(block, (values, head))| {
                chunk.peaks(&mut values[..tokens * (head.len() / width)], head, block)
            })
            .collect();
        let log_sums: Vec<f32> = (0..tokens).map(|token| log_sum(&peaks, token)).collect();
        for (token, log_sum) in log_sums.iter().enumerate() {
            loss += f64::from(log_sum - peaks[targets[token] as usize / CLASSES][token].right);
        }
        let parts: Vec<Vec<f32>> = of_head
            .par_chunks_mut(CLASSES * width)
            .zip(head.par_chunks(CLASSES * width))
            .zip(exponentials.par_chunks(tokens * CLASSES))
            .zip(&peaks)
            .enumerate()
            .map(|(block, (((of_head, head), values), peaks))| {
                let factors: Vec<f32> = peaks
                    .iter()
                    .zip(&log_sums)
                    .map(|(peak, sum)| (peak.largest - sum).exp() * scale)
                    .collect();
                chunk.backward(of_head, head, values, &factors, block, scale)
            })
            .collect();
        of_hidden.par_chunks_mut(ROWS * width).enumerate().for_each(|(index, of_hidden)| {
            add_parts(of_hidden, &parts, index * ROWS * width);
        });
    }
    Found { loss: loss / targets.len() as f64, hidden: of_hidden, head: of_head }
}

/// Sum of the cross-entropies, and number of targets whose logit is the first of the largest.
pub(super) fn loss_and_hits(hidden: &[f32], head: &[f32], targets: &[i32], width: usize) -> (f64, u64) {
    let (mut loss, mut hits) = (0.0, 0);
    for (hidden, targets) in hidden.chunks(TOKENS * width).zip(targets.chunks(TOKENS)) {
        let chunk = Chunk { hidden, targets, width };
        let peaks: Vec<Vec<Peak>> = head
            .par_chunks(CLASSES * width)
            .enumerate()
            .map(|(block, head)| {
                let mut values = vec![0.0; targets.len() * (head.len() / width)];
                chunk.peaks(&mut values, head, block)
            })
            .collect();
        for (token, &target) in targets.iter().enumerate() {
            let block = target as usize / CLASSES;
            let peak = peaks[block][token];
            loss += f64::from(log_sum(&peaks, token) - peak.right);
            let before = peaks[..block].iter().all(|other| other[token].largest < peak.largest);
            let after = peaks[block..].iter().all(|other| other[token].largest <= peak.largest);
            hits += u64::from(peak.hit && before && after);
        }
    }
    (loss, hits)
}

vectorised! {
    /// Adds, in order, what each part holds from `first` on.
    fn add_parts<'a>(sums: &'a mut [f32], parts: &'a [Vec<f32>], first: usize) -> () {
        for part in parts {
            let part = &part[first..][..sums.len()];
            for (sum, &x) in sums.iter_mut().zip(part) {
                *sum += x;
            }
        }
    }
}

vectorised! {
    /// Logits `[tokens, classes]` to exponentials; what was found for each token. `first` is the first class.
    fn find_peaks<'a>(values: &'a mut [f32], targets: &'a [i32], first: usize, peaks: &'a mut Vec<Peak>) -> () {
        let classes = values.len() / targets.len();
        for (logits, &target) in values.chunks_exact_mut(classes).zip(targets) {
            let largest = max(logits);
            let target = (target as usize).wrapping_sub(first);
            let right = logits.get(target).copied().unwrap_or(f32::NAN);
            let hit = right == largest && logits[..target].iter().all(|&x| x < largest);
            let sum = exponentials(logits, largest);
            peaks.push(Peak { largest, sum, right, hit });
        }
    }
}

/// Logarithm of the sum of the exponentials of a token's logits.
fn log_sum(blocks: &[Vec<Peak>], token: usize) -> f32 {
    let largest = blocks.iter().fold(f32::NEG_INFINITY, |largest, block| largest.max(block[token].largest));
    let sum: f32 = blocks.iter().map(|block| block[token].sum * (block[token].largest - largest).exp()).sum();
    largest + sum.ln()
}

/// Some tokens.
struct Chunk<'a> {
    /// `[tokens, width]`.
    hidden: &'a [f32],
    targets: &'a [i32],
    width: usize,
}

impl Chunk<'_> {
    /// Writes the exponentials `[tokens, classes]` of the logits of a block of the head.
    fn peaks(&self, values: &mut [f32], head: &[f32], block: usize) -> Vec<Peak> {
        let Self { hidden, targets, width } = *self;
        let classes = head.len() / width;
        let first = block * CLASSES;
        let head = view(head, classes, width).transpose();
        let mut peaks = Vec::with_capacity(targets.len());
        let rows = values.chunks_mut(ROWS * classes).zip(hidden.chunks(ROWS * width));
        for ((values, hidden), targets) in rows.zip(targets.chunks(ROWS)) {
            product(values, Accum::Replace, view(hidden, targets.len(), width), head);
            find_peaks(values, targets, first, &mut peaks);
        }
        peaks
    }

    /// Adds the gradient of a block of the head to `of_head`, and gives the block's part of that of the
    /// hidden states. `factors` make probabilities, already scaled, of the exponentials `values`.
    fn backward(
        &self,
        of_head: &mut [f32],
        head: &[f32],
        values: &[f32],
        factors: &[f32],
        block: usize,
        scale: f32,
    ) -> Vec<f32> {
        let Self { hidden, targets, width } = *self;
        let (tokens, classes) = (targets.len(), head.len() / width);
        let values = view(&values[..tokens * classes], tokens, classes);
        let mut scaled = hidden.to_vec();
        for (row, factor) in scaled.chunks_exact_mut(width).zip(factors) {
            row.iter_mut().for_each(|x| *x *= factor);
        }
        product(of_head, Accum::Add, values.transpose(), view(&scaled, tokens, width));
        let mut of_hidden = scaled;
        product(&mut of_hidden, Accum::Replace, values, view(head, classes, width));
        for (row, factor) in of_hidden.chunks_exact_mut(width).zip(factors) {
            row.iter_mut().for_each(|x| *x *= factor);
        }
        for (token, &target) in targets.iter().enumerate() {
            let class = (target as usize).wrapping_sub(block * CLASSES);
            if class < classes {
                let at = |rows: usize| rows * width..(rows + 1) * width;
                let pairs = of_hidden[at(token)].iter_mut().zip(&head[at(class)]);
                pairs.for_each(|(x, &w)| *x -= scale * w);
                let pairs = of_head[at(class)].iter_mut().zip(&hidden[at(token)]);
                pairs.for_each(|(x, &h)| *x -= scale * h);
            }
        }
        of_hidden
    }
}
