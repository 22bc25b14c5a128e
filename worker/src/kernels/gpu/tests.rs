//! The kernels on a GPU against the operations on the processor. The device is what speaks Vulkan, which Mesa's software
//! plays where there is no card, or CUDA, whose programs `deploy/cuda-on-cpu` runs there.

use super::Gpu;
use crate::kernels::gpu::{
    linear::{self, single},
    memory::{array, matrix},
    products, runtime, tensor_cores,
};
use crate::{
    kernels::{
        AdamWStep, ClassSums, Heads, Kernels, Moments, Precision, Scalar, backend::Cpu, device_ints,
        host_floats, host_ints,
    },
    model::{Batch, GptNeo, GptNeoConfig, init},
    train::{adamw::AdamW, gradients::loss_and_gradients, run::Trainer},
};
use burn::tensor::{
    DType, Tensor, TensorData,
    backend::{Backend, BackendTypes},
    ops::FloatTensorOps,
};
use burn_flex::FlexDevice;
use half::bf16;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::json;

type OnCpu = Tensor<Cpu, 2>;
type OnGpu = Tensor<Gpu, 2>;

/// The same entries between -1 and 1 on both devices.
struct Both {
    cpu: OnCpu,
    gpu: OnGpu,
}

/// The device; the first call sees to it that every kernel looks whether it stays within its arrays.
fn device() -> <Gpu as BackendTypes>::Device {
    runtime::configure_checked();
    Default::default()
}

fn both(values: Vec<f32>, shape: [usize; 2]) -> Both {
    let data = TensorData::new(values, shape);
    Both { cpu: Tensor::from_data(data.clone(), &FlexDevice), gpu: Tensor::from_data(data, &device()) }
}

fn draw(seed: u64, shape: [usize; 2], scale: f32) -> impl Iterator<Item = f32> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = move || (f64::from(generator.next_u32()) / 2f64.powi(31) - 1.0) as f32 * scale;
    (0..shape[0] * shape[1]).map(move |_| draw())
}

fn scaled(seed: u64, shape: [usize; 2], scale: f32) -> Both {
    both(draw(seed, shape, scale).collect(), shape)
}

/// Entries that `bf16` holds: what is computed of them differs only where something is rounded on the way.
fn short(seed: u64, shape: [usize; 2], scale: f32) -> Both {
    both(draw(seed, shape, scale).map(|x| bf16::from_f32(x).to_f32()).collect(), shape)
}

fn random(seed: u64, shape: [usize; 2]) -> Both {
    scaled(seed, shape, 1.0)
}

fn indices(seed: u64, count: usize, below: usize) -> Vec<i32> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| (generator.next_u32() as usize % below) as i32).collect()
}

/// Equal up to `tolerance` of the largest entry; where all are next to nothing, of a half: inputs are of the size of one.
fn assert_close(found: &OnGpu, expected: &OnCpu, tolerance: f32, what: &str) {
    compare(found, expected, tolerance, 0.5, what);
}

/// Equal up to `tolerance` of the largest entry, however small.
fn assert_near(found: &OnGpu, expected: &OnCpu, tolerance: f32, what: &str) {
    compare(found, expected, tolerance, 1e-9, what);
}

fn compare(found: &OnGpu, expected: &OnCpu, tolerance: f32, least: f32, what: &str) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let found = host_floats(found.clone()).unwrap();
    let expected = host_floats(expected.clone()).unwrap();
    let largest = expected.iter().fold(least, |a, b| a.max(b.abs()));
    for (at, (a, b)) in found.iter().zip(&expected).enumerate() {
        assert!((a - b).abs() <= tolerance * largest, "{what}: entry {at} is {a} instead of {b}");
    }
}

#[test]
fn whole_numbers_arrive_in_their_order_however_many_there_are() {
    let values = indices(1, 40_000, 1 << 30);
    assert_eq!(host_ints(device_ints::<Gpu>(&values, &device())).unwrap(), values);
}

