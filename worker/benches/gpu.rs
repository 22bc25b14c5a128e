//! The worker's jobs on a GPU, for `bench/gpu.py` to race against PyTorch.
//!
//! Prints one JSON object per job. Every time is the median of several, each from a device that is idle to one that is
//! idle again, after some that are not counted: those compile the kernels and choose among them.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use clap::{Parser, Subcommand};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use serde_json::{Value, json};
use std::time::Instant;
use worker::{
    Result, device,
    kernels::{Heads, Kernels, Projected},
    model::{Batch, GptNeoConfig, Precision, init},
    on_device,
    report::Report,
    train::{adamw::AdamW, run::Trainer},
};

#[derive(Parser)]
struct Args {
    /// cuda, cuda:N or vulkan
    #[arg(long, default_value = "cuda")]
    device: String,
    #[arg(long, default_value_t = 10)]
    repeat: usize,
    #[command(subcommand)]
    job: Job,
}

/// What to measure.
#[derive(Subcommand)]
enum Job {
    /// Forward without the head, and training steps, also without waiting for each.
    Train {
        /// WIDTHxDEPTHxLENGTHxBATCH
        shape: String,
        #[arg(long, default_value = "bf16")]
        dtype: String,
        #[arg(long, default_value_t = 50257)]
        vocab: usize,
        #[arg(long, default_value_t = 16)]
        heads: usize,
        #[arg(long, default_value_t = 256)]
        window: usize,
    },
    /// Many steps: memory before, and after each thousand.
    Endurance {
        shape: String,
        #[arg(long, default_value = "bf16")]
        dtype: String,
        #[arg(long, default_value_t = 2000)]
        steps: u64,
    },
    /// Each kernel by itself.
    Kernels {
        /// WIDTHxLENGTHxBATCH
        shape: String,
        #[arg(long, default_value = "bf16")]
        dtype: String,
        #[arg(long, default_value_t = 50257)]
        vocab: usize,
        #[arg(long, default_value_t = 16)]
        heads: usize,
        #[arg(long, default_value_t = 256)]
        window: usize,
    },
    /// Decisions of a batch of embeddings.
    Decide {
        #[arg(long, default_value_t = 50257)]
        k: usize,
        #[arg(long, default_value_t = 768)]
        d: usize,
        #[arg(long, default_value_t = 8192)]
        batch: usize,
    },
}

fn main() -> Result<()> {
    // `cargo bench` appends a flag of its own.
    let args = Args::parse_from(std::env::args().filter(|argument| argument != "--bench"));
    let device = device::resolve(&args.device, &Report::silent())?;
    let rows: Result<Vec<Value>> = on_device!(device, |B, place| measure::<B>(&args, &place));
    for row in rows? {
        println!("{row}");
    }
    Ok(())
}

fn measure<B: Kernels>(args: &Args, device: &B::Device) -> Result<Vec<Value>> {
    let bench = Bench::<B> { device, repeat: args.repeat };
    match &args.job {
        Job::Train { shape, dtype, vocab, heads, window } => {
            bench.train(shape, Precision::parse(dtype)?, *vocab, *heads, *window)
        }
        Job::Endurance { shape, dtype, steps } => bench.endurance(shape, Precision::parse(dtype)?, *steps),
        Job::Kernels { shape, dtype, vocab, heads, window } => {
            bench.kernels(shape, Precision::parse(dtype)?, *vocab, *heads, *window)
        }
        Job::Decide { k, d, batch } => bench.decide(*k, *d, *batch),
    }
}

struct Random(ChaCha8Rng);

impl Random {
    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (f64::from(self.0.next_u32()) / 2f64.powi(31) - 1.0) as f32).collect()
    }

    fn below(&mut self, bound: usize, count: usize) -> Vec<i32> {
        (0..count).map(|_| (self.0.next_u32() as usize % bound) as i32).collect()
    }
}

fn random() -> Random {
    Random(ChaCha8Rng::seed_from_u64(0))
}

