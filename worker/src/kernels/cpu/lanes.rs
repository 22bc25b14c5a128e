//! Vectorised loops.
//!
//! Plain loops that the compiler vectorises, in functions that [`vectorised`] defines, which run with the widest
//! instructions of the processor. Sums are kept in [`LANES`] running sums whatever the processor's vectors are.

/// Running sums of a reduction.
const LANES: usize = 16;

/// Defines a function whose body is compiled for the processor's vectors, chosen when it is called.
///
/// All references among the arguments have the lifetime `'a`. What the body calls in its loops must be
/// `#[inline(always)]`, and loops must be `for` loops, not closures given to an iterator: only what is inlined is
/// compiled for the vectors. (That is why this is no function that takes a closure: whether a closure is inlined is
/// up to the compiler, and every multiply-add is a call where it is not.)
macro_rules! vectorised {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident<'a>($($argument:ident: $type:ty),* $(,)?)
     -> $result:ty $body:block) => {
        $(#[$attribute])*
        $visibility fn $name<'a>($($argument: $type),*) -> $result {
            struct Call<'a> { $($argument: $type),* }
            impl<'a> pulp::NullaryFnOnce for Call<'a> {
                type Output = $result;

                #[inline(always)]
                fn call(self) -> $result {
                    let Self { $($argument),* } = self;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Call { $($argument),* })
        }
    };
}
pub(super) use vectorised;

/// `e^x` to about one unit in the last place; for `x` beyond the range of normal numbers that of the nearest
/// end. Not-a-number stays what it is.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    // e^x = 2^n e^r with |r| <= ln(2)/2. Adding 1.5 * 2^23 rounds to an integer, which is then found in
    // the low bits. ln(2) is split so that n ln(2) is subtracted without error.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.3 { 88.3 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, x));
    // Minimax polynomial of (e^r - 1 - r) / r^2 (Cephes).
    let mut p = 1.987_569_1e-4;
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = f32::mul_add(p, r, c);
    }
    let y = p.mul_add(r * r, r) + 1.0;
    f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// Folds `x` into [`LANES`] values and these into one.
#[inline(always)]
fn fold(x: &[f32], start: f32, step: impl Fn(f32, f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = step(*lane, x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = step(*lane, x);
    }
    lanes.into_iter().fold(start, join)
}

/// The sum of all entries.
#[inline(always)]
#[must_use]
pub fn sum(x: &[f32]) -> f32 {
    fold(x, 0.0, |a, b| a + b, |a, b| a + b)
}

/// The largest entry; minus infinity of none. Not-a-number is passed over.
#[inline(always)]
#[must_use]
pub fn max(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    fold(x, f32::NEG_INFINITY, larger, larger)
}

/// The inner product of two slices of equal length.
#[inline(always)]
#[must_use]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (x, y) in xs.iter().zip(ys) {
        for ((lane, &x), &y) in lanes.iter_mut().zip(x).zip(y) {
            *lane = x.mul_add(y, *lane);
        }
    }
    for ((lane, &x), &y) in lanes.iter_mut().zip(x_rest).zip(y_rest) {
        *lane = x.mul_add(y, *lane);
    }
    lanes.into_iter().sum()
}

/// Replaces each entry by `e^(x - shift)` and gives the sum.
#[inline(always)]
pub fn exponentials(x: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *x = exp(*x - shift);
            *lane += *x;
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *x = exp(*x - shift);
        *lane += *x;
    }
    lanes.into_iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    vectorised! {
        fn all<'a>(x: &'a mut [f32]) -> () {
            for x in x {
                *x = exp(*x);
            }
        }
    }

    #[test]
    fn exponentials_are_right_to_the_last_places() {
        let values: Vec<f32> = (-8_700..=8_800).map(|i| i as f32 / 100.0).collect();
        let mut found = values.clone();
        all(&mut found);
        for (x, found) in values.iter().zip(found) {
            let expected = f64::from(*x).exp();
            let error = (f64::from(found) - expected).abs() / expected;
            assert!(error < 2e-7, "e^{x}: {found}, relative error {error}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(f32::INFINITY) > 1e38);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn reductions_take_every_entry_once() {
        for length in [0, 1, 15, 16, 17, 100] {
            let x: Vec<f32> = (0..length).map(|i| i as f32 - 7.0).collect();
            let expected: f32 = x.iter().sum();
            assert_eq!(sum(&x), expected);
            assert_eq!(dot(&x, &vec![2.0; length]), 2.0 * expected);
            assert_eq!(max(&x), x.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let mut ones = vec![3.0; length];
            assert_eq!(exponentials(&mut ones, 3.0), length as f32);
        }
    }
}
