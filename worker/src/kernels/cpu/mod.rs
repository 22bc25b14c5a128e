//! The operations on the processor: loops over rows and blocks that stay in its caches.
//!
//! * [`lanes`]: vectorised loops and reductions, and the exponential;
//! * [`gemm`]: products of matrices, in panels of rows;
//! * [`layer_norm`], [`gelu`], [`attention`], [`cross_entropy`], [`adamw`]: what their names say;
//! * [`decide`]: the best class of each row; [`classes`]: sums over the rows of each class, in `f64`;
//! * [`memory`]: tensors as slices and back.
//!
//! Work is cut into tasks by the shape of the problem alone, each task is computed by one thread, and sums
//! over tasks are taken in order: any number of threads gives the same bytes. What `bf16` asks for is
//! rounding, not speed, on a processor: it takes the plain path.

mod adamw;
mod attention;
pub mod classes;
mod cross_entropy;
mod decide;
mod gelu;
pub mod gemm;
pub mod lanes;
mod layer_norm;
mod memory;
mod rows;

use super::{
    AdamWStep, Attended, ClassSums, Clipping, Heads, Kernels, LayerNormGradients, LossGradients, Moments,
    OfLinear, Precision, Scalar, backend::Cpu, dropout::Mask, plain,
};
use crate::Result;
use burn::tensor::Tensor;
use memory::{Owned, Slice, matrix};

type Matrix = Tensor<Cpu, 2>;

impl Kernels for Cpu {
    fn linear_forward(x: &Matrix, weight: &Matrix, bias: Option<&Matrix>, precision: Precision) -> Matrix {
        if precision != Precision::F32 {
            return plain::linear::forward(x, weight, bias, precision);
        }
        let ([rows, inner], [columns, _]) = (x.dims(), weight.dims());
        let (x, weight, bias) = (Slice::of(x), Slice::of(weight), bias.map(Slice::of));
        let mut y = vec![0.0; rows * columns];
        let (a, b) = (gemm::view(&x, rows, inner), gemm::view(&weight, columns, inner).transpose());
        match bias {
            Some(bias) => gemm::multiply_add_row(&mut y, &bias, a, b),
            None => gemm::multiply(&mut y, a, b),
        }
        matrix(y, [rows, columns])
    }

    fn linear_input_gradient(gradient: &Matrix, weight: &Matrix, precision: Precision) -> Matrix {
        if precision != Precision::F32 {
            return plain::linear::input_gradient(gradient, weight, precision);
        }
        let ([rows, inner], [_, columns]) = (gradient.dims(), weight.dims());
        let (gradient, weight) = (Slice::of(gradient), Slice::of(weight));
        let mut y = vec![0.0; rows * columns];
        gemm::multiply(&mut y, gemm::view(&gradient, rows, inner), gemm::view(&weight, inner, columns));
        matrix(y, [rows, columns])
    }

    fn linear_weight_gradient(gradient: &Matrix, x: &Matrix, precision: Precision) -> Matrix {
        if precision != Precision::F32 {
            return plain::linear::weight_gradient(gradient, x, precision);
        }
        let ([inner, rows], [_, columns]) = (gradient.dims(), x.dims());
        let (gradient, x) = (Slice::of(gradient), Slice::of(x));
        let mut y = vec![0.0; rows * columns];
        let gradient = gemm::view(&gradient, inner, rows).transpose();
        gemm::multiply(&mut y, gradient, gemm::view(&x, inner, columns));
        matrix(y, [rows, columns])
    }

    fn sum_rows(x: &Matrix) -> Matrix {
        let [_, width] = x.dims();
        matrix(rows::sum(&Slice::of(x), width), [1, width])
    }

    fn layer_norm_forward(x: &Matrix, weight: &Matrix, bias: &Matrix, epsilon: f64) -> Matrix {
        let shape = x.dims();
        matrix(layer_norm::forward(&Slice::of(x), &Slice::of(weight), &Slice::of(bias), epsilon), shape)
    }

    fn layer_norm_backward(
        x: &Matrix,
        weight: &Matrix,
        gradient: &Matrix,
        onto: Option<Matrix>,
        epsilon: f64,
    ) -> LayerNormGradients<Self> {
        let (shape, [_, width]) = (x.dims(), x.dims());
        let [input, weight, bias] =
            layer_norm::backward(&Slice::of(x), &Slice::of(weight), &Slice::of(gradient), epsilon);
        let input = matrix(input, shape);
        LayerNormGradients {
            input: match onto {
                Some(onto) => onto + input,
                None => input,
            },
            weight: matrix(weight, [1, width]),
            bias: matrix(bias, [1, width]),
        }
    }

    fn gelu_new(x: &Matrix, bias: &Matrix) -> Matrix {
        matrix(gelu::forward(&Slice::of(x), &Slice::of(bias)), x.dims())
    }

    fn gelu_new_backward(x: &Matrix, bias: &Matrix, gradient: &Matrix) -> OfLinear<Self> {
        let factor = matrix(gelu::backward(&Slice::of(x), &Slice::of(bias), &Slice::of(gradient)), x.dims());
        OfLinear { bias: Self::sum_rows(&factor), factor }
    }