fn sizes<const N: usize>(shape: &str) -> [usize; N] {
    let sizes: Vec<usize> = shape.split('x').filter_map(|size| size.parse().ok()).collect();
    sizes.try_into().unwrap_or_else(|_| panic!("{shape}: {N} numbers with an x between them"))
}

struct Bench<'a, B: Kernels> {
    device: &'a B::Device,
    repeat: usize,
}

impl<B: Kernels> Bench<'_, B> {
    fn wait(&self) {
        <B as Backend>::sync(self.device).expect("the device works");
    }

    /// Median seconds of a piece of work that is repeated.
    fn median(&self, mut work: impl FnMut()) -> f64 {
        for _ in 0..3 {
            work();
        }
        self.wait();
        let mut seconds: Vec<f64> = (0..self.repeat)
            .map(|_| {
                let started = Instant::now();
                work();
                self.wait();
                started.elapsed().as_secs_f64()
            })
            .collect();
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    }

    fn matrix(&self, random: &mut Random, shape: [usize; 2]) -> Tensor<B, 2> {
        let values = random.floats(shape[0] * shape[1]);
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }

    fn trainer(
        &self,
        shape: &str,
        precision: Precision,
        [vocab, heads, window]: [usize; 3],
    ) -> (Trainer<B>, Batch) {
        let [width, depth, length, batch] = sizes(shape);
        let kinds: Vec<&str> = ["global", "local"].into_iter().cycle().take(depth).collect();
        let fields = json!({"hidden_size": width, "num_layers": depth, "num_heads": heads, "vocab_size": vocab,
            "window_size": window, "attention_layers": kinds, "max_position_embeddings": length.max(2048)});
        let config = GptNeoConfig::from_fields(fields.as_object().cloned().unwrap_or_default());
        let mut model = init::random::<B>(&config.expect("a shape"), 0, self.device);
        model.precision = precision;
        let optimizer = AdamW::new(&model, 0.1);
        let batch = Batch { ids: random().below(vocab, batch * length), length };
        (Trainer::new(model, optimizer, 0, 1.0), batch)
    }

    fn train(
        &self,
        shape: &str,
        precision: Precision,
        vocab: usize,
        heads: usize,
        window: usize,
    ) -> Result<Vec<Value>> {
        let (mut trainer, batch) = self.trainer(shape, precision, [vocab, heads, window]);
        let body = self.median(|| drop(trainer.model.forward(&batch)));
        let mut step = 0;
        let mut take = |trainer: &mut Trainer<B>| {
            step += 1;
            trainer.step(&batch, 5e-5, step).expect("a step")
        };
        let waited = self.median(|| drop(take(&mut trainer)));
        // As in training: a device is asked every 16 steps.
        let streamed = self.median(|| {
            let taken: Vec<_> = (0..16).map(|_| take(&mut trainer)).collect();
            assert!(taken.iter().all(|taken| taken.read().is_ok()), "losses are numbers");
        }) / 16.0;
        let tokens = batch.ids.len() as f64;
        Ok(vec![json!({"what": "train", "shape": shape, "precision": format!("{precision:?}"),
            "body_tokens_per_s": tokens / body, "step_tokens_per_s": tokens / waited,
            "train_tokens_per_s": tokens / streamed})])
    }

    fn endurance(&self, shape: &str, precision: Precision, steps: u64) -> Result<Vec<Value>> {
        let (mut trainer, batch) = self.trainer(shape, precision, [50257, 16, 256]);
        let mut rows = Vec::new();
        let mut first = f64::NAN;
        for step in 1..=steps {
            let taken = trainer.step(&batch, 5e-4, step)?;
            if step == 1 || step.is_multiple_of(steps / 4) {
                let loss = taken.read()?.loss;
                first = if step == 1 { loss } else { first };
                self.wait();
                rows.push(json!({"what": "endurance", "shape": shape, "step": step, "loss": loss,
                    "first_loss": first, "memory_mib": memory_mib()}));
            }
        }
        Ok(rows)
    }

    fn kernels(
        &self,
        shape: &str,
        precision: Precision,
        vocab: usize,
        heads: usize,
        window: usize,
    ) -> Result<Vec<Value>> {
        let [width, length, batch] = sizes(shape);
        let rows = batch * length;
        let mut random = random();
        let [x, y, z, g] = [(); 4].map(|()| self.matrix(&mut random, [rows, width]));
        let inner = self.matrix(&mut random, [rows, 4 * width]);
        let [weight, bias] = [(); 2].map(|()| self.matrix(&mut random, [1, width]));
        let matrix = self.matrix(&mut random, [4 * width, width]);
        let head = self.matrix(&mut random, [vocab, width]);
        let ids = random.below(vocab, rows);
        let (n, d, v) = (rows as f64, width as f64, vocab as f64);
        let mut found = Vec::new();
        let mut note = |kernel: &str, seconds: f64, bytes: f64, operations: f64| {
            found.push(json!({"what": "kernel", "kernel": kernel, "shape": shape,
                "precision": format!("{precision:?}"), "seconds": seconds, "gb_per_s": bytes / seconds * 1e-9,
                "tflops": operations / seconds * 1e-12}));
        };
        note(
            "layer norm",
            self.median(|| drop(B::layer_norm_forward(&x, &weight, &bias, 1e-5))),
            8.0 * n * d,
            0.0,
        );
        note(
            "layer norm, backward",
            self.median(|| drop(B::layer_norm_backward(&x, &weight, &g, 1e-5))),
            20.0 * n * d,
            0.0,
        );
        note("activation", self.median(|| drop(B::gelu_new(&inner))), 32.0 * n * d, 0.0);
        note(
            "activation, backward",
            self.median(|| drop(B::gelu_new_backward(&inner, &inner))),
            48.0 * n * d,
            0.0,
        );
        note(
            "linear",
            self.median(|| drop(B::linear_forward(&x, &matrix, None, precision))),
            0.0,
            8.0 * n * d * d,
        );
        for (name, window) in [("attention, global", length), ("attention, local", window)] {
            let heads = Heads { batch, heads, window, precision };
            let projected = Projected { query: x.clone(), key: y.clone(), value: z.clone() };
            let seen = (1..=length).map(|row| row.min(window) as f64).sum::<f64>() * batch as f64;
            note(
                name,
                self.median(|| drop(B::attention_forward(&projected, heads, None))),
                16.0 * n * d,
                4.0 * seen * d,
            );
            let attended = B::attention_forward(&projected, heads, None);
            note(
                &format!("{name}, backward"),
                self.median(|| drop(B::attention_backward(&projected, &attended, &g, heads, None))),
                36.0 * n * d,
                10.0 * seen * d,
            );
        }
        note(
            "cross-entropy with gradients",
            self.median(|| drop(B::cross_entropy(&x, &head, &ids, precision).expect("a loss"))),
            0.0,
            6.0 * n * d * v,
        );
        note(
            "embedding gradient",
            self.median(|| drop(B::add_rows(head.clone(), &ids, x.clone()))),
            8.0 * d * v + 4.0 * n * d,
            0.0,
        );
        Ok(found)
    }

    fn decide(&self, k: usize, d: usize, batch: usize) -> Result<Vec<Value>> {
        let mut random = random();
        let x = self.matrix(&mut random, [batch, d]);
        let [means, head] = [(); 2].map(|()| self.matrix(&mut random, [k, d]));
        let offsets = self.matrix(&mut random, [1, k]);
        let seconds = self.median(|| {
            drop(B::decide(&x, &means, Some(&offsets)).expect("a decision"));
            drop(B::decide(&x, &head, None).expect("a decision"));
        });
        Ok(vec![json!({"what": "decs", "k": k, "d": d, "tokens_per_s": batch as f64 / seconds,
            "tflops": 4.0 * batch as f64 * (k * d) as f64 / seconds * 1e-12})])
    }
}

/// Memory of the first GPU that is in use, by the driver's program; not a number where there is none.
fn memory_mib() -> f64 {
    let query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits"];
    let output = std::process::Command::new("nvidia-smi").args(query).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().and_then(|line| line.trim().parse().ok()).unwrap_or(f64::NAN)
}
