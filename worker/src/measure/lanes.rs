//! Vectorised loops in `f64`.
//!
//! Plain loops that the compiler vectorises, run by [`vectorised`] with the widest instructions of the
//! processor. Sums are kept in [`LANES`] running sums whatever the processor's vectors are, so that results
//! do not depend on them.

use pulp::Arch;

/// Running sums of a reduction.
const LANES: usize = 8;

/// `ln 2`, split so that multiples of the first part are exact.
const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];

/// Runs `work` compiled for this processor's vectors. Only what is inlined into it is: `work` itself, what it calls
/// and the closures among that must be `#[inline(always)]`, and its loops `for` loops.
#[inline]
pub(super) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// `ln x` to about one unit in the last place, with the limits of [`f64::ln`]: minus infinity at zero,
/// not-a-number below.
#[inline(always)]
pub(super) fn ln(x: f64) -> f64 {
    // x = 2^k m with m in [sqrt(1/2), sqrt(2)); ln m from s = (m - 1)/(m + 1) by fdlibm's polynomial in s^2.
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const ONE: u64 = 0x3ff0_0000_0000_0000;
    const MANTISSA: u64 = 0x000f_ffff_ffff_ffff;
    const ODD: [f64; 4] = [
        1.479_819_860_511_658_6e-1,
        1.818_357_216_161_805e-1,
        2.857_142_874_366_239e-1,
        6.666_666_666_666_735e-1,
    ];
    const EVEN: [f64; 3] = [1.531_383_769_920_937_3e-1, 2.222_219_843_214_978_4e-1, 3.999_999_999_940_942e-1];
    let subnormal = x < f64::MIN_POSITIVE;
    let scaled = if subnormal { x * 18_014_398_509_481_984.0 } else { x };
    let shift = if subnormal { 54.0 } else { 0.0 };
    let bits = scaled.to_bits().wrapping_add(ONE - SQRT_HALF);
    // The exponent as the low bits of 2^52 + exponent, which needs no conversion of integers.
    let k = f64::from_bits((bits >> 52) | 0x4330_0000_0000_0000) - (4_503_599_627_370_496.0 + 1023.0) - shift;
    let f = f64::from_bits((bits & MANTISSA).wrapping_add(SQRT_HALF)) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = w * EVEN[0].mul_add(w, EVEN[1]).mul_add(w, EVEN[2]);
    let odd = z * ODD[0].mul_add(w, ODD[1]).mul_add(w, ODD[2]).mul_add(w, ODD[3]);
    let half_square = 0.5 * f * f;
    let tail = k.mul_add(LN_2[1], s * (half_square + even + odd));
    let y = k * LN_2[0] - ((half_square - tail) - f);
    let y = if x > 0.0 { y } else { f64::NAN };
    let y = if x == 0.0 { f64::NEG_INFINITY } else { y };
    if x == f64::INFINITY { x } else { y }
}

/// `e^x` to a few units in the last place; from about `1e-307` to `1e308`, which it stays at beyond. Not-a-number
/// stays what it is.
#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    // e^x = 2^n e^r with |r| <= ln(2)/2. Adding 1.5 * 2^52 rounds to an integer, which is then found in the
    // low bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let x = if x < -708.0 { -708.0 } else { x };
    let x = if x > 709.0 { 709.0 } else { x };
    let shifted = x.mul_add(std::f64::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN_2[1], n.mul_add(-LN_2[0], x));
    // Taylor's series; the first term left out is below 1e-16 of the sum.
    let mut p = 1.0 / 479_001_600.0;
    for divisor in
        [39_916_800.0, 3_628_800.0, 362_880.0, 40_320.0, 5_040.0, 720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0]
    {
        p = f64::mul_add(p, r, 1.0 / divisor);
    }
    p * f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52)
}

/// Whether an entry is below the limit. Not-a-number is not.
#[inline(always)]
pub(super) fn any_below(limit: f64, x: &[f64]) -> bool {
    let mut lanes = [false; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane |= x < limit;
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane |= x < limit;
    }
    lanes.contains(&true)
}

