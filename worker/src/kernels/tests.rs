//! The operations on the processor against the plain ones, and with other numbers of threads.

use super::{
    AdamWStep, ClassSums, Heads, Kernels, Moments, Precision, Scalar,
    backend::Cpu,
    cpu::classes::{add_outer_products, add_rows, squared_distances},
    dropout::{Dropout, Mask, Place},
    host_floats, plain,
};
use burn::tensor::{FloatDType, Tensor, TensorData};
use burn_flex::FlexDevice;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

type Matrix = Tensor<Cpu, 2>;

/// Entries between -1 and 1.
fn random(seed: u64, shape: [usize; 2]) -> Matrix {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = || (f64::from(generator.next_u32()) / 2f64.powi(31) - 1.0) as f32;
    let values: Vec<f32> = (0..shape[0] * shape[1]).map(|_| draw()).collect();
    Tensor::from_data(TensorData::new(values, shape), &FlexDevice)
}

fn indices(seed: u64, count: usize, below: usize) -> Vec<i32> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| (generator.next_u32() as usize % below) as i32).collect()
}

/// Equal up to `tolerance` of the largest entry.
fn assert_close(found: &Matrix, expected: &Matrix, tolerance: f32, what: &str) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let [found, expected] = [found, expected].map(|x| host_floats(x.clone()).unwrap());
    let largest = expected.iter().fold(1e-30f32, |a, b| a.max(b.abs()));
    for (at, (a, b)) in found.iter().zip(&expected).enumerate() {
        assert!((a - b).abs() <= tolerance * largest, "{what}: entry {at} is {a} instead of {b}");
    }
}

#[test]
fn linear_layers_equal_the_plain_ones() {
    for [rows, inner, columns] in [[1, 1, 1], [300, 48, 7], [5, 130, 200], [1100, 64, 256]] {
        let (x, weight, bias) =
            (random(1, [rows, inner]), random(2, [columns, inner]), random(3, [1, columns]));
        let gradient = random(4, [rows, columns]);
        for bias in [None, Some(&bias)] {
            let found = Cpu::linear_forward(&x, &weight, bias, Precision::F32);
            let expected = plain::linear::forward(&x, &weight, bias, Precision::F32);
            assert_close(&found, &expected, 1e-5, "forward");
        }
        let found = Cpu::linear_input_gradient(&gradient, &weight, Precision::F32);
        let expected = plain::linear::input_gradient(&gradient, &weight, Precision::F32);
        assert_close(&found, &expected, 1e-5, "gradient of the input");
        let found = Cpu::linear_weight_gradient(&gradient, &x, Precision::F32);
        let expected = plain::linear::weight_gradient(&gradient, &x, Precision::F32);
        assert_close(&found, &expected, 1e-5, "gradient of the weight");
        assert_close(&Cpu::sum_rows(&gradient), &gradient.clone().sum_dim(0), 1e-5, "gradient of the bias");
    }
}

#[test]
fn layer_norm_and_activation_equal_the_plain_ones() {
    for shape in [[1, 3], [70, 48], [513, 130]] {
        let (x, gradient) = (random(1, shape) * 3.0, random(2, shape));
        let (weight, bias) = (random(3, [1, shape[1]]), random(4, [1, shape[1]]));
        let found = Cpu::layer_norm_forward(&x, &weight, &bias, 1e-5);
        assert_close(&found, &plain::layer_norm::forward(&x, &weight, &bias, 1e-5), 1e-5, "layer norm");
        let onto = random(5, shape);
        for onto in [None, Some(onto)] {
            let found = Cpu::layer_norm_backward(&x, &weight, &gradient, onto.clone(), 1e-5);
            let expected = plain::layer_norm::backward(&x, &weight, &gradient, onto, 1e-5);
            assert_close(&found.input, &expected.input, 2e-5, "gradient of the input");
        }
        let found = Cpu::layer_norm_backward(&x, &weight, &gradient, None, 1e-5);
        let expected = plain::layer_norm::backward(&x, &weight, &gradient, None, 1e-5);
        assert_close(&found.weight, &expected.weight, 1e-5, "gradient of the weight");
        assert_close(&found.bias, &expected.bias, 1e-5, "gradient of the bias");
        let x = x * 4.0;
        let with_bias = x.clone() + bias.clone();
        let found = Cpu::gelu_new(&x, &bias);
        assert_close(&found, &plain::gelu::forward(&with_bias), 1e-6, "activation");
        let found = Cpu::gelu_new_backward(&x, &bias, &gradient);
        let expected = plain::gelu::backward(&with_bias, &gradient);
        assert_close(&found.factor, &expected, 2e-6, "gradient of the activation");
        assert_close(&found.bias, &expected.sum_dim(0), 1e-5, "gradient of its bias");
    }
}