#[test]
fn linear_layers() {
    for [rows, inner, columns] in [[1, 1, 1], [300, 48, 7], [5, 130, 200], [257, 64, 256], [1024, 64, 32]] {
        let (x, weight, bias) =
            (random(1, [rows, inner]), random(2, [columns, inner]), random(3, [1, columns]));
        let gradient = random(4, [rows, columns]);
        for with_bias in [false, true] {
            let found =
                Gpu::linear_forward(&x.gpu, &weight.gpu, with_bias.then_some(&bias.gpu), Precision::F32);
            let expected =
                Cpu::linear_forward(&x.cpu, &weight.cpu, with_bias.then_some(&bias.cpu), Precision::F32);
            assert_close(&found, &expected, 1e-5, "forward");
        }
        let found = Gpu::linear_onto(gradient.gpu.clone(), &x.gpu, &weight.gpu, &bias.gpu, Precision::F32);
        let expected = Cpu::linear_onto(gradient.cpu.clone(), &x.cpu, &weight.cpu, &bias.cpu, Precision::F32);
        assert_close(&found, &expected, 1e-5, "onto a residual");
        let found = Gpu::linear_input_gradient(&gradient.gpu, &weight.gpu, Precision::F32);
        let expected = Cpu::linear_input_gradient(&gradient.cpu, &weight.cpu, Precision::F32);
        assert_close(&found, &expected, 1e-5, "gradient of the input");
        let found = Gpu::linear_weight_gradient(&gradient.gpu, &x.gpu, Precision::F32);
        let expected = Cpu::linear_weight_gradient(&gradient.cpu, &x.cpu, Precision::F32);
        assert_close(&found, &expected, 1e-5, "gradient of the weight");
    }
}

/// In memory of the device.
type Factor = <Gpu as BackendTypes>::FloatTensorPrimitive;

/// Two factors and their product.
struct Product {
    factors: [Factor; 2],
    expected: OnCpu,
}

impl Product {
    /// Those of a linear layer: its result, the gradients of its input and of its weight.
    fn of_linear([rows, inner, columns]: [usize; 3], precision: Precision) -> [Self; 3] {
        let (x, weight) = (short(1, [rows, inner], 1.0), short(2, [columns, inner], 1.0));
        let of_y = short(3, [rows, columns], 1.0);
        let factor = |x: &Both| linear::factor(&x.gpu, precision);
        [
            Self {
                factors: [factor(&x), linear::transposed(factor(&weight))],
                expected: Cpu::linear_forward(&x.cpu, &weight.cpu, None, Precision::F32),
            },
            Self {
                factors: [factor(&of_y), factor(&weight)],
                expected: Cpu::linear_input_gradient(&of_y.cpu, &weight.cpu, Precision::F32),
            },
            Self {
                factors: [linear::transposed(factor(&of_y)), factor(&x)],
                expected: Cpu::linear_weight_gradient(&of_y.cpu, &x.cpu, Precision::F32),
            },
        ]
    }

    /// The gradients of a linear layer's weight that parts of the rows give, one below the other.
    fn in_parts([rows, inner, columns]: [usize; 3], parts: usize, precision: Precision) -> Self {
        let (x, of_y) = (short(1, [rows, inner], 1.0), short(3, [rows, columns], 1.0));
        let shapes = [[parts, rows / parts, columns], [parts, rows / parts, inner]];
        let pair = |[of_y, x]: [OnGpu; 2]| {
            let factor = |x: &OnGpu| matrix(linear::factor(x, precision));
            [factor(&of_y).reshape(shapes[0]).swap_dims(1, 2), factor(&x).reshape(shapes[1])]
        };
        let of_y_on_cpu = of_y.cpu.reshape(shapes[0]).swap_dims(1, 2);
        let expected = Cpu::product(of_y_on_cpu, x.cpu.reshape(shapes[1]), Precision::F32);
        Self {
            factors: pair([of_y.gpu, x.gpu]).map(|factor| factor.into_primitive().tensor()),
            expected: expected.reshape([parts * columns, inner]),
        }
    }

    /// Whether every kernel that takes these factors is right, each by itself.
    fn check(&self, dtype: DType, tolerance: f32, what: &str) {
        let [a, b] = &self.factors;
        let mut right = Vec::new();
        for (name, found) in products::by_each(a, b, dtype) {
            let what = format!("{name}, {what}");
            match found {
                Ok(found) => {
                    let found = matrix(Gpu::float_reshape(found, self.expected.shape()));
                    assert_close(&single(&found), &self.expected, tolerance, &what);
                    right.push(name);
                }
                Err(why) => println!("{what}: not taken: {why}"),
            }
        }
        assert!(!right.is_empty());
        // Where that is known to be there.
        if is_on_processor() {
            assert!(right.iter().any(|name| name.starts_with("Cublas")), "{right:?}");
        }
    }
}

/// Whether `deploy/cuda-on-cpu` plays the device.
fn is_on_processor() -> bool {
    std::env::var_os("LC_CUDA_ON_CPU").is_some()
}