/// The sums of `x - shift` and of its square.
#[inline(always)]
pub(super) fn sums_around(shift: f64, x: &[f64]) -> [f64; 2] {
    let (mut sums, mut squares) = ([0.0; LANES], [0.0; LANES]);
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for ((sum, square), &x) in sums.iter_mut().zip(&mut squares).zip(chunk) {
            *sum += x - shift;
            *square += (x - shift) * (x - shift);
        }
    }
    for ((sum, square), &x) in sums.iter_mut().zip(&mut squares).zip(rest) {
        *sum += x - shift;
        *square += (x - shift) * (x - shift);
    }
    [sums.into_iter().sum(), squares.into_iter().sum()]
}

/// The sum of all entries.
#[inline(always)]
pub(super) fn sum(x: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += x;
    }
    lanes.into_iter().sum()
}

/// The sum of what is made of each pair of entries.
#[inline(always)]
pub(super) fn sum_of<A: Copy + Into<f64>>(a: &[A], b: &[f64], of: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += of(a.into(), b);
        }
    }
    for ((lane, &a), &b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane += of(a.into(), b);
    }
    lanes.into_iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of every magnitude, and many around one.
    fn samples() -> Vec<f64> {
        let magnitudes = (-1020..1024).map(|e| 1.37 * 2f64.powi(e));
        let subnormal = (0..52).map(|bit| f64::from_bits(0b11 << bit >> 1));
        magnitudes.chain(subnormal).chain((1..40_000).map(|i| f64::from(i) / 10_000.0)).collect()
    }

    #[test]
    fn logarithms_are_right_to_the_last_place() {
        let samples = samples();
        let mut found = samples.clone();
        vectorised(|| found.iter_mut().for_each(|x| *x = ln(*x)));
        for (x, found) in samples.iter().zip(found) {
            let expected = x.ln();
            let error = (found - expected).abs();
            assert!(error <= 2.3e-16 * expected.abs(), "ln {x:e}: {found:e}, expected {expected:e}");
        }
        for x in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(ln(x) == x.ln() || (ln(x).is_nan() && x.ln().is_nan()), "ln {x}");
        }
    }

    #[test]
    fn exponentials_are_right_to_the_last_places() {
        let samples: Vec<f64> = (-70_800..=70_900).map(|i| f64::from(i) / 100.0).collect();
        let mut found = samples.clone();
        vectorised(|| found.iter_mut().for_each(|x| *x = exp(*x)));
        for (x, found) in samples.iter().zip(found) {
            let expected = x.exp();
            assert!((found - expected).abs() <= 1e-15 * expected, "e^{x}: {found:e}, expected {expected:e}");
        }
        assert_eq!((exp(0.0), exp(1e300), exp(f64::NEG_INFINITY)), (1.0, exp(709.0), exp(-708.0)));
        assert!(exp(f64::NAN).is_nan());
    }

    #[test]
    fn sums_take_every_entry_once() {
        for length in [0, 1, 7, 8, 9, 100] {
            let x: Vec<f64> = (0..length).map(f64::from).collect();
            assert_eq!(sum(&x), x.iter().sum::<f64>());
            let single: Vec<f32> = x.iter().map(|&x| x as f32).collect();
            assert_eq!(sum_of(&single, &x, |a, b| a * b), x.iter().map(|x| x * x).sum::<f64>());
            let expected: [f64; 2] =
                [x.iter().map(|x| x - 1.0).sum(), x.iter().map(|x| (x - 1.0).powi(2)).sum()];
            assert_eq!(sums_around(1.0, &x), expected);
            let downwards: Vec<f64> = x.iter().map(|x| -x).collect();
            assert_eq!(any_below(-98.0, &downwards), length == 100);
            assert!(!any_below(0.0, &x) && !any_below(0.0, &vec![f64::NAN; length as usize]));
        }
    }
}