/// Forward and backward of attention.
fn attention<'a>(
    input: &Matrix,
    gradient: &Matrix,
    heads: Heads,
    mask: impl Into<Option<&'a Mask>>,
    fast: bool,
) -> [Matrix; 3] {
    let mask = mask.into();
    let (attended, gradients) = if fast {
        let attended = Cpu::attention_forward(input, heads, mask);
        let gradients = Cpu::attention_backward(input, &attended, gradient, heads, mask);
        (attended, gradients)
    } else {
        let attended = plain::attention::forward(input, heads, mask);
        let gradients = plain::attention::backward(input, &attended, gradient, heads, mask);
        (attended, gradients)
    };
    [attended.mixed, attended.log_sums, gradients]
}

#[test]
fn attention_equals_the_plain_one() {
    // Batch, heads, size of a head, length, window.
    let cases =
        [[1, 1, 1, 1, 1], [2, 3, 4, 65, 65], [3, 2, 16, 128, 64], [1, 4, 8, 200, 7], [2, 1, 5, 130, 1]];
    for [batch, heads, size, length, window] in cases {
        let (rows, width) = (batch * length, heads * size);
        let (input, gradient) = (random(1, [rows, 3 * width]) * 2.0, random(4, [rows, width]));
        let heads = Heads { batch, heads, window, precision: Precision::F32 };
        let mask = Dropout::at_step(5, 2).mask(Place::Attention(1), 0.3);
        for mask in [None, mask.as_ref()] {
            let found = attention(&input, &gradient, heads, mask, true);
            let expected = attention(&input, &gradient, heads, mask, false);
            for (found, (expected, what)) in
                found.iter().zip(expected.iter().zip(["mixed", "sums", "gradients"]))
            {
                assert_close(found, expected, 2e-5, &format!("{what} of {heads:?}, {length} positions"));
            }
        }
    }
}

#[test]
fn cross_entropy_equals_the_plain_one() {
    for [rows, width, vocabulary] in [[1, 2, 3], [300, 24, 1024], [70, 16, 2500], [513, 8, 1025]] {
        let (hidden, head) = (random(1, [rows, width]) * 3.0, random(2, [vocabulary, width]));
        let targets = indices(3, rows, vocabulary);
        let found = Cpu::cross_entropy(&hidden, &head, &targets, Precision::F32).unwrap();
        let expected = plain::cross_entropy::gradients(&hidden, &head, &targets, Precision::F32).unwrap();
        let [loss, wanted] = [&found.loss, &expected.loss].map(|loss| loss.read().unwrap());
        assert!((loss / wanted - 1.0).abs() < 1e-6, "{loss} not {wanted}");
        assert_close(&found.hidden, &expected.hidden, 1e-5, "gradient of the hidden states");
        assert_close(&found.head, &expected.head, 1e-5, "gradient of the head");
        let (loss, hits) = Cpu::loss_and_hits(&hidden, &head, &targets).unwrap();
        let (plain_loss, plain_hits) = plain::cross_entropy::loss_and_hits(&hidden, &head, &targets).unwrap();
        assert!((loss / plain_loss - 1.0).abs() < 1e-6, "{loss} not {plain_loss}");
        assert_eq!(hits, plain_hits);
    }
}

#[test]
fn the_first_of_equal_logits_counts_as_the_prediction() {
    let (hidden, head) = (Tensor::ones([3, 2], &FlexDevice), Tensor::ones([2100, 2], &FlexDevice));
    for targets in [[0, 0, 0], [0, 1, 1500], [2, 1024, 2099]] {
        let expected = targets.iter().filter(|&&target| target == 0).count() as u64;
        assert_eq!(Cpu::loss_and_hits(&hidden, &head, &targets).unwrap().1, expected);
    }
}