    fn attention_forward(projected: &Matrix, heads: Heads, dropout: Option<&Mask>) -> Attended<Self> {
        if heads.precision != Precision::F32 {
            return plain::attention::forward(projected, heads, dropout);
        }
        let [rows, width] = [projected.dims()[0], projected.dims()[1] / 3];
        let shape = attention::Shape::of(rows, width, heads);
        let (mixed, log_sums) = attention::forward(&Slice::of(projected), shape, dropout);
        let sums = [heads.batch * heads.heads, rows / heads.batch];
        Attended { mixed: matrix(mixed, [rows, width]), log_sums: matrix(log_sums, sums) }
    }

    fn attention_backward(
        projected: &Matrix,
        attended: &Attended<Self>,
        gradient: &Matrix,
        heads: Heads,
        dropout: Option<&Mask>,
    ) -> Matrix {
        if heads.precision != Precision::F32 {
            return plain::attention::backward(projected, attended, gradient, heads, dropout);
        }
        let [rows, width] = gradient.dims();
        let given = attention::Given {
            projected: &Slice::of(projected),
            mixed: &Slice::of(&attended.mixed),
            log_sums: &Slice::of(&attended.log_sums),
            gradient: &Slice::of(gradient),
        };
        let of_projected = attention::backward(&given, attention::Shape::of(rows, width, heads), dropout);
        matrix(of_projected, projected.dims())
    }

    fn cross_entropy(
        hidden: &Matrix,
        head: &Matrix,
        targets: &[i32],
        precision: Precision,
    ) -> Result<LossGradients<Self>> {
        if precision != Precision::F32 {
            return plain::cross_entropy::gradients(hidden, head, targets, precision);
        }
        let (shape, head_shape, [_, width]) = (hidden.dims(), head.dims(), hidden.dims());
        let found = cross_entropy::gradients(&Slice::of(hidden), &Slice::of(head), targets, width);
        Ok(LossGradients {
            loss: Scalar::Known(found.loss),
            hidden: matrix(found.hidden, shape),
            head: matrix(found.head, head_shape),
        })
    }

    fn loss_and_hits(hidden: &Matrix, head: &Matrix, targets: &[i32]) -> Result<(f64, u64)> {
        let [_, width] = hidden.dims();
        Ok(cross_entropy::loss_and_hits(&Slice::of(hidden), &Slice::of(head), targets, width))
    }

    fn decide(
        x: &Matrix,
        classes: &Matrix,
        offsets: Option<&Matrix>,
        _precision: Precision,
    ) -> Result<Vec<i32>> {
        let [_, width] = x.dims();
        let offsets = offsets.map(Slice::of);
        Ok(decide::decide(&Slice::of(x), &Slice::of(classes), offsets.as_deref(), width))
    }

    fn add_rows(sums: Matrix, indices: &[i32], values: Matrix) -> Matrix {
        let [_, width] = sums.dims();
        let mut sums = Owned::of(sums);
        rows::add(sums.entries(), indices, &Slice::of(&values), width);
        sums.tensor()
    }

    fn add_to_classes(sums: ClassSums<Self>, classes: &[i32], x: &Matrix) -> ClassSums<Self> {
        let [mut totals, mut squares] = [sums.totals, sums.squares].map(Owned::of);
        classes::add_rows(totals.doubles(), squares.doubles(), classes, &Slice::of(x));
        ClassSums { totals: totals.tensor(), squares: squares.tensor() }
    }

    fn add_distances(totals: Matrix, means: &Matrix, classes: &[i32], x: &Matrix) -> Matrix {
        let [_, width] = x.dims();
        let (mut totals, means) = (Owned::of(totals), Slice::of(means));
        let distances = classes::squared_distances(means.doubles(), width, classes, &Slice::of(x));
        let sums = totals.doubles();
        for (&class, distance) in classes.iter().zip(distances) {
            sums[class as usize] += distance;
        }
        totals.tensor()
    }

    fn add_outer_products(sums: Matrix, means: &Matrix, classes: &[i32], x: &Matrix, piece: usize) -> Matrix {
        let [_, width] = x.dims();
        let (mut sums, means, x) = (Owned::of(sums), Slice::of(means), Slice::of(x));
        for (classes, x) in classes.chunks(piece).zip(x.chunks(piece * width)) {
            classes::add_outer_products(sums.doubles(), means.doubles(), classes, x);
        }
        sums.tensor()
    }

    fn clipping(gradients: &[Matrix], most: f64) -> Result<Clipping<Self>> {
        let squares = gradients.iter().map(|gradient| adamw::sum_of_squares(&Slice::of(gradient)));
        Ok(Clipping::of_squares(squares.sum(), most))
    }

    fn adamw(
        all: Vec<(Moments<Self>, Matrix)>,
        scale: &Scalar<Self>,
        step: AdamWStep,
    ) -> Result<Vec<Moments<Self>>> {
        let scale = scale.read()?;
        let update = |(Moments { parameter, first, second, .. }, gradient): (_, Matrix)| {
            let [mut parameter, mut first, mut second] = [parameter, first, second].map(Owned::of);
            let changed = [parameter.entries(), first.entries(), second.entries()];
            adamw::update(changed, &Slice::of(&gradient), scale, step);
            let [parameter, first, second] = [parameter, first, second].map(Owned::tensor);
            Moments { parameter, first, second, factor: None }
        };
        Ok(all.into_iter().map(update).collect())
    }
}
