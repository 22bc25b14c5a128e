//! The pass over all pairs on a device against the one on the processor.

use super::super::{pairs, runtime};
use crate::measure::{Inputs, Measured, Options, compute, compute_with};
use cubecl::cuda::{CudaDevice, CudaRuntime};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// Random statistics; some means are equal, some nearly, one has no direction.
struct Case {
    width: usize,
    counts: Vec<i32>,
    means: Vec<f64>,
    vars: Vec<f64>,
}

impl Case {
    fn new(classes: usize, width: usize) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(7);
        let mut draw = || f64::from(generator.next_u32()) / 2f64.powi(31) - 1.0;
        let mut means: Vec<f64> =
            (0..classes * width).map(|at| 3.0 + draw() * (1 + at / width % 5) as f64).collect();
        let copy = |means: &mut Vec<f64>, from: usize, to: usize, by: f64| {
            for at in 0..width {
                means[to * width + at] = means[from * width + at] + by * (at as f64).sin();
            }
        };
        // In the tile on the diagonal, and in one beside it.
        copy(&mut means, 3, 9, 1e-7);
        copy(&mut means, 4, classes - 1, 1e-6);
        // A class in six was not seen.
        let counts = (0..classes as i32).map(|class| class % 6 * (1 + class % 50)).collect();
        let vars = (0..classes).map(|class| (class % 50 + 1) as f64 * (1.5 + draw())).collect();
        Self { width, counts, means, vars }
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs {
            dim: self.width,
            counts: &self.counts,
            means: &self.means,
            vars: Some(&self.vars),
            weights: None,
            decisions: None,
            covariance: None,
            foreign_mean: None,
        }
    }

    fn on_both(&self, compat: bool) -> [Measured; 2] {
        runtime::configure_checked();
        let options = Options { compat, per_class: true, ..Options::default() };
        let device = CudaDevice::default();
        let found = compute_with(
            &self.inputs(),
            &options,
            |_| true,
            |kept, wanted| pairs::pass::<CudaRuntime>(&device, kept, wanted),
        );
        [found.unwrap(), compute(&self.inputs(), &options, |_| true)]
    }
}

/// Columns and values of classes, all as numbers.
fn numbers(measured: &Measured) -> impl Iterator<Item = (String, f64)> {
    let values = measured.values.iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?)));
    let classes = format!("{:?}", measured.per_class);
    values.chain(
        classes
            .split(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c)))
            .filter_map(|word| word.parse().ok())
            .enumerate()
            .map(|(at, value)| (format!("class value {at}"), value))
            .collect::<Vec<_>>(),
    )
}

fn assert_same([found, expected]: &[Measured; 2], tolerance: f64) {
    assert_eq!((found.classes, found.duplicates), (expected.classes, expected.duplicates));
    assert_eq!(numbers(found).count(), numbers(expected).count());
    for ((name, found), (_, expected)) in numbers(found).zip(numbers(expected)) {
        let same = found == expected || (found.is_nan() && expected.is_nan());
        assert!(
            same || (found - expected).abs() <= tolerance * expected.abs(),
            "{name}: {found:e}, {expected:e}"
        );
    }
}

#[test]
fn measures_with_a_device_are_those_of_the_processor() {
    for (classes, width) in [(12, 5), (80, 16), (250, 37), (90, 70)] {
        assert_same(&Case::new(classes, width).on_both(false), 1e-9);
        assert_same(&Case::new(classes, width).on_both(true), 1e-5);
    }
}

#[test]
fn equal_means_are_counted_on_a_device() {
    let mut case = Case::new(150, 20);
    for (from, to) in [(1, 7), (1, 131), (70, 100)] {
        let of: Vec<f64> = case.means[from * 20..][..20].to_vec();
        case.means[to * 20..][..20].copy_from_slice(&of);
    }
    let both = case.on_both(false);
    assert_eq!(both[0].duplicates, 4);
    assert_same(&both, 1e-9);
}