#[test]
fn decisions_equal_the_plain_ones() {
    for [rows, width, classes] in [[1, 2, 3], [700, 24, 256], [70, 16, 2500], [513, 8, 257]] {
        let (x, of_class) = (random(1, [rows, width]), random(2, [classes, width]));
        let offsets = random(3, [1, classes]);
        for offsets in [None, Some(&offsets)] {
            let found = Cpu::decide(&x, &of_class, offsets, Precision::F32).unwrap();
            let expected = plain::decide::decide(&x, &of_class, offsets, Precision::F32).unwrap();
            // Scores that differ by rounding alone may go either way.
            let differ = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
            assert!(differ * 200 <= rows, "{differ} of {rows} rows differ");
        }
        let [ones, same] = [rows, classes].map(|count| Tensor::ones([count, width], &FlexDevice));
        assert_eq!(
            Cpu::decide(&ones, &same, None, Precision::F32).unwrap(),
            vec![0; rows],
            "the first of equals"
        );
    }
}

#[test]
fn sums_over_classes_take_rows_in_their_order() {
    let (width, count, rows) = (21, 1300, 2000);
    let (x, classes) = (host_floats(random(1, [rows, width])).unwrap(), indices(2, rows, count));
    let (mut totals, mut squares) = (vec![0.5; count * width], vec![0.25; count]);
    add_rows(&mut totals, &mut squares, &classes, &x);
    let (mut expected, mut expected_squares) = (vec![0.5; count * width], vec![0.25; count]);
    for (row, &class) in x.chunks(width).zip(&classes) {
        for (sum, &x) in expected[class as usize * width..].iter_mut().zip(row) {
            *sum += f64::from(x);
        }
        expected_squares[class as usize] += row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
    }
    assert_eq!(totals, expected);
    let near = |a: &f64, b: &f64| (a - b).abs() <= 1e-13 * b.abs();
    assert!(squares.iter().zip(&expected_squares).all(|(a, b)| near(a, b)));

    let means = totals;
    let distances = squared_distances(&means, width, &classes, &x);
    let mut outer = vec![1.0; width * width];
    add_outer_products(&mut outer, &means, &classes, &x);
    let mut expected = vec![1.0; width * width];
    for ((row, &class), distance) in x.chunks(width).zip(&classes).zip(distances) {
        let mean = &means[class as usize * width..];
        let apart: Vec<f64> = row.iter().zip(mean).map(|(&x, mean)| f64::from(x) - mean).collect();
        assert!(near(&distance, &apart.iter().map(|x| x * x).sum()));
        for (i, a) in apart.iter().enumerate() {
            apart.iter().enumerate().for_each(|(j, b)| expected[i * width + j] += a * b);
        }
    }
    assert!(outer.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9), "outer products");
}

#[test]
fn class_sums_equal_the_plain_ones() {
    let double = |x: &Matrix| x.clone().cast(FloatDType::F64);
    let near = |found: Matrix, expected: Matrix| {
        let [found, expected]: [Vec<f64>; 2] = [found, expected].map(|x| x.into_data().into_vec().unwrap());
        found.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-13 * b.abs().max(1.0))
    };
    let (x, classes) = (random(1, [300, 21]), indices(2, 300, 40));
    let (totals, squares) = (double(&random(3, [40, 21])), double(&random(4, [40, 1])));
    let sums = ClassSums { totals: totals.clone(), squares: squares.clone() };
    let found = Cpu::add_to_classes(sums.clone(), &classes, &x);
    let expected = plain::classes::add(sums, &classes, &x);
    assert!(near(found.totals, expected.totals) && near(found.squares, expected.squares));
    let found = Cpu::add_distances(squares.clone(), &totals, &classes, &x);
    assert!(near(found, plain::classes::add_distances(squares.clone(), &totals, &classes, &x)));
    assert!(near(squares, double(&random(4, [40, 1]))), "sums that somebody else holds");
    let sums = double(&random(5, [21, 21]));
    let found = Cpu::add_outer_products(sums.clone(), &totals, &classes, &x, 70);
    assert!(near(found, plain::classes::add_outer_products(sums, &totals, &classes, &x, 70)));
}