#[test]
fn products_are_right_whichever_kernel_is_the_fastest() {
    let precisions = [Precision::F32, Precision::Bf16];
    let name = |[rows, inner, columns]: [usize; 3]| format!("{rows} x {inner} x {columns}");
    for shape in [[130, 96, 72], [257, 128, 136]] {
        for precision in &precisions[..if has_tensor_cores() { 2 } else { 1 }] {
            for product in Product::of_linear(shape, *precision) {
                product.check(DType::F32, 1e-5, &format!("{}, {precision:?}", name(shape)));
            }
        }
    }
    if !has_tensor_cores() {
        return;
    }
    // On a card many cubes, of whole tiles and of others. Its units cut digits off where they add up, for many rows often.
    const MANY: f32 = 1e-4;
    const ROUNDING: f32 = 1.0 / 256.0;
    let (even, uneven) = match is_on_processor() {
        false => ([4096, 256, 256], [4224, 256, 264]),
        true => ([128, 64, 64], [130, 96, 72]),
    };
    for shape in [even, uneven] {
        for product in Product::of_linear(shape, Precision::Bf16) {
            product.check(DType::F32, MANY, &format!("{}, Bf16", name(shape)));
        }
    }
    let [forward, of_input, _] = Product::of_linear(uneven, Precision::Bf16);
    for product in [forward, of_input] {
        product.check(DType::BF16, ROUNDING, &format!("{}, AsFactor", name(uneven)));
    }
    let in_parts = Product::in_parts(even, 4, Precision::Bf16);
    in_parts.check(DType::F32, MANY, &format!("{}, InParts", name(even)));
}

/// What becomes a factor in `bf16` is rounded where it is made, and what is computed of it is computed in `f32`.
#[test]
fn factors() {
    if !has_tensor_cores() {
        return;
    }
    const ROUNDING: f32 = 1.0 / 256.0;
    let (f32, bf16) = (Precision::F32, Precision::Bf16);
    for [rows, width] in [[1, 16], [70, 48], [300, 64], [1024, 48], [3000, 16]] {
        let [x, gradient] = [1, 2].map(|seed| short(seed, [rows, width], 2.0));
        let (weight, bias) = (short(3, [1, width], 1.0), short(4, [1, width], 1.0));
        let factor = Gpu::factor(x.gpu.clone(), bf16);
        assert_eq!(factor.dtype(), DType::BF16);
        assert_close(&single(&factor), &x.cpu, 0.0, "factor");
        assert_close(&Gpu::sum_rows(&factor), &Cpu::sum_rows(&x.cpu), 1e-5, "sum of rows");
        let found = Gpu::layer_norm_as_factor(&x.gpu, &weight.gpu, &bias.gpu, 1e-5, bf16);
        let expected = Cpu::layer_norm_forward(&x.cpu, &weight.cpu, &bias.cpu, 1e-5);
        assert_close(&single(&found), &expected, ROUNDING, "layer norm");
        let found = Gpu::gelu_new(&factor, &bias.gpu);
        assert_close(&single(&found), &Cpu::gelu_new(&x.cpu, &bias.cpu), ROUNDING, "activation");
        let found = Gpu::gelu_new_backward(&factor, &bias.gpu, &gradient.gpu);
        let expected = Cpu::gelu_new_backward(&x.cpu, &bias.cpu, &gradient.cpu);
        assert_close(&single(&found.factor), &expected.factor, ROUNDING, "gradient of the activation");
        assert_close(&found.bias, &expected.bias, 1e-5, "gradient of its bias");
        let found = Gpu::of_linear(gradient.gpu.clone(), bf16);
        assert_eq!(found.factor.dtype(), DType::BF16);
        assert_close(&single(&found.factor), &gradient.cpu, 0.0, "gradient as a factor");
        assert_close(&found.bias, &Cpu::sum_rows(&gradient.cpu), 1e-5, "its sum");

        let matrix = short(5, [40, width], 1.0);
        let found = Gpu::linear_as_factor(&factor, &matrix.gpu, bf16);
        let expected = Cpu::linear_forward(&x.cpu, &matrix.cpu, None, f32);
        assert_close(&single(&found), &expected, ROUNDING, "linear layer");
        let found = Gpu::linear_forward(&factor, &matrix.gpu, None, bf16);
        assert_close(&found, &expected, 1e-5, "linear layer in f32");
        let of_y = short(6, [rows, 40], 1.0);
        let found = Gpu::linear_input_gradient_as_factor(&of_y.gpu, &matrix.gpu, bf16);
        let expected = Cpu::linear_input_gradient(&of_y.cpu, &matrix.cpu, f32);
        assert_close(&single(&found), &expected, ROUNDING, "gradient of the input");
        let found = Gpu::linear_weight_gradient(&of_y.gpu, &factor, bf16);
        let expected = Cpu::linear_weight_gradient(&of_y.cpu, &x.cpu, f32);
        assert_close(&found, &expected, 1e-5, "gradient of the weight");
    }
}

