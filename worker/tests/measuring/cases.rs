//! Class statistics to measure: golden ones and random ones.

use crate::golden::{self, Tensors};
use rand::{RngExt as _, SeedableRng as _};
use worker::measure::{Decisions, Inputs};

pub(crate) struct Case {
    pub(crate) dim: usize,
    pub(crate) counts: Vec<i32>,
    pub(crate) means: Vec<f64>,
    pub(crate) vars: Vec<f64>,
    pub(crate) weights: Vec<f32>,
    pub(crate) decision_counts: Vec<i32>,
    pub(crate) hits: Vec<i32>,
    pub(crate) covariance: Vec<f64>,
    pub(crate) foreign_mean: Vec<f64>,
    /// The golden results; null for a random case.
    pub(crate) expected: serde_json::Value,
    file: Option<Tensors>,
}

impl Case {
    pub(crate) fn golden(name: &str) -> Self {
        let file = Tensors::read(&format!("measures/{name}.safetensors"));
        let i32s = |name| file.integers(name).0;
        let f64s = |name| file.doubles(name);
        let [classes, dim] = file.shape("W")[..] else { panic!("a matrix") };
        // The simplex cases have means and variances only, no samples.
        let simplex = file.names().iter().any(|name| name == "M");
        let zeros = vec![0; classes];
        Self {
            dim,
            counts: if simplex { vec![1; classes] } else { i32s("means.Ns_toks") },
            means: f64s(if simplex { "M" } else { "means.compute" }),
            vars: f64s(if simplex { "V" } else { "vars.totals" }),
            weights: file.floats("W"),
            decision_counts: if simplex { zeros.clone() } else { i32s("decs.Ns_toks") },
            hits: if simplex { zeros } else { i32s("decs.totals") },
            covariance: f64s(if simplex { "covar" } else { "covar.compute" }),
            foreign_mean: f64s("m_ood"),
            expected: golden::json(&format!("measures/{name}.json")),
            file: Some(file),
        }
    }

    /// The golden selection of classes by a filter.
    pub(crate) fn indices(&self, filter: &str) -> Vec<usize> {
        let (chosen, _) = self.file.as_ref().unwrap().integers(&format!("indices.{filter}"));
        chosen.into_iter().map(|index| index as usize).collect()
    }

    /// A golden tensor of real numbers.
    pub(crate) fn numbers(&self, name: &str) -> Vec<f64> {
        self.file.as_ref().unwrap().doubles(name)
    }

    pub(crate) fn inputs(&self) -> Inputs<'_> {
        Inputs {
            dim: self.dim,
            counts: &self.counts,
            means: &self.means,
            vars: Some(&self.vars),
            weights: Some(&self.weights),
            decisions: Some(Decisions { counts: &self.decision_counts, hits: &self.hits }),
            covariance: Some(&self.covariance),
            foreign_mean: Some(&self.foreign_mean),
        }
    }

    /// The same classes in another order.
    pub(crate) fn rotated(mut self, by: usize) -> Self {
        self.counts.rotate_left(by);
        self.means.rotate_left(by * self.dim);
        self.vars.rotate_left(by);
        self.weights.rotate_left(by * self.dim);
        self.decision_counts.rotate_left(by);
        self.hits.rotate_left(by);
        self
    }
}

/// Random classes with unequal norms, a common offset and a head that leans towards the means.
pub(crate) fn random(classes: usize, dim: usize, seed: u64) -> Case {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut around_zero = move || rng.random::<f64>() - 0.5;
    let mut means = Vec::with_capacity(classes * dim);
    for _ in 0..classes {
        let scale = (3.0 * around_zero()).exp();
        means.extend((0..dim).map(|d| 0.3 * (d as f64).sin() + scale * around_zero()));
    }
    let weights = means.iter().map(|x| (0.4 * x + 0.2 * around_zero()) as f32).collect();
    let mut up_to = |most: f64| (most * (around_zero() + 0.5)) as i32;
    let counts: Vec<i32> = (0..classes).map(|_| 1 + up_to(90.0)).collect();
    let decision_counts: Vec<i32> = (0..classes).map(|_| up_to(20.0)).collect();
    let hits = decision_counts.iter().map(|&n| up_to(f64::from(n))).collect();
    let vars = counts.iter().map(|&n| f64::from(n) * (0.1 + f64::from(n % 7))).collect();
    let covariance = (0..dim * dim).map(|i| if i % (dim + 1) == 0 { 2.0 } else { 0.1 }).collect();
    let foreign_mean = (0..dim).map(|d| 1.0 + (d as f64).cos()).collect();
    Case {
        dim,
        counts,
        means,
        vars,
        weights,
        decision_counts,
        hits,
        covariance,
        foreign_mean,
        expected: serde_json::Value::Null,
        file: None,
    }
}
