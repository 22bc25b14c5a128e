//! The permutation test: how often do measures go along with a shuffled loss as well as with the real one?

use super::statistics::standardised;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Shuffles done in one piece. Each piece has random numbers of its own, so that the result is the same on any
/// number of threads.
const PIECE: u64 = 1 << 14;
/// Correlations closer than this are ties: sums in another order differ by rounding.
const TIE: f64 = 1e-12;

/// Two-sided p-values of the correlations of each of `measures` with `loss`: the share of shuffles, the unshuffled
/// order among them, with a correlation at least as strong. None for a measure that does not vary. All measures see
/// the same shuffles.
///
/// Works on all processors and takes about `shuffles * loss.len() * (1 + measures.len())` operations.
#[must_use]
pub fn p_values(loss: &[f64], measures: &[&[f64]], shuffles: u64, seed: u64) -> Vec<Option<f64>> {
    let Some(loss) = standardised(loss) else { return vec![None; measures.len()] };
    let standard: Vec<Option<Vec<f64>>> = measures.iter().map(|values| standardised(values)).collect();
    let tested: Vec<&[f64]> = standard.iter().flatten().map(Vec::as_slice).collect();
    let strengths: Vec<f64> = tested.iter().map(|measure| dot(measure, &loss).abs() - TIE).collect();
    let pieces = usize::try_from(shuffles.div_ceil(PIECE)).unwrap_or(usize::MAX);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut counts = vec![0_u64; tested.len()];
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= pieces {
                return counts;
            }
            let first = piece as u64 * PIECE;
            count(&loss, &tested, &strengths, PIECE.min(shuffles - first), (seed, piece as u64), &mut counts);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(pieces.max(1));
    let mut counts = vec![0_u64; tested.len()];
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let found = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            counts.iter_mut().zip(found).for_each(|(sum, count)| *sum += count);
        }
    });
    let mut counts = counts.into_iter();
    let share = |count: u64| (count + 1) as f64 / (shuffles + 1) as f64;
    standard.iter().map(|measure| measure.as_ref().and(counts.next()).map(share)).collect()
}

/// Counts the shuffles of one piece that are at least as strong.
fn count(
    loss: &[f64],
    measures: &[&[f64]],
    strengths: &[f64],
    shuffles: u64,
    (seed, piece): (u64, u64),
    counts: &mut [u64],
) {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&piece.to_le_bytes());
    let mut random = ChaCha8Rng::from_seed(key);
    let mut shuffled = loss.to_vec();
    for _ in 0..shuffles {
        shuffle(&mut shuffled, &mut random);
        for ((measure, strength), count) in measures.iter().zip(strengths).zip(&mut *counts) {
            *count += u64::from(dot(measure, &shuffled).abs() >= *strength);
        }
    }
}

/// Fisher and Yates's shuffle. A 32-bit random number times the bound, without rejection: no position is off its
/// share by more than one in 2^32 / n.
fn shuffle(values: &mut [f64], random: &mut ChaCha8Rng) {
    for last in (1..values.len()).rev() {
        let at = (u64::from(random.next_u32()) * (last as u64 + 1)) >> 32;
        values.swap(last, at as usize);
    }
}

/// Four sums side by side, which a processor adds at once.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (a4, a_rest) = a.as_chunks::<4>();
    let (b4, b_rest) = b.as_chunks::<4>();
    for (a, b) in a4.iter().zip(b4) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::statistics::correlation;

    /// The exact p-value, over all orders.
    fn exact(x: &[f64], y: &[f64]) -> f64 {
        fn orders(values: &mut Vec<f64>, from: usize, visit: &mut dyn FnMut(&[f64])) {
            if from == values.len() {
                visit(values);
                return;
            }
            for at in from..values.len() {
                values.swap(from, at);
                orders(values, from + 1, visit);
                values.swap(from, at);
            }
        }
        let strength = correlation(x, y).unwrap().abs() - 1e-12;
        let (mut all, mut strong) = (0.0, 0.0);
        orders(&mut y.to_vec(), 0, &mut |order| {
            all += 1.0;
            strong += f64::from(correlation(x, order).unwrap().abs() >= strength);
        });
        strong / all
    }

    const LOSS: [f64; 7] = [3.1, 2.7, 2.9, 3.4, 2.2, 2.8, 3.0];
    const WEAK: [f64; 7] = [0.3, 0.9, 0.1, 0.5, 0.7, 0.2, 0.6];
    const STRONG: [f64; 7] = [3.0, 2.6, 3.0, 3.3, 2.1, 2.9, 3.1];

    #[test]
    fn random_shuffles_come_close_to_all_orders() {
        let p = p_values(&LOSS, &[&WEAK, &STRONG, &[1.0; 7]], 200_000, 1);
        assert!((p[0].unwrap() - exact(&WEAK, &LOSS)).abs() < 0.004, "{p:?}");
        assert!((p[1].unwrap() - exact(&STRONG, &LOSS)).abs() < 0.001, "{p:?}");
        assert_eq!(p[2], None);
    }

    #[test]
    fn the_seed_decides_and_nothing_else() {
        let of = |seed| p_values(&LOSS, &[&WEAK], 50_000, seed);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        // Beside others as alone.
        assert_eq!(p_values(&LOSS, &[&STRONG, &WEAK], 50_000, 1)[1], of(1)[0]);
        assert_eq!(p_values(&[1.0; 7], &[&WEAK], 10, 1), [None]);
    }
}