#[test]
fn layer_norm_activation_and_sums() {
    for shape in [[1, 3], [70, 48], [513, 130], [2000, 64], [40, 300], [9000, 3]] {
        let (x, gradient) = (scaled(1, shape, 3.0), random(2, shape));
        let (weight, bias) = (random(3, [1, shape[1]]), random(4, [1, shape[1]]));
        let found = Gpu::layer_norm_forward(&x.gpu, &weight.gpu, &bias.gpu, 1e-5);
        let expected = Cpu::layer_norm_forward(&x.cpu, &weight.cpu, &bias.cpu, 1e-5);
        assert_close(&found, &expected, 1e-5, "layer norm");
        let past = random(6, shape);
        for with_past in [false, true] {
            let (gpu, cpu) = (with_past.then(|| past.gpu.clone()), with_past.then(|| past.cpu.clone()));
            let found = Gpu::layer_norm_backward(&x.gpu, &weight.gpu, &gradient.gpu, gpu, 1e-5);
            let expected = Cpu::layer_norm_backward(&x.cpu, &weight.cpu, &gradient.cpu, cpu, 1e-5);
            assert_close(&found.input, &expected.input, 2e-5, "gradient of the input");
            assert_close(&found.weight, &expected.weight, 1e-5, "gradient of the weight");
            assert_close(&found.bias, &expected.bias, 1e-5, "gradient of the bias");
        }
        assert_close(&Gpu::sum_rows(&x.gpu), &Cpu::sum_rows(&x.cpu), 1e-5, "sum of rows");

        let x = scaled(5, shape, 12.0);
        assert_close(
            &Gpu::gelu_new(&x.gpu, &bias.gpu),
            &Cpu::gelu_new(&x.cpu, &bias.cpu),
            1e-6,
            "activation",
        );
        let found = Gpu::gelu_new_backward(&x.gpu, &bias.gpu, &gradient.gpu);
        let expected = Cpu::gelu_new_backward(&x.cpu, &bias.cpu, &gradient.cpu);
        // One less the square of a number that is almost one: both sides lose digits.
        assert_close(&found.factor, &expected.factor, 1e-5, "gradient of the activation");
        assert_close(&found.bias, &expected.bias, 1e-5, "gradient of its bias");
        let found = Gpu::of_linear(gradient.gpu.clone(), Precision::F32);
        assert_close(&found.factor, &gradient.cpu, 0.0, "gradient of a linear layer");
        assert_close(&found.bias, &Cpu::sum_rows(&gradient.cpu), 1e-5, "gradient of its bias");
        for most in [1.0, 1e9] {
            let found = Gpu::clipping(&[x.gpu.clone(), gradient.gpu.clone()], most).unwrap();
            let expected = Cpu::clipping(&[x.cpu.clone(), gradient.cpu.clone()], most).unwrap();
            for (found, expected) in [(found.norm, expected.norm), (found.scale, expected.scale)] {
                let (found, expected) = (found.read().unwrap(), expected.read().unwrap());
                assert!((found / expected - 1.0).abs() < 1e-6, "{found} not {expected}");
            }
        }
    }
}

/// Whether the device has tensor cores; says so where that leaves something untested.
#[expect(clippy::print_stderr, reason = "tests may say what they leave out")]
fn has_tensor_cores() -> bool {
    let exist = tensor_cores::exist(&array(&random(1, [1, 1]).gpu).client);
    if !exist {
        eprintln!("skipped: this device has no tensor cores");
    }
    exist
}

#[test]
fn attention() {
    // Batch, heads, size of a head, length, window. The last has no kernel of its own.
    compare_attention(
        Precision::F32,
        2e-5,
        &[
            [1, 1, 4, 1, 1],
            [2, 3, 4, 65, 65],
            [3, 2, 16, 128, 64],
            [1, 4, 8, 200, 7],
            [2, 2, 32, 150, 150],
            [1, 2, 64, 130, 40],
            [1, 1, 48, 33, 1],
            [2, 1, 5, 130, 20],
        ],
    );
}

/// Some have heads of fewer columns than tensor cores take, whole tiles that everybody sees, windows beyond the length.
#[test]
fn attention_in_bf16() {
    if has_tensor_cores() {
        compare_attention(
            Precision::Bf16,
            8e-3,
            &[
                [1, 1, 16, 1, 1],
                [2, 3, 16, 65, 65],
                [1, 2, 32, 200, 7],
                [2, 2, 48, 150, 64],
                [1, 2, 64, 130, 130],
                [1, 1, 64, 257, 96],
                [2, 2, 8, 70, 20],
                [1, 3, 4, 130, 130],
                [1, 2, 12, 100, 30],
                [1, 2, 24, 70, 70],
                [1, 1, 16, 300, 140],
                [1, 1, 48, 170, 90],
                [1, 1, 32, 100, 300],
                [1, 1, 64, 70, 71],
            ],
        );
    }
}

