//! `x/2 (1 + tanh(u))` with `u = sqrt(2/pi) (x + 0.044715 x^3)`, the tanh form of the Gaussian error linear
//! unit (Hendrycks & Gimpel 2016, arXiv 1606.08415), called `gelu_new` in configurations.

use burn::tensor::{Tensor, backend::Backend};

/// The cubic term's factor.
pub(in crate::kernels) const CUBIC: f64 = 0.044_715;

pub(in crate::kernels) fn forward<B: Backend>(x: &Tensor<B, 2>) -> Tensor<B, 2> {
    (tanh(x) + 1.0) * x.clone() * 0.5
}

pub(in crate::kernels) fn backward<B: Backend>(x: &Tensor<B, 2>, gradient: &Tensor<B, 2>) -> Tensor<B, 2> {
    let tanh = tanh(x);
    let slope = (x.clone().square() * (3.0 * CUBIC) + 1.0) * root();
    let curved = (tanh.clone().square().neg() + 1.0) * x.clone() * slope;
    (tanh + 1.0 + curved) * gradient.clone() * 0.5
}

fn tanh<B: Backend>(x: &Tensor<B, 2>) -> Tensor<B, 2> {
    ((x.clone().square() * CUBIC + 1.0) * x.clone() * root()).tanh()
}

fn root() -> f64 {
    (2.0 / std::f64::consts::PI).sqrt()
}