#[test]
fn rows_are_added_and_parameters_updated_as_by_the_plain_operations() {
    let (sums, values, rows) = (random(1, [50, 20]), random(2, [300, 20]), indices(3, 300, 50));
    let found = Cpu::add_rows(sums.clone(), &rows, values.clone());
    assert_close(&found, &plain::rows::add(sums, &rows, values), 1e-5, "rows");

    let shape = [130, 200];
    let moments = Moments {
        parameter: random(1, shape),
        first: random(2, shape),
        second: random(3, shape).abs(),
        factor: None,
    };
    let gradient = random(4, shape);
    let step =
        AdamWStep { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, keep: 0.99, rate: 1e-2, correction: 0.7 };
    let kept = moments.clone();
    let all = vec![(moments.clone(), gradient.clone())];
    let found = Cpu::adamw(all, &Scalar::Known(0.5), step).unwrap().remove(0);
    let expected = plain::adamw::update(moments, gradient.clone(), 0.5, step);
    assert_close(&found.parameter, &expected.parameter, 1e-6, "parameter");
    assert_close(&found.first, &expected.first, 1e-6, "first moment");
    assert_close(&found.second, &expected.second, 1e-6, "second moment");
    assert_close(&kept.parameter, &random(1, shape), 0.0, "a parameter that somebody else holds");
    let squares = plain::adamw::sum_of_squares(&gradient).unwrap();
    for (gradients, most) in [(1, 1.0), (2, 1e9)] {
        let found = Cpu::clipping(&vec![gradient.clone(); gradients], most).unwrap();
        let norm = (squares * gradients as f64).sqrt();
        let [found, scale] = [&found.norm, &found.scale].map(|number| number.read().unwrap());
        assert!((found / norm - 1.0).abs() < 1e-6, "{found} not {norm}");
        assert!((scale / (most / norm).min(1.0) - 1.0).abs() < 1e-6, "{scale}");
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let all = || {
        let heads = Heads { batch: 3, heads: 4, window: 50, precision: Precision::F32 };
        let mut found = attention(&random(1, [300, 192]), &random(4, [300, 64]), heads, None, true).to_vec();
        let loss = Cpu::cross_entropy(
            &random(5, [300, 64]),
            &random(6, [3000, 64]),
            &indices(7, 300, 3000),
            Precision::F32,
        )
        .unwrap();
        found.extend([loss.hidden, loss.head]);
        let (x, weight) = (random(8, [1000, 64]), random(9, [300, 64]));
        let y = Cpu::linear_forward(&x, &weight, None, Precision::F32);
        found.push(Cpu::linear_weight_gradient(&y, &x, Precision::F32));
        found.push(Cpu::linear_input_gradient(&y, &weight, Precision::F32));
        let norm = Cpu::layer_norm_backward(&x, &random(10, [1, 64]), &x, None, 1e-5);
        found.extend([norm.input, norm.weight, norm.bias, Cpu::sum_rows(&y)]);
        let squares = Cpu::clipping(std::slice::from_ref(&y), 1.0).unwrap().norm.read().unwrap();
        let decided =
            Cpu::decide(&random(11, [1000, 64]), &random(12, [3000, 64]), None, Precision::F32).unwrap();
        let rows = host_floats(random(13, [900, 64])).unwrap();
        let (mut totals, mut norms, classes) = (vec![0.0; 700 * 64], vec![0.0; 700], indices(14, 900, 700));
        add_rows(&mut totals, &mut norms, &classes, &rows);
        let distances = squared_distances(&totals, 64, &classes, &rows);
        let mut outer = vec![0.0; 64 * 64];
        add_outer_products(&mut outer, &totals, &classes, &rows);
        let classes = (decided, [totals, norms, distances, outer]);
        (
            found.into_iter().map(|x| host_floats(x).unwrap()).collect::<Vec<_>>(),
            loss.loss.read().unwrap(),
            squares,
            classes,
        )
    };
    let with = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(all);
    let one = with(1);
    for threads in [2, 3, 7] {
        assert_eq!(with(threads), one, "{threads} threads");
    }
}