/// Of cases with batch, heads, size of a head, length and window.
fn compare_attention(precision: Precision, tolerance: f32, cases: &[[usize; 5]]) {
    for &[batch, heads, size, length, window] in cases {
        let (rows, width) = (batch * length, heads * size);
        let projected = short(1, [rows, 3 * width], 2.0);
        let gradient = short(4, [rows, width], 1.0);
        let heads = Heads { batch, heads, window, precision };
        let what = |part| format!("{part} of {heads:?}, {length} positions of {size} columns");

        let found = Gpu::attention_forward(&projected.gpu, heads, None);
        let exact = Heads { precision: Precision::F32, ..heads };
        let expected = Cpu::attention_forward(&projected.cpu, exact, None);
        assert_close(&single(&found.mixed), &expected.mixed, tolerance, &what("mixture"));
        assert_close(&found.log_sums, &expected.log_sums, tolerance, &what("log sums"));
        let found = Gpu::attention_backward(&projected.gpu, &found, &gradient.gpu, heads, None);
        let expected = Cpu::attention_backward(&projected.cpu, &expected, &gradient.cpu, exact, None);
        let part = |x: &Tensor<Cpu, 2>, part| x.clone().narrow(1, part * width, width);
        for (at, name) in ["gradient of keys", "gradient of values", "gradient of queries"].iter().enumerate()
        {
            let found = single(&found.clone().narrow(1, at * width, width));
            assert_close(&found, &part(&expected, at), tolerance, &what(name));
        }
    }
}

#[test]
fn cross_entropy() {
    for [rows, width, vocabulary] in [[1, 2, 3], [300, 24, 1024], [70, 16, 2500], [513, 8, 1025]] {
        let (hidden, head) = (scaled(1, [rows, width], 3.0), random(2, [vocabulary, width]));
        let targets = indices(3, rows, vocabulary);
        compare_cross_entropy(&hidden, &head, &targets, Precision::F32, 1e-6, 1e-5);
        let (loss, hits) = Gpu::loss_and_hits(&hidden.gpu, &head.gpu, &targets).unwrap();
        let (expected_loss, expected_hits) = Cpu::loss_and_hits(&hidden.cpu, &head.cpu, &targets).unwrap();
        assert!((loss / expected_loss - 1.0).abs() < 1e-6, "{loss} not {expected_loss}");
        assert_eq!(hits, expected_hits);
    }
}

#[test]
fn cross_entropy_in_bf16() {
    if !has_tensor_cores() {
        return;
    }
    // With large logits, later tiles have much larger ones than the first. The last is too wide to go without logits in memory.
    for ([rows, width, vocabulary], size) in [
        ([1, 16, 3], 1.0),
        ([130, 64, 1025], 1.0),
        ([300, 48, 600], 1.0),
        ([300, 32, 600], 20.0),
        ([70, 128, 330], 1.0),
        ([70, 256, 130], 1.0),
        ([40, 272, 100], 1.0),
    ] {
        let (hidden, head) = (short(1, [rows, width], size), short(2, [vocabulary, width], 0.5));
        let targets = indices(3, rows, vocabulary);
        compare_cross_entropy(&hidden, &head, &targets, Precision::Bf16, 1e-5, 8e-3);
    }
}

fn compare_cross_entropy(
    hidden: &Both,
    head: &Both,
    targets: &[i32],
    precision: Precision,
    of_loss: f64,
    of_gradients: f32,
) {
    let found = Gpu::cross_entropy(&hidden.gpu, &head.gpu, targets, precision).unwrap();
    let expected = Cpu::cross_entropy(&hidden.cpu, &head.cpu, targets, Precision::F32).unwrap();
    let [loss, wanted] = [found.loss.read().unwrap(), expected.loss.read().unwrap()];
    assert!((loss / wanted - 1.0).abs() < of_loss, "{loss} not {wanted}");
    let what = |part| format!("gradient of the {part}, {:?} by {:?}", hidden.gpu.dims(), head.gpu.dims());
    assert_near(&found.hidden, &expected.hidden, of_gradients, &what("hidden states"));
    assert_near(&found.head, &expected.head, of_gradients, &what("head"));
}

