//! The worker's jobs on a GPU, for `bench/gpu.py` to race against PyTorch.
//!
//! Prints JSON objects, each as soon as it is known. Every time is the median of several, each from a device that is idle
//! to one that is idle again, after some that are not counted: those compile the kernels and choose among them.

mod jobs;
mod kernels;
mod measures;
mod memory;

use burn::tensor::{Tensor, TensorData, backend::Backend};
use clap::{Parser, Subcommand};
use memory::Pool;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use serde_json::json;
use std::{panic, time::Instant};
use worker::{
    Error, Result,
    device::{self, lost},
    kernels::{Kernels, Precision, host_floats},
    model::{Batch, GptNeo, GptNeoConfig, init},
    on_device,
    report::Report,
    train::run::precision,
};

/// As in `lc-worker`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Args {
    /// cuda, cuda:N or vulkan
    #[arg(long, default_value = "cuda")]
    device: String,
    #[arg(long, default_value_t = 10)]
    repeat: usize,
    /// Steps and batches between two waits for the device.
    #[arg(long, default_value_t = 16)]
    ahead: usize,
    #[command(flatten)]
    model: Model,
    #[command(subcommand)]
    job: Job,
}

/// What to measure.
#[derive(Subcommand)]
enum Job {
    /// A sum of ones: can kernels be compiled and run?
    Probe,
    /// Training steps, without waiting for each and with, and forward without the head.
    Train,
    /// Forward without the head, sums of classes, and forward with each kind of statistics of its embeddings.
    Collect,
    /// Many steps: loss and memory of the card at four of them.
    Endurance {
        #[arg(long, default_value_t = 2000)]
        steps: u64,
    },
    /// Training steps for so many seconds, once a line comes in: for several of these side by side.
    Packed {
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// Each kernel by itself.
    Kernels,
    /// All measures of one model, by the processor alone and with an NVIDIA GPU.
    Measures {
        #[arg(long, default_value_t = 29_233)]
        classes: usize,
        #[arg(long, default_value_t = 1024)]
        width: usize,
    },
}

/// A model and what goes in at once.
#[derive(clap::Args)]
struct Model {
    /// WIDTHxDEPTHxLENGTHxBATCH
    #[arg(long, default_value = "64x1x2048x16")]
    shape: String,
    /// f32, tf32 or bf16
    #[arg(long, default_value = "bf16")]
    dtype: String,
    #[arg(long, default_value_t = 50257)]
    vocab: usize,
    #[arg(long, default_value_t = 16)]
    heads: usize,
    #[arg(long, default_value_t = 256)]
    window: usize,
}

fn main() -> Result<()> {
    let standard = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !lost::remember(info) {
            standard(info);
        }
    }));
    // `cargo bench` appends a flag of its own.
    let args = Args::parse_from(std::env::args().filter(|argument| argument != "--bench"));
    let device = device::resolve(&args.device, &Report::silent())?;
    if let Job::Measures { classes, width } = args.job {
        return measures::measures(device, classes, width, args.repeat);
    }
    on_device!(device, |B, place| measure::<B>(&args, &place))
}

fn measure<B: Pool>(args: &Args, device: &B::Device) -> Result<()> {
    let precision = match args.model.dtype.as_str() {
        "tf32" => Precision::Tf32,
        other => precision(other)?,
    };
    if !precision.exists_on::<B>(device) {
        return Err(Error::input(format!("this device has no {}", args.model.dtype)));
    }
    let bench = Bench::<B> { device, repeat: args.repeat, ahead: args.ahead, model: &args.model, precision };
    match args.job {
        Job::Probe => bench.probe()?,
        Job::Train => bench.train(),
        Job::Collect => bench.collect()?,
        Job::Endurance { steps } => bench.endurance(steps)?,
        Job::Packed { seconds } => bench.packed(seconds),
        Job::Kernels => bench.kernels(),
        Job::Measures { .. } => unreachable!("they are computed without a backend"),
    }
    Ok(())
}

struct Random(ChaCha8Rng);

impl Random {
    fn new() -> Self {
        Self(ChaCha8Rng::seed_from_u64(0))
    }

    /// Between -1 and 1.
    fn float(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / 2f64.powi(31) - 1.0
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float() as f32).collect()
    }

    /// Tokens, the `n`-th as frequent as `1/n`: about as those of a text.
    fn tokens(&mut self, vocabulary: usize, count: usize) -> Vec<i32> {
        let mut token = || (vocabulary as f64).powf((self.float() + 1.0) / 2.0) as i32 - 1;
        (0..count).map(|_| token()).collect()
    }
}

struct Bench<'a, B: Kernels> {
    device: &'a B::Device,
    repeat: usize,
    ahead: usize,
    model: &'a Model,
    precision: Precision,
}

impl<B: Kernels> Bench<'_, B> {
    fn wait(&self) {
        <B as Backend>::sync(self.device).expect("the device works");
        lost::check().expect("the device left nothing out");
    }

    fn probe(&self) -> Result<()> {
        let sums = host_floats(B::sum_rows(&Tensor::<B, 2>::ones([64, 64], self.device)))?;
        assert!(sums.iter().all(|&sum| sum == 64.0), "sums of 64 ones are 64, not {sums:?}");
        println!("{}", json!({"what": "probe"}));
        Ok(())
    }

    /// Median seconds of a piece of work that is repeated.
    fn median(&self, mut work: impl FnMut()) -> f64 {
        for _ in 0..self.repeat.min(3) {
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

    /// As [`Self::median`], of work that changes something and gives it back.
    fn median_of<T>(&self, start: T, mut work: impl FnMut(T) -> T) -> f64 {
        let mut state = Some(start);
        self.median(|| state = state.take().map(&mut work))
    }

    /// Width, depth, length of a sequence, sequences of a batch.
    fn sizes(&self) -> [usize; 4] {
        let sizes: Vec<usize> = self.model.shape.split('x').filter_map(|size| size.parse().ok()).collect();
        sizes
            .try_into()
            .unwrap_or_else(|_| panic!("{}: four numbers with an x between them", self.model.shape))
    }

    fn matrix(&self, random: &mut Random, shape: [usize; 2]) -> Tensor<B, 2> {
        let values = random.floats(shape[0] * shape[1]);
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }

    fn network(&self) -> GptNeo<B> {
        let [width, depth, length, _] = self.sizes();
        let kinds: Vec<&str> = ["global", "local"].into_iter().cycle().take(depth).collect();
        let Model { vocab, heads, window, .. } = self.model;
        let fields = json!({"hidden_size": width, "num_layers": depth, "num_heads": heads, "vocab_size": vocab,
            "window_size": window, "attention_layers": kinds, "max_position_embeddings": length.max(2048)});
        let config = GptNeoConfig::from_fields(fields.as_object().cloned().unwrap_or_default());
        init::random::<B>(&config.expect("a shape"), 0, self.device).in_precision(self.precision)
    }

    fn batch(&self) -> Batch {
        let [_, _, length, batch] = self.sizes();
        Batch { ids: Random::new().tokens(self.model.vocab, batch * length), length }
    }
}
