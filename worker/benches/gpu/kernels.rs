//! Each kernel by itself, with the bytes that it must move and the operations of its products.

use super::{Bench, Model, Random};
use burn::tensor::{DType, Tensor};
use serde_json::json;
use std::collections::BTreeSet;
use worker::kernels::{AdamWStep, ClassSums, Heads, Kernels, Moments, Precision, Scalar};

impl<B: Kernels> Bench<'_, B> {
    fn note(&self, kernel: &str, seconds: f64, bytes: f64, operations: f64) {
        println!(
            "{}",
            json!({"what": "kernel", "kernel": kernel, "shape": self.model.shape, "precision": self.model.dtype,
                "seconds": seconds, "gb_per_s": bytes / seconds * 1e-9, "tflops": operations / seconds * 1e-12})
        );
    }

    pub(super) fn kernels(&self) {
        self.of_blocks();
        self.of_vocabulary();
    }

    fn of_blocks(&self) {
        let [width, _, length, batch] = self.sizes();
        let Model { heads, window, .. } = *self.model;
        let (rows, precision, mut random) = (batch * length, self.precision, Random::new());
        let [x, y, g] = [(); 3].map(|()| self.matrix(&mut random, [rows, width]));
        let inner = self.matrix(&mut random, [rows, 4 * width]);
        let projected = self.matrix(&mut random, [rows, 3 * width]);
        let [weight, bias] = [(); 2].map(|()| self.matrix(&mut random, [1, width]));
        let matrix = self.matrix(&mut random, [4 * width, width]);
        let (n, d) = (rows as f64, width as f64);
        let seconds = self.median(|| drop(B::layer_norm_forward(&x, &weight, &bias, 1e-5)));
        self.note("layer norm", seconds, 8.0 * n * d, 0.0);
        let onto = || Some(y.clone());
        let seconds = self.median(|| drop(B::layer_norm_backward(&x, &weight, &g, onto(), 1e-5)));
        self.note("layer norm, backward", seconds, 16.0 * n * d, 0.0);
        let of_inner = self.matrix(&mut random, [1, 4 * width]);
        let inner = B::factor(inner, precision);
        let size = if precision == Precision::Bf16 { 2.0 } else { 4.0 };
        let seconds = self.median(|| drop(B::gelu_new(&inner, &of_inner)));
        self.note("activation", seconds, 8.0 * size * n * d, 0.0);
        let seconds = self.median(|| drop(B::gelu_new_backward(&inner, &of_inner, &inner)));
        self.note("activation, backward", seconds, 12.0 * size * n * d, 0.0);
        let (x, matrix) = (B::factor(x, precision), B::factor(matrix, precision));
        let seconds = self.median(|| drop(B::linear_as_factor(&x, &matrix, precision)));
        self.note("linear", seconds, 5.0 * size * n * d, 8.0 * n * d * d);
        for (name, window) in [("attention, global", length), ("attention, local", window)] {
            let heads = Heads { batch, heads, window, precision };
            let [projected, g] = [&projected, &g].map(|x| B::factor(x.clone(), precision));
            let seen = (1..=length).map(|row| row.min(window) as f64).sum::<f64>() * batch as f64;
            let seconds = self.median(|| drop(B::attention_forward(&projected, heads, None)));
            self.note(name, seconds, 4.0 * size * n * d, 4.0 * seen * d);
            let attended = B::attention_forward(&projected, heads, None);
            let backward = || drop(B::attention_backward(&projected, &attended, &g, heads, None));
            let seconds = self.median(backward);
            self.note(&format!("{name}, backward"), seconds, 9.0 * size * n * d, 10.0 * seen * d);
        }
    }

    fn of_vocabulary(&self) {
        let [width, _, length, batch] = self.sizes();
        let vocabulary = self.model.vocab;
        let (rows, precision, mut random) = (batch * length, self.precision, Random::new());
        let x = self.matrix(&mut random, [rows, width]);
        let head = || self.matrix(&mut Random::new(), [vocabulary, width]);
        let ids = random.tokens(vocabulary, rows);
        let classes = ids.iter().collect::<BTreeSet<_>>().len() as f64;
        let (n, d, v) = (rows as f64, width as f64, vocabulary as f64);

        let weight = B::factor(head(), precision);
        let seconds = self.median(|| drop(B::cross_entropy(&x, &weight, &ids, precision).expect("a loss")));
        self.note("cross-entropy with gradients", seconds, 8.0 * (n + v) * d, 6.0 * n * d * v);
        let (weight, offsets) = (head(), self.matrix(&mut random, [1, vocabulary]));
        let decide = || drop(B::decide(&x, &weight, Some(&offsets), precision).expect("a decision"));
        let seconds = self.median(decide);
        self.note("decisions", seconds, 4.0 * (n + v) * d, 2.0 * n * d * v);

        let seconds = self.median_of(head(), |sums| B::add_rows(sums, &ids, x.clone()));
        self.note("embedding gradient", seconds, (4.0 * n + 8.0 * classes) * d, 0.0);
        let zeros = |columns| Tensor::<B, 2>::zeros([vocabulary, columns], (self.device, DType::F64));
        let sums = ClassSums { totals: zeros(width), squares: zeros(1) };
        let seconds = self.median_of(sums, |sums| B::add_to_classes(sums, &ids, &x));
        self.note("class sums", seconds, (4.0 * n + 16.0 * classes) * d, 0.0);
        let means = zeros(width);
        let seconds = self.median_of(zeros(1), |totals| B::add_distances(totals, &means, &ids, &x));
        self.note("distances to class means", seconds, (4.0 * n + 8.0 * classes) * d, 0.0);
        let sums = Tensor::<B, 2>::zeros([width, width], (self.device, DType::F64));
        let add = |sums| B::add_outer_products(sums, &means, &ids, &x, rows);
        let seconds = self.median_of(sums, add);
        self.note("covariance", seconds, (4.0 * n + 8.0 * classes) * d, n * d * d);

        let gradient = head();
        let clip = || drop(B::clipping(std::slice::from_ref(&gradient), 1.0).expect("a norm"));
        let seconds = self.median(clip);
        self.note("norm of gradients", seconds, 4.0 * d * v, 0.0);
        let numbers =
            AdamWStep { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, keep: 1.0, rate: 1e-3, correction: 1.0 };
        let rounded = precision == Precision::Bf16;
        let factor = rounded.then(|| B::factor(head(), precision));
        let moments = Moments { parameter: head(), first: head(), second: head().abs(), factor };
        let update = |moments| {
            let all = vec![(moments, gradient.clone())];
            B::adamw(all, &Scalar::Known(1.0), numbers).expect("an update").remove(0)
        };
        let seconds = self.median_of(moments, update);
        self.note("AdamW", seconds, (28.0 + if rounded { 2.0 } else { 0.0 }) * d * v, 0.0);
    }
}