#[test]
fn the_first_of_equals_is_the_decision() {
    let ones = |shape: [usize; 2]| both(vec![1.0; shape[0] * shape[1]], shape);
    let (hidden, head) = (ones([3, 2]), ones([2100, 2]));
    for targets in [[0, 0, 0], [0, 1, 1500], [2, 1024, 2099]] {
        let expected = targets.iter().filter(|&&target| target == 0).count() as u64;
        assert_eq!(Gpu::loss_and_hits(&hidden.gpu, &head.gpu, &targets).unwrap().1, expected);
    }
    for classes in [1, 2, 255, 256, 257, 2100] {
        let decided = Gpu::decide(&ones([5, 2]).gpu, &ones([classes, 2]).gpu, None, Precision::F32).unwrap();
        assert_eq!(decided, vec![0; 5], "{classes} classes");
    }
}

#[test]
fn decisions() {
    for [rows, width, classes] in [[1, 2, 3], [700, 24, 256], [70, 16, 2500], [513, 8, 257]] {
        let (x, of_class) = (random(1, [rows, width]), random(2, [classes, width]));
        // Without offsets all scores may be negative, too.
        let offsets = scaled(3, [1, classes], 5.0);
        for with_offsets in [false, true] {
            let (on_gpu, on_cpu) =
                (with_offsets.then_some(&offsets.gpu), with_offsets.then_some(&offsets.cpu));
            let found = Gpu::decide(&x.gpu, &of_class.gpu, on_gpu, Precision::F32).unwrap();
            let expected = Cpu::decide(&x.cpu, &of_class.cpu, on_cpu, Precision::F32).unwrap();
            // Scores that differ by rounding alone may go either way.
            let differ = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
            assert!(differ * 200 <= rows, "{differ} of {rows} rows differ");
        }
    }
}

#[test]
fn rows_are_added_and_parameters_updated() {
    let (sums, values, rows) = (random(1, [50, 20]), random(2, [300, 20]), indices(3, 300, 50));
    let found = Gpu::add_rows(sums.gpu.clone(), &rows, values.gpu.clone());
    assert_close(&found, &Cpu::add_rows(sums.cpu.clone(), &rows, values.cpu), 1e-5, "rows");
    assert_close(&sums.gpu, &sums.cpu, 0.0, "sums that somebody else holds");

    let shape = [130, 200];
    let [parameter, first, gradient] = [1, 2, 4].map(|seed| random(seed, shape));
    let second = random(3, shape);
    let (second_cpu, second_gpu) = (second.cpu.abs(), second.gpu.abs());
    let step =
        AdamWStep { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, keep: 0.99, rate: 1e-2, correction: 0.7 };
    let moments =
        Moments { parameter: parameter.gpu.clone(), first: first.gpu, second: second_gpu, factor: None };
    let found = Gpu::adamw(vec![(moments, gradient.gpu)], &Scalar::Known(0.5), step).unwrap().remove(0);
    let moments =
        Moments { parameter: parameter.cpu.clone(), first: first.cpu, second: second_cpu, factor: None };
    let expected = Cpu::adamw(vec![(moments, gradient.cpu)], &Scalar::Known(0.5), step).unwrap().remove(0);
    assert_close(&found.parameter, &expected.parameter, 1e-6, "parameter");
    assert_close(&found.first, &expected.first, 1e-6, "first moment");
    assert_close(&found.second, &expected.second, 1e-6, "second moment");
    assert_close(&parameter.gpu, &parameter.cpu, 0.0, "a parameter that somebody else holds");
}

#[test]
fn many_parameters_are_updated_at_once() {
    // More than one launch takes, some longer than a cube takes.
    let shapes: Vec<[usize; 2]> =
        (0..40).map(|at| if at % 7 == 3 { [70, 90] } else { [1, 1 + at * 3] }).collect();
    let entries =
        |seed| -> Vec<Both> { shapes.iter().zip(seed..).map(|(&shape, seed)| random(seed, shape)).collect() };
    let [parameters, firsts, seconds, gradients] = [0, 100, 200, 300].map(entries);
    let on_gpu: Vec<OnGpu> = gradients.iter().map(|both| both.gpu.clone()).collect();
    let clipping = Gpu::clipping(&on_gpu, 0.7).unwrap();
    let on_cpu: Vec<OnCpu> = gradients.iter().map(|both| both.cpu.clone()).collect();
    let expected = Cpu::clipping(&on_cpu, 0.7).unwrap();
    for (found, expected) in [(&clipping.norm, &expected.norm), (&clipping.scale, &expected.scale)] {
        let (found, expected) = (found.read().unwrap(), expected.read().unwrap());
        assert!((found / expected - 1.0).abs() < 1e-6, "{found} not {expected}");
    }
    let step =
        AdamWStep { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, keep: 0.99, rate: 1e-2, correction: 0.7 };
    let (mut of_gpu, mut of_cpu) = (Vec::new(), Vec::new());
    // Some come with their factor, which is that of the updated parameter then.
    let has_bf16 = Precision::Bf16.exists_on::<Gpu>(&device());
    for (at, (((p, m), v), g)) in parameters.into_iter().zip(firsts).zip(seconds).zip(gradients).enumerate() {
        let factor = (has_bf16 && at % 5 < 3).then(|| Gpu::factor(p.gpu.clone(), Precision::Bf16));
        of_gpu.push((Moments { parameter: p.gpu, first: m.gpu, second: v.gpu.abs(), factor }, g.gpu));
        of_cpu.push((Moments { parameter: p.cpu, first: m.cpu, second: v.cpu.abs(), factor: None }, g.cpu));
    }
    let found = Gpu::adamw(of_gpu, &clipping.scale, step).unwrap();
    let expected = Cpu::adamw(of_cpu, &expected.scale, step).unwrap();
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_close(&found.parameter, &expected.parameter, 1e-6, "parameter");
        assert_close(&found.first, &expected.first, 1e-6, "first moment");
        assert_close(&found.second, &expected.second, 1e-6, "second moment");
        assert_eq!(found.factor.is_some(), has_bf16 && at % 5 < 3);
        if let Some(factor) = &found.factor {
            let rounded = single(&Gpu::factor(found.parameter.clone(), Precision::Bf16));
            assert_eq!(host_floats(single(factor)).unwrap(), host_floats(rounded).unwrap());
        }
    }
}

/// Numbers in `f64` on both devices.
fn doubles(values: &[f64], shape: [usize; 2]) -> (OnCpu, OnGpu) {
    let data = TensorData::new(values.to_vec(), shape);
    (
        Tensor::from_data(data.clone(), (&FlexDevice, DType::F64)),
        Tensor::from_data(data, (&device(), DType::F64)),
    )
}

/// The same on the host.
fn read<B: Backend>(x: &Tensor<B, 2>) -> Vec<f64> {
    x.to_data().into_vec().unwrap()
}

#[test]
fn class_sums_equal_the_processors_to_the_last_bit_however_rows_are_cut_into_batches() {
    for [rows, width, classes] in [[2, 1, 1], [300, 20, 7], [513, 130, 40], [200, 64, 3000]] {
        let (x, class) = (scaled(1, [rows, width], 3.0), indices(2, rows, classes));
        let start: Vec<f64> = (0..classes * width).map(|at| at as f64 / 7.0).collect();
        let (totals, squares) = (doubles(&start, [classes, width]), doubles(&start[..classes], [classes, 1]));
        let sums = ClassSums { totals: totals.0.clone(), squares: squares.0.clone() };
        let expected = Cpu::add_to_classes(sums, &class, &x.cpu);
        let mut found = ClassSums { totals: totals.1.clone(), squares: squares.1.clone() };
        let batches =
            [(0, rows / 3), (rows / 3, rows - rows / 3)].into_iter().filter(|(_, count)| *count > 0);
        for (first, count) in batches {
            let part = x.gpu.clone().narrow(0, first, count);
            found = Gpu::add_to_classes(found, &class[first..first + count], &part);
        }
        assert_eq!(read(&found.totals), read(&expected.totals), "totals");
        assert_eq!(read(&found.squares), read(&expected.squares), "squares");
        assert_eq!(read(&totals.1), start, "sums that somebody else holds");

        let found = Gpu::add_distances(squares.1.clone(), &totals.1, &class, &x.gpu);
        let expected = Cpu::add_distances(squares.0.clone(), &totals.0, &class, &x.cpu);
        // Not every device adds a product without rounding it first.
        for (a, b) in read(&found).into_iter().zip(read(&expected)) {
            assert!((a - b).abs() <= 1e-14 * b.abs(), "distance {a} not {b}");
        }
    }
}

#[test]
fn outer_products_are_added_up_in_order_however_rows_are_cut_into_batches() {
    for [rows, width, classes] in [[1, 1, 1], [50, 16, 3], [37, 70, 5], [20, 530, 2]] {
        let (x, class) = (scaled(1, [rows, width], 3.0), indices(2, rows, classes));
        let means: Vec<f64> = (0..classes * width).map(|at| (at as f64).sin() / 3.0).collect();
        let start: Vec<f64> = (0..width * width).map(|at| (at / width + at % width) as f64 / 7.0).collect();
        let (means, sums) = (doubles(&means, [classes, width]), doubles(&start, [width, width]));
        let expected = read(&Cpu::add_outer_products(sums.0, &means.0, &class, &x.cpu, rows));
        let found = read(&Gpu::add_outer_products(sums.1.clone(), &means.1, &class, &x.gpu, rows));
        let largest = expected.iter().fold(0.0_f64, |most, entry| most.max(entry.abs()));
        for (at, (a, b)) in found.iter().zip(&expected).enumerate() {
            assert!((a - b).abs() <= 1e-14 * largest, "{rows} x {width}, entry {at} is {a} instead of {b}");
            assert_eq!(*a, found[at % width * width + at / width], "both sides of the diagonal");
        }
        assert_eq!(read(&sums.1), start, "sums that somebody else holds");
        let mut in_batches = sums.1;
        for first in (0..rows).step_by(7) {
            let count = (rows - first).min(7);
            let part = x.gpu.clone().narrow(0, first, count);
            in_batches =
                Gpu::add_outer_products(in_batches, &means.1, &class[first..first + count], &part, count);
        }
        assert_eq!(read(&in_batches), found, "{rows} x {width}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let all = || {
        let (hidden, head) = (random(1, [300, 64]), random(2, [3000, 64]));
        let loss =
            Gpu::cross_entropy(&hidden.gpu, &head.gpu, &indices(3, 300, 3000), Precision::F32).unwrap();
        let heads = Heads { batch: 3, heads: 4, window: 50, precision: Precision::F32 };
        let input = random(4, [300, 192]).gpu;
        let attended = Gpu::attention_forward(&input, heads, None);
        let gradients = Gpu::attention_backward(&input, &attended, &hidden.gpu, heads, None);
        let rows = Gpu::add_rows(head.gpu.clone(), &indices(7, 300, 40), hidden.gpu.clone());
        let found = [loss.hidden, loss.head, attended.mixed, gradients, rows];
        (loss.loss.read().unwrap(), found.map(|x| host_floats(x).unwrap()))
    };
    assert_eq!(all(), all());
}

#[test]
fn gradients_that_are_no_numbers_change_nothing() {
    let shape = [3, 5];
    let [parameter, first, second] = [1, 2, 3].map(|seed| random(seed, shape));
    let mut values = vec![0.5; 15];
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        values[7] = bad;
        let gradient = both(values.clone(), shape).gpu;
        let clipping = Gpu::clipping(std::slice::from_ref(&gradient), 1.0).unwrap();
        assert!(!clipping.norm.read().unwrap().is_finite());
        let moments = Moments {
            parameter: parameter.gpu.clone(),
            first: first.gpu.clone(),
            second: second.gpu.clone(),
            factor: None,
        };
        let step =
            AdamWStep { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, keep: 0.99, rate: 0.01, correction: 0.7 };
        let found = Gpu::adamw(vec![(moments, gradient)], &clipping.scale, step).unwrap().remove(0);
        assert_close(&found.parameter, &parameter.cpu, 0.0, "parameter");
        assert_close(&found.first, &first.cpu, 0.0, "first moment");
        assert_close(&found.second, &second.cpu, 0.0, "second moment");
    }
}

/// Products take what the optimizer rounded; were it left behind, they would take the weights of another step.
#[test]
fn weights_are_rounded_anew_in_every_step() {
    if !has_tensor_cores() {
        return;
    }
    let fields = json!({"hidden_size": 32, "num_layers": 2, "num_heads": 2, "vocab_size": 100,
        "window_size": 8, "attention_layers": ["global", "local"], "max_position_embeddings": 32});
    let config = GptNeoConfig::from_fields(fields.as_object().cloned().unwrap()).unwrap();
    let model = init::random::<Gpu>(&config, 0, &device()).in_precision(Precision::Bf16);
    let optimizer = AdamW::new(&model, 0.1);
    let mut trainer = Trainer::new(model, optimizer, 0, 1.0);
    let batch = Batch { ids: indices(1, 64, 100), length: 32 };
    let loss = |model: &GptNeo<Gpu>| loss_and_gradients(model, &batch, None).unwrap().0.read().unwrap();
    let before = loss(&trainer.model);
    for step in 1..4 {
        trainer.step(&batch, 1e-2, step).unwrap().read().unwrap();
        let after = loss(&trainer.model);
        assert_eq!(after, loss(&trainer.model.clone().in_precision(Precision::Bf16)), "step {step}");
        let exact = loss(&trainer.model.clone().in_precision(Precision::F32));
        assert!((after / exact - 1.0).abs() < 1e-3, "step {step}: {after} and {exact}");
    }
    assert!(loss(&trainer.model) < before - 0.1);
}
